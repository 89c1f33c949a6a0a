"""
journal → `metadata.active_model` in the runtime checkpoint, and nothing else in it.

*Decision: it names the path that a runtime on this machine can open.* That is the registry's own copy where it has one,
also of a model that was published by its path on another machine and came here in a bundle or from a store; else the
path that was published. What the registry keeps may come and go, so an audit takes either; whoever writes, writes the
former.
"""

import os
from collections.abc import Callable

import msgspec
from msgspec import Struct

from eventlog import durable
from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.errors import RefusedError
from eventlog.events import Event
from eventlog.journal import Anchor
from eventlog.model import ModelMetadata, published_by, published_here
from projections.projection import Stored, Writing, is_due
from projections.runtime_state import RuntimeStateManager


class _Journal(Struct):
    id: str
    size: int
    hash: str


class _ActiveModel(Struct):
    """The part of the value that says how far it has got; a runtime's own value has none."""

    journal: _Journal | None = None


class RuntimeCheckpointProjection:
    """The projection into a runtime checkpoint; see `projections.projection.Projection`."""

    binding = False
    forget = "take metadata.active_model out of it"

    def __init__(self, manager: RuntimeStateManager) -> None:
        self._manager = manager
        self.where = manager.where

    def anchor(self) -> Anchor | None:
        """Return how far the file has got."""
        return self.stored().anchor

    def may_lag(self, applied: Anchor, catalog: Catalog) -> bool:
        """Never: the runtime acts on it."""
        return False

    def stored(self) -> Stored:
        """Read the file; it has no anchor where the runtime wrote the active model itself, or nobody did."""
        with durable.refusing(self.where):
            value = self._manager.active_model()
        return Stored(_anchor(value), lambda catalog: _is(value, render(catalog)) or _is(value, as_published(catalog)))

    def writing(self, catalog: Catalog, *, rebuild: bool) -> Writing | None:
        """
        Say how the active model is brought up to *catalog*, never back behind what is there.

        A file that follows another journal is refused, unless an event says that this one took it over.
        """
        value = render(catalog)
        if value is None:
            return None

        def is_needless() -> bool:
            stored = self._manager.active_model()
            anchor = _anchor(stored)
            if anchor is None or anchor.journal_id == catalog.journal_id:
                is_another = anchor is not None and anchor.size == catalog.size and not _is(stored, value)
                return not is_another and not is_due(anchor, catalog, rebuild=rebuild)
            if not catalog.covers(anchor):
                raise RefusedError(
                    f"{self.where}: expected one that follows journal {catalog.journal_id}, "
                    f"got {anchor.journal_id}: check --state-dir, or publish with --take-over"
                )
            return False

        directory = os.path.dirname(self.where)
        return Writing(directory, self._manager.locked, is_needless, lambda: self._manager.with_active_model(value))


def render(catalog: Catalog) -> bytes | None:
    """Return `metadata.active_model` as JSON: the six attributes, `activated_at`, `journal`; None if none is active."""
    return _rendered(catalog, published_here)


def as_published(catalog: Catalog) -> bytes | None:
    """Return the same with the path that was published, also where the registry has the artifact itself."""
    return _rendered(catalog, published_by)


def _rendered(catalog: Catalog, model_of: Callable[[Event, str | None], ModelMetadata]) -> bytes | None:
    activation, anchor = catalog.active.get(ACTIVE), catalog.anchor()
    if activation is None or anchor is None:
        return None
    return msgspec.json.encode(
        {
            **model_of(catalog.published[activation.model_id], catalog.home).to_dict(),
            "activated_at": activation.time,
            "journal": {"id": anchor.journal_id, "size": anchor.size, "hash": anchor.hash},
        }
    )


def _anchor(value: msgspec.Raw | None) -> Anchor | None:
    try:
        journal = None if value is None else msgspec.json.decode(value, type=_ActiveModel).journal
    except (msgspec.MsgspecError, ValueError):
        return None
    return None if journal is None else Anchor(journal.id, journal.size, journal.hash)


def _is(value: msgspec.Raw | None, wanted: bytes | None) -> bool:
    """Say whether the active model is the one that is wanted; the white space is the runtime's affair."""
    if wanted is None:
        return True
    return value is not None and msgspec.json.decode(value) == msgspec.json.decode(wanted)
