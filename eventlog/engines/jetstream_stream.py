"""
The stream that holds a journal: how far it is, reading from a position, and whether it is ours at all.

JetStream counts from 1, so position = sequence - 1. An entry's bytes are the message; its subject is
`registry.<name>.<event type>`, so that the cluster can grant each type to those who may record it.

Source: batched direct get, ADR-31.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_api import Found, GapError, Info, NoReplyError, decoded
from eventlog.engines.jetstream_link import Link, data_of
from eventlog.errors import RefusedError, UnreachableError
from eventlog.log import log

READ_SECONDS = 2.0
"""How long a reader asks nodes that can be reached before it goes on with its mirror."""

SETTINGS_SECONDS = 10.0
"""How long a stream is taken for what it was: whoever may can change its settings, or make it anew."""

BATCH_ENTRIES_MAX = 1_000
"""Most messages of an atomic batch, and of one answer to a read."""

_READ_BYTES_MAX = 4 << 20
_PAUSE_SECONDS = 0.05
_GAPS_MAX = 6


class Stream:
    """
    The stream of one journal. Its coroutines run inside `Link.call`.

    Args:
        create_seconds: how long it may be tried to make it.
    """

    def __init__(self, link: Link, create_seconds: float) -> None:
        self._link = link
        self._name = link.address.name
        self._stream = link.address.stream
        self._where = link.address.where
        self._create_seconds = create_seconds
        self._checked: tuple[object, float] = (None, 0.0)

    async def size(self, patience_seconds: float = READ_SECONDS) -> int | None:
        """
        Return how many entries its leader has; None where there is no such stream.

        Args:
            patience_seconds: how long to ask nodes that can be reached, while no leader answers.

        Raises:
            RefusedError: the stream has other settings than a journal needs, or we may not ask.

            JournalDamagedError: entries are missing from it.

            UnreachableError: no leader answers.
        """
        info: Info = await self._ask(f"$JS.API.STREAM.INFO.{self._stream}", b"", Info, patience_seconds)
        if info.error is not None:
            if info.error.err_code == api.NO_STREAM:
                return None
            raise RefusedError(f"{self._where}: {info.error.description}")
        api.check_settings(self._link.address, info)
        self._note_checked()
        return info.state.last_seq

    async def create(self) -> None:
        """Make the stream, unless it is there; nodes that have just come up are waited for. Raises as `size`."""
        wanted = msgspec.json.encode({"name": self._stream, **api.settings(self._name)})
        info = await self._ask(f"$JS.API.STREAM.CREATE.{self._stream}", wanted, Info, self._create_seconds)
        if info.error is not None:
            raise RefusedError(f"{self._where}: cannot be created: {info.error.description}")
        api.check_settings(self._link.address, info)
        self._note_checked()

    async def last(self, patience_seconds: float = READ_SECONDS) -> tuple[int, str, bytes]:
        """
        Return size, and subject and bytes of the newest entry, as the leader has it; zero and nothing where none is.

        Raises as `size`.
        """
        if not self._is_checked() and await self.size(patience_seconds) is None:
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

    def _is_checked(self) -> bool:
        """Say whether the settings of the stream were looked at a moment ago, over this connection."""
        client, until = self._checked
        return client is not None and client is self._link.current and asyncio.get_running_loop().time() < until

    def _note_checked(self) -> None:
        self._checked = self._link.current, asyncio.get_running_loop().time() + SETTINGS_SECONDS

    async def _ask(self, subject: str, payload: bytes, kind: type[Any], patience_seconds: float = READ_SECONDS) -> Any:
        """
        Ask the leader, again while there is none, or nodes that have just come up do not know of each other.

        Raises UnreachableError: nobody leads for so long.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + patience_seconds
        while True:
            answer, reason = None, ""
            try:
                answer = decoded(await self._link.request(subject, payload), kind)
            except NoReplyError as error:
                reason = str(error)
            is_late = clock() >= deadline
            if answer is not None:
                refusal = answer.error
                if refusal is None or (refusal.code != 503 and (is_late or refusal.err_code != api.NO_PEERS)):
                    return answer
                reason = refusal.description
            if is_late:
                raise UnreachableError(f"{self._where}: no answer from the stream's leader: {reason}")
            await asyncio.sleep(_PAUSE_SECONDS)
