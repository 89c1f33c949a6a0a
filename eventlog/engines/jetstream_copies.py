"""
Each node's copy of the stream, read through: so an entry whose bytes have changed on one disk is found, and where.

A node notices such an entry only when it reads it, and then passes over it in silence; it goes on counting it, and says
that it is well. A consumer with one replica lives on one node and reads that node's copy. Which node gets it is chance,
but the answer names the node; so consumers are asked for until there is one on it, and that one is listened to. Nothing
is sent to the others; they end by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec import Struct

from eventlog import chain
from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_link import Link, data_of
from eventlog.engines.jetstream_url import Address
from eventlog.errors import JournalDamagedError, RefusedError, UnreachableError

_TRIES_MAX, _ASKED_AT_ONCE = 32, 8
"""With three nodes, one of 400,000 times there is none on the one that is meant."""

_ANSWER_SECONDS = 1.0
_HEARTBEAT_SECONDS = 0.25
_SILENT_SECONDS = 2.5
_UNUSED_SECONDS = 5
_RATE_BITS = 200_000_000
"""So fast may a node send: a little more than is read here, so that little waits in memory."""

_NANOSECONDS = 1_000_000_000


class Copy(Struct):
    """
    What one node gave out.

    Attributes:
        size, hash: how far it was read, and the hash of the last entry.

        verdict: `sound`; `damaged`, where the node is to blame; `other`, where it has another history than the mirror;
            `unread`, where it could not be read so far.

        why: what is wrong with it.
    """

    name: str
    size: int = 0
    hash: str = chain.GENESIS
    verdict: Literal["sound", "damaged", "other", "unread"] = "sound"
    why: str = ""


class _Peer(Struct):
    """A node that has something, too."""

    name: str = ""


class _Where(Struct):
    """The nodes that have something."""

    leader: str = ""
    replicas: list[_Peer] | None = None


class _Info(api.Info):
    """What is said of a stream, with the nodes that have it."""

    cluster: _Where = msgspec.field(default_factory=_Where)


class _Created(Struct):
    """The answer to whoever wants a consumer."""

    error: api.ApiError | None = None
    cluster: _Where = msgspec.field(default_factory=_Where)
    config: dict[str, Any] = {}


def read(address: Address, size: int, entry_hash: str, running: Set[str]) -> list[Copy]:
    """
    Read every copy of the stream, up to *size* entries, of which the last has *entry_hash*.

    Args:
        size: 0 for all that there are.

        running: the names of the nodes that are known to run; empty where that is not known.

    Raises:
        RefusedError, UnreachableError: there is no such stream, or no way to it.
    """
    link = Link(address)
    try:
        return link.call(_read(link, size, entry_hash, running))
    finally:
        link.close()


async def _read(link: Link, size: int, entry_hash: str, running: Set[str]) -> list[Copy]:
    try:
        info = api.decoded(await link.request(f"$JS.API.STREAM.INFO.{link.address.stream}"), _Info)
        if info.error is not None:
            raise RefusedError(f"{link.address.where}: {info.error.description}")
        names = {info.cluster.leader, *(peer.name for peer in info.cluster.replicas or ())} - {""}
        copies = [Copy(name) for name in sorted(names)]
        for copy in copies:
            subject = await _consumer(link, copy.name) if not running or copy.name in running else None
            if subject is None:
                copy.verdict, copy.why = "unread", "its copy cannot be read: it makes no consumer"
                continue
            await _Reading(link, copy, size or info.state.last_seq).run(subject)
            if copy.verdict == "sound" and size and copy.hash != entry_hash:
                copy.verdict = "other"
                copy.why = f"entry {size - 1}: expected hash {entry_hash}, as the mirror has, got {copy.hash}"
    except api.NoReplyError as error:
        raise UnreachableError(f"{link.address.where}: {error}") from error
    return copies


async def _consumer(link: Link, name: str) -> str | None:
    """Make consumers until there is one on the node *name*; return the subject that it sends to, or None."""
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def on_message(message: Any) -> None:
        answers.put_nowait(data_of(message)[1])

    question, heard = f"$JS.API.CONSUMER.CREATE.{link.address.stream}", False
    subscription, inbox = await link.subscribe(on_message)
    try:
        for first in range(0, _TRIES_MAX, _ASKED_AT_ONCE):
            for number in range(first, first + _ASKED_AT_ONCE):
                await link.publish(question, _wanted(link, f"{inbox}.{number}"), reply=inbox)
            for _ in range(_ASKED_AT_ONCE):
                if heard:
                    try:
                        answer = await asyncio.wait_for(answers.get(), _ANSWER_SECONDS)
                    except TimeoutError:
                        break
                else:
                    answer, heard = await link.next(answers, question), True  # it also tells whether we may ask
                created = api.decoded(answer, _Created)
                if created.error is not None:
                    raise RefusedError(f"{link.address.where}: {created.error.description}")
                if created.cluster.leader == name:
                    return str(created.config.get("deliver_subject"))
        return None
    finally:
        await link.unsubscribe(subscription)


def _wanted(link: Link, subject: str) -> bytes:
    """Return what asks for a consumer that sends all entries to *subject*, as soon as somebody listens."""
    config = {
        "deliver_subject": subject,
        "deliver_policy": "all",
        "ack_policy": "none",
        "replay_policy": "instant",
        "idle_heartbeat": int(_HEARTBEAT_SECONDS * _NANOSECONDS),
        "inactive_threshold": _UNUSED_SECONDS * _NANOSECONDS,
        "num_replicas": 1,
        "mem_storage": True,
        "rate_limit_bps": _RATE_BITS,
    }
    return msgspec.json.encode({"stream_name": link.address.stream, "config": config})


class _Reading:
    """One copy, read through; what does not fit ends it."""

    def __init__(self, link: Link, copy: Copy, size: int) -> None:
        self._link = link
        self._copy = copy
        self._size = size
        self._heard = 0.0
        self._idle = 0
        self._over = asyncio.Event()

    async def run(self, subject: str) -> None:
        """Read, until everything is there, or nothing comes any more."""
        if self._size == 0:
            return
        clock = asyncio.get_running_loop().time
        self._heard = clock()
        client = await self._link.client()
        subscription = await client.subscribe(subject, cb=self._note, pending_msgs_limit=-1, pending_bytes_limit=-1)
        try:
            while not self._over.is_set() and (left := self._heard + _SILENT_SECONDS - clock()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), left)
        finally:
            await self._link.unsubscribe(subscription)
        if not self._over.is_set():
            self._end("unread", f"its copy could be read up to entry {self._copy.size} only: nothing more came")

    async def _note(self, message: Any) -> None:
        """Take what has come: an entry, or a sign that there is no more."""
        if self._over.is_set():
            return
        copy, (headers, entry) = self._copy, data_of(message)
        self._heard = asyncio.get_running_loop().time()
        if "Status" in headers:
            self._idle += 1
            if self._idle > 1:
                self._end_early(int(headers.get("Nats-Last-Stream", "0")))
            return
        self._idle = 0
        try:
            sequence = api.sequence_of(message.reply)
            if sequence > copy.size + 1:
                self._end("damaged", _passed_over(copy.size, sequence - 1))
                return
            api.check_place(self._link.address, sequence, message.subject, entry, copy.size)
            copy.hash = api.check_chain(self._link.address.where, [entry], copy.size, copy.hash)
        except JournalDamagedError as error:
            self._end("damaged", str(error).removeprefix(f"{self._link.address.where}: ").removesuffix(": run doctor"))
            return
        copy.size += 1
        if copy.size == self._size:
            self._over.set()

    def _end_early(self, passed: int) -> None:
        """Nothing more comes, and it has looked at so many entries."""
        size = self._copy.size
        if passed > size:
            self._end("damaged", _passed_over(size, passed))
        else:
            self._end("unread", f"expected {self._size} entries, got {size}: it is behind")

    def _end(self, verdict: Literal["damaged", "unread"], why: str) -> None:
        self._copy.verdict, self._copy.why = verdict, why
        self._over.set()


def _passed_over(start: int, stop: int) -> str:
    which = f"entry {start} is" if stop == start + 1 else f"entries {start} to {stop - 1} are"
    return f"{which} damaged: it passes over what it cannot read"
