"""
The stream that holds a journal: compare-and-append, reading from a position, and whether it is ours at all.

JetStream counts from 1, so position = sequence - 1. An entry's bytes are the message; its subject is
`registry.<name>.<event type>`, so that the cluster can grant each type to those who may record it.

An append says after which sequence it goes, for the whole stream; several entries go as one atomic batch, all or none
of them. What an answer means:

| answer              | then                                                                                   |
|---------------------|----------------------------------------------------------------------------------------|
| stored              | done: a majority has it on disk                                                        |
| wrong last sequence | a conflict; after a try of unknown outcome, whoever stands at the position decides     |
| nobody listens      | nothing was stored: try again, until the time is over                                  |
| none, or 503        | may be stored, now or later: try just the same again, until the time is over: *unknown* |

A message that lands late does no harm: it was meant for one sequence, which is taken, or it is the one that takes it.
`Nats-Msg-Id` is not used: it is compared before the sequence, and whatever the bytes are; the position alone decides.

Source: JetStream's `Nats-Expected-Last-Sequence`; atomic batches, ADR-50; batched direct get, ADR-31.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_api import Ack, Found, GapError, Info, NoReplyError, decoded
from eventlog.engines.jetstream_link import Link, data_of
from eventlog.errors import ConflictError, OutcomeUnknownError, RefusedError, UnreachableError
from eventlog.log import log

APPEND_SECONDS = 20.0
"""How long an append is tried; a cluster needs up to 8 s to elect a leader."""

READ_SECONDS = 2.0
"""How long a reader asks nodes that can be reached before it goes on with its mirror."""

BATCH_ENTRIES_MAX = 1_000
"""Most messages of an atomic batch, and of one answer to a read."""

_READ_BYTES_MAX = 4 << 20
_PAUSE_SECONDS = 0.05
_GAPS_MAX = 6
_VISIBLE_SECONDS = 5.0


class Stream:
    """
    The stream of one journal. Its coroutines run inside `Link.call`.

    Args:
        append_seconds: how long an append may be tried.
    """

    def __init__(self, link: Link, append_seconds: float = APPEND_SECONDS) -> None:
        self._link = link
        self._name = link.address.name
        self._stream = link.address.stream
        self._where = link.address.where
        self._append_seconds = append_seconds
        self._checked = False

    async def size(self, patience_seconds: float = READ_SECONDS) -> int | None:
        """
        Return how many entries its leader has; None where there is no such stream.

        Args:
            patience_seconds: how long to ask nodes that can be reached, while no leader answers.

        Raises:
            RefusedError: the stream has other settings than a journal needs, or we may not ask.

            UnreachableError: no leader answers.
        """
        info: Info = await self._ask(f"$JS.API.STREAM.INFO.{self._stream}", b"", Info, patience_seconds)
        if info.error is not None:
            if info.error.err_code == api.NO_STREAM:
                return None
            raise RefusedError(f"{self._where}: {info.error.description}")
        api.check_settings(self._link.address, info)
        self._checked = True
        return info.state.last_seq

    async def create(self) -> None:
        """Make the stream, unless it is there. Raises as `size`."""
        wanted = msgspec.json.encode({"name": self._stream, **api.settings(self._name)})
        info = await self._ask(f"$JS.API.STREAM.CREATE.{self._stream}", wanted, Info, self._append_seconds)
        if info.error is not None:
            raise RefusedError(f"{self._where}: cannot be created: {info.error.description}")
        api.check_settings(self._link.address, info)
        self._checked = True

    async def last(self, patience_seconds: float = READ_SECONDS) -> tuple[int, str, bytes]:
        """
        Return size, and subject and bytes of the newest entry, as the leader has it; zero and nothing where none is.

        Raises as `size`.
        """
        if not self._checked and await self.size(patience_seconds) is None:
            return 0, "", b""
        asked = b'{"last_by_subj":"registry.%b.>"}' % self._name.encode()
        found: Found = await self._ask(f"$JS.API.STREAM.MSG.GET.{self._stream}", asked, Found, patience_seconds)
        if found.message is not None:
            return found.message.seq, found.message.subject, base64.b64decode(found.message.data)
        if found.error is not None and found.error.err_code in (api.NO_MESSAGE, api.NO_STREAM):
            return 0, "", b""
        raise UnreachableError(f"{self._where}: {found.error.description if found.error else 'an empty answer'}")

    async def read(self, start: int, patience_seconds: float = READ_SECONDS) -> list[bytes]:
        """
        Return the entries from position *start* on, as many as one answer can hold; none where there are none.

        Whichever node answers may not have all of them yet. *patience_seconds* is as in `size`.

        Raises:
            JournalDamagedError: a position is missing, or an entry stands under the subject of another type, however
                often one asks.

            UnreachableError, RefusedError: as `size`.
        """
        clock, gaps = asyncio.get_running_loop().time, 0
        deadline = clock() + patience_seconds
        while True:
            try:
                return await self._read(start)
            except NoReplyError as error:
                if clock() >= deadline:
                    raise UnreachableError(f"{self._where}: cannot be read: {error}") from error
            except GapError as error:
                gaps += 1
                if gaps == _GAPS_MAX:
                    raise
                if gaps == 1:
                    log.warning("%s, and meanwhile another node may answer", error)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def append(self, entries: Sequence[bytes], expected_size: int) -> None:
        """
        Store *entries*, `BATCH_ENTRIES_MAX` at most, all or none, if there are just *expected_size* before them.

        Raises:
            ConflictError: somebody else stands there. Nothing was stored.

            RefusedError, UnreachableError: nothing was stored.

            OutcomeUnknownError: they may be stored, or may be yet.
        """
        clock = asyncio.get_running_loop().time
        deadline, maybe = clock() + self._append_seconds, False
        while True:
            try:
                ack = await self._publish(entries, expected_size)
            except UnreachableError as error:
                reason = str(error).removeprefix(f"{self._where}: ")
            except NoReplyError as error:
                maybe, reason = maybe or error.sent, str(error)
            else:
                if ack.error is None:
                    return self._check_ack(ack, entries, expected_size)
                reason = ack.error.description
                if ack.error.err_code == api.WRONG_LAST_SEQUENCE:
                    standing = await self._standing(expected_size, deadline if maybe else clock() + _VISIBLE_SECONDS)
                    if maybe and standing == entries[0]:
                        return None
                    if standing is not None or not maybe:
                        raise ConflictError(
                            f"{self._where}: expected {expected_size} entries, got more: read and decide anew"
                        )
                elif ack.error.code == 503 or ack.error.err_code == api.NOT_NOW:
                    maybe = True
                elif ack.error.err_code not in (api.INCOMPLETE_BATCH, api.TOO_MANY_BATCHES):
                    raise RefusedError(f"{self._where}: nothing was recorded: {reason}")
            if clock() >= deadline:
                if maybe:
                    raise OutcomeUnknownError(
                        f"{self._where}: not known whether the event was recorded "
                        f"(no majority has confirmed it within {self._append_seconds:g} s: {reason})"
                    )
                raise UnreachableError(
                    f"{self._where}: nothing was recorded within {self._append_seconds:g} s: {reason}: "
                    "a majority of the nodes must be up"
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def entry_at(self, position: int) -> bytes | None:
        """
        Return the entry at *position* as the leader has it; None where it has none.

        Raises UnreachableError: no leader answers.
        """
        found: Found = await self._ask(f"$JS.API.STREAM.MSG.GET.{self._stream}", b'{"seq":%d}' % (position + 1), Found)
        if found.message is not None:
            return base64.b64decode(found.message.data)
        if found.error is not None and found.error.err_code == api.NO_MESSAGE:
            return None
        raise UnreachableError(f"{self._where}: {found.error.description if found.error else 'an empty answer'}")

    async def _publish(self, entries: Sequence[bytes], expected_size: int) -> Ack:
        """Ask once for *entries* to be stored, and return the answer."""
        expected = {"Nats-Expected-Last-Sequence": str(expected_size), "Nats-Expected-Stream": self._stream}
        if len(entries) == 1:
            return decoded(await self._link.request(api.subject_of(self._name, entries[0]), entries[0], expected), Ack)
        batch = {"Nats-Batch-Id": os.urandom(16).hex()}
        for number, entry in enumerate(entries, 1):
            headers = {**(expected if number == 1 else {}), **batch, "Nats-Batch-Sequence": str(number)}
            subject = api.subject_of(self._name, entry)
            if number == len(entries):
                return decoded(await self._link.request(subject, entry, {**headers, "Nats-Batch-Commit": "1"}), Ack)
            if number > 1:
                await self._link.publish(subject, entry, headers)
                continue
            begun = await self._link.request(subject, entry, headers)
            if begun and (ack := decoded(begun, Ack)).error is not None:
                return ack
        raise AssertionError("there are entries")

    async def _standing(self, position: int, deadline: float) -> bytes | None:
        """Return the entry at *position* as soon as it can be seen: a conflict tells what is only proposed."""
        while True:
            try:
                found = await self.entry_at(position)
            except UnreachableError:
                found = None
            if found is not None or asyncio.get_running_loop().time() >= deadline:
                return found
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, start: int) -> list[bytes]:
        answers: asyncio.Queue[tuple[Mapping[str, str], bytes]] = asyncio.Queue()

        async def on_message(message: Any) -> None:
            answers.put_nowait(data_of(message))

        question = f"$JS.API.DIRECT.GET.{self._stream}"
        asked = b'{"seq":%d,"batch":%d,"max_bytes":%d}' % (start + 1, BATCH_ENTRIES_MAX, _READ_BYTES_MAX)
        subscription, inbox = await self._link.subscribe(on_message)
        found: list[bytes] = []
        try:
            await self._link.publish(question, asked, reply=inbox)
            while True:
                headers, data = await self._link.next(answers, question)
                status = headers.get("Status")
                if status in ("204", "404"):
                    return found
                if status is not None:
                    raise NoReplyError("no node reads the stream" if status == "503" else f"status {status}", sent=True)
                sequence, subject = int(headers.get("Nats-Sequence", "0")), headers.get("Nats-Subject", "")
                api.check_place(self._link.address, sequence, subject, data, start + len(found))
                found.append(data)
        finally:
            await self._link.unsubscribe(subscription)

    def _check_ack(self, ack: Ack, entries: Sequence[bytes], expected_size: int) -> None:
        if (ack.seq, ack.stream) != (expected_size + len(entries), self._stream):
            raise OutcomeUnknownError(
                f"{self._where}: expected to be stored at {expected_size + len(entries)} of {self._stream}, "
                f"got {ack.seq} of {ack.stream}"
            )

    async def _ask(self, subject: str, payload: bytes, kind: type[Any], patience_seconds: float = READ_SECONDS) -> Any:
        """Ask the leader, again while there is none. Raises UnreachableError."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_seconds
        while True:
            try:
                answer = decoded(await self._link.request(subject, payload), kind)
                if answer.error is None or answer.error.code != 503:
                    return answer
                reason = answer.error.description
            except NoReplyError as error:
                reason = str(error)
            if clock() >= deadline:
                raise UnreachableError(f"{self._where}: no answer from the stream's leader: {reason}")
            await asyncio.sleep(_PAUSE_SECONDS)
