"""Keeps files derived from the journal up to date; the one subscriber that the registry needs to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.errors import ModelogError, RefusedError
from eventlog.journal import Anchor, FoundAnchor
from eventlog.replay import Replay
from projections.projection import Projection, write_all

ON_ITS_WAY_SECONDS = 1.0
"""How long after an event a derived file may lag before it counts as behind."""

_PAUSE_SECONDS = 0.01


class Lag(Struct, frozen=True):
    """How many entries the derived file *where* has not got to, and whether these are more than it may lack."""

    where: str
    entries: int
    behind: bool


class Projector:
    """A subscriber that writes every projection from the shared fold."""

    def __init__(self, replay: Replay, projections: Sequence[Projection]) -> None:
        self._replay = replay
        self._projections = projections

    def files(self) -> list[str]:
        """Return the projections' files."""
        return [projection.where for projection in self._projections]

    def anchors(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[FoundAnchor]:
        """Return what the projections say of the journal."""
        found = []
        for projection in self._projections:
            try:
                anchor = projection.anchor()
            except RefusedError as error:
                if unreadable is None:
                    raise
                unreadable(error)
                continue
            if anchor is not None:
                found.append(FoundAnchor(projection.where, anchor, projection.binding, projection.forget))
        return found

    def lags(self) -> list[Lag]:
        """Say how far each file lags behind the shared fold; one that cannot be read, or tells nothing, lacks all."""
        catalog = self._replay.catalog
        found = []
        for projection in self._projections if catalog.size else ():
            try:
                stored = projection.stored()
                if stored.anchor is None and stored.agrees(catalog):
                    continue  # there is nothing to be written, as where nobody signs
                anchor = stored.anchor
            except RefusedError:
                anchor = None
            if anchor is None or anchor.journal_id != catalog.journal_id or catalog.gave_up(anchor):
                found.append(Lag(projection.where, catalog.size, behind=True))
                continue
            missing = max(0, catalog.size - anchor.size)
            found.append(Lag(projection.where, missing, missing > 0 and not projection.may_lag(anchor, catalog)))
        return found

    def catch_up(self, *, rebuild: bool = False) -> None:
        """Write every projection, also after one could not be written; then raise what went wrong."""
        catalog = self._replay.catalog
        if catalog.size:
            write_all(self._projections, catalog, rebuild=rebuild)

    def audit(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[str]:
        """Return how the projections differ from the journal as it is folded so far, or from what it has become."""
        if self._replay.catalog.size == 0:
            return []
        found = []
        for projection in self._projections:
            try:
                found.append(self._difference(projection))
            except RefusedError as error:
                if unreadable is None:
                    found.append(str(error))
                else:
                    unreadable(error)
        return [line for line in found if line is not None]

    def _difference(self, projection: Projection) -> str | None:
        """Compare a file with the fold of as many entries as it has got to; give one that is on its way a moment."""
        while True:
            stored, catalog = projection.stored(), self._replay.catalog
            anchor = stored.anchor
            ours = anchor is not None and anchor.journal_id == catalog.journal_id
            if anchor is not None and ours and anchor.size > catalog.size:
                catalog = self._replay.catch_up(anchor.size)
            if anchor is not None and ours and anchor.size < catalog.size and projection.may_lag(anchor, catalog):
                catalog = self._replay.at(anchor.size)
            if stored.agrees(catalog):
                return None
            if projection.anchor() != anchor:
                continue  # it was replaced meanwhile
            behind = anchor is None or (ours and anchor.size < catalog.size)
            if not (behind and is_young(catalog)):
                return _words(projection.where, anchor, catalog)
            time.sleep(_PAUSE_SECONDS)


def is_young(catalog: Catalog) -> bool:
    """Say whether whoever wrote the newest entry may still be busy with the derived files."""
    return catalog.latest_time is not None and 0 <= time.time() - catalog.latest_time.timestamp() < ON_ITS_WAY_SECONDS


def _words(where: str, anchor: Anchor | None, catalog: Catalog) -> str:
    if anchor is None:
        return f"{where}: missing, or has nothing of the journal: run rebuild"
    if anchor.size != catalog.size:
        return f"{where}: expected {catalog.size} entries applied, got {anchor.size}: run rebuild"
    return f"{where}: differs from what the journal says: run rebuild"
