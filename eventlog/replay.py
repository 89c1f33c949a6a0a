"""
A catalog that follows its journal.

One `Replay` is shared by the registry and the projections, so that each entry is read and folded once.

*Decision: whoever changes the catalog says so before and afterwards.* An interrupt (Ctrl-C, no memory left) may come
between any two of the steps that an event takes. A process that goes on with what it left would decide on a state that
never was, and write that down. So what was begun and not ended is thrown away, and folded anew from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eventlog import chain, codec
from eventlog.catalog import Catalog
from eventlog.change import Change, applied
from eventlog.errors import JournalDamagedError, ModelogError
from eventlog.journal import Journal, Subscriber
from eventlog.log import log
from eventlog.model_rows import Take, none_claimed
from eventlog.past import SNAPSHOT_MARK, Past
from eventlog.snapshot import SnapshotTaken

if TYPE_CHECKING:
    from eventlog.rows_beside import RowsBeside

_RESUMED_AT_ONCE = 64
"""Entries; more at once would take more memory, and no less time."""


class Replay:
    """
    Reads a journal into a catalog; the first time from zero, later from where it stopped.

    Args:
        journal: to read.

        tell: called once with each notice of a reading.

        whole: begin at zero, whatever snapshots there are.

        processes: how many may share a long journal that is read from zero, 1 or 2.

        piecemeal: the fold from zero is read a piece at a time, and each piece shown before the next is read; so ids
            are compared one by one, at 100 bytes each.

        claimed_rows, home: as `eventlog.past.Past` and `eventlog.catalog_state.CatalogState` take them.

        beside: compares the rows of a file with those of the first fold, which is from zero.

    Attributes:
        past: finds again what was folded.

        half_changed: an interrupt came while the catalog was being changed, so it says nothing.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        tell: Callable[[str], object] = log.warning,
        whole: bool = False,
        processes: int = 1,
        piecemeal: bool = False,
        claimed_rows: Callable[[], Take] = none_claimed,
        home: str | None = None,
        beside: RowsBeside | None = None,
    ) -> None:
        self.journal, self.home, self._claimed_rows = journal, home, claimed_rows
        self.past = Past(journal, lambda: self.catalog, claimed_rows)
        self._whole = whole
        self._processes = processes
        self._piecemeal = piecemeal
        self._tell = tell
        self.catalog = self._nothing_yet()
        self.catalog.beside = beside
        self._told: set[str] = set()
        self.half_changed = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let the catalog be changed, after what an interrupt left half changed was thrown away."""
        if self.half_changed:
            self.forget()
        self.half_changed = True
        try:
            yield
        except ModelogError:  # what raises one has changed all of it or nothing
            self.half_changed = False
            raise
        self.half_changed = False

    def catch_up(self, stop: int | None = None, told: Callable[[Change], object] | None = None) -> Catalog:
        """
        Apply what is new and acknowledged, all of it or up to *stop* entries.

        Args:
            stop: a size.

            told: called with each entry that is applied, before the last word on the journal is spoken.

        Raises:
            JournalDamagedError, UnsupportedFormatError: the catalog holds what came before that entry.

            RefusedError: the journal cannot be read.
        """
        with self.changing():
            self._read_on(stop, told)
            if stop is None:
                self._check_ids()
                self.journal.vouch(self.catalog.size)
        notices = self.journal.notices()
        self._told &= {notice.what for notice in notices}  # what is over is told again where it comes back
        for notice in notices:
            if notice.what not in self._told:
                self._told.add(notice.what)
                self._tell(notice.what)
        return self.catalog

    def _read_on(self, stop: int | None, told: Callable[[Change], object] | None) -> None:
        """Apply what is new; arguments and errors as of `catch_up`."""
        if self.catalog.size == 0 and stop is None and told is None and not self._whole:
            self._resume()
        if stop is None:
            self.journal.refresh()
        catalog = self.catalog
        try:
            if catalog.size == 0 and stop is None and told is None and self._processes > 1:
                self._fold_in_two(catalog)
            for entries in self._unread(stop):
                if told is None:
                    catalog.apply_run(entries)
                    self.past.note(catalog.size, entries)
                else:
                    for entry in entries:
                        told(applied(catalog, entry))
        except ModelogError:
            self._check_ids()
            raise

    def at(self, size: int) -> Catalog:
        """Return the state after the first *size* of the entries that are folded already. Raises as `catch_up`."""
        if size == self.catalog.size:
            return self.catalog
        earlier, found = self._nothing_yet(), self.past.snapshot_before(size)
        if found is not None and self.catalog.journal_id is not None:
            earlier.begin(self.catalog.journal_id, *found)
        for entries in self.past.runs(earlier.size, size):
            earlier.apply_run(entries)
        return earlier

    def leaves(self, size: int) -> list[bytes]:
        """Return the leaf hashes of the first *size* entries, for the Merkle tree. Raises as `catch_up`."""
        from eventlog import tree  # noqa: PLC0415 - only whoever signs or proves

        return [tree.leaf_hash(entry) for entries in self.past.runs(0, size) for entry in entries]

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

    def forget(self) -> None:
        """
        Throw the fold away: it says something that did not happen. The next `catch_up` begins anew.

        Within `changing`, or an interrupt may leave half of it.
        """
        self.past = Past(self.journal, lambda: self.catalog, self._claimed_rows)
        self.catalog = self._nothing_yet()

    def _fold_in_two(self, catalog: Catalog) -> None:
        """Fold the first half while another process folds the second; how, stands in `second_half`."""
        from eventlog import second_half  # noqa: PLC0415 - only whoever reads everything

        self.journal.close()  # a thread of its own could not be shared with another process
        with second_half.begun(self.journal, catalog.beside) as other:
            if other is None:
                return
            for entries in self._unread(other.middle.place.position):
                catalog.apply_run(entries)
            found = other.found() if other.fits(catalog) else None
        if found is not None:
            second_half.go_on(catalog, found, self.past, self.journal)

    def _check_ids(self) -> None:
        """Raise `JournalDamagedError` where an id stands twice in what is folded, and forget it all."""
        try:
            self.catalog.check_ids()
        except ModelogError:
            self.forget()
            raise

    def _nothing_yet(self) -> Catalog:
        return Catalog(self.journal.where, self.past, keep_ids=self._piecemeal, home=self.home)

    def _resume(self) -> None:
        """Begin with the newest snapshot, where the journal vouches for what stands before it; else at zero."""
        found = self.journal.resume(SNAPSHOT_MARK)
        if found is None:
            return
        position, entries = found
        journal_id = codec.journal_id_of(entries[0])
        try:
            event = codec.decode(entries[0], position, journal_id, self.journal.where)
            if isinstance(event.data, SnapshotTaken) and journal_id is not None:
                self.catalog.begin(journal_id, position, chain.prev_of(entries[0]), event.data)
                for first in range(0, len(entries), _RESUMED_AT_ONCE):
                    self.catalog.apply_run(entries[first : first + _RESUMED_AT_ONCE])
        except ModelogError:  # whoever begins at zero says what is wrong
            self.catalog = self._nothing_yet()

    def _unread(self, stop: int | None) -> Iterator[Sequence[bytes]]:
        """Yield what is not folded yet, in runs, after a look at whether the last entry that was is still there."""
        catalog = self.catalog
        unread = self.journal.read_runs(max(0, catalog.size - 1), stop)
        if catalog.size:
            first = next(unread, ())
            if not first or chain.hash_of(first[0]) != catalog.hash:
                raise JournalDamagedError(
                    f"{self.journal.where}: expected the entry {catalog.size - 1} that was read before, got another "
                    "or none: the journal was rewound or replaced: open the registry anew",
                    position=catalog.size - 1,
                )
            yield first[1:]
        yield from unread

    def hash_at(self, size: int) -> str | None:
        """Return the hash that the journal had after *size* entries; None where it never had so many."""
        if size > self.catalog.size:
            return None
        if size == self.catalog.size:
            return self.catalog.hash
        return self.past.hash_at(size)


def catch_up_all(subscribers: Iterable[Subscriber], *, rebuild: bool = False) -> list[str]:
    """Bring every subscriber up to date, also after one could not be; return why those could not that could not."""
    failures = []
    for subscriber in subscribers:
        try:
            subscriber.catch_up(rebuild=rebuild)
        except (ModelogError, OSError) as error:
            failures.append(str(error))
    return failures
