"""
An artifact's bytes → its SHA-256, sure that the file did not change meanwhile; and the ids of models.

When a file counts as unchanged, and what cannot be seen that way, stands in `eventlog.file_state`.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import cycle

from msgspec import Struct

from eventlog import durable
from eventlog.errors import RefusedError
from eventlog.file_state import State, state_of

CHUNK_BYTES = 1 << 20
AHEAD_CHUNKS = 4
AHEAD_BYTES_MIN = 8 << 20
"""A smaller file is read without a second thread."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, about once for each MiB."""


class Artifact(Struct, frozen=True):
    """
    A file whose bytes were hashed.

    Attributes:
        path: absolute, symbolic links resolved; may hold surrogate escapes (PEP 383).

        state: what `os.stat` said; equal as long as the file has not changed.
    """

    path: str
    sha256: str
    size_bytes: int
    state: State

    def check_unchanged(self) -> None:
        """Raise `RefusedError` unless the file at `path` is still the one that was hashed."""
        with durable.refusing(self.path):
            now = state_of(os.stat(self.path, follow_symlinks=False))
        if now != self.state:
            raise RefusedError(f"{self.path}: changed after it was hashed: publish it when its writer is done")


def hash_artifact(path: str | os.PathLike[str], progress: Progress | None = None) -> Artifact:
    """
    Hash a file.

    Raises:
        RefusedError: missing, unreadable, not a regular file, or changed while it was read.
    """
    given = durable.checked_path(path, "artifact")
    with durable.refusing(f"artifact {_display(given)}"):
        resolved = os.path.realpath(given, strict=True)
        if not stat.S_ISREG(mode := os.stat(resolved).st_mode):
            raise RefusedError(f"artifact {_display(given)}: expected a regular file, got {durable.kind_of(mode)}")
        descriptor = durable.open_regular(resolved, os.O_RDONLY)
        try:
            before = os.fstat(descriptor)
            digest, size_bytes = _digest(descriptor, before.st_size, progress)
            state = state_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    if state != state_of(before) or size_bytes != before.st_size:
        raise RefusedError(
            f"artifact {_display(given)}: changed while it was hashed: publish it when its writer is done"
        )
    return Artifact(resolved, digest, size_bytes, state)


def new_model_id(time: datetime, digest: str, taken: Container[str]) -> str:
    """
    Return `<UTC %Y%m%d%H%M%S>_<first 8 hex of the sha256>`, with microseconds where that is taken.

    A clock that stands still moves on by one microsecond in the id alone.
    """
    model_id = f"{time:%Y%m%d%H%M%S}_{digest[:8]}"
    while model_id in taken:
        model_id = f"{time:%Y%m%d%H%M%S%f}_{digest[:8]}"
        time += timedelta(microseconds=1)
    return model_id


def path_to_text(path: str) -> tuple[str, str | None]:
    """Return *path* as text for the journal, and its bytes in hex where they are not UTF-8; whatever the locale."""
    raw = os.fsencode(path)
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return _display(path), raw.hex()


def path_from_text(text: str, path_hex: str | None) -> str:
    """Return the path that `open` understands; the inverse of `path_to_text`."""
    return os.fsdecode(text.encode() if path_hex is None else bytes.fromhex(path_hex))


def _display(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _digest(descriptor: int, size_bytes: int, progress: Progress | None) -> tuple[str, int]:
    """Return SHA-256 and length of what is read; a file that goes on growing is given up."""
    digest = sha256()
    done = 0
    for part in _read_whole(descriptor, size_bytes) if size_bytes <= AHEAD_BYTES_MIN else _read_ahead(descriptor):
        digest.update(part)
        done += len(part)
        if done > size_bytes:
            break
        if progress is not None:
            progress(done, size_bytes)
    return digest.hexdigest(), done


def _read_whole(descriptor: int, size_bytes: int) -> Iterator[memoryview]:
    """Yield what is read, part by part, of about *size_bytes*; each is only good until the next."""
    buffer = bytearray(min(CHUNK_BYTES, size_bytes + 1))
    while count := os.readv(descriptor, [buffer]):
        yield memoryview(buffer)[:count]


def _read_ahead(descriptor: int) -> Iterator[memoryview]:
    """
    Yield the same, while a thread reads the parts that come next.

    So hashing never waits for the copy from the page cache, which takes a tenth of its time. (A memory map would need
    no copy, but reading a map of a file that somebody cuts meanwhile ends the process.)
    """
    buffers = [bytearray(CHUNK_BYTES) for _ in range(AHEAD_CHUNKS)]
    counts: deque[int | OSError] = deque()
    free, full = threading.Semaphore(AHEAD_CHUNKS), threading.Semaphore(0)
    stopped = False

    def read() -> None:
        for buffer in cycle(buffers):
            free.acquire()
            if stopped:
                return
            try:
                count: int | OSError = os.readv(descriptor, [buffer])
            except OSError as error:
                count = error
            counts.append(count)
            full.release()
            if not count or isinstance(count, OSError):
                return

    reader = threading.Thread(target=read, name="modelog-read-ahead")
    reader.start()
    try:
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
        reader.join()
