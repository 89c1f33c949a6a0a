"""
An artifact's bytes → its SHA-256, sure that the file did not change meanwhile; and the ids of models.

A file counts as unchanged while device, inode, size, mtime and ctime are the same; a change within one tick of the file
system's clock (some milliseconds) that keeps the size cannot be seen this way, nor one through a writable memory map.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from eventlog import durable
from eventlog.errors import RefusedError

CHUNK_BYTES = 1 << 20
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
    state: tuple[int, int, int, int, int]

    def check_unchanged(self) -> None:
        """Raise `RefusedError` unless the file at `path` is still the one that was hashed."""
        with durable.refusing(self.path):
            now = _state(os.stat(self.path, follow_symlinks=False))
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
            state = _state(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    if state != _state(before) or size_bytes != before.st_size:
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
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    done = 0
    while count := os.readv(descriptor, [buffer]):
        digest.update(view[:count])
        done += count
        if done > size_bytes:
            break
        if progress is not None:
            progress(done, size_bytes)
    return digest.hexdigest(), done


def _state(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
