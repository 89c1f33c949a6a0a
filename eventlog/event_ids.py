"""
Which event ids a fold has met, and where: no two events may have the same one.

Of an id only its hash is kept, in 8 bytes, and the positions of the newest alone. Whatever is found by a hash is
compared with the journal before it is believed. To look up each id of a million among all the others takes longer than
all else about a fold, mostly waiting for memory; so ids that are no longer among the newest are put aside, sorted, and
whether one stands twice is found out when all are there, over small ranges of hashes. Whoever goes on from there
compares with the newest alone, as behind a snapshot: writers have looked, under the lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from eventlog.events import Event
from eventlog.lookup import History

NEWEST_MAX = 4_096
"""How many ids are kept with their positions, and those of one snapshot's entries more."""

_RANGES = 64
_HASH_MIN, _HASHES = -(1 << 63), 1 << 64


Hashes = Sequence["array[int] | memoryview[int]"]
"""Of event ids, 8 bytes each, in sorted pieces."""


class EventIds:
    """
    The positions of events by event id.

    Args:
        history: finds older ones, and what two ids with the same hash mean; without it a hash is believed.

        keep: keep all with their positions; always so without *history*.
    """

    def __init__(self, history: History | None = None, *, keep: bool = False) -> None:
        self._history = history
        self._keep = keep or history is None
        self._newest: set[int] = set()
        self._in_order: list[int] = []
        self._same_hash: dict[str, int] = {}
        self._aside: list[array[int] | memoryview[int]] = []
        self._compares = True
        self._absent: set[str] = set()
        self._older_stop = 0

    def begin(self, position: int, aside: Hashes | None) -> None:
        """
        Begin behind the first *position* entries.

        Args:
            aside: the sorted hashes of ids to compare with in the end, beside those that are known; None for none.
        """
        self._compares = self._compares and aside is not None
        self._aside = [*(aside or ()), *self.before(position)] if self._compares else []
        self._newest, self._in_order, self._older_stop, self._absent = set(), [], position, set()

    def before(self, position: int) -> list[array[int] | memoryview[int]]:
        """Return the sorted hashes of ids before *position*, which is that of a snapshot not far back, in pieces."""
        newest = self._in_order[: max(0, position - self._older_stop)]
        return [*self._aside, array("q", sorted(set(newest)))]

    def __eq__(self, other: object) -> bool:
        """Say whether the same ids are at the same places; only within one process."""
        if not isinstance(other, EventIds):
            return NotImplemented
        ours, theirs = ((ids._older_stop, ids._in_order, ids._same_hash, ids._aside) for ids in (self, other))
        return ours == theirs

    __hash__ = None  # type: ignore[assignment]

    def __contains__(self, event_id: str) -> bool:
        """Say whether an event has this id."""
        return self.get(event_id) is not None

    def __getitem__(self, event_id: str) -> int:
        """Return the position of the event that has this id."""
        position = self.get(event_id)
        if position is None:
            raise KeyError(event_id)
        return position

    def get(self, event_id: str, *, older: bool = True) -> int | None:
        """
        Return the position of the event that has this id, or None.

        Args:
            older: also look for it behind the newest, however long that is.
        """
        if event_id in self._same_hash:
            return self._same_hash[event_id]
        key = hash(event_id)
        position = self._older_stop + self._in_order.index(key) if key in self._newest else None
        if self._history is None:
            return position
        if position is not None and any(event.id == event_id for event in self._history.events(position, position + 1)):
            return position
        if not older or self._older_stop == 0 or event_id in self._absent:
            return None
        found = self._history.event_by_id(event_id, self._older_stop)
        if found is None:
            self._absent = {event_id}  # what is older does not change, and one request asks several times
            return None
        return found.position

    def add(self, event_id: str) -> None:
        """Go on by the id of the next event, which is none of the newest."""
        key = hash(event_id)
        if key in self._newest:
            self._same_hash[event_id] = self._older_stop + len(self._in_order)
        self._newest.add(key)
        self._in_order.append(key)

    def extend(self, event_ids: Iterable[str]) -> bool:
        """
        Go on by the ids of the next events.

        Returns whether they differ from one another and from the newest; else nothing changed.
        """
        hashes, known = list(map(hash, event_ids)), len(self._newest)
        self._newest.update(hashes)
        if len(self._newest) != known + len(hashes):
            self._newest = set(self._in_order)
            return False
        self._in_order += hashes
        return True

    def repeated(self) -> tuple[Event, int] | None:
        """
        Return the first event that has the id of an earlier one, and where that stands; None where there is none.

        That is asked when all that is there has been folded, and forgets what was put aside: later ids are compared
        with the newest alone.
        """
        stop = self._older_stop + len(self._in_order)
        suspects = set(chain.from_iterable(map(_twice, _ranges(self.before(stop))))) if self._aside else ()
        seen: dict[str, int] = {}
        for event in self._history.events(0, stop) if suspects and self._history else ():
            if hash(event.id) in suspects and seen.setdefault(event.id, event.position) != event.position:
                return event, seen[event.id]
        self._aside, self._compares = [], False
        return None

    def put_aside(self, position: int) -> None:
        """Keep the newest within bounds, where a snapshot stands at *position*."""
        if self._keep or len(self._newest) <= NEWEST_MAX:
            return
        if self._compares:
            self._aside.append(array("q", sorted(self._newest)))
        self._newest, self._in_order, self._older_stop, self._absent = set(), [], position, set()


def _ranges(sorted_hashes: Hashes) -> Iterator[list[int]]:
    """Yield all hashes, those of one range after those of another."""
    for number in range(_RANGES):
        start, stop = (_HASH_MIN + _HASHES * step // _RANGES for step in (number, number + 1))
        parts = (hashes[bisect_left(hashes, start) : bisect_left(hashes, stop)] for hashes in sorted_hashes)
        yield list(chain.from_iterable(parts))


def _twice(hashes: list[int]) -> list[int]:
    """Return the hashes that stand among *hashes* more than once."""
    if len(set(hashes)) == len(hashes):
        return []
    hashes = sorted(hashes)
    return [one for one, other in pairwise(hashes) if one == other]
