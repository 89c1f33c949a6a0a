"""
The operating system of a simulated machine: processes, descriptors, locks, and the calls on them as POSIX has them.

Nothing goes wrong here but what the disk has in store; `simulated_system` says when a call is made, and what else
happens at it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from simulated_disk import Directory, Disk, File, Node

DEVICE = os.makedev(0, 47)
DESCRIPTOR_MIN = 1 << 20
"""No real descriptor is that large, so one that outlives its run can do no harm."""


class Status(NamedTuple):
    """What of `os.stat_result` is looked at."""

    st_mode: int
    st_ino: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_dev: int = DEVICE
    st_uid: int = 0
    st_gid: int = 0
    st_nlink: int = 1


class OpenFile:
    """An open file description; it holds the lock, if anybody does."""

    def __init__(self, node: Node, writable: bool) -> None:
        self.node = node
        self.writable = writable
        self.position = 0


class Process:
    """
    What a killed actor loses.

    Attributes:
        faults: how many of its calls went wrong in a way that it could see.

        next_write_fails: with which error, after a short write.

        unlucky: how many of its next calls are more likely to go wrong.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.files: dict[int, OpenFile] = {}
        self.dead = False
        self.faults = 0
        self.next_write_fails = 0
        self.unlucky = 0


class Kernel:
    """
    The calls are the methods whose names start with `os_`.

    Attributes:
        disk: replaced by what is left of it at each power cut.

        calm: whether nothing goes wrong any more, not even what is overdue.
    """

    def __init__(self, disk: Disk, rng: Random) -> None:
        self.disk = disk
        self.rng = rng
        self.calm = True
        self._processes: list[Process] = []
        self._orphans: set[int] = set()
        self._locks: dict[int, tuple[OpenFile, int]] = {}
        self._count = DESCRIPTOR_MIN

    def started(self) -> Process:
        """Return a new process."""
        self._count += 1
        process = Process(self._count)
        self._processes.append(process)
        return process

    def end(self, process: Process) -> None:
        """End a process as `kill -9` does."""
        process.dead = True
        self._orphans.update(process.files)
        for number in list(process.files):
            self.forget(process, number)
        self._processes.remove(process)

    def end_all(self) -> None:
        """End every process."""
        for process in list(self._processes):
            self.end(process)

    def is_orphan(self, descriptor: int) -> bool:
        """Say whether the process that opened this has ended."""
        return descriptor in self._orphans

    def locks_table(self) -> io.StringIO:
        """Return what `/proc/locks` would say."""
        where = f"{os.major(DEVICE):02x}:{os.minor(DEVICE):02x}"
        lines = [f"1: FLOCK  ADVISORY  WRITE {pid} {where}:{number} 0 EOF" for number, (_, pid) in self._locks.items()]
        return io.StringIO("\n".join(lines))

    def forget(self, process: Process, descriptor: int) -> None:
        """Close without asking."""
        file = process.files.pop(descriptor)
        holder = self._locks.get(file.node.number)
        if holder is not None and holder[0] is file:
            del self._locks[file.node.number]

    # Descriptors and locks

    def os_open(self, process: Process, path: str, flags: int, mode: int = 0o777) -> int:
        try:
            node = self.disk.node(path)
            if flags & os.O_CREAT and flags & os.O_EXCL:
                raise failure(errno.EEXIST)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            node = self.disk.create(path, mode)
        if flags & os.O_DIRECTORY and not isinstance(node, Directory):
            raise failure(errno.ENOTDIR)
        writable = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if isinstance(node, Directory) and (writable or flags & os.O_CREAT):
            raise failure(errno.EISDIR)
        assert not flags & (os.O_TRUNC | os.O_APPEND), "not simulated"
        self._count += 1
        process.files[self._count] = OpenFile(node, writable)
        return self._count

    def os_close(self, process: Process, descriptor: int) -> None:
        self._open(process, descriptor)
        self.forget(process, descriptor)

    def os_flock(self, process: Process, descriptor: int, how: int) -> None:
        file = self._open(process, descriptor)
        holder = self._locks.get(file.node.number)
        if how == fcntl.LOCK_UN:
            if holder is not None and holder[0] is file:
                del self._locks[file.node.number]
            return
        assert how == fcntl.LOCK_EX | fcntl.LOCK_NB, "only this is simulated"
        if holder is not None and holder[0] is not file:
            raise failure(errno.EAGAIN)
        self._locks[file.node.number] = (file, process.pid)

    # Reading

    def os_read(self, process: Process, descriptor: int, count: int) -> bytes:
        file = self._open(process, descriptor)
        data = self.os_pread(process, descriptor, count, file.position)
        file.position += len(data)
        return data

    def os_readv(self, process: Process, descriptor: int, buffers: Sequence[bytearray]) -> int:
        data = self.os_read(process, descriptor, len(buffers[0]))
        buffers[0][: len(data)] = data
        return len(data)

    def os_pread(self, process: Process, descriptor: int, count: int, offset: int) -> bytes:
        return bytes(self._file(process, descriptor).live[offset : offset + count])

    def os_stat(self, process: Process, path: str, *, follow_symlinks: bool = True) -> Status:
        return _status(self.disk.node(path))

    os_lstat = os_stat

    def os_fstat(self, process: Process, descriptor: int) -> Status:
        return _status(self._open(process, descriptor).node)

    def os_access(self, _process: Process, path: str, _mode: int, *, follow_symlinks: bool = True) -> bool:
        try:
            self.disk.node(path)
        except OSError:
            return False
        return True

    def os_listdir(self, _process: Process, path: str) -> list[str]:
        if not isinstance(self.disk.node(path), Directory):
            raise failure(errno.ENOTDIR)
        return self.disk.names(path)

    # Changing

    def os_pwrite(self, process: Process, descriptor: int, data: Any, offset: int) -> int:
        if not self._open(process, descriptor).writable:
            raise failure(errno.EBADF)
        file = self._file(process, descriptor)
        if process.next_write_fails:
            code, process.next_write_fails = process.next_write_fails, 0
            process.faults += 1
            raise failure(code)
        self.disk.write(file, bytes(data), offset)
        return len(data)

    def os_ftruncate(self, process: Process, descriptor: int, size: int) -> None:
        if not self._open(process, descriptor).writable:
            raise failure(errno.EINVAL)
        self.disk.truncate(self._file(process, descriptor), size)

    def os_fsync(self, process: Process, descriptor: int) -> None:
        node = self._open(process, descriptor).node
        if isinstance(node, File) and node.unreported and not self.calm:
            node.unreported = False
            process.faults += 1
            self.disk.lose(node, self.rng)
            raise failure(errno.EIO)
        self.disk.sync(node)

    os_fdatasync = os_fsync

    def os_posix_fadvise(self, process: Process, descriptor: int, _offset: int, _length: int, _advice: int) -> None:
        self._open(process, descriptor)  # what a disk writes before it is told to may be there after a cut, or not

    def os_mkdir(self, _process: Process, path: str, _mode: int = 0o777) -> None:
        self.disk.make_directory(path)

    def os_rename(self, _process: Process, old: str, new: str) -> None:
        self.disk.rename(old, new)

    def os_link(self, _process: Process, old: str, new: str, *, follow_symlinks: bool = True) -> None:
        self.disk.link(old, new)

    def os_unlink(self, _process: Process, path: str) -> None:
        self.disk.unlink(path)

    def os_fchmod(self, process: Process, descriptor: int, mode: int) -> None:
        node = self._open(process, descriptor).node
        node.mode = stat.S_IFMT(node.mode) | mode

    def _open(self, process: Process, descriptor: int) -> OpenFile:
        if descriptor not in process.files:
            raise failure(errno.EBADF)
        return process.files[descriptor]

    def _file(self, process: Process, descriptor: int) -> File:
        node = self._open(process, descriptor).node
        if not isinstance(node, File):
            raise failure(errno.EISDIR)
        return node


def _status(node: Node) -> Status:
    size = len(node.live) if isinstance(node, File) else 0
    return Status(node.mode, node.number, size, node.version, node.version)


def failure(code: int) -> OSError:
    """Return the error of a call."""
    return OSError(code, os.strerror(code))
