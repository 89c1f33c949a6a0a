"""
The replicated engine: a JetStream stream orders the entries, and a majority of its nodes has each on disk.

What is read is the mirror, see `jetstream_mirror`; what is decided rests on compare-and-append, never on a read. How an
append is tried again stands in `jetstream_append`, how a connection is kept in `jetstream_link`, how entries are pushed
in `jetstream_watch`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from eventlog import chain, locking
from eventlog.engines import jetstream_url
from eventlog.engines.checks import check_append
from eventlog.engines.jetstream_append import APPEND_SECONDS, Appender
from eventlog.engines.jetstream_link import Link
from eventlog.engines.jetstream_mirror import Mirror
from eventlog.engines.jetstream_stream import BATCH_ENTRIES_MAX, READ_SECONDS, Stream
from eventlog.engines.jetstream_watch import Watch
from eventlog.errors import (
    ConflictError,
    LockTimeoutError,
    ModelogError,
    OutcomeUnknownError,
    ProjectionLagError,
    RefusedError,
    UnreachableError,
)
from eventlog.journal import DiscardedTail, Notice, Tail
from eventlog.log import log

_REACHED_AGAIN_SECONDS = 1.0


class JetStreamJournal:
    """
    A journal on a cluster. See `eventlog.journal.Journal` for what its methods promise.

    Args:
        url: what follows `nats:`; see `jetstream_url`.

        directory: where the mirror is; created by the first entry that is stored or read, not before.

        lock_timeout_seconds: how long to wait for another process that writes the mirror.

        append_timeout_seconds: how long an append is tried before its outcome counts as unknown.
    """

    def __init__(
        self,
        url: str,
        *,
        directory: str,
        lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS,
        append_timeout_seconds: float = APPEND_SECONDS,
    ) -> None:
        address = jetstream_url.parse(url)
        self.where = address.where
        self._link = Link(address)
        self._append_timeout_seconds = append_timeout_seconds
        self._stream = Stream(self._link, append_timeout_seconds)
        self._appender = Appender(self._link, self._stream, append_timeout_seconds)
        self._watch: Watch | None = None
        self.stream = address.stream
        self._copy = Mirror(self._link, self._stream, directory, lock_timeout_seconds)
        self._mirror = self._copy.journal
        self._lock_timeout_seconds = lock_timeout_seconds
        self._threads = threading.RLock()
        self._held = 0
        self._stale: str | None = None

    def files(self) -> Sequence[str]:
        """Return nothing: what is acknowledged is told by the cluster."""
        return ()

    def notices(self) -> Sequence[Notice]:
        """Return what is to be said of the mirror, and whether it may be behind."""
        stale = () if self._stale is None else (Notice(self._stale),)
        return (*self._mirror.notices(), *stale)

    def refresh(self) -> None:
        """
        Bring the mirror up to what the cluster has acknowledged.

        Where it cannot be reached, or the mirror not be written, a reader goes on with the mirror as it is, and a
        notice says so; a writer, inside `exclusive`, does not.
        """
        self._copy.check()
        with self._one_thread():
            try:
                start, watch = self._mirror.tail().size, self._watch
                pushed = [] if watch is None or watch.pid != os.getpid() else self._link.call(watch.take(start))
                self._copy.read_on(start, pushed, self._patience_seconds())
                if self._stale is not None:
                    log.info("%s: reached again", self.where)
                self._stale = None
            except (UnreachableError, OutcomeUnknownError) as error:
                self._go_on_stale(str(error), error)
            except RefusedError as error:
                if not _is_of_the_disk(error) and not isinstance(error, LockTimeoutError):
                    raise
                self._go_on_stale(f"the mirror cannot be written: {error}", error)

    def tail(self) -> Tail:
        """Return the tail of the mirror."""
        return self._mirror.tail()

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield verified entries of the mirror."""
        return self._mirror.read(start, stop)

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        """Yield the same in runs."""
        return self._mirror.read_runs(start, stop)

    def resume(self, text: bytes) -> tuple[int, Sequence[bytes]] | None:
        """Return the newest entries of the mirror from the last one on that contains *text*."""
        return self._mirror.resume(text)

    def vouch(self, size: int) -> None:
        """Note that the mirror was folded: others may record a snapshot that tells a false state."""
        self._mirror.vouch(size)

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """Return the mirror's entry at *offset_bytes*, which must have that hash."""
        return self._mirror.entry_at(position, offset_bytes, entry_hash)

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """Return an entry with *text* in it from about the middle, and where it begins."""
        return self._mirror.middle(text)

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands anywhere in the mirror."""
        return self._mirror.mentions(text)

    def confirm(self, *, mend: bool = True) -> None:
        """Make sure that the mirror survives power loss; the cluster has made sure of the entries."""
        self._mirror.confirm(mend=mend)

    def salvage(self) -> Iterator[bytes]:
        """Yield the mirror's entries for as long as they verify."""
        return self._mirror.salvage()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other threads out; other writers, and what is wrong with the mirror, are found out by `append`."""
        with self._one_thread():
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1

    def discarded(self) -> Sequence[DiscardedTail]:
        """Return nothing: what an interrupted write left in the mirror was no history."""
        return ()

    def append(self, entries: Sequence[bytes], *, expected_size: int, recording: Sequence[DiscardedTail] = ()) -> Tail:
        """
        Store *entries* on the cluster, then in the mirror.

        Raises, beside what `Journal.append` says:
            UnreachableError: nothing was stored.

            ProjectionLagError: the entries are stored; the mirror could not be written.
        """
        with self.exclusive():
            tail = self._mirror.tail()
            if tail.size != expected_size:
                raise ConflictError(
                    f"{self.where}: expected {expected_size} entries, got {tail.size}: read and decide anew"
                )
            check_append(self.where, entries, tail.hash)
            if expected_size == 0:
                self.create()
            with self._mirror.exclusive():
                pass  # a mirror that cannot be written, or is damaged, refuses before anything is stored
            self._store_all(entries, expected_size)
            try:
                self._copy.extend(entries, expected_size, folded=True)
            except ModelogError as error:
                what = f"recorded, but the mirror is behind: {error}"
                raise ProjectionLagError(f"{what}: mend that, then run rebuild") from error
            return Tail(expected_size + len(entries), chain.hash_of(entries[-1]))

    def wait(self, seconds: float) -> None:
        """Return as soon as something new may be there; after *seconds* at the latest."""
        watch = self._watch
        if watch is None or watch.pid != os.getpid():
            watch = self._watch = Watch(self._link)
        try:
            self._link.call(watch.wait(self._mirror.tail().size, seconds))
        except UnreachableError as error:
            if self._stale is None:
                self._stale = str(error)
                log.warning("%s", error)
            time.sleep(min(seconds, _REACHED_AGAIN_SECONDS))

    def close(self) -> None:
        """Let the connection go."""
        self._watch = None
        self._link.close()

    def stored_size(self) -> int | None:
        """Return how many entries the cluster has; None where it has no such stream. Raises as `Stream.size`."""
        return self._link.call(self._stream.size(self._patience_seconds()))

    def stored_entry(self, position: int) -> bytes | None:
        """Return the entry that the cluster has at *position*, or None. Raises as `Stream.entry_at`."""
        return self._link.call(self._stream.entry_at(position))

    def store(self, entries: Sequence[bytes], expected_size: int) -> None:
        """Store entries on the cluster alone, at most `BATCH_ENTRIES_MAX`. Raises as `Appender.append`."""
        self._link.call(self._appender.append(entries, expected_size), OutcomeUnknownError)

    def create(self) -> None:
        """Make the stream, unless it is there. Raises UnreachableError, RefusedError: it is not."""
        if self.stored_size() is None:
            self._link.call(self._stream.create())
            log.info("%s: the stream was created", self.where)

    def _patience_seconds(self) -> float:
        """Return how long to ask nodes that can be reached: who writes, or has no mirror yet, can do nothing else."""
        return self._append_timeout_seconds if self._held or not self._mirror.tail().size else READ_SECONDS

    def _store_all(self, entries: Sequence[bytes], expected_size: int) -> None:
        """Store entries on the cluster, in as many batches as it takes."""
        for first in range(0, len(entries), BATCH_ENTRIES_MAX):
            try:
                self.store(entries[first : first + BATCH_ENTRIES_MAX], expected_size + first)
            except RefusedError as error:
                if first == 0:
                    raise
                done = f"{first} entries were recorded, the rest not"
                raise OutcomeUnknownError(f"{self.where}: {done}: {error}") from error

    def _go_on_stale(self, reason: str, error: RefusedError | OutcomeUnknownError) -> None:
        size = self._mirror.tail().size
        if self._held or size == 0:
            raise error
        self._stale = f"{reason}: this is the mirror, as of position {size - 1}"

    def _one_thread(self) -> AbstractContextManager[None]:
        return locking.one_thread(self._threads, self.where, self._lock_timeout_seconds)


def _is_of_the_disk(error: BaseException) -> bool:
    """Say whether the system is behind a refusal."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return cause is not None
