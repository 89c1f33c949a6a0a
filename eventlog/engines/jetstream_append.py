"""
Compare-and-append on a stream, tried until it is known how it ended.

An append says after which sequence it goes, for the whole stream; several entries go as one atomic batch, all or none
of them. What an answer means:

| answer              | then                                                                                   |
|---------------------|----------------------------------------------------------------------------------------|
| stored              | done: a majority has it on disk                                                        |
| wrong last sequence | whoever stands at the position decides, as soon as somebody does: ourselves, or a conflict |
| nobody listens      | nothing was stored: try again, until the time is over                                  |
| none, or 503        | may be stored, now or later: try just the same again, until the time is over: *unknown* |

Not even *wrong last sequence* is taken at its word: while a leader is cut off, two nodes may take a message and answer,
and the one that does not store it may be the first.

A message that lands late does no harm: it was meant for one sequence, which is taken, or it is the one that takes it.
`Nats-Msg-Id` is not used: it is compared before the sequence, and whatever the bytes are; the position alone decides.

Source: JetStream's `Nats-Expected-Last-Sequence`; atomic batches, ADR-50.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_api import Ack, NoReplyError, decoded
from eventlog.engines.jetstream_link import Link
from eventlog.engines.jetstream_stream import BATCH_ENTRIES_MAX, Stream
from eventlog.errors import ConflictError, OutcomeUnknownError, RefusedError, UnreachableError

APPEND_SECONDS = 20.0
"""How long an append is tried; a cluster needs up to 8 s to elect a leader."""

_PAUSE_SECONDS = 0.05


class Appender:
    """
    Appends to one stream. Its coroutines run inside `Link.call`.

    Args:
        seconds: how long an append may be tried.
    """

    def __init__(self, link: Link, stream: Stream, seconds: float = APPEND_SECONDS) -> None:
        self._link = link
        self._reader = stream
        self._name = link.address.name
        self._stream = link.address.stream
        self._where = link.address.where
        self._seconds = seconds

    async def append(self, entries: Sequence[bytes], expected_size: int) -> None:
        """
        Store *entries*, `BATCH_ENTRIES_MAX` at most, all or none, if there are just *expected_size* before them.

        Raises:
            ConflictError: somebody else stands there. Nothing was stored.

            RefusedError, UnreachableError: nothing was stored.

            OutcomeUnknownError: they may be stored, or may be yet.
        """
        assert 0 < len(entries) <= BATCH_ENTRIES_MAX, "the caller cuts them"
        clock = asyncio.get_running_loop().time
        deadline, maybe = clock() + self._seconds, False
        while True:
            try:
                reason, perhaps = await self._try(entries, expected_size, deadline)
            except ConflictError:
                raise
            except RefusedError as error:
                if maybe:
                    raise self._unknown(str(error)) from error
                raise
            if reason is None:
                return
            maybe = maybe or perhaps
            if clock() >= deadline:
                if maybe:
                    raise self._unknown(f"no majority has confirmed it within {self._seconds:g} s: {reason}")
                raise UnreachableError(
                    f"{self._where}: nothing was recorded within {self._seconds:g} s: {reason}: "
                    "see that a majority of the nodes is up, or run doctor"
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _try(self, entries: Sequence[bytes], expected_size: int, deadline: float) -> tuple[str | None, bool]:
        """Try once; return why to try again, or None where it is done, and whether it may be stored all the same."""
        try:
            ack = await self._publish(entries, expected_size)
        except UnreachableError as error:
            return str(error).removeprefix(f"{self._where}: "), False
        except NoReplyError as error:
            return str(error), error.sent
        refusal = ack.error
        if refusal is None:
            self._check_ack(ack, entries, expected_size)
            return None, False
        if refusal.err_code == api.WRONG_LAST_SEQUENCE:
            ours = await self._is_ours(entries[0], expected_size, deadline)
            return (None if ours else refusal.description), True
        if _is_passing(refusal):
            return refusal.description, True
        if refusal.err_code in (api.INCOMPLETE_BATCH, api.TOO_MANY_BATCHES):
            return refusal.description, False
        raise RefusedError(f"{self._where}: nothing was recorded: {refusal.description}")

    async def _publish(self, entries: Sequence[bytes], expected_size: int) -> Ack:
        """Ask once for *entries* to be stored, and return the answer."""
        expected = {"Nats-Expected-Last-Sequence": str(expected_size), "Nats-Expected-Stream": self._stream}
        if len(entries) == 1:
            return decoded(await self._link.request(api.subject_of(self._name, entries[0]), entries[0], expected), Ack)
        headers = {**expected, "Nats-Batch-Id": os.urandom(16).hex()}
        last = len(entries) - 1
        for number, entry in enumerate(entries):
            headers["Nats-Batch-Sequence"] = str(number + 1)
            subject = api.subject_of(self._name, entry)
            if number == last:
                return decoded(await self._link.request(subject, entry, {**headers, "Nats-Batch-Commit": "1"}), Ack)
            try:
                if number:
                    await self._link.publish(subject, entry, headers)
                elif begun := await self._link.request(subject, entry, headers):
                    if (ack := decoded(begun, Ack)).error is None or not _is_passing(ack.error):
                        return ack
                    raise NoReplyError(ack.error.description, sent=False)
            except NoReplyError as error:
                raise NoReplyError(str(error), sent=False) from error  # without the last of them nothing is stored
            headers = {name: text for name, text in headers.items() if name not in expected}
        raise AssertionError("there are entries")

    async def _is_ours(self, entry: bytes, position: int, deadline: float) -> bool:
        """
        Say, where somebody came first at *position*, whether that was ourselves; False where nobody is seen in time.

        Raises:
            ConflictError: somebody else stands there.
        """
        while True:
            try:
                standing = await self._reader.entry_at(position)
            except UnreachableError:
                standing = None
            if standing == entry:
                return True
            if standing is not None:
                raise ConflictError(f"{self._where}: expected {position} entries, got others: read and decide anew")
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_PAUSE_SECONDS)

    def _unknown(self, reason: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(f"{self._where}: not known whether the event was recorded ({reason})")

    def _check_ack(self, ack: Ack, entries: Sequence[bytes], expected_size: int) -> None:
        if (ack.seq, ack.stream) != (expected_size + len(entries), self._stream):
            raise OutcomeUnknownError(
                f"{self._where}: expected to be stored at {expected_size + len(entries)} of {self._stream}, "
                f"got {ack.seq} of {ack.stream}"
            )


def _is_passing(error: api.ApiError) -> bool:
    """Say whether an error is one of a cluster that is not ready now."""
    return error.code == 503 or error.err_code == api.NOT_NOW
