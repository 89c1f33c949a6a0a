"""
Many entries at once: a run of publications and rollbacks is decoded, and held to its one spelling, at the speed of C.

It accepts only what `codec.decode` accepts. Whatever is odd about a run is not judged here: the caller then looks at
single entries with `codec.decode`, which also says what is wrong. So there is one reading of an entry, and a quick way
to see that a whole run has it.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from itertools import compress
from operator import not_
from typing import Any, Literal

import msgspec
from msgspec import Struct

from eventlog import chain, codec
from eventlog.dataset_metadata import DEPTH_MAX
from eventlog.events import Event, ModelPublished, ModelRolledBack, Time
from eventlog.model_id import MODEL_ID_LINES

_PUBLISHED_MARK = b'","type":"model.published.v1","subject":"'
_ROLLED_BACK_MARK = b'","type":"model.rolled_back.v1","subject":"'
_MARK_FIRST, _MARK_LAST = 100, 360
"""Between which bytes of a body the mark is looked for: there it is, unless the event has a long id."""

_LEVELS = 3
"""Of nesting that each publication has: the event, its data, the metadata; a rollback has one less."""

_LAST_DIGITS = [f"{number:03d}" for number in range(1_000)]


class StoredPublication(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """What stands before `prev` in a `model.published.v1`; what decoding a run of entries yields, at the speed of C."""

    specversion: Literal["1.0"]
    sequence: str
    id: str
    source: str
    type: Literal["model.published.v1"]
    subject: str
    time: Time
    actor: str
    data: ModelPublished

    def event(self) -> Event:
        """Return what it says."""
        return Event(int(self.sequence), self.id, self.time, self.actor, self.subject, self.data)


class StoredRollback(Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """The same of a `model.rolled_back.v1`."""

    specversion: Literal["1.0"]
    sequence: str
    id: str
    source: str
    type: Literal["model.rolled_back.v1"]
    subject: str
    time: Time
    actor: str
    data: ModelRolledBack

    def event(self) -> Event:
        """Return what it says."""
        return Event(int(self.sequence), self.id, self.time, self.actor, self.subject, self.data)


StoredActivation = StoredPublication | StoredRollback


def event_of(found: StoredActivation | Event) -> Event:
    """Return the event, however it is kept."""
    return found if isinstance(found, Event) else found.event()


_publications = msgspec.json.Decoder(StoredPublication)
_rollbacks = msgspec.json.Decoder(StoredRollback)
_encoder = msgspec.json.Encoder()


def decode_run(entries: Sequence[bytes], position: int, journal_id: str | None, where: str) -> Iterator[Event]:
    """Yield the events of a run of verified *entries*, the first of which stands at *position*. Errors as `decode`."""
    found = None if journal_id is None else decode_activations(entries, position, journal_id)
    if found is not None:
        yield from (event.event() for event in found)
    else:
        for number, entry in enumerate(entries, position):
            yield codec.decode(entry, number, journal_id, where)


def decode_publications(entries: Sequence[bytes], position: int, journal_id: str | None, where: str) -> Iterator[Event]:
    """
    Yield the publications among a run of entries that were folded before, and so are known to be spelled as they must.

    Errors as `codec.decode`.
    """
    likely = [entry for entry in entries if entry.find(_PUBLISHED_MARK, _MARK_FIRST, _MARK_LAST) > 0]
    found: list[StoredPublication] | None = None
    if sum(_PUBLISHED_MARK in entry for entry in entries) == len(likely):
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            found = _publications.decode_lines(b"}\n".join([entry[: -chain.LINK_BYTES] for entry in likely]) + b"}\n")
    if found is not None and len(found) == len(likely):
        yield from (event.event() for event in found)
    else:
        events = decode_run(entries, position, journal_id, where)
        yield from (event for event in events if isinstance(event.data, ModelPublished))


def decode_activations(entries: Sequence[bytes], position: int, journal_id: str) -> Sequence[StoredActivation] | None:
    """
    Return what a run of verified *entries* says, if each is the one spelling of a publication or rollback at its place.

    It accepts only what `decode` accepts, many entries at a time and so about ten times as fast; None says that one of
    them is something else, or needs the closer look of `decode`, which also says what is wrong.

    Args:
        position: where the first entry stands.

        journal_id: the journal that they must belong to.
    """
    bodies = [entry[: -chain.LINK_BYTES] for entry in entries]
    lines = _lines(bodies)
    try:
        alike = lines.count(_PUBLISHED_MARK) == len(bodies)
        found = _spelled(_publications, lines) if alike else _spelled_each(bodies)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if (
        [event.sequence for event in found] != sequences(position, len(entries))
        or [event.source for event in found].count(codec.SOURCE + journal_id) != len(entries)
        or [event.time.tzinfo for event in found].count(UTC) != len(entries)
        or [event.data.took_over for event in found].count(None) != len(entries)
        or MODEL_ID_LINES.fullmatch("".join([event.subject + "\n" for event in found])) is None
    ):
        return None
    publications = [event.data for event in found if isinstance(event, StoredPublication)]
    if [data.artifact_path_hex or data.origin_path_hex for data in publications].count(None) != len(publications):
        return None
    lists = lines.count(b"[") if b"[" in lines else 0  # to find none is five times as fast as to count them
    spare = lines.count(b"{") + lists - (_LEVELS - 1) * len(bodies) - len(publications)
    if spare > DEPTH_MAX - _LEVELS and max(body.count(b"[") + body.count(b"{") for body in bodies) > DEPTH_MAX:
        return None
    return found


def are_targets_known(events: Sequence[StoredActivation], published: Container[str]) -> bool:
    """Say whether each rollback leads to a model that was *published*, or is by one of the *events* before it."""
    new: set[str] = set()
    for event in events:
        if isinstance(event, StoredPublication):
            new.add(event.subject)
        elif event.subject not in new and event.subject not in published:
            return False
    return True


def others(entries: Sequence[bytes]) -> Iterator[int]:
    """Yield which of *entries* do not look like activations."""
    for number, entry in enumerate(entries):
        if max(entry.find(mark, _MARK_FIRST, _MARK_LAST) for mark in (_PUBLISHED_MARK, _ROLLED_BACK_MARK)) < 0:
            yield number


def sequences(position: int, count: int) -> list[str]:
    """Return the `sequence` of *count* entries from *position* on."""
    found: list[str] = []
    while count > 0:
        thousand, first = divmod(position, len(_LAST_DIGITS))
        part = _LAST_DIGITS[first : first + count]
        start = f"{thousand:017d}"
        found += [start + digits for digits in part]
        position, count = position + len(part), count - len(part)
    return found


def _spelled_each(bodies: Sequence[bytes]) -> list[StoredActivation]:
    """Return what *bodies* say, which are publications or else rollbacks; errors as `_spelled`."""
    is_publication = [body.find(_PUBLISHED_MARK, _MARK_FIRST, _MARK_LAST) > 0 for body in bodies]
    is_rollback = map(not_, is_publication)
    rollbacks = iter(_spelled(_rollbacks, _lines(compress(bodies, is_rollback))))  # few: whatever is odd shows early
    publications = iter(_spelled(_publications, _lines(compress(bodies, is_publication))))
    return [next(publications if published else rollbacks) for published in is_publication]


def _lines(bodies: Iterable[bytes]) -> bytes:
    """Return *bodies* as whole JSON objects, a line each."""
    return b"}\n".join([*bodies, b""])


def _spelled(decoder: msgspec.json.Decoder[Any], lines: bytes) -> list[Any]:
    """Return what *lines* say; ValueError where they are not the one spelling of it."""
    found: list[Any] = decoder.decode_lines(lines)
    if _encoder.encode_lines(found) != lines:
        raise ValueError("another spelling")
    return found
