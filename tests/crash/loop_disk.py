"""
A disk in an image file, mounted through a loop device, whose power can be cut: only what was synced by then is there.

The cut is the file system's own shutdown call, told not to flush its log: from then on it writes nothing more, and the
next mount replays the log as it does after a power failure. A sync that is under way at that moment may still say that
it succeeded, so nobody may believe an answer that was not there before.

Source: `FS_IOC_SHUTDOWN` with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`, as `src/godown.c` of xfstests calls it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SHUTDOWN = 0x8004587D
_WITHOUT_LOG_FLUSH = struct.pack("I", 2)
_NEIGHBOUR = "neighbour"
_REPAIRED = 1
"""What e2fsck exits with when it has found and mended something."""


class NotAvailableError(Exception):
    """Loop devices, the file system or its tools are missing on this machine; the message says which."""


@dataclass(frozen=True)
class FileSystem:
    """
    How one is made and mounted.

    Attributes:
        repair: how it is repaired before it is mounted again; only without a log is that needed.
    """

    size_bytes: int
    make: tuple[str, ...]
    mount: tuple[str, ...]
    repair: tuple[str, ...] = ()


FILE_SYSTEMS = {
    "ext4": FileSystem(16 << 20, ("mkfs.ext4", "-q"), ("-o", "loop,data=ordered")),
    "ext4-writeback": FileSystem(16 << 20, ("mkfs.ext4", "-q"), ("-o", "loop,data=writeback,noauto_da_alloc")),
    "xfs": FileSystem(300 << 20, ("mkfs.xfs", "-q"), ("-o", "loop")),
    "ext2": FileSystem(
        16 << 20, ("mkfs.ext2", "-q"), ("-t", "ext4", "-o", "loop,noauto_da_alloc"), ("e2fsck", "-f", "-y")
    ),
}
"""
By the name that a test shows. `noauto_da_alloc`: a rename does not write the bytes of the renamed file by itself. The
last one has no log: names, sizes and places of bytes reach the disk one by one, so it forgives the least.
"""


class LoopDisk:
    """
    One disk; it is mounted at once.

    Args:
        name: which of `FILE_SYSTEMS`.

        image: the file that holds the disk; made new.

        root: where it is mounted.
    """

    def __init__(self, name: str, image: Path, root: Path) -> None:
        self.root = root
        self._image = image
        self._system = FILE_SYSTEMS[name]
        root.mkdir()
        with image.open("wb") as file:
            file.truncate(self._system.size_bytes)
        with _set_up():
            _run(*self._system.make, str(image))
            self.mount()

    def mount(self) -> None:
        """Mount it; after a cut this replays the log."""
        _run("mount", *self._system.mount, str(self._image), str(self.root))

    def cut(self) -> None:
        """Cut the power. Whoever still uses the disk sees input/output errors; wait for them, then `revive`."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_LOG_FLUSH)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP):
                raise NotAvailableError(f"{self._system.make[0]}: this file system cannot be shut down") from error
            raise
        finally:
            os.close(descriptor)

    def revive(self) -> None:
        """
        Unmount the dead file system and mount what the disk holds.

        One without a log still writes when it is unmounted, which comes too late: its disk is copied before.
        """
        after_the_cut = self._image.with_suffix(".cut")
        if self._system.repair:
            _run("cp", "--sparse=always", str(self._image), str(after_the_cut))
        _run("umount", str(self.root))
        if self._system.repair:
            after_the_cut.rename(self._image)
            _run(*self._system.repair, str(self._image), status_max=_REPAIRED)
        self.mount()

    def disturb(self) -> None:
        """Write and sync a file of a neighbour's: the file system may write names of other files along with it."""
        descriptor = os.open(self.root / _NEIGHBOUR, os.O_WRONLY | os.O_CREAT)
        try:
            os.write(descriptor, os.urandom(8))
            os.ftruncate(descriptor, 8)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def mount_memory(root: Path) -> None:
    """Mount a file system in memory at a directory."""
    with _set_up():
        _run("mount", "-t", "tmpfs", "memory", str(root))


@contextmanager
def _set_up() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotAvailableError(f"{error.filename}: not installed") from error
    except subprocess.CalledProcessError as error:
        raise NotAvailableError(f"{' '.join(error.cmd)}: {error.stderr.strip()}") from error


def _run(*words: str, status_max: int = 0) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode > status_max:
        done.check_returncode()
