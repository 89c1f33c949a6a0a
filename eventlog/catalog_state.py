"""What a fold knows after so many entries, without what it takes to go on: see `eventlog.catalog`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from eventlog import chain
from eventlog.errors import RefusedError
from eventlog.event_ids import EventIds, Hashes
from eventlog.events import Event
from eventlog.journal import Anchor
from eventlog.key_events import Standing
from eventlog.lookup import History, Publications
from eventlog.marks import Marks
from eventlog.model import ModelMetadata, published_by
from eventlog.model_rows import RowsHash
from eventlog.snapshot import Activation, Place, Settings, SnapshotTaken

if TYPE_CHECKING:
    from eventlog.rows_beside import RowsBeside

ACTIVE = "active"
"""The one slot of today; several named models would be several slots."""


class CatalogState:
    """
    The state after `size` entries, the last of them with `hash`.

    Attributes:
        journal_id: None before the first entry.

        published: the `model.published` event of each model, by model id, in the order of publication.

        active: the activation that holds each slot; today the one slot `ACTIVE`.

        positions: the position of each event, by event id.

        taken_over: how far a runtime checkpoint had followed another journal when this one took it over, by that
            journal's id.

        given_up: what anchors of this journal said that a person knowingly gave up, as size and hash.

        set_aside: the events by which a person knowingly set an anchor aside, as far as they were folded: rewinds, and
            requests that took over.

        latest_time: the latest time of any event, or None.

        backward: the first and last position whose time is before an earlier one's, and how many there are, or None.

        keys: when each key could sign tree heads, by public key, in the order in which they were added.

        rows: the hash of the models' rows.

        beside: the rows of a file that are compared with them; None for none.

        offset_bytes, snapshot: of all entries with their newlines; where the newest snapshot stands, or None.

        settings: how the registry behaves where a request does not say.

        marks: which models are retired or held.

    Args:
        where: the journal's path, for messages.

        home: the registry's directory, below which the artifacts are that it keeps; None where there is none.

        history: finds what was folded before, of which only the newest is kept; without it all is.

        keep_ids: keep all event ids, so that each is compared at once; else those far apart are in `check_ids`.
    """

    def __init__(
        self,
        where: str = "journal",
        history: History | None = None,
        *,
        keep_ids: bool = False,
        home: str | None = None,
    ) -> None:
        self.where, self.home = where, home
        self.journal_id: str | None = None
        self.size = 0
        self.hash = chain.GENESIS
        self.published = Publications(history)
        self.active: dict[str, Activation] = {}
        self.positions = EventIds(history, keep=keep_ids)
        self.taken_over: dict[str, int] = {}
        self.given_up: set[tuple[int, str]] = set()
        self.set_aside: list[Event] = []
        self.latest_time: datetime | None = None
        self.backward: tuple[int, int, int] | None = None
        self.keys: dict[str, Standing] = {}
        self.rows = RowsHash()
        self.beside: RowsBeside | None = None
        self.offset_bytes = 0
        self.snapshot: Place | None = None
        self.settings = Settings()
        self.marks = Marks(history)

    def taken(self) -> SnapshotTaken:
        """Return the event that says what the state is now, after at least one entry."""
        assert self.latest_time is not None, "it has the time of its first entry"
        return SnapshotTaken(
            offset_bytes=self.offset_bytes,
            models=len(self.published),
            newest=sorted(self.published.newest),
            active=self.active,
            latest_time=self.latest_time,
            disordered=not self.published.in_order,
            backward=self.backward,
            keys=list(self.keys.values()),
            taken_over=self.taken_over,
            given_up=sorted(self.given_up),
            previous=self.snapshot,
            rows_hash=self.rows.hexdigest(),
            settings=None if self.settings == Settings() else self.settings,
            marks=self.marks.count,
        )

    def begin(self, journal_id: str, position: int, prev: str, data: SnapshotTaken, ids: Hashes | None = None) -> None:
        """
        Begin, or go on, with the state that a snapshot tells; its own entry comes next.

        Args:
            position: where the snapshot stands.

            prev: the hash of the entry before it.

            ids: the hashes of event ids that those to come are compared with in the end; None for no comparison.
        """
        self.journal_id, self.size, self.hash, self.offset_bytes = journal_id, position, prev, data.offset_bytes
        self.published.begin(position, data.models, data.newest, in_order=not data.disordered)
        self.positions.begin(position, ids)
        self.rows = RowsHash(known=data.rows_hash)
        self.active = dict(data.active)
        self.latest_time, self.backward = data.latest_time, data.backward
        self.keys = {standing.data.key: standing for standing in data.keys}
        self.taken_over = dict(data.taken_over)
        self.given_up = set(data.given_up)
        self.snapshot = data.previous
        self.settings = data.settings or Settings()
        self.marks.begin(position, data.marks)

    def anchor(self) -> Anchor | None:
        """Return what another file should remember of this journal; None before the first entry."""
        return None if self.journal_id is None else Anchor(self.journal_id, self.size, self.hash)

    def covers(self, anchor: Anchor) -> bool:
        """Say whether *anchor*, of another journal, is no further than what was taken over from it."""
        return anchor.size <= self.taken_over.get(anchor.journal_id, -1)

    def gave_up(self, anchor: Anchor) -> bool:
        """Say whether *anchor*, of this journal, speaks of entries that a person knowingly gave up."""
        return anchor.journal_id == self.journal_id and (anchor.size, anchor.hash) in self.given_up

    def active_id(self) -> str | None:
        """Return the id of the active model, or None."""
        activation = self.active.get(ACTIVE)
        return None if activation is None else activation.model_id

    def publication(self, model_id: str) -> Event:
        """Return the event that published a model. Raises RefusedError where there is none."""
        found = self.published.get(model_id)  # once: an older one is looked for in the journal
        if found is None:
            raise RefusedError(f"{self.where}: expected a published model, got {model_id!r}: see list")
        return found

    def model(self, model_id: str) -> ModelMetadata:
        """Return the six attributes of a published model. Raises KeyError where there is none."""
        return published_by(self.published[model_id], self.home)
