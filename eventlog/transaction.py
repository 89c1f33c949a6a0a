"""
Decide and append as one step, so that nothing is decided on a state that is no longer the newest.

A file engine keeps other writers out meanwhile; a replicated one reports a conflict, and the request is decided anew.
Requests that wait at the same time are decided one after the other and appended as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from eventlog import batch, identity
from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import ConflictError, ModelogError, OutcomeUnknownError
from eventlog.events import Data, Event
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, DiscardedTail
from eventlog.log import log
from eventlog.replay import Replay

_ATTEMPTS_MAX = 100


class Asked:
    """
    A request on its way into the journal.

    Attributes:
        decide: called on the newest state; may find that there is nothing to append.

        terms: who and under which id.

        last_look: called just before, with other writers kept out; raises to refuse.

        decision, error: how it ended; one of them, as soon as it is settled.
    """

    def __init__(self, decide: Decide, terms: Terms, last_look: Callable[[], None] = lambda: None) -> None:
        self.decide = decide
        self.terms = terms
        self.last_look = last_look
        self.decision: Decision | None = None
        self.error: ModelogError | None = None


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
        Append what *decide* says, and fold it; see `Asked`.

        Raises:
            RefusedError, JournalDamagedError: nothing was appended.

            OutcomeUnknownError: the request's id settles it.
        """
        asked = Asked(decide, terms, last_look)
        self.run_all([asked])
        if asked.error is not None:
            raise asked.error
        assert asked.decision is not None, "it is settled"
        return asked.decision

    def run_all(self, group: Sequence[Asked]) -> None:
        """
        Decide one request after the other, each on the state that the one before leaves, and append it all at once.

        So a group costs as many syncs as one request. A request that is refused does not keep the others back. Two with
        the same id, or more than one append can hold, are appended one after the other.

        Never raises a `ModelogError`: how each request ended is noted in it.
        """
        attempts = 0
        while group := [asked for asked in group if asked.decision is None and asked.error is None]:
            try:
                self._attempt(group)
            except ConflictError:
                attempts += 1
                if attempts == _ATTEMPTS_MAX:
                    where = self._replay.journal.where
                    _fail(group, ConflictError(f"{where}: other writers came first {attempts} times: try again"))
            except ModelogError as error:
                _fail(group, error)

    def rehearse(self, decision: Decision, terms: Terms, now: datetime) -> None:
        """Refuse now, before anything is created on disk, what could not be stored."""
        if decision.data is not None:
            self._entries(decision.data, decision.model_id, terms, now, ())

    def _attempt(self, group: Sequence[Asked]) -> None:
        journal = self._replay.journal
        with journal.exclusive():
            catalog = self._replay.catch_up()
            size = catalog.size
            with self._replay.changing():
                try:
                    entries, decided, discarded = self._decided(group, catalog)
                    if entries:
                        self._append(entries, size, discarded, [asked.terms for asked, _ in decided])
                except ModelogError:
                    if catalog.size != size:
                        self._replay.forget()  # what is folded has not happened, or nobody knows whether it has
                    raise
            for asked, decision in decided:
                asked.decision = decision

    def _decided(
        self, group: Sequence[Asked], catalog: Catalog
    ) -> tuple[list[bytes], list[tuple[Asked, Decision]], Sequence[DiscardedTail]]:
        """Return the entries that *group* comes to, which are folded; what was decided of each; what they record."""
        entries: list[bytes] = []
        decided: list[tuple[Asked, Decision]] = []
        discarded: Sequence[DiscardedTail] = ()
        for asked in group:
            if any(asked.terms.request_id == other.terms.request_id for other, _ in decided):
                continue  # its answer is not there to be read yet
            try:
                asked.last_look()
                now = self._now()
                decision = asked.decide(catalog, now)
                new: list[tuple[Event, bytes]] = []
                if decision.data is not None:
                    discarded = discarded or self._replay.journal.discarded()
                    _warn_of_clock(catalog, now)
                    new = self._entries(decision.data, decision.model_id, asked.terms, now, discarded)
            except ModelogError as error:
                asked.error = error
                continue
            if entries and not _fit(entries, [entry for _, entry in new]):
                break
            for event, entry in new:
                self._replay.past.know(catalog.apply(entry, event), entry)
                entries.append(entry)
            decided.append((asked, decision))
        return entries, decided, discarded

    def _append(
        self, entries: list[bytes], size: int, discarded: Sequence[DiscardedTail], group: Sequence[Terms]
    ) -> None:
        journal = self._replay.journal
        self._point_of_no_return()
        try:
            journal.append(entries, expected_size=size, recording=discarded)
        except (OutcomeUnknownError, KeyboardInterrupt) as error:
            reason = str(error) or f"{journal.where}: interrupted: not known whether the event was recorded"
            ids = " or ".join(terms.request_id for terms in group)
            raise OutcomeUnknownError(f"{reason}: retry with --id {ids}") from error

    def _entries(
        self, data: Data, model_id: str, terms: Terms, now: datetime, discarded: Sequence[DiscardedTail]
    ) -> list[tuple[Event, bytes]]:
        new_id = partial(identity.new_uuid, self._random_bytes)
        return batch.sealed(self._replay.catalog, data, model_id or None, terms, now, discarded, new_id)


def _fail(group: Sequence[Asked], error: ModelogError) -> None:
    """Note in each request of *group* that is not settled how it ended."""
    for asked in group:
        if asked.decision is None and asked.error is None:
            asked.error = error


def _fit(entries: Sequence[bytes], more: Sequence[bytes]) -> bool:
    """Say whether one append can hold both."""
    size_bytes = sum(map(len, entries)) + sum(map(len, more)) + len(entries) + len(more)
    return len(entries) + len(more) <= APPEND_ENTRIES_MAX and size_bytes <= APPEND_BYTES_MAX


def _warn_of_clock(catalog: Catalog, now: datetime) -> None:
    """Log a warning where *now* is before the latest event of *catalog*."""
    if catalog.latest_time is not None and now < catalog.latest_time:
        log.warning(
            "clock: %s is before the latest event, %s: order is the position, not the time", now, catalog.latest_time
        )
