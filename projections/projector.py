"""Keeps files derived from the journal up to date; the one subscriber that the registry needs to know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Protocol

from msgspec import Struct

from eventlog import durable
from eventlog.catalog import Catalog
from eventlog.durable_replacement import Replacement
from eventlog.errors import ModelogError, RefusedError, reason_of
from eventlog.journal import Anchor, FoundAnchor
from eventlog.replay import Replay

ON_ITS_WAY_SECONDS = 1.0
"""How long after an event a derived file may lag before it counts as behind."""

TREE_HEAD_NOTE = "tree_head.note"
"""The name of the newest signed tree head, which hardly any reader needs more of than whether it is there."""

_PAUSE_SECONDS = 0.01


class Stored(Struct, frozen=True):
    """
    What a look at a derived file found.

    Attributes:
        anchor: how far the file has got, or None where it says nothing.

        agrees: whether the file is what a catalog gives; may look again.
    """

    anchor: Anchor | None
    agrees: Callable[[Catalog], bool]


class Writing(Struct, frozen=True):
    """
    How a derived file is brought up to a catalog, never back behind what it holds.

    Attributes:
        is_needless: looks at the file and says whether there is nothing to be written. Raises ModelogError, OSError.

        content: returns what the file is to be, or its parts; called with the file's lock held. Raises the same.
    """

    is_needless: Callable[[], bool]
    content: Callable[[], bytes | Iterable[bytes]]


class Lag(Struct, frozen=True):
    """How many entries the derived file *where* has not got to, and whether these are more than it may lack."""

    where: str
    entries: int
    behind: bool


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

    @property
    def forget(self) -> str:
        """What a person does to the file so that it says nothing of a journal any more; it is then rebuilt."""
        ...

    def anchor(self) -> Anchor | None:
        """Return how far the file has got, or None where it says nothing; reads little. Raises RefusedError."""
        ...

    def stored(self) -> Stored:
        """Look at the file. Raises RefusedError."""
        ...

    def may_lag(self, applied: Anchor, catalog: Catalog) -> bool:
        """Say whether a file that has got as far as *applied* is near enough to *catalog* to be left as it is."""
        ...

    @property
    def directory(self) -> str:
        """The directory that the file is in."""
        ...

    def locked(self, is_needless: Callable[[], bool]) -> AbstractContextManager[bool]:
        """Hold the lock of that directory; gives, and raises, what `eventlog.locking.locked_directory` does."""
        ...

    def writing(self, catalog: Catalog, *, rebuild: bool) -> Writing | None:
        """Say how the file is brought up to *catalog*; None where it has nothing for it. Looks at no such file."""
        ...


def is_due(applied: Anchor | None, catalog: Catalog, *, rebuild: bool) -> bool:
    """
    Say whether a file that has got as far as *applied* is to be written.

    One that is ahead of *catalog* never is, but for one that speaks of entries which a person knowingly gave up.
    """
    if applied is None or catalog.gave_up(applied):
        return True
    return applied.size < catalog.size or (rebuild and applied.size == catalog.size)


def write_all(projections: Sequence[Projection], catalog: Catalog, *, rebuild: bool = False) -> None:
    """
    Bring the files of *projections* up to *catalog*, each at once; all together, because the disk is quicker then.

    Of many who want to, whoever comes while another one has done it already need not wait for its turn. Nobody waits
    for a lock while he has another one: what somebody else is busy with comes when the rest is done.

    Raises:
        RefusedError: why some could not be written. These are as they were, and all others are written.
    """
    failures: list[str] = []
    wanted = [(projection, projection.writing(catalog, rebuild=rebuild)) for projection in projections]
    left = [(projection, writing) for projection, writing in wanted if writing is not None]
    while left:
        left = _write_together(left, failures)
    if failures:
        raise RefusedError("; ".join(failures))


def _write_together(
    wanted: Sequence[tuple[Projection, Writing]], failures: list[str]
) -> list[tuple[Projection, Writing]]:
    """Write what is wanted but what somebody else is busy with, which is returned; add to *failures*."""
    later: list[tuple[Projection, Writing]] = []
    new: dict[str, Replacement] = {}
    locked: set[str] = set()

    def begin(projection: Projection, writing: Writing) -> None:
        directory = projection.directory
        is_needless = (lambda: True) if locked else writing.is_needless
        held = directory in locked or locks.enter_context(projection.locked(is_needless))
        if held:
            locked.add(directory)
        if writing.is_needless():
            durable.sync_directory(directory)  # whoever wrote it may have died before it did
        elif held:
            new[projection.where] = Replacement(projection.where, writing.content())
            new[projection.where].begin()
        else:
            later.append((projection, writing))

    with ExitStack() as locks:
        try:
            for projection, writing in wanted:
                _is_done(partial(begin, projection, writing), projection.where, failures)
            for step in (Replacement.sync, Replacement.rename, Replacement.sync_name):
                for where, replacement in list(new.items()):
                    if not _is_done(partial(step, replacement), where, failures):
                        new.pop(where).give_up()
        except BaseException:
            for replacement in new.values():
                replacement.give_up()
            raise
    return later


def _is_done(step: Callable[[], object], where: str, failures: list[str]) -> bool:
    """Take a step and say whether that could be done; add to *failures* why not."""
    try:
        step()
    except ModelogError as error:
        failures.append(str(error))
    except (OSError, MemoryError) as error:
        failures.append(f"{where}: {reason_of(error) if isinstance(error, OSError) else 'out of memory'}")
    else:
        return True
    return False


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
