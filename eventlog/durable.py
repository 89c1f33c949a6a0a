"""
The file-system calls that make bytes survive power loss.

Beside `durable_replacement` and `durable_directories`, which build on it, no other module syncs, renames or truncates.

The order is the whole point, so each helper shows the system calls it makes. All of them are called through the `os`
module (`os.fsync(…)`, never `from os import fsync`), so that tests can watch and fail each one.

Nothing here follows a link at the last component of a path, waits on a FIFO, or creates a file that others may write.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

from eventlog.errors import RefusedError, reason_of

FILE_MODE = 0o644
_SAFE_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFLNK: "a symbolic link",
}


def checked_path(path: str | os.PathLike[str], what: str = "path") -> str:
    """Return *path* as text. Raises RefusedError, with *what* it is, where no file can have that name."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise RefusedError(f"{what}: expected the name of a file or directory, got {text!r:.200}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise RefusedError(f"{what}: expected the name of a file or directory, got {text!r:.200}") from None
    return text


def kind_of(mode: int) -> str:
    """Say in words what kind of file *mode* (as in `os.stat_result.st_mode`) describes."""
    return _KINDS.get(stat.S_IFMT(mode), "a regular file")


class _Refusing:
    """Entered some ten times by each publish, so it is no generator."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise RefusedError(f"{self._where}: {reason_of(error)}") from error


def refusing(where: str) -> _Refusing:
    """Turn an `OSError` inside the block into a `RefusedError` that names *where*; only before the commit point."""
    return _Refusing(where)


def open_regular(path: str, flags: int) -> int:
    """
    Open a regular file and return its descriptor. Trace: `openat(flags|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK)`, `fstat`.

    Raises RefusedError for a symbolic link, FIFO, device, socket or directory, and OSError as `os.open`.
    """
    try:
        descriptor = os.open(path, flags | _SAFE_OPEN, FILE_MODE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            kind = kind_of(os.lstat(path).st_mode)
            raise RefusedError(f"{path}: expected a regular file, got {kind}") from error
        raise
    try:
        if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
            raise RefusedError(f"{path}: expected a regular file, got {kind_of(mode)}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_parts(path: str, *, bytes_max: int, part_bytes: int = 1 << 20) -> Iterator[bytes]:
    """
    Yield the bytes of a regular file, *part_bytes* at a time.

    Raises RefusedError where it is not one, or has more than *bytes_max* bytes, and OSError as `os.open` and `os.read`.
    """
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        total = 0
        while chunk := os.read(descriptor, part_bytes):
            total += len(chunk)
            if total > bytes_max:
                raise RefusedError(f"{path}: expected at most {bytes_max} bytes, got more")
            yield chunk
    finally:
        os.close(descriptor)


def read_file(path: str, *, bytes_max: int) -> bytes:
    """Return the bytes of a regular file. Raises as `read_parts`."""
    return b"".join(read_parts(path, bytes_max=bytes_max))


def read_start(path: str, count: int) -> bytes:
    """Return the first *count* bytes of a regular file, fewer where it is shorter. Raises as `read_file`."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, count, 0)
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: bytes | memoryview, offset_bytes: int) -> None:
    """
    Write all of *data* at *offset_bytes*; a short write is carried on, not mistaken for success.

    Trace: `pwrite64` once, and again for what a short write left.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset_bytes)
        if written == 0:
            raise OSError(errno.EIO, "write made no progress")
        view = view[written:]
        offset_bytes += written


def sync_data(descriptor: int) -> None:
    """Make the file's bytes and size durable. Trace: `fdatasync`. After an error the file's state is unknown."""
    os.fdatasync(descriptor)


def sync_file(path: str) -> None:
    """Make a file's bytes durable, whoever wrote them. Trace: `openat(O_RDONLY)`, `fdatasync`, `close`."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def truncate(descriptor: int, size_bytes: int) -> None:
    """Cut the file to *size_bytes*, durably. Trace: `ftruncate`, `fsync`."""
    os.ftruncate(descriptor, size_bytes)
    os.fsync(descriptor)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable. Trace: `openat(O_DIRECTORY)`, `fsync`, `close`."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_ancestors(path: str) -> None:
    """
    Make durable the names that lead from the root to the directory *path*.

    An earlier process may have created any of them and died before its sync, so all are synced; those above *path*
    that we may not open, or that lie on a file system that cannot be synced, cannot have been created by us.
    """
    path = os.path.realpath(path)
    sync_directory(path)
    while (parent := os.path.dirname(path)) != path:
        path = parent
        try:
            sync_directory(path)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL):
                raise


def create_directory(path: str) -> None:
    """Create a directory and the ones above it where missing, none for others to write to. Trace: `mkdir` of each."""
    if (parent := os.path.dirname(path)) not in ("", path) and not os.path.isdir(parent):
        create_directory(parent)
    os.makedirs(path, mode=0o755, exist_ok=True)


def create_file(path: str, data: bytes | Iterable[bytes], *, like: os.stat_result | None = None) -> None:
    """
    Create *path*, which must not exist, with *data* (or its parts) in it; make its bytes durable (not yet its name).

    Trace: `openat(O_WRONLY|O_CREAT|O_EXCL)`, `fchown` and `fchmod` where *like* asks for them, `pwrite64`, `fsync`,
    `close`. On an error the file is removed again.
    """
    descriptor = begin_file(path, data, like)
    try:
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        os.unlink(path)
        raise


def begin_file(path: str, data: bytes | Iterable[bytes], like: os.stat_result | None) -> int:
    """As `create_file`, but nothing is durable yet; return the descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_OPEN, FILE_MODE)
    try:
        if like is not None:
            _take_ownership_from(descriptor, like)
        offset_bytes = 0
        for part in [data] if isinstance(data, bytes) else _in_pieces(data):
            write_at(descriptor, part, offset_bytes)
            offset_bytes += len(part)
    except BaseException:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor


def _in_pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what *parts* come to, 64 KiB or a long part at a time: each is a system call."""
    waiting: list[bytes] = []
    size_bytes = 0
    for part in parts:
        waiting.append(part)
        size_bytes += len(part)
        if size_bytes >= 1 << 16:
            yield b"".join(waiting)
            waiting, size_bytes = [], 0
    if waiting:
        yield b"".join(waiting)


def remove_file(path: str) -> None:
    """Remove a file if it is there, durably. Trace: `unlink`, `sync_directory`."""
    with suppress(FileNotFoundError):
        os.unlink(path)
        sync_directory(os.path.dirname(path))


def rename(old: str, new: str) -> None:
    """Rename within one directory, durably. Trace: `rename`, `sync_directory`."""
    os.rename(old, new)
    sync_directory(os.path.dirname(new))


def put_file(temporary: str, path: str) -> None:
    """
    Give *temporary*, a file on the same file system whose bytes are durable, the name *path*, whatever had it.

    Trace: `rename`. The name is not durable yet: `sync_ancestors`, or `sync_directory`, makes it so.
    """
    os.rename(temporary, path)


def move_aside(path: str, aside: str) -> None:
    """
    Give the file a second name that did not exist; the first goes with the next `durable_replacement.replace_file`.

    Trace: `link(path, aside)`, `sync_directory`. At no moment is *path* missing.

    Raises FileExistsError where *aside* is taken.
    """
    os.link(path, aside, follow_symlinks=False)
    sync_directory(os.path.dirname(path))


def _take_ownership_from(descriptor: int, like: os.stat_result) -> None:
    if not stat.S_ISREG(like.st_mode):
        return
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
        try:
            os.fchown(descriptor, like.st_uid, like.st_gid)
        except PermissionError:
            os.fchmod(descriptor, stat.S_IMODE(mine.st_mode) & like.st_mode)
            return
    wanted = stat.S_IMODE(like.st_mode) & 0o775
    if stat.S_IMODE(mine.st_mode) != wanted:
        os.fchmod(descriptor, wanted)
