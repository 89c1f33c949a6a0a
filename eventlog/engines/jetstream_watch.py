"""
A push subscription: entries come as soon as a majority has them, in order, from a position on.

The cluster keeps a consumer for it on one node, in memory. Where that is silent, or gone with its node, or skips
something, the subscription is made anew from the first entry that did not come: none is missed, and none comes twice.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.engines.jetstream_api import NO_STREAM, ApiError, NoReplyError, check_place, decoded, sequence_of
from eventlog.engines.jetstream_link import Link, data_of
from eventlog.errors import ModelogError, UnreachableError

HEARTBEAT_SECONDS = 1.0
SILENT_SECONDS = 2.5
"""A consumer that sent neither entry nor heartbeat for so long is gone."""

_AHEAD_BYTES_MAX = 32 << 20
_NANOSECONDS = 1_000_000_000


class Created(Struct):
    """The answer to whoever wants a consumer."""

    error: ApiError | None = None


class Watch:
    """
    The subscription of one journal. Its coroutines run inside `Link.call`.

    Attributes:
        pid: the process that it belongs to; a fork of it needs another one.
    """

    def __init__(self, link: Link) -> None:
        self.pid = os.getpid()
        self._link = link
        self._where = link.address.where
        self._come: deque[bytes] = deque()
        self._come_bytes = 0
        self._next = 0
        self._arrived = asyncio.Event()
        self._heard = 0.0
        self._subscription: Any = None
        self._broken: ModelogError | None = None

    async def take(self, start: int) -> list[bytes]:
        """
        Return the entries that have come from position *start* on, and forget all that have.

        Raises:
            JournalDamagedError: what came stands under the subject of another type.
        """
        broken, self._broken = self._broken, None
        if broken is not None:
            raise broken
        first = self._next - len(self._come)
        found = [] if start < first else list(self._come)[start - first :]
        self._come.clear()
        self._come_bytes = 0
        self._arrived.clear()
        return found

    async def wait(self, start: int, seconds: float) -> None:
        """
        Return as soon as something came from position *start* on; after *seconds* at the latest.

        Raises:
            UnreachableError: the cluster cannot be reached. RefusedError: we may not subscribe.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not self._arrived.is_set() and (left := deadline - clock()) > 0:
            if not self._is_alive(start):
                await self._subscribe(start)
            try:
                await asyncio.wait_for(self._arrived.wait(), min(left, HEARTBEAT_SECONDS / 2))
            except TimeoutError:
                continue

    async def end(self) -> None:
        """Unsubscribe."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await self._link.unsubscribe(subscription)

    def _is_alive(self, start: int) -> bool:
        """Say whether what stands from *start* on will still come; what was read otherwise meanwhile comes as well."""
        silent_seconds = asyncio.get_running_loop().time() - self._heard
        return (
            self._subscription is not None
            and silent_seconds < SILENT_SECONDS
            and self._link.is_connected
            and self._next - len(self._come) <= start
        )

    async def _subscribe(self, start: int) -> None:
        """Make a consumer that begins with the entry at *start*."""
        await self.end()
        self._come.clear()
        self._come_bytes = 0
        self._next = start
        stream = self._link.address.stream
        subject = f"$JS.API.CONSUMER.CREATE.{stream}"
        current: list[Any] = []

        async def on_message(message: Any) -> None:
            if not current or current[0] is self._subscription:
                self._note(message)

        try:
            self._subscription, inbox = await self._link.subscribe(on_message)
            current.append(self._subscription)
            wanted = {
                "stream_name": stream,
                "config": {
                    "deliver_subject": inbox,
                    "deliver_policy": "by_start_sequence",
                    "opt_start_seq": start + 1,
                    "ack_policy": "none",
                    "replay_policy": "instant",
                    "idle_heartbeat": int(HEARTBEAT_SECONDS * _NANOSECONDS),
                    "inactive_threshold": 5 * _NANOSECONDS,
                    "num_replicas": 1,
                    "mem_storage": True,
                },
            }
            self._heard = asyncio.get_running_loop().time()
            created = decoded(await self._link.request(subject, msgspec.json.encode(wanted)), Created)
        except NoReplyError as error:
            raise UnreachableError(f"{self._where}: cannot subscribe: {error}") from error
        if created.error is not None and created.error.err_code == NO_STREAM:
            await self.end()  # nobody has published yet
        elif created.error is not None:
            raise UnreachableError(f"{self._where}: cannot subscribe: {created.error.description}")

    def _note(self, message: Any) -> None:
        """Take what has come: an entry, or a sign of life."""
        self._heard = asyncio.get_running_loop().time()
        headers, data = data_of(message)
        if "Status" in headers or self._broken is not None:
            return
        sequence = sequence_of(message.reply)
        if sequence <= self._next:
            return
        if sequence > self._next + 1 or self._come_bytes >= _AHEAD_BYTES_MAX:
            self._heard = 0.0  # something was lost on the way: begin anew where it was
            return
        try:
            check_place(self._link.address, sequence, message.subject, data, self._next)
        except ModelogError as error:
            self._broken = error
        else:
            self._come.append(data)
            self._come_bytes += len(data)
            self._next += 1
        self._arrived.set()
