"""Files that are replaced at once and for good, alone or several together, by the calls of `eventlog.durable`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from eventlog import durable


class Replacement:
    """
    What is to take the place of a file at once and for good: a reader sees the old bytes or the new ones.

    Take the steps in their order: `sync`, `rename`, `sync_name`; after an error `give_up`. Those of several files may
    be taken together, each before the next: so the disk writes what all of them need at one go.

    The caller holds the lock, so a leftover of the one temporary name is nobody's and is removed. Owner and permissions
    of a file that is replaced are kept as far as we may, never wider and never writable by others.

    Args:
        path: of the file, which need not be there.

        data: its new bytes, or their parts.

    Trace: `lstat(path)`, then as `durable.create_file(.path.new)` up to its `fsync`; `unlink` before it of a leftover.
    """

    def __init__(self, path: str, data: bytes | Iterable[bytes]) -> None:
        self._path = path
        self._directory, name = os.path.split(path)
        self.temporary = os.path.join(self._directory, f".{name}.new")
        try:
            self._like: os.stat_result | None = os.lstat(path)
        except FileNotFoundError:
            self._like = None
        try:
            self._descriptor: int | None = durable.begin_file(self.temporary, data, self._like)
        except FileExistsError:
            os.unlink(self.temporary)
            self._descriptor = durable.begin_file(self.temporary, data, self._like)

    def begin(self) -> None:
        """Let the disk begin to write, where something else comes before `sync`. Trace: `fadvise64`, if there is."""
        if hasattr(os, "posix_fadvise") and self._descriptor is not None:
            with suppress(OSError):  # what the kernel has not written it keeps
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Make the bytes durable. Trace: `fsync`, `close`."""
        assert self._descriptor is not None, "once"
        try:
            os.fsync(self._descriptor)
        finally:
            self._close()

    def rename(self) -> None:
        """Put them into place. Trace: `rename`; where there was no file, `sync_ancestors` before: they may be new."""
        if self._like is None:
            durable.sync_ancestors(self._directory)
        os.rename(self.temporary, self._path)

    def sync_name(self) -> None:
        """Make that durable. Trace: `sync_directory`."""
        durable.sync_directory(self._directory)

    def give_up(self) -> None:
        """Remove what is not in its place, also after an interrupt that came just behind the rename."""
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def replace_file(
    path: str, data: bytes | Iterable[bytes], *, before_rename: Callable[[str], object] = lambda temporary: None
) -> None:
    """Take all steps of a `Replacement`; *before_rename* is called with its name when its bytes are durable."""
    replacement = Replacement(path, data)
    try:
        replacement.sync()
        before_rename(replacement.temporary)
        replacement.rename()
    except BaseException:
        replacement.give_up()
        raise
    replacement.sync_name()


def write_over(path: str, data: bytes) -> None:
    """
    Write the start of a file that may be lost or torn, in place; what has other names, too, makes room for a new file.

    Trace: `openat(O_WRONLY|O_CREAT)`, `fstat` twice, `pwrite64`, `close`; else `durable.remove_file`, and again.
    """
    descriptor = durable.open_regular(path, os.O_WRONLY | os.O_CREAT)
    try:
        if os.fstat(descriptor).st_nlink == 1:
            durable.write_at(descriptor, data, 0)
            return
    finally:
        os.close(descriptor)
    durable.remove_file(path)
    write_over(path, data)
