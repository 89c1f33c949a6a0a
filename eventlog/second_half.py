"""
The second half of a long journal, folded by another process while this one folds the first.

A snapshot in the middle says what the state is there, so a fold can begin with it before anybody knows whether it is
true. Whoever comes from zero compares it when it gets there; only then does what the other process found count, and
where it is not so, or the other one failed, the fold goes on as if there had been nobody. So two processes find just
what one finds, and it is always the one that tells what is wrong.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import msgspec
from msgspec import Struct

from eventlog import chain, codec
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.journal import Journal
from eventlog.past import SNAPSHOT_MARK, Past
from eventlog.rows_beside import Alike, RowsBeside
from eventlog.snapshot import Place, SnapshotTaken

ENTRIES_MIN = 20_000
"""A shorter journal is folded before a second process would have begun."""


class Found(Struct):
    """
    What the second half comes to.

    Attributes:
        newest: where its newest snapshot stands.

        ids: the hashes of the event ids before that, in pieces; see `eventlog.event_ids`.

        set_aside: the positions of the events in `Catalog.set_aside`, before it.

        rows: what rows of a file were found to be those of all models of the half; None where none were compared.
    """

    newest: Place
    ids: list[memoryview]
    set_aside: list[int]
    rows: Alike | None = None


class Middle(Struct):
    """A snapshot in the middle, which nobody has verified, and where it says it stands."""

    place: Place
    prev: str
    journal_id: str
    data: SnapshotTaken


class SecondHalf:
    """
    A process at work on what follows *middle*.

    Args:
        pipe: a descriptor that yields its answer.
    """

    def __init__(self, middle: Middle, pipe: int) -> None:
        self.middle = middle
        self._pipe = pipe

    def fits(self, first_half: Catalog) -> bool:
        """Say whether a fold from zero has come to the very state that was taken for granted."""
        at, catalog = self.middle, first_half
        return (
            (catalog.size, catalog.hash, catalog.journal_id) == (at.place.position, at.prev, at.journal_id)
            and catalog.size > 0
            and catalog.taken() == at.data
        )

    def found(self) -> Found | None:
        """Wait for the answer; None where there is none."""
        try:
            with open(self._pipe, "rb", closefd=False) as answer:
                return msgspec.msgpack.decode(answer.read(), type=Found)
        except (OSError, msgspec.MsgspecError):
            return None


def middle_of(journal: Journal) -> Middle | None:
    """Return a snapshot in the middle of a long journal; None where it is not long, or has none there."""
    try:
        if journal.tail().size < ENTRIES_MIN or (found := journal.middle(SNAPSHOT_MARK)) is None:
            return None
        offset_bytes, entry = found
        if not chain.is_sealed(entry):
            return None
        position, journal_id = codec.position_of(entry), codec.journal_id_of(entry)
        if position is None or journal_id is None:
            return None
        data = codec.decode(entry, position, journal_id, journal.where).data
    except ModelogError:
        return None
    if not isinstance(data, SnapshotTaken) or data.offset_bytes != offset_bytes:
        return None
    return Middle(Place(position, offset_bytes, chain.hash_of(entry)), chain.prev_of(entry), journal_id, data)


@contextmanager
def begun(journal: Journal, beside: RowsBeside | None = None) -> Iterator[SecondHalf | None]:
    """
    Let another process begin with the second half, where that is worth it and can be; it ends with the block.

    Args:
        beside: the rows of a file, with which both halves compare theirs.
    """
    many = hasattr(os, "pidfd_open") and len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1
    middle = middle_of(journal) if many else None
    process = answer = None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # or an interrupt leaves a process behind
    try:
        if middle is not None:
            process, answer = _forked(journal, middle, before, beside)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield None if middle is None or answer is None else SecondHalf(middle, answer)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as above
        if answer is not None:
            os.close(answer)
        if process is not None:
            with suppress(OSError):  # whoever ignores SIGCHLD has no child to wait for
                signal.pidfd_send_signal(process, signal.SIGKILL)
                os.waitid(os.P_PIDFD, process, os.WEXITED)
            os.close(process)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forked(
    journal: Journal, middle: Middle, mask: set[int | signal.Signals], beside: RowsBeside | None
) -> tuple[int | None, int | None]:
    """Return descriptors of a new process and of its answer; no process where there can be none now."""
    with suppress(OSError):
        answer, pipe = os.pipe()
        try:
            pid = os.fork()
            if pid == 0:
                _answer(journal, middle, pipe, mask, beside)
            return os.pidfd_open(pid), answer
        except OSError:
            os.close(answer)
        finally:
            os.close(pipe)
    return None, None


def _answer(
    journal: Journal, middle: Middle, pipe: int, mask: set[int | signal.Signals], beside: RowsBeside | None
) -> NoReturn:
    """Fold the second half and write what it comes to, in a process that does nothing else; nothing if it is odd."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        answer = msgspec.msgpack.encode(fold(journal, middle, beside))
        with open(pipe, "wb") as stream:
            stream.write(answer)
    finally:
        os._exit(0)


def fold(journal: Journal, middle: Middle, beside: RowsBeside | None = None) -> Found | None:
    """
    Fold what follows *middle*; None where no other snapshot does. Raises as `Catalog.apply_run`.

    Args:
        beside: as `begun` takes it.
    """
    place = middle.place
    catalog: Catalog
    catalog = Catalog(journal.where, Past(journal, lambda: catalog))
    journal.entry_at(place.position, place.offset_bytes, place.hash)
    catalog.begin(middle.journal_id, place.position, middle.prev, middle.data, ids=())
    catalog.beside = None if beside is None else beside.behind()
    for entries in journal.read_runs(place.position):
        catalog.apply_run(entries)
    newest = catalog.snapshot
    if newest is None or newest.position == place.position:
        return None
    ids = [memoryview(hashes).cast("B") for hashes in catalog.positions.before(newest.position)]
    set_aside = [event.position for event in catalog.set_aside if event.position < newest.position]
    return Found(newest, ids, set_aside, None if catalog.beside is None else catalog.beside.alike)


def go_on(catalog: Catalog, found: Found, past: Past, journal: Journal) -> None:
    """
    Let a fold of the first half, to which the other one fits, go on with what that one has found, up to the end.

    Raises as `Catalog.apply_run`.
    """
    if catalog.journal_id is None:
        return
    try:
        prev, data = past.snapshot_at(found.newest)
    except ModelogError:  # whoever reads on says what is wrong
        return
    ids = [hashes.cast("q") for hashes in found.ids]
    catalog.begin(catalog.journal_id, found.newest.position, prev, data, ids)
    catalog.set_aside += [event for at in found.set_aside for event in past.events(at, at + 1)]
    if catalog.beside is not None:
        catalog.beside.go_on(found.rows)
    for entries in journal.read_runs(found.newest.position):
        catalog.apply_run(entries)
