"""
What one append holds: the event that was asked for, and before it what the journal has to say for itself; sealed.

Pure, so that an append and a repair, which puts its event in place together with the lines it mends, say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from eventlog import chain, codec, snapshot
from eventlog.catalog import Catalog
from eventlog.decisions import Terms
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import FORMAT_VERSION, Data, Event, JournalCreated, JournalRecovered
from eventlog.journal import DiscardedTail
from eventlog.key_events import KeyAdded

RECOVERY_ID_START = "recovered-"


def sealed(
    catalog: Catalog,
    data: Data,
    subject: str | None,
    terms: Terms,
    now: datetime,
    discarded: Sequence[DiscardedTail],
    new_id: Callable[[], str],
) -> list[tuple[Event, bytes]]:
    """
    Return the events that follow the state *catalog* and their entries, linked to its tail and to each other.

    *data* is the last.

    Args:
        subject: the model id that the event is about, or None.

        terms: who asks, and under which id.

        discarded: what was taken out of the journal; what it has recorded already is not recorded again.

        new_id: makes ids for what the journal says for itself.

    Raises:
        RefusedError: the event could not be stored, or its id is not its own.
    """
    events: list[Event] = []

    def add(event_id: str, subject: str | None, data: Data) -> None:
        own = event_id != terms.request_id or terms.own_id
        if catalog.positions.get(event_id, older=not own) is not None or event_id in (event.id for event in events):
            raise RefusedError(f"--id {event_id!r}: expected an id of the request's own, got one that is taken")
        events.append(Event(catalog.size + len(events), event_id, now, terms.actor, subject, data))

    journal_id = catalog.journal_id
    if snapshot.is_due(catalog.size, catalog.snapshot) and snapshot.fits(taken := catalog.taken()):
        add(new_id(), None, taken)
    if journal_id is None:
        journal_id = new_id()
        add(new_id(), None, JournalCreated(journal_id, FORMAT_VERSION))
        if terms.key is not None:
            add(new_id(), None, KeyAdded(terms.key))
    for item in discarded:
        event_id = f"{RECOVERY_ID_START}{item.offset_bytes}-{item.sha256[:16]}"
        if event_id not in catalog.positions and event_id not in (event.id for event in events):
            recovered = JournalRecovered(item.offset_bytes, item.size_bytes, item.sha256, item.reason, item.kept_as)
            add(event_id, None, recovered)
    add(terms.request_id, subject, data)
    return _linked(catalog, events, journal_id)


def _linked(catalog: Catalog, events: Sequence[Event], journal_id: str) -> list[tuple[Event, bytes]]:
    """Link the events to the tail and to each other; what would not be read back the same is not stored."""
    found: list[tuple[Event, bytes]] = []
    prev = catalog.hash
    for event in events:
        entry = codec.encode(event, journal_id, prev)
        try:
            read_back = codec.decode(entry, event.position, journal_id, catalog.where)
        except JournalDamagedError as error:
            what = str(error).partition(", got ")[2].removesuffix(": run verify")
            raise RefusedError(f"{event.type}: expected values that can be read back, got {what}") from error
        if read_back != event:
            raise AssertionError(f"event does not survive encoding: {event!r}")
        found.append((read_back, entry))
        prev = chain.hash_of(entry)
    return found
