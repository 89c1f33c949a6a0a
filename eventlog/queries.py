"""Questions answered from the journal, each after everything acknowledged was verified. Changes nothing on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from eventlog import listing
from eventlog.change import Change
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.history import Criteria, selected
from eventlog.listing import Listing
from eventlog.log import log
from eventlog.model import ModelMetadata
from eventlog.model_id import check_model_id
from eventlog.reader import AsOf, RegistryReader
from eventlog.replay import Replay
from eventlog.timeline import Blame, Difference, state_of, stretches

if TYPE_CHECKING:
    from eventlog.where import Condition

FOLLOW_WAIT_SECONDS = 2.0
_CHANGES_AT_ONCE = 1_024


class RegistryQueries(RegistryReader):
    """Answers from a journal, as `RegistryReader`, whatever one may ask about its history."""

    def list_models(
        self,
        *,
        as_of: AsOf = None,
        where: str | None = None,
        sort: Sequence[str] = (),
        limit: int | None = None,
    ) -> list[ModelMetadata]:
        """
        Return all models, newest publication first.

        Args:
            as_of: show what was known at that moment.

            where: show those for which this holds; see `eventlog.where`.

            sort: order by these; see `eventlog.listing.Listing`.

            limit: only so many.

        Raises:
            JournalDamagedError: nothing can be shown that is sure to be true.

            RefusedError: the journal cannot be read, or what was asked for does not make sense.
        """
        with self._threads:
            catalog = self.catalog(as_of)
            wanted = Listing(None if where is None else _condition(where), tuple(sort), limit=_checked_limit(limit))
            return listing.models(catalog, wanted)

    def history(
        self,
        criteria: Criteria = Criteria(),  # noqa: B008 - frozen
        *,
        as_of: AsOf = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Change]:
        """
        Return the events with what each changed, in order of position; all of it was verified before the first comes.

        Args:
            criteria: which of them; a position beyond the end is refused.

            as_of: as far as they had happened at that moment.

            limit: only so many, the first of those in their order.

            newest_first: the other way round.

        Raises as `list_models`.
        """
        _checked_limit(limit)
        size = self._size_at(as_of)
        where, last = self._replay.journal.where, size - 1
        if criteria.start is not None and criteria.start > size:
            raise RefusedError(f"{where}: expected positions from {size} at most, got from {criteria.start}")
        if criteria.stop is not None and criteria.stop > size:
            raise RefusedError(f"{where}: expected positions up to {last} at most, got up to {criteria.stop - 1}")
        return selected(self._changes(size), criteria, limit=limit, newest_first=newest_first)

    def follow(
        self,
        start: int | None = None,
        *,
        wait: Callable[[float], object] | None = None,
    ) -> Iterator[Change]:
        """
        Yield the events from position *start* on, and then each new one once it is acknowledged and on disk; for ever.

        Whoever remembers the position of the last one it dealt with, and starts again with the one behind it, misses
        none and sees none twice.

        Args:
            start: a position; None for the one that comes next.

            wait: called with the most seconds to wait before the next look; by default, the journal says when.

        Raises:
            JournalDamagedError: as `list_models`, or the journal is no longer the one that was followed so far.

            RefusedError: as `list_models`, or fewer events than *start* have happened.
        """
        size = self._size_at(None)
        start = size if start is None else start
        if not 0 <= start <= size:
            raise RefusedError(
                f"{self._replay.journal.where}: expected a position from 0 to {size} to follow from, got {start}: "
                "where that many were seen before, the journal was rewound: run verify"
            )
        return self._followed(start, wait or self._replay.journal.wait)

    def blame(self, model_id: str, *, as_of: AsOf = None) -> Blame:
        """
        Return by whom and why a model was published, and when it was active.

        Raises as `list_models`, and RefusedError where there is no such model.
        """
        check_model_id(model_id)
        with self._threads:
            catalog = self.catalog(as_of)
            catalog.publication(model_id)
            changes = list(self.history(Criteria(models=(model_id,)), as_of=as_of))
            published = next(change for change in changes if change.event.subject == model_id)
            found = [stretch for stretch in stretches(changes) if stretch.model_id == model_id]
            return Blame(catalog.model(model_id), catalog.active_id() == model_id, published, found)

    def diff(self, earlier: AsOf, later: AsOf = None) -> Difference:
        """
        Return what changed after one moment, up to another one or to now.

        Raises as `list_models`, and RefusedError where *later* comes before *earlier*.
        """
        with self._threads:
            stop, start = self._size_at(later, "later moment"), self._size_at(earlier, "earlier moment")
            if stop < start:
                raise RefusedError(f"diff: expected the earlier moment first, got {earlier!r} and {later!r}")
            replay = self._quiet_replay()
            before = state_of(replay.catch_up(start) if start else replay.catalog)
            changes: list[Change] = []
            if stop > start:
                replay.catch_up(stop, changes.append)
            events = [change.event for change in changes]
            published = [event.subject for event in events if event.subject and isinstance(event.data, ModelPublished)]
            return Difference(before, state_of(replay.catalog), published, changes)

    def _quiet_replay(self) -> Replay:
        """Return another fold of the journal, from zero on; what there is to say of it was said."""
        with self._threads:
            self._replay.past.enter(0)
        return Replay(self._replay.journal, tell=log.debug, piecemeal=True)

    def _changes(self, stop: int) -> Iterator[Change]:
        """Yield the first *stop* changes, which are verified already."""
        replay = self._quiet_replay()
        while replay.catalog.size < stop:
            yield from self._batch(replay, stop)

    def _followed(self, start: int, wait: Callable[[float], object]) -> Iterator[Change]:
        replay = self._quiet_replay()
        while True:
            changes = self._batch(replay, sys.maxsize)
            if not changes:
                wait(FOLLOW_WAIT_SECONDS)
                self._replay.journal.refresh()
                continue
            self._replay.journal.confirm(mend=False)
            yield from (change for change in changes if change.position >= start)

    def _batch(self, replay: Replay, stop: int) -> list[Change]:
        changes: list[Change] = []
        with self._threads:
            replay.catch_up(min(stop, replay.catalog.size + _CHANGES_AT_ONCE), changes.append)
        return changes


def _checked_limit(limit: int | None) -> int | None:
    """Return how many are wanted at most. Raises RefusedError for what is no such number, TypeError for no number."""
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
        raise TypeError(f"limit: expected a whole number, got {type(limit).__name__}")
    if limit is not None and limit < 0:
        raise RefusedError(f"limit: expected 0 or more, got {limit}")
    return limit


def _condition(where: str) -> Condition:
    from eventlog.where import parse  # noqa: PLC0415 - hardly anybody asks under a condition

    return parse(where, ("created_at",))
