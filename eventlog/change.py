"""
An event in its context: what was active before it and after it, which model it is about, and what seals it.

The rows of the history that people and programs see. Made from the fold, so that they say what the fold says.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from eventlog import chain
from eventlog.catalog import Catalog
from eventlog.events import Data, Event, HistoryReviewed, ModelPublished, ModelRolledBack, RequestRefused, RuntimeLoaded
from eventlog.model import ModelMetadata, published_by
from eventlog.retention_events import ArtifactRemoved, Marked
from eventlog.snapshot import SettingsChanged
from eventlog.training_events import TrainingFailed


class Change(Struct, frozen=True):
    """
    One event and what it changed.

    Attributes:
        before, after: the id of the active model until then and from then on, or None.

        model: the model that the event is about, as it was published, or None.

        clock_went_backwards: its time is before an earlier event's, so one of the two is wrong.

        hash: of the entry, 64 hex: everything up to here hangs on it.
    """

    event: Event
    before: str | None
    after: str | None
    model: ModelMetadata | None
    clock_went_backwards: bool
    hash: str

    @property
    def position(self) -> int:
        """Where the entry stands, 0-based."""
        return self.event.position

    @property
    def reason(self) -> str | None:
        """Why, in the words of whoever did it; of recovered bytes, the mark they bore."""
        reason: str | None = getattr(self.event.data, "reason", None)
        return reason

    @property
    def concerns(self) -> set[str]:
        """The models that the event is about: its subject, what it displaced, what a refused request named."""
        data = self.event.data
        named = {self.event.subject}
        if isinstance(data, ModelPublished | ModelRolledBack):
            named.add(data.displaced)
        elif isinstance(data, RequestRefused):
            named.add(data.wanted.get("model_id"))
        return {model_id for model_id in named if model_id}

    def to_dict(self) -> dict[str, Any]:
        """
        Return the row as JSON values, its keys always the same and in this order.

        `data` is the event's own, as it is stored; `FORMAT.md` says what each type has.
        """
        event, model = self.event, self.model
        return {
            "position": event.position,
            "time": msgspec.to_builtins(event.time),
            "type": event.type,
            "event_id": event.id,
            "actor": event.actor,
            "reason": self.reason,
            "model_id": event.subject,
            "backend": None if model is None else model.backend,
            "before": self.before,
            "after": self.after,
            "clock_went_backwards": self.clock_went_backwards,
            "hash": self.hash,
            "data": msgspec.to_builtins(event.data),
        }

    def summary(self) -> str:
        """Return in a few words what happened beside the active model's change."""
        data = self.event.data
        if isinstance(data, RequestRefused):
            return f"{data.request} refused by {data.rule}: {data.message}"
        if isinstance(data, HistoryReviewed):
            return f"up to position {data.position}"
        if isinstance(data, RuntimeLoaded):
            return f"{self.event.subject} by {data.runtime}"
        return _in_words(data, self.event.subject or "")


def _in_words(data: Data, subject: str) -> str:
    if isinstance(data, ArtifactRemoved):
        return f"{data.size_bytes} bytes of {subject or data.sha256}"
    if isinstance(data, TrainingFailed):
        return f"run {data.training.run_id}: {data.error}"
    if isinstance(data, SettingsChanged):
        return " ".join(f"{name}={value}" for name, value in msgspec.structs.asdict(data.settings).items())
    return subject if isinstance(data, Marked) else ""


def applied(catalog: Catalog, entry: bytes) -> Change:
    """Apply a verified *entry* to *catalog* and return what that changed. Raises as `Catalog.apply`."""
    before = catalog.active_id()
    event = catalog.apply(entry)
    publication = None if event.subject is None else catalog.published.get(event.subject)
    return Change(
        event,
        before,
        catalog.active_id(),
        None if publication is None else published_by(publication, catalog.home),
        catalog.backward is not None and catalog.backward[1] == event.position,
        chain.hash_of(entry),
    )
