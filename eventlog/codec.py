"""
Event ⇄ entry bytes. The envelope is a CloudEvents 1.0 JSON event; the chain seals it.

Laws, for every event `e` and every entry `b` that is accepted:

    decode(encode(e, …), …) == e
    encode(decode(b, …), …) == b

The second one rules out duplicate keys, other spellings of the same value and unknown fields: there is one way to write
an event, and the stored bytes are the hashed bytes.

Source: CloudEvents 1.0.2, JSON event format; `sequence` is its documented extension.
"""

from datetime import UTC
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from eventlog import chain
from eventlog.dataset_metadata import DEPTH_MAX, too_deep
from eventlog.errors import JournalDamagedError, RefusedError, UnsupportedFormatError
from eventlog.events import EVENT_TYPES, FORMAT_VERSION, Data, Event, JournalCreated, ModelPublished, Time
from eventlog.journal import ENTRY_BYTES_MAX
from eventlog.model_id import is_model_id

SOURCE = "urn:uuid:"
"""What stands before the journal's id in each entry."""


class _Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands before `prev`; the order of the fields is the order of the keys."""

    specversion: Literal["1.0"]
    sequence: str
    id: str
    source: str
    type: str
    subject: str | UnsetType = UNSET
    time: Time
    actor: str
    data: Raw


class _Type(Struct):
    type: str


class _Claims(Struct):
    sequence: str
    source: str


_envelope = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


@cache
def _decoder(name: str) -> msgspec.json.Decoder[Data]:
    """Return what decodes the data of an event type; made when it is first needed."""
    return msgspec.json.Decoder(EVENT_TYPES[name])


def encode(event: Event, journal_id: str, prev: str) -> bytes:
    """
    Return the entry of *event*, linked to the entry whose hash is *prev*.

    Raises:
        RefusedError: a value has no place in JSON (a lone surrogate), or the entry is too large.
    """
    try:
        envelope = _Envelope(
            specversion="1.0",
            sequence=f"{event.position:020d}",
            id=event.id,
            source=SOURCE + journal_id,
            type=event.type,
            subject=UNSET if event.subject is None else event.subject,
            time=event.time,
            actor=event.actor,
            data=Raw(_encoder.encode(event.data)),
        )
        entry = chain.seal(_encoder.encode(envelope)[:-1], prev)
    except UnicodeEncodeError as error:
        raise RefusedError(f"event: expected text that is UTF-8, got {error.object!r}") from error
    if len(entry) > ENTRY_BYTES_MAX:
        raise RefusedError(
            f"event: expected at most {ENTRY_BYTES_MAX} bytes, got {len(entry)}: "
            "keep large metadata in a file and record its hash"
        )
    return entry


def decode(entry: bytes, position: int, journal_id: str | None, where: str) -> Event:
    """
    Return the event of a verified *entry*.

    Args:
        position: where the entry stands.

        journal_id: the journal that it must belong to; None for the first entry, which tells.

        where: the journal's path, for messages.

    Raises:
        JournalDamagedError: the bytes verify, but are not what `encode` writes for any event at this place.

        UnsupportedFormatError: an event type or format version that this program does not know.
    """
    body = chain.body_of(entry) + b"}"
    try:
        envelope = _envelope.decode(body)
        if envelope.type not in EVENT_TYPES:
            raise _unsupported(where, position, envelope.type)
        data = _decoder(envelope.type).decode(envelope.data)
        canonical = _encoder.encode(data) == bytes(envelope.data) and _encoder.encode(envelope) == body
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _refuse_unknown_type(body, where, position)
        raise _misfit(where, position, "an event as this program writes it", f"{_oneline(error)}") from error
    if isinstance(data, JournalCreated):
        if data.format_version != FORMAT_VERSION:
            raise _unsupported(where, position, f"format version {data.format_version}")
        journal_id = journal_id or data.journal_id
    event = Event(
        position,
        envelope.id,
        envelope.time,
        envelope.actor,
        None if envelope.subject is UNSET else envelope.subject,
        data,
    )
    if not canonical:
        raise _misfit(where, position, "the one spelling of its event", "another one")
    nested = body.count(b"[") + body.count(b"{") > DEPTH_MAX  # most are not, and need no closer look
    if nested and isinstance(data, ModelPublished) and too_deep(data.dataset_metadata):
        raise _misfit(where, position, f"at most {DEPTH_MAX} levels of nesting", "more")
    _check_place(event, envelope, journal_id, where)
    return event


def journal_id_of(entry: bytes) -> str | None:
    """Return the id of the journal that a sealed *entry* says it belongs to; None where it is no event."""
    claims = _claims(entry)
    return claims.source.removeprefix(SOURCE) if claims and claims.source.startswith(SOURCE) else None


def position_of(entry: bytes) -> int | None:
    """Return where a sealed *entry* says it stands; None where it is no event."""
    claims = _claims(entry)
    try:
        return None if claims is None else int(claims.sequence)
    except ValueError:
        return None


def _claims(entry: bytes) -> _Claims | None:
    try:
        return msgspec.json.decode(chain.body_of(entry) + b"}", type=_Claims)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _check_place(event: Event, envelope: _Envelope, journal_id: str | None, where: str) -> None:
    """The first entry and only it creates the journal, and every line says where and in which journal it stands."""
    if (event.position == 0) != isinstance(event.data, JournalCreated):
        raise _misfit(where, event.position, "journal.created.v1 first and only there", envelope.type)
    if envelope.source != f"{SOURCE}{journal_id}":
        raise _misfit(where, event.position, f"source {SOURCE}{journal_id}", envelope.source)
    if envelope.sequence != f"{event.position:020d}":
        raise _misfit(where, event.position, f"sequence {event.position:020d}", envelope.sequence)
    if event.time.tzinfo is not UTC:
        raise _misfit(where, event.position, "a time in UTC", event.time.isoformat())
    if event.type.startswith(("model.", "runtime.")) and not is_model_id(event.subject or ""):
        raise _misfit(where, event.position, "a model id as subject", repr(event.subject))


def _refuse_unknown_type(body: bytes, where: str, position: int) -> None:
    """A newer program may have written another envelope: its type tells."""
    try:
        name = msgspec.json.decode(body, type=_Type).type
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    if name not in EVENT_TYPES:
        raise _unsupported(where, position, name)


def _unsupported(where: str, position: int, what: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{where}: entry {position}: expected one of {', '.join(EVENT_TYPES)} in format {FORMAT_VERSION}, "
        f"got {what!r}: it was written by a newer program: upgrade this one"
    )


def _misfit(where: str, position: int, expected: str, got: str) -> JournalDamagedError:
    return JournalDamagedError(
        f"{where}: entry {position}: expected {expected}, got {got}: run verify", position=position
    )


def _oneline(error: Any) -> str:
    return " ".join(str(error).split())[:200]
