"""
Decide and append as one step, so that nothing is decided on a state that is no longer the newest.

A file engine keeps other writers out meanwhile; a replicated one reports a conflict, and the request is decided anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from eventlog import batch, identity
from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import ConflictError, OutcomeUnknownError
from eventlog.events import Data
from eventlog.journal import DiscardedTail
from eventlog.log import log
from eventlog.replay import Replay

_ATTEMPTS_MAX = 100


class Transaction:
    """Runs decisions against the tail of one journal."""

    def __init__(
        self,
        replay: Replay,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
        point_of_no_return: Callable[[], None] = lambda: None,
    ) -> None:
        self._replay = replay
        self._now = now
        self._random_bytes = random_bytes
        self._point_of_no_return = point_of_no_return

    def run(self, decide: Decide, terms: Terms, last_look: Callable[[], None] = lambda: None) -> Decision:
        """
        Append what *decide* says, and fold it.

        Args:
            decide: called on the newest state; may find that there is nothing to append.

            terms: who and under which id.

            last_look: called just before, with other writers kept out; raises to refuse.

        Raises:
            RefusedError, JournalDamagedError: nothing was appended.

            OutcomeUnknownError: the request's id settles it.
        """
        for _ in range(_ATTEMPTS_MAX):
            try:
                return self._attempt(decide, terms, last_look)
            except ConflictError:
                continue
        raise ConflictError(f"{self._replay.journal.where}: other writers came first {_ATTEMPTS_MAX} times: try again")

    def rehearse(self, decision: Decision, terms: Terms, now: datetime) -> None:
        """Refuse now, before anything is created on disk, what could not be stored."""
        if decision.data is not None:
            self._entries(decision.data, decision.model_id, terms, now, ())

    def _attempt(self, decide: Decide, terms: Terms, last_look: Callable[[], None]) -> Decision:
        journal = self._replay.journal
        with journal.exclusive():
            catalog = self._replay.catch_up()
            last_look()
            now = self._now()
            decision = decide(catalog, now)
            if decision.data is None:
                return decision
            discarded = journal.discarded()
            _warn_of_clock(catalog, now)
            entries = self._entries(decision.data, decision.model_id, terms, now, discarded)
            self._point_of_no_return()
            try:
                journal.append(entries, expected_size=catalog.size, recording=discarded)
            except (OutcomeUnknownError, KeyboardInterrupt) as error:
                reason = str(error) or f"{journal.where}: interrupted: not known whether the event was recorded"
                raise OutcomeUnknownError(f"{reason}: retry with --id {terms.request_id}") from error
        for entry in entries:
            catalog.apply(entry)
        return decision

    def _entries(
        self, data: Data, model_id: str, terms: Terms, now: datetime, discarded: Sequence[DiscardedTail]
    ) -> list[bytes]:
        new_id = partial(identity.new_uuid, self._random_bytes)
        return batch.sealed(self._replay.catalog, data, model_id or None, terms, now, discarded, new_id)


def _warn_of_clock(catalog: Catalog, now: datetime) -> None:
    """Log a warning where *now* is before the latest event of *catalog*."""
    if catalog.latest_time is not None and now < catalog.latest_time:
        log.warning(
            "clock: %s is before the latest event, %s: order is the position, not the time", now, catalog.latest_time
        )
