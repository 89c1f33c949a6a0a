"""
Many entries at once: a run of publications and rollbacks is decoded, and held to its one spelling, at the speed of C.

It accepts only what `codec.decode` accepts. Whatever is odd about a run is not judged here: the caller then looks at
single entries with `codec.decode`, which also says what is wrong. So there is one reading of an entry, and a quick way
to see that a whole run has it.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import compress
from operator import itemgetter, not_
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


class Activations(Struct, frozen=True):
    """
    What a run of entries says.

    Attributes:
        events: in their order.

        publications: those that publish a model; *events* itself where all do.

        model_ids, times: of all events.
    """

    events: Sequence[StoredActivation]
    publications: Sequence[StoredPublication]
    model_ids: list[str]
    times: list[datetime]


_publications = msgspec.json.Decoder(StoredPublication)
_rollbacks = msgspec.json.Decoder(StoredRollback)
_encoder = msgspec.json.Encoder()
_body = itemgetter(slice(None, -chain.LINK_BYTES))


def decode_run(entries: Sequence[bytes], position: int, journal_id: str | None, where: str) -> Iterator[Event]:
    """Yield the events of a run of verified *entries*, the first of which stands at *position*. Errors as `decode`."""
    found = None if journal_id is None else decode_activations(entries, position, journal_id)
    if found is not None:
        yield from (event.event() for event in found.events)
    else:
        for number, entry in enumerate(entries, position):
            yield codec.decode(entry, number, journal_id, where)


def decode_publications(
    entries: Sequence[bytes], position: int, journal_id: str | None, where: str
) -> Sequence[StoredPublication | Event]:
    """
    Return the publications among a run of entries that were folded before, and so are known to be spelled as they must.

    Errors as `codec.decode`.
    """
    likely = [entry for entry in entries if entry.find(_PUBLISHED_MARK, _MARK_FIRST, _MARK_LAST) > 0]
    if sum(_PUBLISHED_MARK in entry for entry in entries) == len(likely):
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            found = _publications.decode_lines(_lines(map(_body, likely)))
            if len(found) == len(likely):
                return found
    events = decode_run(entries, position, journal_id, where)
    return [event for event in events if isinstance(event.data, ModelPublished)]


def decode_activations(entries: Sequence[bytes], position: int, journal_id: str) -> Activations | None:
    """
    Return what a run of verified *entries* says, if each is the one spelling of a publication or rollback at its place.

    It accepts only what `decode` accepts, many entries at a time and so about ten times as fast; None says that one of
    them is something else, or needs the closer look of `decode`, which also says what is wrong.

    Args:
        position: where the first entry stands.

        journal_id: the journal that they must belong to.
    """
    bodies = list(map(_body, entries))
    lines = _lines(bodies)
    try:
        found, publications = _read(bodies, lines)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    data: list[Any] = [event.data for event in found]
    published = data if publications is found else [event.data for event in publications]
    model_ids, times = [event.subject for event in found], [event.time for event in found]
    if (
        [event.sequence for event in found] != sequences(position, len(entries))
        or [event.source for event in found].count(codec.SOURCE + journal_id) != len(entries)
        or [time.tzinfo for time in times].count(UTC) != len(entries)
        or [said.took_over for said in data].count(None) != len(entries)
        or [said.artifact_path_hex or said.origin_path_hex for said in published].count(None) != len(published)
        or MODEL_ID_LINES.fullmatch(id_lines := "\n".join([*model_ids, ""])) is None
        or id_lines.count("\n") != len(model_ids)
    ):
        return None
    lists = lines.count(b"[") if b"[" in lines else 0  # to find none is five times as fast as to count them
    objects = len(lines) - len(lines.replace(b"{", b""))  # three times as fast as to count them
    spare = objects + lists - (_LEVELS - 1) * len(bodies) - len(published)
    if spare > DEPTH_MAX - _LEVELS and max(body.count(b"[") + body.count(b"{") for body in bodies) > DEPTH_MAX:
        return None
    return Activations(found, publications, model_ids, times)


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


def _read(bodies: Sequence[bytes], lines: bytes) -> tuple[list[StoredActivation], Sequence[StoredPublication]]:
    """Return what *bodies* say, and the publications among it; *lines* are the same. Errors as `_spelled`."""
    with suppress(msgspec.MsgspecError):  # most runs are publications alone
        found = _publications.decode_lines(lines)
        return _as_spelled(found, lines), found
    is_publication = [body.find(_PUBLISHED_MARK, _MARK_FIRST, _MARK_LAST) > 0 for body in bodies]
    is_rollback = map(not_, is_publication)
    rollbacks = iter(_spelled(_rollbacks, _lines(compress(bodies, is_rollback))))  # few: whatever is odd shows early
    publications = _spelled(_publications, _lines(compress(bodies, is_publication)))
    left = iter(publications)
    return [next(left if published else rollbacks) for published in is_publication], publications


def _lines(bodies: Iterable[bytes]) -> bytes:
    """Return *bodies* as whole JSON objects, a line each."""
    return b"}\n".join([*bodies, b""])


def _spelled(decoder: msgspec.json.Decoder[Any], lines: bytes) -> list[Any]:
    """Return what *lines* say; ValueError where they are not the one spelling of it."""
    return _as_spelled(decoder.decode_lines(lines), lines)


def _as_spelled(found: list[Any], lines: bytes) -> list[Any]:
    """Return *found*; ValueError where *lines* are not the one spelling of it."""
    if _encoder.encode_lines(found) != lines:
        raise ValueError("another spelling")
    return found
