"""
What is said to JetStream and what it answers: subjects, settings of a stream, error codes, and what must hold of them.

Source: JetStream's wire API; error codes as in the server's `errors.json`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from eventlog import chain
from eventlog.engines.jetstream_url import Address
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.journal import ENTRY_BYTES_MAX, Tail

REPLICAS = 3
Answer = TypeVar("Answer")
WRONG_LAST_SEQUENCE, NO_MESSAGE, NO_STREAM, NO_PEERS, NOT_NOW = 10071, 10037, 10059, 10005, 10008
INCOMPLETE_BATCH, TOO_MANY_BATCHES = 10176, 10210  # a leader fell in the middle; other writers are at work
HEADER_BYTES = 1_024
_MEANT = {
    "retention": "limits",
    "discard": "new",
    "storage": "file",
    "num_replicas": REPLICAS,
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": ENTRY_BYTES_MAX + HEADER_BYTES,
    "deny_delete": True,
    "deny_purge": True,
    "allow_rollup_hdrs": False,
    "allow_direct": True,
    "allow_atomic": True,
}
"""The settings of a stream that can hold a journal."""

_NOT_MEANT = (
    "mirror",
    "sources",
    "republish",
    "subject_transform",
    "sealed",
    "first_seq",
    "no_ack",
    "allow_msg_ttl",
    "allow_msg_counter",
    "allow_msg_schedules",
    "allow_batched",
    "persist_mode",
)
_TYPE = re.compile(rb'"type":"([a-z0-9_]+(?:\.[a-z0-9_]+)*)"')
_OPAQUE = "entry"


class NoReplyError(Exception):
    """
    A request was not answered.

    Attributes:
        sent: whether somebody may have got it, and may still act on it.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class GapError(JournalDamagedError):
    """The node that answers passes over an entry; another one may have it."""


class ApiError(Struct):
    """Why the cluster refuses."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(Struct):
    """The answer to an append."""

    seq: int = 0
    stream: str = ""
    error: ApiError | None = None


class State(Struct):
    """What a stream holds."""

    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    num_deleted: int = 0


class Info(Struct):
    """The answer to a question about a stream."""

    config: dict[str, Any] = {}
    state: State = msgspec.field(default_factory=State)
    error: ApiError | None = None


class Message(Struct):
    """One stored message; its data in base64."""

    seq: int = 0
    subject: str = ""
    data: str = ""


class Found(Struct):
    """The answer to a question about one message."""

    message: Message | None = None
    error: ApiError | None = None


def decoded(answer: bytes, kind: type[Answer]) -> Answer:
    """Return an answer of the cluster. Raises NoReplyError where it makes no sense."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise NoReplyError(f"an answer that makes no sense: {error}", sent=True) from error


def settings(name: str) -> dict[str, Any]:
    """Return all that a journal's stream must be like."""
    return {"subjects": [f"registry.{name}.>"], **_MEANT}


def subject_of(name: str, entry: bytes) -> str:
    """Return the subject of an entry: its event type, or `entry` where it has none."""
    found = _TYPE.search(entry)
    return f"registry.{name}.{found[1].decode() if found else _OPAQUE}"


def sequence_of(reply: str) -> int:
    """Return the stream's sequence as the reply subject tells it: `$JS.ACK.….<delivered>.<stream>.<consumer>.…`."""
    words = reply.split(".")
    at = 5 if len(words) == 9 else 7
    return int(words[at])


def check_settings(address: Address, info: Info) -> None:
    """
    Raise RefusedError where a stream has other settings than it needs.

    Raises:
        JournalDamagedError: entries are missing from it.
    """
    config = info.config
    wrong = [(key, meant, config.get(key)) for key, meant in settings(address.name).items() if config.get(key) != meant]
    wrong += [(key, None, config[key]) for key in _NOT_MEANT if config.get(key)]
    if wrong:
        key, expected, got = wrong[0]
        raise RefusedError(
            f"{address.where}: the stream {address.stream} cannot hold a journal: expected {key} "
            f"{msgspec.json.encode(expected).decode()}, got {msgspec.json.encode(got).decode()}: "
            "check NAME in --journal, or ask who runs the cluster"
        )
    if info.state.messages != info.state.last_seq:
        raise JournalDamagedError(
            f"{address.where}: expected all of {info.state.last_seq} entries, got {info.state.messages}: run doctor"
        )


def check_place(address: Address, sequence: int, subject: str, entry: bytes, position: int) -> None:
    """Raise JournalDamagedError unless a message that came with *sequence* and *subject* is the one for *position*."""
    if sequence != position + 1:
        raise GapError(
            f"{address.where}: expected entry {position}, got {sequence - 1}: entries are missing on the node that "
            "answered: run doctor",
            position=position,
        )
    if subject != subject_of(address.name, entry):
        raise JournalDamagedError(
            f"{address.where}: entry {position}: expected subject {subject_of(address.name, entry)}, got {subject}: "
            "somebody has recorded what he may not",
            position=position,
        )


def check_chain(where: str, entries: Sequence[bytes], start: int, prev: str) -> str:
    """Return the hash of the last of *entries*, which stand from *start* on. Raises JournalDamagedError."""
    try:
        return chain.verify(entries, prev)
    except chain.ChainError as error:
        position = start + error.index
        raise JournalDamagedError(
            f"{where}: entry {position} does not follow the one before it: {error}: run doctor",
            position=position,
            expected=error.expected,
            actual=error.got,
        ) from error


def shorter(where: str, mirror: str, tail: Tail, size: int | None) -> JournalDamagedError:
    """Return the error that says that the cluster has fewer entries than the mirror, or no such stream."""
    got = "no such stream" if size is None else f"{size} entries"
    return JournalDamagedError(
        f"{where}: expected at least {tail.size} entries, as the mirror {mirror} has, got {got}: entries were lost, or "
        "this is another cluster, or a node that was cut off answers: try again, then check --journal and "
        "--registry-dir, and run doctor",
        position=0 if size is None else size,
        expected=f"{tail.size} entries",
        actual=got,
    )


def forked(where: str, mirror: str, tail: Tail, entry: bytes) -> JournalDamagedError:
    """Return the error that says that the cluster has another *entry* where the mirror ends."""
    got = chain.hash_of(entry) if chain.is_sealed(entry) else "none"
    return JournalDamagedError(
        f"{where}: entry {tail.size - 1}: expected hash {tail.hash}, as the mirror {mirror} has, got {got}: the mirror "
        "is of another journal, or history was rewritten: check --journal and --registry-dir; if the mirror is wrong, "
        "move its journal.jsonl and journal.head away",
        position=tail.size - 1,
        expected=tail.hash,
        actual=got,
    )
