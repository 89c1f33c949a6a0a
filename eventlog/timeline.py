"""Which model was active from when to when, and what that says of one model or between two moments. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.change import Change
from eventlog.events import ModelPublished, ModelRolledBack
from eventlog.model import ModelMetadata


class Stretch(Struct, frozen=True):
    """
    A model was active from the event *began* up to the event *ended*, or is so still.

    The stretches of a journal follow one another without a gap.
    """

    model_id: str
    began: Change
    ended: Change | None = None

    @property
    def displaced_by(self) -> str | None:
        """The model that became active instead, or None."""
        return None if self.ended is None else self.ended.after

    def to_dict(self) -> dict[str, Any]:
        """Return the stretch as JSON values, its keys always the same and in this order."""
        return {
            "model_id": self.model_id,
            "how": self.began.event.type,
            **_told("from", self.began),
            "displaced": self.began.before,
            **_told("until", self.ended),
            "displaced_by": self.displaced_by,
        }


class Blame(Struct, frozen=True):
    """
    What the history says of one model.

    Attributes:
        published: by whom, when and why.

        stretches: when it was active; the first begins with its publication, each later one with a rollback.
    """

    model: ModelMetadata
    active: bool
    published: Change
    stretches: list[Stretch]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, its keys always the same and in this order."""
        return {
            **self.model.to_dict(),
            "active": self.active,
            "published": self.published.to_dict(),
            "stretches": [stretch.to_dict() for stretch in self.stretches],
        }


class State(Struct, frozen=True):
    """The registry at one moment: how many entries there were, the hash of the last, and what was active."""

    size: int
    hash: str
    active_model_id: str | None
    models: int


class Difference(Struct, frozen=True):
    """
    What changed between two moments.

    Attributes:
        changes: the events after *earlier*, up to and with *later*.
    """

    earlier: State
    later: State
    published: list[str]
    changes: list[Change]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, its keys always the same and in this order."""
        return {
            "from": msgspec.to_builtins(self.earlier),
            "to": msgspec.to_builtins(self.later),
            "active_changed": self.earlier.active_model_id != self.later.active_model_id,
            "published": self.published,
            "changes": [change.to_dict() for change in self.changes],
        }


def stretches(changes: Iterable[Change]) -> Iterator[Stretch]:
    """Yield when which model was active, in order; *changes* begin with the first entry."""
    began: Change | None = None
    for change in changes:
        if not isinstance(change.event.data, ModelPublished | ModelRolledBack) or change.after is None:
            continue
        if began is not None and began.after is not None:
            yield Stretch(began.after, began, change)
        began = change
    if began is not None and began.after is not None:
        yield Stretch(began.after, began)


def state_of(catalog: Catalog) -> State:
    """Return the state of a catalog in short."""
    return State(catalog.size, catalog.hash, catalog.active_id(), len(catalog.published))


def _told(what: str, change: Change | None) -> dict[str, Any]:
    """Return where, when, by whom and why, or null for each."""
    if change is None:
        return {f"{what}_{name}": None for name in ("position", "time", "actor", "reason")}
    return {
        f"{what}_position": change.position,
        f"{what}_time": msgspec.to_builtins(change.event.time),
        f"{what}_actor": change.event.actor,
        f"{what}_reason": change.reason,
    }
