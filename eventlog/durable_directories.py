"""
Whole directories that survive power loss, by the calls of `eventlog.durable` and a few of their own.

A directory is made under a name of nobody's, and gets its own when everything in it is durable.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from eventlog import durable
from eventlog.durable import create_directory, sync_ancestors, sync_directory

_NO_LINKS = {errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS}
"""Not on this file system, not so many, or not of a file of somebody else's."""


def create_sibling(path: str) -> str:
    """Create an empty directory beside *path*, for `put_directory`, and return its path. Trace: `mkdir`s."""
    path = os.path.abspath(path)
    create_directory(os.path.dirname(path))
    sibling = f"{path}.{os.urandom(4).hex()}.partial"
    os.mkdir(sibling, 0o755)
    return sibling


def put_directory(partial: str, path: str) -> None:
    """
    Give the directory *partial*, whose files are durable, the name *path*, which is free or an empty directory.

    Trace: `fsync` of the directories in it and of itself, `rename`, `sync_ancestors`; on an error `rename` back.
    """
    for directory, _, _ in os.walk(partial, topdown=False):
        sync_directory(directory)
    os.rename(partial, path)
    try:
        sync_ancestors(os.path.dirname(os.path.abspath(path)))
    except BaseException:
        os.rename(path, partial)
        raise


def link_or_copy(source: str, path: str) -> None:
    """
    Give a file that is never written to a second name, which must not exist; or copy it where that cannot be done.

    Trace: `link`; else `durable.create_file`. Neither makes the name durable: `put_directory` does.
    """
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        mode = stat.S_IMODE(os.stat(source).st_mode)
        durable.create_file(path, durable.read_parts(source, bytes_max=os.stat(source).st_size))
        os.chmod(path, mode)


def missing(path: str) -> list[str]:
    """Return which of *path* and the directories above it are not there, the highest first. Trace: `lstat` of each."""
    found: list[str] = []
    path = os.path.abspath(path)
    with suppress(OSError):  # what cannot be looked at is there
        while path != os.path.dirname(path):
            try:
                os.lstat(path)
                break
            except (FileNotFoundError, NotADirectoryError):
                found.insert(0, path)
                path = os.path.dirname(path)
    return found


def remove_empty(paths: Sequence[str]) -> None:
    """Remove those directories of *paths*, the highest first, that hold nothing; nothing is made durable."""
    with suppress(OSError):
        for path in reversed(paths):
            os.rmdir(path)


def remove_directory(path: str) -> None:
    """Remove a directory and what is in it, and follow no link; nothing is made durable. Raises OSError."""

    def give_up(error: OSError) -> None:
        raise error

    for _, directories, files, above in os.fwalk(path, topdown=False, onerror=give_up):
        for name in files:
            os.unlink(name, dir_fd=above)
        for name in directories:
            try:
                os.rmdir(name, dir_fd=above)
            except NotADirectoryError:  # a link to one
                os.unlink(name, dir_fd=above)
    os.rmdir(path)
