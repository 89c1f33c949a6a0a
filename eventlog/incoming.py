"""
Directories of what is being copied into a vault: each process has its own, and removes what a killed one has left.

    artifacts/incoming/<n>/   its process holds the directory's lock
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from eventlog import durable, durable_directories, locking, objects
from eventlog.errors import reason_of
from eventlog.log import log

INCOMING = "incoming"


@contextmanager
def directory(top: str) -> Iterator[str]:
    """Give a directory of our own, on the same file system, and remove what others have left behind."""
    top = os.path.join(top, INCOMING)
    with durable.refusing(top):
        durable.create_directory(top)
        with locking.locked_directory(top, timeout_seconds=objects.LOCK_TIMEOUT_SECONDS):
            for name in os.listdir(top):
                _remove_left_behind(os.path.join(top, name))
            own = next(path for path in (os.path.join(top, f"{n}") for n in count()) if not os.path.lexists(path))
            os.mkdir(own, 0o700)
            descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            locking.try_acquire(descriptor, own)
    try:
        yield own
    finally:
        _remove(own)
        locking.release(descriptor)


def _remove_left_behind(path: str) -> None:
    """Remove a directory whose process is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # it is gone, or somebody else's
        return
    try:
        if locking.try_acquire(descriptor, path):
            _remove(path)
    finally:
        locking.release(descriptor)


def _remove(path: str) -> None:
    """Remove a directory, or say that it is left behind: what it was for has happened, or been refused."""
    try:
        durable_directories.remove_directory(path)
    except OSError as error:
        log.warning("%s: left behind: %s", path, reason_of(error))
