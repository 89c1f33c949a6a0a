"""Keeps files derived from the journal up to date; the one subscriber that the registry needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventlog.catalog import Catalog
from eventlog.errors import ModelogError, RefusedError, reason_of
from eventlog.journal import Anchor, FoundAnchor
from eventlog.replay import Replay


class Projection(Protocol):
    """One derived file. Deleted, it comes back with the same bytes; stale, it says how far it has got."""

    @property
    def where(self) -> str:
        """The file's path."""
        ...

    @property
    def binding(self) -> bool:
        """Whether the file can only belong to the journal beside it."""
        ...

    def applied(self) -> Anchor | None:
        """Return how far the file has got, or None where it says nothing. Raises RefusedError. Reads only."""
        ...

    def write(self, catalog: Catalog, *, rebuild: bool) -> None:
        """
        Bring the file up to *catalog* at once, where `is_due` says so.

        Raises:
            ModelogError, OSError: could not; the file is as it was.
        """
        ...

    def agrees(self, catalog: Catalog) -> bool:
        """Say whether the file is what *catalog* gives. Raises RefusedError. Reads only."""
        ...


def is_due(applied: Anchor | None, catalog: Catalog, *, rebuild: bool) -> bool:
    """
    Say whether a file that has got as far as *applied* is to be written.

    One that is ahead of *catalog* never is, but for one that speaks of entries which a person knowingly gave up.
    """
    if applied is None or catalog.gave_up(applied):
        return True
    return applied.size < catalog.size or (rebuild and applied.size == catalog.size)


class Projector:
    """A subscriber that writes every projection from the shared fold."""

    def __init__(self, replay: Replay, projections: Sequence[Projection]) -> None:
        self._replay = replay
        self._projections = projections

    def anchors(self) -> list[FoundAnchor]:
        """Return what the projections say of the journal."""
        pairs = [(projection, projection.applied()) for projection in self._projections]
        return [
            FoundAnchor(projection.where, anchor, projection.binding)
            for projection, anchor in pairs
            if anchor is not None
        ]

    def catch_up(self, *, rebuild: bool = False) -> None:
        """Write every projection, also after one could not be written; then raise what went wrong."""
        catalog = self._replay.catalog
        failures = []
        for projection in self._projections if catalog.size else ():
            try:
                projection.write(catalog, rebuild=rebuild)
            except ModelogError as error:
                failures.append(str(error))
            except (OSError, MemoryError) as error:
                reason = reason_of(error) if isinstance(error, OSError) else "out of memory"
                failures.append(f"{projection.where}: {reason}")
        if failures:
            raise RefusedError("; ".join(failures))

    def audit(self) -> list[str]:
        """Return how the projections differ from the catalog as it is folded so far."""
        if self._replay.catalog.size == 0:
            return []
        return [self._difference(item) for item in self._projections if not item.agrees(self._replay.catalog)]

    def _difference(self, projection: Projection) -> str:
        size, applied = self._replay.catalog.size, projection.applied()
        if applied is None:
            return f"{projection.where}: missing, or has nothing of the journal: run rebuild"
        if applied.size != size:
            return f"{projection.where}: expected {size} entries applied, got {applied.size}: run rebuild"
        return f"{projection.where}: differs from what the journal says: run rebuild"
