"""
What a fold finds again: publications by model id; memory does not grow with the history.

Only the newest publications are kept. What is older is found in the journal itself: that is what `History` is for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Protocol

from eventlog.events import Event
from eventlog.model import ModelMetadata, published_by
from eventlog.model_id import is_model_id
from eventlog.model_rows import blocks_of, models_in, models_of
from eventlog.runs import StoredPublication, event_of

RECENT_MAX = 256
"""How many publications are kept, at about 1.3 KB each."""

_SECOND = 14
_BLOCK = 4_096


class History(Protocol):
    """The events that a fold has behind it, read again from its journal."""

    def events(self, start: int, stop: int) -> Iterable[Event]:
        """Yield the events `[start, stop)`."""
        ...

    def publications(self, start: int, stop: int) -> Iterable[Event]:
        """Yield those of the events `[start, stop)` that published a model."""
        ...

    def rows(self, stop: int) -> Iterable[bytes]:
        """Yield the rows of the models that the first *stop* events published, in blocks."""
        ...

    def publication(self, model_id: str, stop: int) -> Event | None:
        """Return the publication of a model among the first *stop* events, or None."""
        ...

    def newest_about(self, model_id: str, types: tuple[str, ...], stop: int) -> Event | None:
        """Return the newest of the first *stop* events about a model that is of one of these types, or None."""
        ...

    def event_by_id(self, event_id: str, stop: int) -> Event | None:
        """Return the event with an id among the first *stop* events, or None."""
        ...


class Publications(Mapping[str, Event]):
    """
    The publications of a journal by model id, in their order.

    Attributes:
        newest: the newest second in which models were published, as their ids have it, and those ids.

        in_order: whether the seconds of all ids stand in order.

    Args:
        history: finds older ones; without it all are kept.
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = history
        self._count = 0
        self._runs: list[tuple[Sequence[str], Sequence[StoredPublication | Event]]] = []
        self._kept = 0
        self._index: tuple[int, dict[str, StoredPublication | Event]] = 0, {}
        self._older_stop = 0
        self._second = ""
        self.newest: set[str] = set()
        self.in_order = True

    def begin(self, position: int, count: int, newest: Iterable[str], *, in_order: bool) -> None:
        """Begin behind the first *position* entries, among which *count* models were published."""
        self._count, self._older_stop, self.newest, self.in_order = count, position, set(newest), in_order
        self._runs, self._kept, self._index = [], 0, (count, {})
        self._second = max(self.newest, default="")[:_SECOND]

    def __len__(self) -> int:
        """Return how many models were published."""
        return self._count

    def __getitem__(self, model_id: str) -> Event:
        """Return the event by which a model was published."""
        found = self._recent.get(model_id) or self._older(model_id)
        if found is None:
            raise KeyError(model_id)
        return event_of(found)

    def __contains__(self, model_id: object) -> bool:
        """Say whether a model was published."""
        return isinstance(model_id, str) and (
            model_id in self.newest or model_id in self._recent or self._older(model_id) is not None
        )

    def __iter__(self) -> Iterator[str]:
        """Yield the model ids, oldest first."""
        return (event.subject or "" for event in self.events())

    def __reversed__(self) -> Iterator[str]:
        """Yield the model ids, newest first."""
        return (event.subject or "" for event in self.events(newest_first=True))

    def events(self, *, newest_first: bool = False) -> Iterator[Event]:
        """Yield the publications in their order, or the other way round; memory stays bounded."""
        recent = list(self._recent.values())
        if newest_first:
            starts = reversed(range(0, self._older_stop, _BLOCK))
            blocks = (reversed(list(self._published(start, start + _BLOCK))) for start in starts)
            return chain(map(event_of, reversed(recent)), chain.from_iterable(blocks))
        return chain(self._published(0, self._older_stop), map(event_of, recent))

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of the models in their order, in blocks; memory stays bounded."""
        recent = list(self._recent.values())
        if self._history is not None and self._older_stop:
            yield from self._history.rows(self._older_stop)
        yield from blocks_of(recent)

    def models(self, home: str | None = None) -> list[ModelMetadata]:
        """Return the models in their order; *home* as in `eventlog.model.path_of`."""
        found: list[ModelMetadata] = []
        if self._history is not None and self._older_stop:
            for block in filter(None, self._history.rows(self._older_stop)):
                some = models_in(block, home)
                if some is None:
                    return [published_by(event, home) for event in self.events()]
                found += some
        return found + models_of(list(self._recent.values()), home)

    def since(self, count: int) -> list[Event] | None:
        """Return all publications but the first *count*, in their order; None where not all of them are kept."""
        missing = self._count - count
        if not 0 <= missing <= len(self._recent):
            return None
        return list(map(event_of, islice(self._recent.values(), len(self._recent) - missing, None)))

    def add(self, event: Event) -> None:
        """Go on by one publication, whose model id is new."""
        assert event.subject is not None, "it publishes a model"
        self.extend([event.subject], [event])

    def extend(self, model_ids: Sequence[str], events: Sequence[StoredPublication | Event]) -> None:
        """Go on by a run of publications, whose model ids are new."""
        if not model_ids:
            return
        if model_ids[0][:_SECOND] >= self._second and sorted(model_ids) == model_ids:
            last = model_ids[-1][:_SECOND]
            same = model_ids[bisect_left(model_ids, last) :]
            self.newest = {*same, *self.newest} if self._second == last else set(same)
            self._second = last
        else:
            seconds = [model_id[:_SECOND] for model_id in model_ids]
            self.in_order = self.in_order and seconds[0] >= self._second and sorted(seconds) == seconds
            self._second = max(self._second, *seconds)
            self.newest = {model_id for model_id in (*self.newest, *model_ids) if model_id[:_SECOND] == self._second}
        counted, index = self._index
        if counted == self._count and len(model_ids) == 1:
            index[model_ids[0]] = events[0]
            self._index = counted + 1, index
        self._count += len(model_ids)
        self._runs.append((model_ids, events))
        self._kept += len(model_ids)
        if self._history is not None and self._kept > 2 * RECENT_MAX:
            self._drop_older()

    def are_new(self, model_ids: Sequence[str]) -> bool:
        """Say whether none of *model_ids* was published, and none stands twice among them."""
        if len(set(model_ids)) != len(model_ids) or not self.newest.isdisjoint(model_ids):
            return False
        if min(model_ids, default=self._second)[:_SECOND] >= self._second:
            return True
        return all(model_id[:_SECOND] >= self._second or model_id not in self for model_id in model_ids)

    @property
    def _recent(self) -> dict[str, StoredPublication | Event]:
        """The newest by model id; made when somebody asks, for nobody does while a long history is folded."""
        counted, index = self._index
        if counted != self._count:
            counted, index = self._count, {}
            for model_ids, events in list(self._runs):
                index.update(zip(model_ids, events, strict=True))
            self._index = counted, index
        return index

    def _drop_older(self) -> None:
        """Keep the newest alone."""
        runs, kept = self._runs, self._kept
        first = 0
        while kept - len(runs[first][0]) >= RECENT_MAX:
            kept -= len(runs[first][0])
            first += 1
        self._runs, self._kept, self._index = runs[first:], kept, (-1, {})
        self._older_stop = event_of(self._runs[0][1][0]).position

    def _older(self, model_id: str) -> Event | None:
        """Find a publication that is not kept."""
        if self._history is None or self._older_stop == 0 or not is_model_id(model_id):
            return None
        if model_id[:_SECOND] >= self._second and model_id not in self.newest:
            return None
        return self._history.publication(model_id, self._older_stop)

    def _published(self, start: int, stop: int) -> Iterator[Event]:
        if self._history is None or start >= self._older_stop:
            return iter(())
        return iter(self._history.publications(start, min(stop, self._older_stop)))
