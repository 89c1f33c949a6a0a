"""A file system of a few pages in memory, which fills up, runs out of inodes, and is mounted read-only at will."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SMALL_BYTES = 80 << 10
_BALLAST = "ballast"


class SmallDisk:
    """
    A mounted tmpfs.

    Attributes:
        root: where it is mounted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def leave_bytes(self, count: int) -> None:
        """Fill the disk until no more than *count* bytes, a multiple of the page, are free."""
        found = os.statvfs(self.root)
        with open(self.root / _BALLAST, "wb") as ballast:
            ballast.write(bytes(max(0, found.f_bavail * found.f_frsize - count)))

    def leave_names(self, count: int) -> None:
        """Create files until no more than *count* can be created."""
        for number in range(os.statvfs(self.root).f_favail - count):
            (self.root / f"{_BALLAST}-{number}").touch()

    def make_room(self) -> None:
        """Take out again what the two above have put there."""
        for path in self.root.glob(f"{_BALLAST}*"):
            path.unlink()

    def make_read_only(self) -> None:
        """Refuse all writes from now on; raises CalledProcessError while a file is open for writing."""
        self._remount("ro")

    def make_writable(self) -> None:
        """Take writes again."""
        self._remount("rw")

    def _remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.root)], check=True, capture_output=True)


@contextmanager
def small_disk(root: Path, *, size_bytes: int = SMALL_BYTES) -> Iterator[SmallDisk]:
    """Mount one at the new directory *root*, and take it away afterwards whatever happens."""
    root.mkdir()
    options = f"size={size_bytes},nr_inodes=64,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "modelog-test", str(root)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        assert not os.environ.get("CI"), f"continuous integration mounts file systems: {mounted.stderr}"
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr}")
    try:
        yield SmallDisk(root)
    finally:
        with suppress(FileNotFoundError):
            subprocess.run(["umount", "--lazy", str(root)], check=True, capture_output=True)
