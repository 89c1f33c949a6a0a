"""
A catalog that follows its journal, and the check that the journal still is what other files remember of it.

One `Replay` is shared by the registry and the projections, so that each entry is read and folded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import getLogger

from eventlog import chain
from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, ModelogError
from eventlog.journal import FoundAnchor, Journal, Subscriber

_WAYS_ON = (
    "if only journal.head is an old one, run repair --rebuild-head; else restore, or repair --from COPY; "
    "where only an older copy is left, repair --accept-rewind"
)
_log = getLogger("modelog")


class Replay:
    """
    Reads a journal into a catalog; the first time from zero, later from where it stopped.

    Args:
        journal: to read.

        tell: called once with each notice of a reading.
    """

    def __init__(self, journal: Journal, *, tell: Callable[[str], object] = _log.warning) -> None:
        self.journal = journal
        self._tell = tell
        self.catalog = Catalog(journal.where)
        self._told: set[str] = set()

    def catch_up(self) -> Catalog:
        """
        Apply what is new and acknowledged.

        Raises:
            JournalDamagedError, UnsupportedFormatError: the catalog holds what came before that entry.

            RefusedError: the journal cannot be read.
        """
        catalog = self.catalog
        try:
            entries = self.journal.read(max(0, catalog.size - 1))
            if catalog.size and chain.hash_of(next(entries, b"")) != catalog.hash:
                raise JournalDamagedError(
                    f"{self.journal.where}: expected the entry {catalog.size - 1} that was read before, got another "
                    "or none: the journal was rewound or replaced: open the registry anew",
                    position=catalog.size - 1,
                )
            for entry in entries:
                catalog.apply(entry)
        except ModelogError:
            raise
        except BaseException:  # an interrupt may have left an event half applied
            self.catalog = Catalog(self.journal.where)
            raise
        for notice in self.journal.notices():
            if notice.what not in self._told:
                self._told.add(notice.what)
                self._tell(notice.what)
        return catalog

    def settle(self) -> Catalog:
        """
        Fold on until all that is folded survives power loss: confirming may keep entries of an interrupted append.

        Raises as `catch_up`, and RefusedError where the disk does not confirm it.
        """
        size = -1
        while size != self.catalog.size:
            size = self.catalog.size
            self.journal.confirm()
            self.catch_up()
        return self.catalog

    def check_anchors(self, found: Iterable[FoundAnchor]) -> list[FoundAnchor]:
        """
        Compare the journal with what other files remember of it; return those that remember another journal.

        Collect the anchors *before* `catch_up`: a journal only grows, so it then holds all that they say.

        Raises:
            JournalDamagedError: the journal was cut, rewound, rewritten or replaced.
        """
        foreign = []
        for item in found:
            if item.anchor.journal_id == self.catalog.journal_id:
                if not self.catalog.gave_up(item.anchor):
                    self._check(item)
            elif item.binding:
                raise self.lost(item)
            else:
                foreign.append(item)
        return foreign

    def lost(self, item: FoundAnchor) -> JournalDamagedError:
        """Return the error that says that the journal which *item* remembers is not there."""
        got = f"journal {self.catalog.journal_id}" if self.catalog.size else "no entries"
        return JournalDamagedError(
            f"{self.journal.where}: expected journal {item.anchor.journal_id} of {item.anchor.size} entries or more, "
            f"as {item.where} remembers, got {got}: check --registry-dir, or restore a backup"
        )

    def _check(self, item: FoundAnchor) -> None:
        where, anchor = self.journal.where, item.anchor
        if anchor.size > self.catalog.size:
            raise JournalDamagedError(
                f"{where}: expected at least {anchor.size} entries, as {item.where} remembers, "
                f"got {self.catalog.size}: the journal was rewound: {_WAYS_ON}",
                position=self.catalog.size,
                expected=f"{anchor.size} entries",
                actual=f"{self.catalog.size} entries",
            )
        actual = chain.GENESIS
        for entry in self.journal.read(max(0, anchor.size - 1), max(0, anchor.size)):
            actual = chain.hash_of(entry)
        if actual != anchor.hash:
            raise JournalDamagedError(
                f"{where}: entry {anchor.size - 1}: expected hash {anchor.hash}, as {item.where} remembers, "
                f"got {actual}: history was rewritten: {_WAYS_ON}",
                position=anchor.size - 1,
                expected=f"hash {anchor.hash}",
                actual=f"hash {actual}",
            )


def catch_up_all(subscribers: Iterable[Subscriber], *, rebuild: bool = False) -> list[str]:
    """Bring every subscriber up to date, also after one could not be; return why those could not that could not."""
    failures = []
    for subscriber in subscribers:
        try:
            subscriber.catch_up(rebuild=rebuild)
        except (ModelogError, OSError) as error:
            failures.append(str(error))
    return failures
