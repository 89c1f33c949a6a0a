"""
What a fold has behind it, found again in its journal: by position, by model id, by event id.

Snapshots are the way back: each names the one before it, with its hash, so a journal can be entered in the middle, and
what is read there still leads, entry by entry, to something that is proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from eventlog import chain, codec, model_rows, runs
from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError
from eventlog.events import Event, ModelPublished
from eventlog.journal import Journal
from eventlog.runs import StoredPublication
from eventlog.snapshot import Place, SnapshotTaken

SNAPSHOT_MARK = b'","type":"journal.snapshot_taken.v1","time":"'
"""Stands in each entry that is a snapshot, and hardly in another."""

_HASHES_MAX = 16
"""So far behind may a derived file be that says what the journal's hash was, and nothing need be read to compare it."""

_SLACK = timedelta(seconds=2)
"""By how much a model id may be ahead of its event's time: where a clock stands still, ids move on by microseconds."""


class Past:
    """
    See `eventlog.lookup.History` for what its methods promise.

    Args:
        journal: to read.

        folded: returns the state of the fold; nothing beyond it is read.

        claimed_rows: returns what takes one block after another of what somebody says are the rows of all models;
            believed as far as a snapshot proves it.
    """

    def __init__(
        self,
        journal: Journal,
        folded: Callable[[], Catalog],
        claimed_rows: Callable[[], model_rows.Take] = model_rows.none_claimed,
    ) -> None:
        self._journal = journal
        self._claimed_rows = claimed_rows
        self._folded = folded
        self._snapshots: dict[int, tuple[str, SnapshotTaken]] = {}
        self._hashes: dict[int, str] = {}

    def runs(self, start: int, stop: int) -> Iterator[Sequence[bytes]]:
        """Yield the entries `[start, stop)` in runs; reading begins nearby. Raises as `Journal.read`."""
        self.enter(start)
        yield from self._journal.read_runs(start, stop)

    def enter(self, position: int) -> None:
        """Go back to a snapshot at or before *position*, so that reading can begin there and not at zero."""
        for at, _ in self._back(self._folded().size):
            if at <= position:
                return

    def events(self, start: int, stop: int) -> Iterator[Event]:
        """Yield the events `[start, stop)`. Raises as `runs`."""
        position = start
        for entries in self.runs(start, stop):
            yield from runs.decode_run(entries, position, self._folded().journal_id, self._journal.where)
            position += len(entries)

    def publications(self, start: int, stop: int) -> Iterator[Event]:
        """Yield those of the events `[start, stop)` that published a model. Raises as `runs`."""
        return (runs.event_of(event) for some in self._publications(start, stop) for event in some)

    def _publications(self, start: int, stop: int) -> Iterator[Sequence[StoredPublication | Event]]:
        """Yield the same in runs, as they are stored."""
        position = start
        for entries in self.runs(start, stop):
            yield runs.decode_publications(entries, position, self._folded().journal_id, self._journal.where)
            position += len(entries)

    def rows(self, stop: int) -> Iterator[bytes]:
        """Yield the rows of the models that the first *stop* events published, in blocks. Raises as `events`."""
        take = self._claimed_rows()
        start, models, prev = 0, 0, chain.GENESIS
        for position, data in list(self._back(stop + 1))[::-1]:
            block = take(max(0, data.models - models))
            if data.rows_hash == model_rows.hash_behind(prev, block):
                yield block
            else:
                yield from map(model_rows.block_of, self._publications(start, position))
            start, models, prev = position, data.models, data.rows_hash or chain.GENESIS
        yield from map(model_rows.block_of, self._publications(start, stop))

    def publication(self, model_id: str, stop: int) -> Event | None:
        """Return the publication of a model among the first *stop* events, or None. Raises as `events`."""
        text = b'","type":"model.published.v1","subject":"%b"' % model_id.encode()
        time = _time_of(model_id) if self._is_in_order() else None
        if time is None and not self._journal.mentions(text):  # quicker than to walk through all, for one that is new
            return None
        last = stop
        for position, data in self._back(stop):
            if last > position and (time is None or data.latest_time <= time + _SLACK):
                found = self._containing(text, position, last)
                if found is not None or (time is not None and data.latest_time < time - _SLACK):
                    return found
            last = position
        return self._containing(text, 0, last)

    def newest_about(self, model_id: str, types: tuple[str, ...], stop: int) -> Event | None:
        """Return the newest of the first *stop* events about a model that is of one of these types, or None."""
        texts = [b'","type":"%b","subject":"%b"' % (name.encode(), model_id.encode()) for name in types]
        texts = [text for text in texts if self._journal.mentions(text)]
        last = stop
        for start in [*(position for position, _ in self._back(stop)), 0] if texts else ():
            found = [event for text in texts for event in self.naming(text, start, last)]
            found = [event for event in found if event.type in types and event.subject == model_id]
            if found:
                return max(found, key=lambda event: event.position)
            last = start
        return None

    def event_by_id(self, event_id: str, stop: int) -> Event | None:
        """Return the event with an id among the first *stop* events, or None. Raises as `events`."""
        text = b'"id":%b,"source":"' % msgspec.json.encode(event_id)
        if not self._journal.mentions(text):
            return None
        found = (event for event in self.naming(text, 0, stop) if event.id == event_id)
        return next(found, None)

    def note(self, size: int, entries: Sequence[bytes]) -> None:
        """Note *entries*, verified and the newest of *size* that are folded."""
        newest = entries[-_HASHES_MAX:]
        self._hashes.update(zip(range(size - len(newest) + 1, size + 1), map(chain.hash_of, newest), strict=True))
        for old in list(self._hashes)[:-_HASHES_MAX]:
            del self._hashes[old]

    def hash_at(self, size: int) -> str:
        """Return the hash that the journal had after *size* entries, which are folded. Raises as `runs`."""
        found = self._hashes.get(size)
        if found is not None:
            return found
        found = chain.GENESIS
        for entries in self.runs(max(0, size - 1), max(0, size)):
            found = chain.hash_of(entries[-1])
        return found

    def know(self, event: Event, entry: bytes) -> None:
        """Note an entry that is folded, and about to be stored."""
        self.note(event.position + 1, [entry])
        if isinstance(event.data, SnapshotTaken):
            self._snapshots[event.position] = chain.prev_of(entry), event.data

    def snapshot_before(self, size: int) -> tuple[int, str, SnapshotTaken] | None:
        """Return position, hash before it and state of the newest snapshot that is of *size* entries or fewer."""
        for position, data in self._back(size + 1):
            return position, self._snapshots[position][0], data
        return None

    def _containing(self, text: bytes, start: int, stop: int) -> Event | None:
        """Return the publication among `[start, stop)` whose entry has *text* outside of its data."""
        for event in self.naming(text, start, stop):
            if isinstance(event.data, ModelPublished) and b'"%b"' % (event.subject or "").encode() in text:
                return event
        return None

    def naming(self, text: bytes, start: int, stop: int) -> Iterator[Event]:
        """Yield those of the events `[start, stop)` whose entries have *text* in them. Raises as `runs`."""
        journal_id, position = self._folded().journal_id, start
        for entries in self.runs(start, stop):
            for number, entry in enumerate(entries, position):
                if text in entry:
                    yield codec.decode(entry, number, journal_id, self._journal.where)
            position += len(entries)

    def _back(self, stop: int) -> Iterator[tuple[int, SnapshotTaken]]:
        """Yield the snapshots before *stop*, newest first, each with its position."""
        place = self._folded().snapshot
        while place is not None:
            _, data = self.snapshot_at(place)
            if place.position < stop:
                yield place.position, data
            place = data.previous

    def snapshot_at(self, place: Place) -> tuple[str, SnapshotTaken]:
        """Return the hash before a snapshot, and the state it tells. Raises JournalDamagedError where there is none."""
        if place.position not in self._snapshots:
            self._snapshots[place.position] = self._read(place)
        return self._snapshots[place.position]

    def _read(self, place: Place) -> tuple[str, SnapshotTaken]:
        journal = self._journal
        entry = journal.entry_at(place.position, place.offset_bytes, place.hash)
        event = codec.decode(entry, place.position, self._folded().journal_id, journal.where)
        previous = event.data.previous if isinstance(event.data, SnapshotTaken) else place
        if not isinstance(event.data, SnapshotTaken) or (previous is not None and previous.position >= place.position):
            raise JournalDamagedError(
                f"{journal.where}: entry {place.position}: expected a snapshot, got {event.type}: run verify",
                position=place.position,
            )
        return chain.prev_of(entry), event.data

    def _is_in_order(self) -> bool:
        catalog = self._folded()
        return catalog.published.in_order and catalog.backward is None


def _time_of(model_id: str) -> datetime | None:
    """Return the second that a model id begins with, or None where there is no such time."""
    try:
        month, day, hour, minute, second = (int(model_id[first : first + 2]) for first in range(4, 14, 2))
        return datetime(int(model_id[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
