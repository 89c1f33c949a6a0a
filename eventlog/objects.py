"""
Files that are named by their SHA-256: `<top>/sha256/<first 2 hex>/<64 hex>`.

A name can hold one content only: writing the right bytes a second time changes nothing, and over wrong bytes it heals.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256

from eventlog import durable, durable_replacement, locking
from eventlog.artifact_path import DIGEST
from eventlog.errors import RefusedError
from eventlog.log import log

LOCK_TIMEOUT_SECONDS = 600.0  # for another process that writes the same file
ALGORITHM = "sha256"
Refuse = Callable[[str], RefusedError]


def path_of(top: str, digest: str) -> str:
    """Return where the file with a hash is."""
    return os.path.join(top, ALGORITHM, checked_digest(digest)[:2], digest)


def checked_digest(digest: str) -> str:
    """Return *digest*. Raises RefusedError unless it is one."""
    if not DIGEST.fullmatch(digest):
        raise RefusedError(f"artifact: expected a SHA-256 of 64 lower-case hex, got {digest!r:.100}")
    return digest


def checked(parts: Iterator[bytes], digest: str, size_bytes: int | None, refuse: Refuse) -> Iterator[bytes]:
    """Yield the parts, and raise before the end where they are not what was expected."""
    hashed, done = sha256(), 0
    for part in parts:
        done += len(part)
        if size_bytes is not None and done > size_bytes:
            break
        hashed.update(part)
        yield part
    if size_bytes not in (None, done):
        raise refuse(f"expected {size_bytes} bytes, got {done}")
    if hashed.hexdigest() != digest:
        raise refuse(f"expected sha256 {digest}, got {hashed.hexdigest()}")


def read_file(path: str) -> Iterator[bytes]:
    """Yield the bytes of a regular file, part by part. Raises RefusedError."""
    with durable.refusing(path):
        yield from durable.read_parts(path, bytes_max=sys.maxsize)


def is_right(path: str, digest: str, size_bytes: int | None) -> bool:
    """Say whether the bytes of the file at *path* are those of *digest*."""
    with suppress(RefusedError):
        return all(checked(read_file(path), digest, size_bytes, RefusedError))
    return False


def bring(path: str, parts: Iterator[bytes], size_bytes: int | None) -> None:
    """
    Make *path*, named after its hash, hold the parts, durably; one process at a time, and none where it does.

    Trace: `openat(.<2 hex>.lock)`, `flock`, `durable_replacement.replace_file`; then, also for a file that was there,
    `fdatasync`, and `fsync` of all directories above it. The lock file is empty and stays: a network file system locks
    no directory.
    """
    with durable.refusing(path):
        durable.create_directory(os.path.dirname(path))
        if not is_right(path, os.path.basename(path), size_bytes):
            with guarded(path):
                if not is_right(path, os.path.basename(path), size_bytes):
                    durable_replacement.replace_file(path, parts, before_rename=make_read_only)
    settle(path)


def place(top: str, files: Mapping[str, str], origin: str) -> None:
    """
    Give files the names of their hashes, unless there are such files already; afterwards they are right and durable.

    One with other bytes is replaced, and that is logged.

    Args:
        files: durable files on the same file system, by their hashes.

        origin: where they came from.

    Raises RefusedError: those that could not be are as they were.
    """
    for digest, temporary in files.items():
        path = path_of(top, digest)
        with durable.refusing(path):
            durable.create_directory(os.path.dirname(path))
            with guarded(path):
                if is_right(path, digest, None):
                    durable.sync_file(path)
                    continue
                if os.path.lexists(path):
                    log.warning("%s: damaged: replaced by the bytes of %s", path, origin)
                durable.put_file(temporary, path)
    with durable.refusing(top):
        for directory in dict.fromkeys(os.path.dirname(path_of(top, digest)) for digest in files):
            durable.sync_directory(directory)
        durable.sync_ancestors(os.path.join(top, ALGORITHM))


def settle(path: str) -> None:
    """Make a file that is there durable, and the names that lead to it. Raises RefusedError."""
    with durable.refusing(path):
        durable.sync_file(path)
        durable.sync_ancestors(os.path.dirname(path))


def make_read_only(path: str | int) -> None:
    """Take away every right to write; who may read stays as the umask has it."""
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) & 0o444)


@contextmanager
def guarded(path: str) -> Iterator[None]:
    """Keep other writers of the files that begin with the same two digits out."""
    directory, digest = os.path.split(path)
    guard = os.path.join(directory, f".{digest[:2]}.lock")
    with locking.Held() as held:
        descriptor = held.add(durable.open_regular(guard, os.O_RDWR | os.O_CREAT))
        locking.acquire(descriptor, guard, timeout_seconds=LOCK_TIMEOUT_SECONDS)
        yield
