"""
THE fold: which models exist and which one is active after N events. Pure; nothing else interprets history.

    >>> catalog = Catalog()
    >>> catalog.size, catalog.active
    (0, {})
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from eventlog import chain, clock, codec, runs
from eventlog.artifact_path import path_from_text
from eventlog.catalog_state import ACTIVE, CatalogState
from eventlog.errors import JournalDamagedError
from eventlog.events import (
    Event,
    HistoryReviewed,
    JournalCreated,
    JournalRewound,
    ModelPublished,
    ModelRolledBack,
    RuntimeLoaded,
    activation_of,
)
from eventlog.journal import Anchor
from eventlog.key_events import KeyAdded, KeyRevoked
from eventlog.model_rows import RowsHash
from eventlog.retention_events import ArtifactRemoved, Marked, ModelRetired
from eventlog.runs import Activations, StoredPublication
from eventlog.snapshot import ENTRIES, Place, SettingsChanged, SnapshotTaken

_RUN_MIN = 4


class Catalog(CatalogState):
    """The state after `size` entries, and how it goes on; attributes and arguments as of `CatalogState`."""

    def apply(self, entry: bytes, event: Event | None = None) -> Event:
        """
        Go on by one verified entry; return its event.

        Args:
            event: what `codec.decode` says of the entry, where that was asked already.

        Raises:
            JournalDamagedError: it cannot follow what happened before. The catalog is as it was.

            UnsupportedFormatError: a newer program wrote it. The catalog is as it was.
        """
        event = event or codec.decode(entry, self.size, self.journal_id, self.where)
        taken = self.positions.get(event.id, older=False)
        if taken is not None:
            raise self._impossible(event, "an id of its own", f"the id of entry {taken}")
        if isinstance(event.data, ModelPublished):
            self._model_published(event, event.data)
        elif isinstance(event.data, ModelRolledBack):
            self._model_rolled_back(event, event.data)
        elif isinstance(event.data, JournalCreated):
            self.journal_id = event.data.journal_id
        elif isinstance(event.data, JournalRewound):
            self.given_up.update((item.size, item.hash) for item in event.data.remembered)
            self.set_aside.append(event)
        elif isinstance(event.data, KeyAdded | KeyRevoked):
            self._key_changed(event, event.data)
        elif isinstance(event.data, SettingsChanged):
            self.settings = event.data.settings
        elif isinstance(event.data, SnapshotTaken):
            self._snapshot_taken(event, event.data, entry)
        else:
            self._referred(event)
        self.positions.add(event.id)
        self._go_on([event.time], [entry])
        return event

    def apply_run(self, entries: Sequence[bytes]) -> None:
        """
        Go on by a run of verified entries, as `apply` does one by one.

        Publications and rollbacks are taken many at a time, as long as nothing about them is odd; what is, is looked
        at alone.

        Raises as `apply`; the catalog has then gone on up to the entry that does not fit.
        """
        due = ENTRIES - self.size + (0 if self.snapshot is None else self.snapshot.position)
        if 0 <= due < len(entries):  # there the next snapshot stands, if anywhere here
            self.apply_run(entries[:due])
            self.apply(entries[due])
            self.apply_run(entries[due + 1 :])
            return
        if self._run_applied(entries):
            return
        start = 0
        for other in runs.others(entries):
            self._apply_alike(entries[start:other])
            self.apply(entries[other])
            start = other + 1
        self._apply_alike(entries[start:])

    def _apply_alike(self, entries: Sequence[bytes]) -> None:
        """Go on by entries that look like activations; where something about some is odd, by halves."""
        if len(entries) < _RUN_MIN:
            for entry in entries:
                self.apply(entry)
        elif not self._run_applied(entries):
            middle = len(entries) // 2
            self._apply_alike(entries[:middle])
            self._apply_alike(entries[middle:])

    def _run_applied(self, entries: Sequence[bytes]) -> bool:
        """Go on by *entries* all at once, if nothing about them is odd; say so, else nothing has changed."""
        if len(entries) < _RUN_MIN or self.journal_id is None:
            return False
        run = runs.decode_activations(entries, self.size, self.journal_id)
        if run is None or not self._activated(run):
            return False
        self._go_on(run.times, entries)
        return True

    def check_ids(self) -> None:
        """Raise `JournalDamagedError` where two of all events have the same id; see `EventIds.repeated`."""
        if (found := self.positions.repeated()) is not None:
            raise self._impossible(found[0], "an id of its own", f"the id of entry {found[1]}")

    def _activated(self, run: Activations) -> bool:
        """Activate one model after the other, if each can follow; say so, else nothing has changed."""
        events, published, model_ids = run.events, run.publications, run.model_ids
        new = model_ids if published is events else [event.subject for event in published]
        if (
            [event.data.displaced for event in events] != [self.active_id(), *model_ids[:-1]]
            or not self.published.are_new(new)
            or not (new is model_ids or runs.are_targets_known(events, self.published))
            or not self.positions.extend([event.id for event in events])
        ):
            return False
        self.published.extend(new, published)
        self._add_rows(published, odd=False)
        last = events[-1].event()
        self.active[ACTIVE] = activation_of(last, events[-1].data)
        return True

    def _add_rows(self, publications: Sequence[StoredPublication | Event], *, odd: bool) -> None:
        rows = self.rows.extend(publications, odd=odd)
        if self.beside is not None and publications:
            self.beside.show(rows, len(publications))

    def _go_on(self, times: Sequence[datetime], entries: Sequence[bytes]) -> None:
        """Count *entries*, whose events have these *times*."""
        self.latest_time, self.backward = clock.gone_on(times, self.size, self.latest_time, self.backward)
        self.size += len(entries)
        self.offset_bytes += sum(map(len, entries)) + len(entries)
        self.hash = chain.hash_of(entries[-1])

    def _model_published(self, event: Event, data: ModelPublished) -> None:
        model_id = event.subject or ""
        try:
            path_from_text(data.artifact_path, data.artifact_path_hex)
            path_from_text(data.origin_path or "", data.origin_path_hex)
        except ValueError:
            got = f"{data.artifact_path_hex or data.origin_path_hex}"
            raise self._impossible(event, "the path's bytes in hex", got) from None
        if not self.published.are_new([model_id]):
            raise self._impossible(event, "a new model id", f"{model_id} again")
        self._activate(event, data)
        self.published.add(event)
        self._add_rows([event], odd=True)
        self._take_over(event, data.took_over)

    def _model_rolled_back(self, event: Event, data: ModelRolledBack) -> None:
        model_id = event.subject or ""
        if model_id not in self.published:
            raise self._impossible(event, "a published model", model_id)
        self._activate(event, data)
        self._take_over(event, data.took_over)

    def _activate(self, event: Event, data: ModelPublished | ModelRolledBack) -> None:
        if data.displaced != self.active_id():
            raise self._impossible(event, f"{self.active_id()} as displaced model", f"{data.displaced}")
        self.active[ACTIVE] = activation_of(event, data)

    def _key_changed(self, event: Event, data: KeyAdded | KeyRevoked) -> None:
        from eventlog import keys  # noqa: PLC0415 - few journals are signed

        try:
            self.keys[data.key] = keys.changed(self.keys.get(data.key), event.position, data)
        except keys.KeyChangeError as error:
            raise self._impossible(event, error.expected, error.got) from None

    def _referred(self, event: Event) -> None:
        """Go on by an event that only says something of what is there already."""
        data, subject = event.data, event.subject
        if isinstance(data, HistoryReviewed | RuntimeLoaded) and not 0 <= data.position < event.position:
            raise self._impossible(event, f"a position from 0 to {event.position - 1}", f"{data.position}")
        named = data.models(subject) if isinstance(data, ArtifactRemoved) else [subject]
        if isinstance(data, RuntimeLoaded | Marked) or (isinstance(data, ArtifactRemoved) and subject is not None):
            if odd := [name for name in named if name not in self.published]:
                raise self._impossible(event, "a published model", f"{odd[0]}")
            if isinstance(data, ModelRetired | ArtifactRemoved) and self.active_id() in named:
                raise self._impossible(event, "a model that is not active", f"{self.active_id()}")
        if isinstance(data, Marked):
            self.marks.add(event)

    def _snapshot_taken(self, event: Event, data: SnapshotTaken, entry: bytes) -> None:
        if data != replace(self.taken(), rows_hash=data.rows_hash and self.rows.hexdigest()):
            raise self._impossible(event, "the state that the entries before it give", "another one")
        self.snapshot = Place(event.position, self.offset_bytes, chain.hash_of(entry))
        self.positions.put_aside(event.position)
        self.rows = RowsHash(data.rows_hash or chain.GENESIS)

    def _take_over(self, event: Event, anchor: Anchor | None) -> None:
        if anchor is not None:
            self.taken_over[anchor.journal_id] = anchor.size
            self.set_aside.append(event)

    def _impossible(self, event: Event, expected: str, got: str) -> JournalDamagedError:
        return JournalDamagedError(
            f"{self.where}: entry {event.position} ({event.type}): expected {expected}, got {got!r}: run verify",
            position=event.position,
        )
