"""
THE fold: which models exist and which one is active after N events. Pure; nothing else interprets history.

    >>> catalog = Catalog()
    >>> catalog.size, catalog.active
    (0, {})
"""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog import artifacts, chain, codec, keys, signed_note
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import (
    Event,
    HistoryReviewed,
    JournalCreated,
    JournalRewound,
    KeyAdded,
    KeyRevoked,
    ModelPublished,
    ModelRolledBack,
)
from eventlog.journal import Anchor
from eventlog.keys import Standing

ACTIVE = "active"
"""The one slot of today; several named models would be several slots."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(time: datetime) -> int:
    """Return an aware time as microseconds since 1970, exactly; UTC has no leap seconds here."""
    return (time - _EPOCH) // _MICROSECOND


class ModelMetadata(Struct, frozen=True):
    """
    The six attributes of a published model.

    Attributes:
        model_id: `<UTC timestamp>_<first 8 hex of sha256>`.

        backend: what runs it, in the publisher's words.

        artifact_path: absolute; may hold surrogate escapes (PEP 383), so that it can be opened.

        sha256: of the artifact when it was published, 64 hex.

        created_at: when it was published, UTC.

        dataset_metadata: JSON about the data it was trained on.
    """

    model_id: str
    backend: str
    artifact_path: str
    sha256: str
    created_at: datetime
    dataset_metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the six attributes as JSON values; `created_at` in ISO 8601, odd bytes of the path spelled out."""
        return {
            "model_id": self.model_id,
            "backend": self.backend,
            "artifact_path": artifacts.path_to_text(self.artifact_path)[0],
            "sha256": self.sha256,
            "created_at": msgspec.to_builtins(self.created_at),
            "dataset_metadata": self.dataset_metadata,
        }


class Activation(Struct, frozen=True):
    """That a model became active: by which event, when, by whom, why, and which one it displaced."""

    model_id: str
    position: int
    time: datetime
    actor: str
    reason: str | None
    displaced: str | None


class Catalog:
    """
    The state after `size` entries, the last of them with `hash`.

    Attributes:
        journal_id: None before the first entry.

        published: the `model.published` event of each model, by model id, in the order of publication.

        active: the activation that holds each slot; today the one slot `ACTIVE`.

        displacements: the latest activation of another model that displaced this one, by model id; not of active ones.

        positions: the position of each event, by event id.

        taken_over: how far a runtime checkpoint had followed another journal when this one took it over, by that
            journal's id.

        given_up: what anchors of this journal said that a person knowingly gave up, as size and hash.

        set_aside: the events by which a person knowingly set an anchor aside: rewinds, and requests that took over.

        latest_time: the latest time of any event, or None.

        times: the time of each event, by position, in microseconds since 1970.

        backward: positions whose time is before the latest one until then: some clock went backwards.

        keys: when each key could sign tree heads, by public key, in the order in which they were added.

        reviewed: the latest event by which a person said to have examined the history, or None.
    """

    def __init__(self, where: str = "journal") -> None:
        self.where = where
        self.journal_id: str | None = None
        self.size = 0
        self.hash = chain.GENESIS
        self.published: dict[str, Event] = {}
        self.active: dict[str, Activation] = {}
        self.displacements: dict[str, Activation] = {}
        self.positions: dict[str, int] = {}
        self.taken_over: dict[str, int] = {}
        self.given_up: set[tuple[int, str]] = set()
        self.set_aside: list[Event] = []
        self.latest_time: datetime | None = None
        self.times: array[int] = array("q")
        self.backward: list[int] = []
        self.keys: dict[str, Standing] = {}
        self.reviewed: Event | None = None

    def apply(self, entry: bytes) -> Event:
        """
        Go on by one verified entry; return its event.

        Raises:
            JournalDamagedError: it cannot follow what happened before. The catalog is as it was.

            UnsupportedFormatError: a newer program wrote it. The catalog is as it was.
        """
        event = codec.decode(entry, self.size, self.journal_id, self.where)
        if event.id in self.positions:
            raise self._impossible(event, "an id of its own", f"the id of entry {self.positions[event.id]}")
        if isinstance(event.data, ModelPublished):
            self._model_published(event, event.data)
        elif isinstance(event.data, ModelRolledBack):
            self._model_rolled_back(event, event.data)
        elif isinstance(event.data, JournalCreated):
            self.journal_id = event.data.journal_id
        elif isinstance(event.data, JournalRewound):
            self.given_up.update((item.size, item.hash) for item in event.data.remembered)
            self.set_aside.append(event)
        elif isinstance(event.data, HistoryReviewed):
            if not 0 <= event.data.position < event.position:
                raise self._impossible(event, f"a position from 0 to {event.position - 1}", f"{event.data.position}")
            self.reviewed = event
        elif isinstance(event.data, KeyAdded | KeyRevoked):
            self._key_changed(event, event.data)
        self.positions[event.id] = event.position
        if self.latest_time is not None and event.time < self.latest_time:
            self.backward.append(event.position)
        else:
            self.latest_time = event.time
        self.times.append(microseconds(event.time))
        self.size += 1
        self.hash = chain.hash_of(entry)
        return event

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

    def model(self, model_id: str) -> ModelMetadata:
        """Return the six attributes of a published model. Raises KeyError where there is none."""
        event = self.published[model_id]
        assert isinstance(event.data, ModelPublished), "only these are in `published`"
        return model_of(model_id, event.data, event.time)

    def _model_published(self, event: Event, data: ModelPublished) -> None:
        model_id = event.subject or ""
        try:
            artifacts.path_from_text(data.artifact_path, data.artifact_path_hex)
        except ValueError:
            raise self._impossible(event, "the path's bytes in hex", f"{data.artifact_path_hex}") from None
        if model_id in self.published:
            raise self._impossible(event, "a new model id", f"{model_id} again")
        self._activate(event, model_id, data)
        self.published[model_id] = event
        self._take_over(event, data.took_over)

    def _model_rolled_back(self, event: Event, data: ModelRolledBack) -> None:
        model_id = event.subject or ""
        if model_id not in self.published:
            raise self._impossible(event, "a published model", model_id)
        self._activate(event, model_id, data)
        self._take_over(event, data.took_over)

    def _activate(self, event: Event, model_id: str, data: ModelPublished | ModelRolledBack) -> None:
        if data.displaced != self.active_id():
            raise self._impossible(event, f"{self.active_id()} as displaced model", f"{data.displaced}")
        activation = Activation(model_id, event.position, event.time, event.actor, data.reason, data.displaced)
        self.active[ACTIVE] = activation
        self.displacements.pop(model_id, None)
        if data.displaced not in (None, model_id):
            self.displacements[data.displaced] = activation

    def _key_changed(self, event: Event, data: KeyAdded | KeyRevoked) -> None:
        standing = self.keys.get(data.key)
        if isinstance(data, KeyAdded):
            try:
                for spelled in filter(None, (data.key, data.endorsed_by)):
                    keys.check_kind(signed_note.parse_public_key(spelled, "key"))
            except RefusedError as error:
                raise self._impossible(event, "a public key", str(error)) from None
            if standing is not None:
                raise self._impossible(event, "a new key", data.key)
            self.keys[data.key] = Standing(event.position, data)
        elif standing is None or standing.revoked is not None:
            raise self._impossible(event, "a key that may sign", data.key)
        else:
            self.keys[data.key] = replace(standing, revoked=event.position)

    def _take_over(self, event: Event, anchor: Anchor | None) -> None:
        if anchor is not None:
            self.taken_over[anchor.journal_id] = anchor.size
            self.set_aside.append(event)

    def _impossible(self, event: Event, expected: str, got: str) -> JournalDamagedError:
        return JournalDamagedError(
            f"{self.where}: entry {event.position} ({event.type}): expected {expected}, got {got!r}: run verify",
            position=event.position,
        )


def model_of(model_id: str, data: ModelPublished, time: datetime) -> ModelMetadata:
    """Return the six attributes of the model that *data*, recorded at *time*, is about."""
    return ModelMetadata(
        model_id,
        data.backend,
        artifacts.path_from_text(data.artifact_path, data.artifact_path_hex),
        data.sha256,
        time,
        data.dataset_metadata,
    )
