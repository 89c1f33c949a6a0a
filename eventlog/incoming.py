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
from eventlog.errors import RefusedError, reason_of
from eventlog.log import log

INCOMING = "incoming"


@contextmanager
def directory(top: str) -> Iterator[str]:
    """
    Give a directory of our own, on the same file system, and remove what others have left behind.

    Directories that had to be made for it, and hold nothing, go again where the block raises something.
    """
    top = os.path.join(top, INCOMING)
    made = durable_directories.missing(top)
    try:
        with _own(top) as own:
            yield own
    except BaseException:
        durable_directories.remove_empty(made)
        raise


@contextmanager
def _own(top: str) -> Iterator[str]:
    with locking.Held() as held:
        with durable.refusing(top):
            durable.create_directory(top)
            if os.path.islink(top):
                raise RefusedError(f"{top}: expected a directory, got a symbolic link: what it leads to is not ours")
            with locking.locked_directory(top, timeout_seconds=objects.LOCK_TIMEOUT_SECONDS):
                for name in filter(str.isdecimal, os.listdir(top)):
                    _remove_left_behind(os.path.join(top, name))
                own = next(path for path in (os.path.join(top, f"{n}") for n in count()) if not os.path.lexists(path))
                os.mkdir(own, 0o700)
                descriptor = held.add(os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                locking.try_acquire(descriptor, own)
        try:
            yield own
        finally:
            _remove(own)


def _remove_left_behind(path: str) -> None:
    """Remove a directory whose process is gone."""
    with locking.Held() as held:
        try:
            descriptor = held.add(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError:  # it is gone, or somebody else's
            return
        if locking.try_acquire(descriptor, path):
            _remove(path)


def _remove(path: str) -> None:
    """Remove a directory, or say that it is left behind: what it was for has happened, or been refused."""
    try:
        durable_directories.remove_directory(path)
    except OSError as error:
        log.warning("%s: left behind: %s", path, reason_of(error))
