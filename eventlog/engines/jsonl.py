"""
The file engine: one file, one line an entry, and a head that says how much of it is acknowledged.

`journal.jsonl` holds the entries, `journal.head` the head, `quarantine/` what recovery took out. A writer holds `flock`
on the journal itself; readers take no lock. How it reads stands in `jsonl_reader`, how it writes in `jsonl_writer`, the
format of the head in `jsonl_head`, what may be done with bytes behind the head in `jsonl_tail`, and what a person may
have done to a damaged journal in `jsonl_repair`. Where `jsonl_mirror` has left its mark, the journal is a copy of one
on a cluster, and only whoever reads that one appends to it.
"""

from __future__ import annotations

import os
import threading
import time
from _weakref import ref  # the module around it takes 0.4 ms to import
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from eventlog import durable, locking
from eventlog.engines import jsonl_mirror, jsonl_stamp
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_quarantine import Quarantine
from eventlog.engines.jsonl_reader import JsonlReader
from eventlog.engines.jsonl_writer import JsonlWriter
from eventlog.errors import ModelogError
from eventlog.journal import DiscardedTail, Notice, Tail

if TYPE_CHECKING:
    from eventlog.engines.jsonl_repair import JsonlRepair

JOURNAL = "journal.jsonl"
HEAD = "journal.head"
_LOOK_SECONDS = 0.02


class JsonlJournal:
    """
    A journal in a directory. See `eventlog.journal.Journal` for what its methods promise.

    Args:
        directory: created by the first append, not before.

        lock_timeout_seconds: how long a writer waits for another one.

        mirror_of: the stream of which this is a mirror, for whoever reads that; None for a journal of its own.
    """

    def __init__(
        self,
        directory: str,
        *,
        lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS,
        mirror_of: str | None = None,
    ) -> None:
        self.where = os.path.join(directory, JOURNAL)
        self._directory = directory
        self._mirror_of = mirror_of
        self._head_path = os.path.join(directory, HEAD)
        self._lock_timeout_seconds = locking.checked_timeout(lock_timeout_seconds)
        self._reader = JsonlReader(self.where, self._head_path)
        self._stamp_path = os.path.join(directory, jsonl_stamp.NAME)
        self._quarantine = Quarantine(directory)
        self._threads = threading.RLock()
        self._writer: JsonlWriter | None = None
        self._held: Callable[[], locking.Held | None] = lambda: None
        self._synced = Head()

    def files(self) -> Sequence[str]:
        """Return journal and head; nothing where the last reading left something open."""
        return () if self._reader.passed_over else (self.where, self._head_path)

    def notices(self) -> Sequence[Notice]:
        """Return what the last reading found beside the acknowledged lines, and whether the truth is elsewhere."""
        stream = jsonl_mirror.stream_of(self._directory) if self._mirror_of is None else None
        if stream is None:
            return tuple(self._reader.notices)
        what = f"{self.where}: the mirror of {stream}, as far as it was read: --journal reads on"
        return (*self._reader.notices, Notice(what))

    def refresh(self) -> None:
        """Do nothing: a reading sees all that is acknowledged."""

    def tail(self) -> Tail:
        """Return the acknowledged tail, from the head alone."""
        head = self._reader.acknowledged()
        return Tail(head.size, head.hash)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield verified entries; verification starts at the last place this object has verified before."""
        for entries in self._reader.read(start, stop):
            yield from entries

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        """Yield the same in runs, a chunk of the file each."""
        return self._reader.read(start, stop)

    def resume(self, text: bytes) -> tuple[int, Sequence[bytes]] | None:
        """Return the newest entries from the last one on that contains *text*; how, stands in `jsonl_reader`."""
        return self._reader.resume(text, self._stamp_path)

    def vouch(self, size: int) -> None:
        """Stamp a mirror of *size* entries, unless it is stamped or has become longer; elsewhere do nothing."""
        if self._mirror_of is None or size == 0:
            return
        with suppress(ModelogError):
            head, status = self._reader.read_head().newest, jsonl_stamp.look(self.where)
            if head is None or head.size != size or not self._reader.is_whole(status):
                return
            if not jsonl_stamp.fits(self._stamp_path, head, status):
                with self.exclusive():
                    if self._reader.is_whole(jsonl_stamp.look(self.where)):
                        jsonl_stamp.put(self._stamp_path, head, status)

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """Return the entry at *offset_bytes*, which must have that hash."""
        return self._reader.entry_at(position, offset_bytes, entry_hash)

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """Return a line with *text* in it from about the middle, and where it begins."""
        return self._reader.middle(text)

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands anywhere in the acknowledged bytes."""
        return self._reader.mentions(text)

    def confirm(self, *, mend: bool = True) -> None:
        """
        Have a writer's look at the head, which makes it durable; who may only read can only sync the files.

        Where the stamp fits, that was done.
        """
        head = self._reader.read_head().newest
        if head is not None and jsonl_stamp.fits(self._stamp_path, head, jsonl_stamp.look(self.where)):
            return
        if mend and os.access(self._head_path, os.W_OK) and (self._mirror_of or self.stream is None):
            with self.exclusive():
                return
        for path in (self.where, self._head_path):
            with durable.refusing(path), suppress(FileNotFoundError):
                durable.sync_file(path)

    def salvage(self) -> Iterator[bytes]:
        """Yield the lines from the first on, up to one that does not verify."""
        return self._reader.salvage()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock; first mend what an interrupted append left behind."""
        with self._one_thread():
            if self._writer is not None and self._held():  # after an interrupt there may be one that holds nothing
                yield
                return
            with self._locked(unless_there=self._reader.acknowledged) as descriptor:  # a head alone is damage: left so
                self._check_mirror(descriptor)
                writer = JsonlWriter(descriptor, self.where, self._head_path, self._quarantine)
                try:
                    self._synced = writer.mend(self._reader, self._is_synced)
                    if self._synced.size == 0:
                        self._reader.note_whole(writer.status)
                    self._writer = writer
                    yield
                finally:
                    self._writer = None
                    writer.close()

    @contextmanager
    def repairing(self, *, dry_run: bool) -> Iterator[JsonlRepair]:
        """
        Hold the lock of a journal that may be damaged, without mending anything; afterwards open it anew.

        Args:
            dry_run: only look, without the lock.

        Raises:
            RefusedError, LockTimeoutError: the journal cannot be opened or locked, or is a mirror. Nothing was changed.
        """
        from eventlog.engines.jsonl_repair import JsonlRepair  # noqa: PLC0415 - few journals are ever repaired

        with self._one_thread(), self._opened() if dry_run else self._locked() as descriptor:
            self._check_mirror(descriptor, repair=True)
            yield JsonlRepair(descriptor, self.where, self._head_path, self._quarantine)

    def wait(self, seconds: float) -> None:
        """Let a moment pass: the next look tells whether there is something new."""
        time.sleep(min(seconds, _LOOK_SECONDS))

    def close(self) -> None:
        """Do nothing: nothing stays open."""

    @property
    def stream(self) -> str | None:
        """The stream of which this is a mirror, or None."""
        return self._mirror_of or jsonl_mirror.stream_of(self._directory)

    def become_mirror(self, stream: str) -> None:
        """Mark this journal as the mirror of *stream*, whose entries are the same; the caller holds `exclusive`."""
        jsonl_mirror.mark(self._directory, stream)
        self._mirror_of = stream

    def _check_mirror(self, descriptor: int, *, repair: bool = False) -> None:
        """Raise RefusedError where this is a mirror and we do not know it, or the other way round; mark a new one."""
        if self._mirror_of is None:
            jsonl_mirror.refuse(self._directory, repair=repair)
        elif not jsonl_mirror.check(self._directory, self._mirror_of, begun=os.fstat(descriptor).st_size > 0):
            jsonl_mirror.mark(self._directory, self._mirror_of)

    def _is_synced(self, head: Head, status: os.stat_result | None) -> bool:
        """Say whether a head is certainly durable: we made it so, or the stamp of whoever did fits the journal."""
        if head == self._synced:
            return True
        if not jsonl_stamp.fits(self._stamp_path, head, status):
            return False
        self._reader.note_whole(status)
        return True

    def discarded(self) -> Sequence[DiscardedTail]:
        """Return what is in quarantine and not yet recorded in the journal."""
        return self._quarantine.pending()

    def append(
        self,
        entries: Sequence[bytes],
        *,
        expected_size: int,
        recording: Sequence[DiscardedTail] = (),
        folded: bool = True,
    ) -> Tail:
        """
        Store *entries*; how, and what each error means, stands in `jsonl_writer`.

        Args:
            folded: whether the caller has; else `resume` does not begin in them before `vouch` was called.
        """
        with self.exclusive():
            assert self._writer is not None, "held inside exclusive()"
            whole = self._reader.is_whole(self._writer.status)
            head = self._synced = self._writer.append(entries, expected_size)
            if whole:
                self._reader.note_whole(self._writer.status)
                if folded:
                    jsonl_stamp.put(self._stamp_path, head, self._writer.status)
            with suppress(OSError):
                self._quarantine.mark_recorded(recording)
            return Tail(head.size, head.hash)

    def _one_thread(self) -> AbstractContextManager[None]:
        return locking.one_thread(self._threads, self.where, self._lock_timeout_seconds)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the journal for reading; a missing one is as good as an empty one."""
        with durable.refusing(self.where):
            try:
                descriptor = durable.open_regular(self.where, os.O_RDONLY)
            except FileNotFoundError:
                descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self, *, unless_there: Callable[[], object] = lambda: None) -> Iterator[int]:
        with locking.Held() as held:
            self._held = ref(held)  # or it would be held for ever
            yield self._lock(held, unless_there)

    def _lock(self, held: locking.Held, unless_there: Callable[[], object]) -> int:
        """Open and lock the journal, and make sure that the locked file is still the one with that name."""
        while True:
            with durable.refusing(self.where):
                try:
                    descriptor = held.add(durable.open_regular(self.where, os.O_RDWR))
                except (FileNotFoundError, NotADirectoryError):
                    unless_there()
                    descriptor = held.add(self._create())
                locking.acquire(descriptor, self.where, timeout_seconds=self._lock_timeout_seconds)
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), os.lstat(self.where)):
                        return descriptor
                held.release()

    def _create(self) -> int:
        """Open the journal, which was not there a moment ago."""
        with durable.refusing(self._directory):
            durable.create_directory(self._directory)
        return durable.open_regular(self.where, os.O_RDWR | os.O_CREAT)
