"""
Decide and append as one step, so that nothing is decided on a state that is no longer the newest.

A file engine keeps other writers out meanwhile; a replicated one reports a conflict, and the request is decided anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from logging import getLogger

from eventlog import chain, codec, identity
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import ConflictError, OutcomeUnknownError, RefusedError
from eventlog.events import FORMAT_VERSION, Data, Event, JournalCreated, JournalRecovered
from eventlog.journal import DiscardedTail
from eventlog.replay import Replay

_ATTEMPTS_MAX = 100
RECOVERY_ID_START = "recovered-"
_log = getLogger("modelog")


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
            self._seal(self._events(decision, terms, now, ()))

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
            self._warn_of_clock(now)
            entries = self._seal(self._events(decision, terms, now, discarded))
            self._point_of_no_return()
            try:
                journal.append(entries, expected_size=catalog.size, recording=discarded)
            except (OutcomeUnknownError, KeyboardInterrupt) as error:
                reason = str(error) or f"{journal.where}: interrupted: not known whether the event was recorded"
                raise OutcomeUnknownError(f"{reason}: retry with --id {terms.request_id}") from error
        for entry in entries:
            catalog.apply(entry)
        return decision

    def _events(
        self, decision: Decision, terms: Terms, now: datetime, discarded: Sequence[DiscardedTail]
    ) -> list[Event]:
        """Return the event of the decision, and before it what the journal has to say for itself."""
        assert decision.data is not None, "only called with something to append"
        catalog = self._replay.catalog
        events: list[Event] = []

        def add(event_id: str, subject: str | None, data: Data) -> None:
            if event_id in (event.id for event in events):
                raise RefusedError(f"--id {event_id!r}: expected an id of the request's own, got one of the journal's")
            events.append(Event(catalog.size + len(events), event_id, now, terms.actor, subject, data))

        if catalog.size == 0:
            created = JournalCreated(identity.new_uuid(self._random_bytes), FORMAT_VERSION)
            add(identity.new_uuid(self._random_bytes), None, created)
        for item in discarded:
            event_id = f"{RECOVERY_ID_START}{item.offset_bytes}-{item.sha256[:16]}"
            if event_id not in catalog.positions and event_id not in (event.id for event in events):
                recovered = JournalRecovered(item.offset_bytes, item.size_bytes, item.sha256, item.reason, item.kept_as)
                add(event_id, None, recovered)
        add(terms.request_id, decision.model_id or None, decision.data)
        return events

    def _warn_of_clock(self, now: datetime) -> None:
        catalog = self._replay.catalog
        if catalog.latest_time is not None and now < catalog.latest_time:
            _log.warning(
                "clock: %s is before the latest event, %s: order is the position, not the time",
                now,
                catalog.latest_time,
            )

    def _seal(self, events: Sequence[Event]) -> list[bytes]:
        """Link the events to the tail and to each other; what would not be read back the same is not stored."""
        catalog, first = self._replay.catalog, events[0].data
        journal_id = first.journal_id if isinstance(first, JournalCreated) else catalog.journal_id
        assert journal_id is not None, "known from the first entry on"
        entries: list[bytes] = []
        prev = catalog.hash
        for event in events:
            entry = codec.encode(event, journal_id, prev)
            if codec.decode(entry, event.position, journal_id, catalog.where) != event:
                raise AssertionError(f"event does not survive encoding: {event!r}")
            entries.append(entry)
            prev = chain.hash_of(entry)
        return entries
