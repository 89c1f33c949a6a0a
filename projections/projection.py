"""A derived file: what it says of itself, and how some of them are brought up to a catalog together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from typing import Protocol

from msgspec import Struct

from eventlog import durable
from eventlog.catalog import Catalog
from eventlog.durable_replacement import Replacement
from eventlog.errors import ModelogError, RefusedError, reason_of
from eventlog.file_state import state_of
from eventlog.journal import Anchor

TREE_HEAD_NOTE = "tree_head.note"
"""The name of the newest signed tree head, which hardly any reader needs more of than whether it is there."""


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
        directory: the one that the file is in.

        locked: holds the lock of that directory; takes `is_needless` by that name, gives and raises what
            `eventlog.locking.locked_directory` does.

        is_needless: looks at the file and says whether there is nothing to be written. Raises ModelogError, OSError.

        content: returns what the file is to be, or its parts; called with the file's lock held. Raises the same.
    """

    directory: str
    locked: Callable[..., AbstractContextManager[bool]]
    is_needless: Callable[[], bool]
    content: Callable[[], bytes | Iterable[bytes]]


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
        directory = writing.directory
        is_needless = (lambda: True) if locked else _at_each_change(projection.where, writing.is_needless)
        held = directory in locked or locks.enter_context(writing.locked(is_needless=is_needless))
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


def _at_each_change(where: str, is_needless: Callable[[], bool]) -> Callable[[], bool]:
    """Return what asks *is_needless* for whoever waits, who asks often: again only where the file has changed."""
    seen: os.stat_result | None = None

    def asked() -> bool:
        nonlocal seen
        with suppress(OSError):
            before, seen = seen, os.lstat(where)
            if before is not None and state_of(before) == state_of(seen):
                return False
        return is_needless()

    return asked


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
