"""
The bytes of an open file → their SHA-256, and a copy of them where one is wanted, in one reading.

Two processors are used for a large file: one hashes while the other reads what comes next and writes the copy. Where
the file system can share blocks between files (reflink), nothing is copied, and it is the copy that is hashed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import cycle

from eventlog import durable

CHUNK_BYTES = 1 << 20
AHEAD_CHUNKS = 4
AHEAD_BYTES_MIN = 8 << 20
"""A smaller file is read without a second thread."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, about once for each MiB."""

_FICLONE = 0x40049409
_NO_CLONES = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}


def digest_of(descriptor: int, size_bytes: int, progress: Progress | None, into: int | None = None) -> tuple[str, int]:
    """
    Return SHA-256 and length of what is read; a file that goes on growing is given up.

    Args:
        size_bytes: how long it is thought to be.

        into: an empty file that gets the same bytes; they are not synced.

    Raises OSError.
    """
    if into is not None and size_bytes and _cloned(descriptor, into):
        descriptor, into = into, None
    digest = sha256()
    done = 0
    read = _read_whole if size_bytes <= AHEAD_BYTES_MIN else _read_ahead
    for part in read(descriptor, size_bytes, into):
        digest.update(part)
        done += len(part)
        if done > size_bytes:
            break
        if progress is not None:
            progress(done, size_bytes)
    return digest.hexdigest(), done


def _cloned(descriptor: int, into: int) -> bool:
    """Let *into* share the blocks of a file, if the file system can. Trace: `ioctl(FICLONE)`."""
    try:
        fcntl.ioctl(into, _FICLONE, descriptor)
    except OSError as error:
        if error.errno not in _NO_CLONES:
            raise
        return False
    return True


def _read_whole(descriptor: int, size_bytes: int, into: int | None) -> Iterator[memoryview]:
    """Yield what is read, part by part, of about *size_bytes*; each is only good until the next."""
    buffer, done = bytearray(min(CHUNK_BYTES, size_bytes + 1)), 0
    while count := os.readv(descriptor, [buffer]):
        part = memoryview(buffer)[:count]
        if into is not None:
            durable.write_at(into, part, done)
        done += count
        yield part


def _read_ahead(descriptor: int, size_bytes: int, into: int | None) -> Iterator[memoryview]:
    """
    Yield the same, while a thread reads the parts that come next, and writes them to *into*.

    So hashing never waits for the copy from the page cache, which takes a tenth of its time. (A memory map would need
    no copy, but reading a map of a file that somebody cuts meanwhile ends the process.)
    """
    buffers = [bytearray(CHUNK_BYTES) for _ in range(AHEAD_CHUNKS)]
    counts: deque[int | OSError] = deque()
    free, full = threading.Semaphore(AHEAD_CHUNKS), threading.Semaphore(0)
    stopped = False

    def read() -> None:
        done = 0
        for buffer in cycle(buffers):
            free.acquire()
            if stopped:
                return
            try:
                count = os.readv(descriptor, [buffer])
                if into is not None and done <= size_bytes:
                    durable.write_at(into, memoryview(buffer)[:count], done)
            except OSError as error:
                counts.append(error)
                full.release()
                return
            done += count
            counts.append(count)
            full.release()
            if not count:
                return

    reader = threading.Thread(target=read, name="modelog-read-ahead")
    try:
        reader.start()
        for buffer in cycle(buffers):
            full.acquire()
            count = counts.popleft()
            if isinstance(count, OSError):
                raise count
            if count == 0:
                return
            yield memoryview(buffer)[:count]
            free.release()
    finally:
        stopped = True
        free.release()
        if reader.ident is not None:  # else it was interrupted before there was a thread
            reader.join()
