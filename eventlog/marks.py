"""
What a fold knows of models beside their publication: which are retired, and which are held.

Memory does not grow with the history: what is older than the newest marks is found in the journal itself.
"""

from __future__ import annotations

from itertools import islice

from eventlog.events import TYPE_NAMES, Event
from eventlog.lookup import History
from eventlog.retention_events import ModelHeld, ModelReinstated, ModelReleased, ModelRetired

RECENT_MAX = 1_024
"""So many are kept, at about 200 bytes each."""

RETIRED = (ModelRetired, ModelReinstated)
HELD = (ModelHeld, ModelReleased)
Mark = tuple[type, type]
"""What sets it, and what takes it back."""


class Marks:
    """
    See the module.

    Attributes:
        count: how many events have set a mark, or taken one back.

    Args:
        history: finds older ones; without it all are kept.
    """

    def __init__(self, history: History | None = None) -> None:
        self._history = history
        self._recent: dict[tuple[str, Mark], tuple[bool, int]] = {}
        self._older_stop = 0
        self.count = 0

    def __eq__(self, other: object) -> bool:
        """Say whether the same is known."""
        if not isinstance(other, Marks):
            return NotImplemented
        return (self._recent, self._older_stop, self.count) == (other._recent, other._older_stop, other.count)

    __hash__ = None  # type: ignore[assignment]

    def begin(self, position: int, count: int) -> None:
        """Begin behind the first *position* entries, among which *count* have set a mark, or taken one back."""
        self._recent, self._older_stop, self.count = {}, position if count else 0, count

    def add(self, event: Event) -> None:
        """Go on by one event, which is one of those."""
        mark = RETIRED if isinstance(event.data, RETIRED) else HELD
        key = event.subject or "", mark
        self._recent.pop(key, None)  # so that they stand in order of position
        self._recent[key] = isinstance(event.data, mark[0]), event.position
        self.count += 1
        if self._history is not None and len(self._recent) > 2 * RECENT_MAX:
            self._recent = dict(islice(self._recent.items(), len(self._recent) - RECENT_MAX, None))
            self._older_stop = next(iter(self._recent.values()))[1]

    def is_retired(self, model_id: str) -> bool:
        """Say whether a model is retired."""
        return self.get(model_id, RETIRED)[0]

    def is_held(self, model_id: str) -> bool:
        """Say whether a model is held."""
        return self.get(model_id, HELD)[0]

    def get(self, model_id: str, mark: Mark) -> tuple[bool, int | None]:
        """Return whether a model bears a mark, and the position of the event that says so; None where none does."""
        if (found := self._recent.get((model_id, mark))) is not None:
            return found
        if self._history is None or not self._older_stop:
            return False, None
        types = tuple(TYPE_NAMES[data_type] for data_type in mark)
        event = self._history.newest_about(model_id, types, self._older_stop)
        return (False, None) if event is None else (isinstance(event.data, mark[0]), event.position)
