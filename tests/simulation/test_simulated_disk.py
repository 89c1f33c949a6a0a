"""The simulated machine does what a real one does, and its disk keeps no more than it must."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from simulated_disk import Disk, Fate, File
from simulated_kernel import Kernel
from support import LONG

SEQUENCES = 2_000 if LONG else 60
CALLS = 60
FILES = ("/d/a", "/d/b", "/d/c")
PATHS = (*FILES, "/d", "/e", "/e/a", "/d/a/x")
FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_DIRECTORY)

Call = tuple[str, tuple[Any, ...]]


class Both:
    """
    Makes the same calls on a real directory and on a simulated machine.

    Args:
        root: of the real ones; a simulated path stands below it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kernel = Kernel(Disk(), Random(0))
        self._process = self._kernel.started()
        self._open: list[tuple[int, int]] = []

    def make(self, name: str, *args: Any) -> tuple[object, object]:
        """Return what the real call and the simulated one say; a path or a descriptor is a path or a number."""
        real = [self._real(arg) for arg in args]
        simulated = [self._open[arg.number][1] if isinstance(arg, Descriptor) else arg for arg in args]
        first = self._said(lambda: getattr(os, name)(*real))
        second = self._said(lambda: getattr(self._kernel, f"os_{name}")(self._process, *simulated))
        if name == "open" and isinstance(first, int) and isinstance(second, int) and min(first, second) >= 0:
            self._open.append((first, second))
            return "open", "open"
        return first, second

    def drawn(self, rng: Random) -> Call:
        """Draw a call."""
        path, file, other, size = rng.choice(PATHS), rng.choice(FILES), rng.choice(FILES), rng.randrange(6)
        calls: list[Call] = [("open", (path, rng.choice(FLAGS), 0o644)), ("mkdir", (rng.choice(PATHS[3:]), 0o755))]
        calls += [("unlink", (file,)), ("rename", (file, other)), ("link", (file, other))]
        calls += [("stat", (path,)), ("lstat", (path,)), ("listdir", (path,))]
        if self._open:
            descriptor = Descriptor(rng.randrange(len(self._open)))
            calls += [("pwrite", (descriptor, b"x%d" % size, size)), ("ftruncate", (descriptor, size))] * 2
            calls += [("pread", (descriptor, size, rng.randrange(4))), ("read", (descriptor, size))]
            calls += [("fstat", (descriptor,)), ("fsync", (descriptor,)), ("fdatasync", (descriptor,))]
        return rng.choice(calls)

    def close(self) -> None:
        for real, _ in self._open:
            os.close(real)

    def _real(self, arg: Any) -> Any:
        if isinstance(arg, Descriptor):
            return self._open[arg.number][0]
        return f"{self._root}{arg}" if isinstance(arg, str) else arg

    @staticmethod
    def _said(call: Callable[[], Any]) -> object:
        try:
            said = call()
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        if hasattr(said, "st_mode"):
            return stat.S_IFMT(said.st_mode), said.st_size if stat.S_ISREG(said.st_mode) else 0
        return sorted(said) if isinstance(said, list) else said


class Descriptor:
    """A descriptor by the order of opening."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"descriptor {self.number}"


def test_calls_are_the_real_ones(tmp_path, tally):
    """Any sequence of calls gives the same answers, errors and files as on a real file system."""
    for seed in range(SEQUENCES):
        rng, root = Random(seed), tmp_path / str(seed)
        root.mkdir()
        both = Both(root)
        made: list[Call] = []
        for _ in range(CALLS):
            name, args = both.drawn(rng)
            made.append((name, args))

            real, simulated = both.make(name, *args)

            assert simulated == real, f"seed {seed}: {made}"
        both.close()
    tally("simulated calls compared with the real ones", SEQUENCES * CALLS)


@pytest.fixture
def disk() -> Disk:
    """A disk with one durable file."""
    made = Disk()
    made.make_directory("/d")
    file = made.create("/d/a", 0o644)
    made.write(file, b"old", 0)
    for path in ("/d/a", "/d", "/"):
        made.sync(made.node(path))
    return made


def file_of(disk: Disk, path: str) -> File:
    node = disk.node(path)
    assert isinstance(node, File)
    return node


def left(disk: Disk, path: str) -> set[bytes | None]:
    """Return what many power cuts leave of a file."""
    return {disk.after_power_cut(Fate(Random(seed))).content(path) for seed in range(300)}


def test_a_synced_write_stays(disk):
    """Nothing else can be found after a sync."""
    disk.write(file_of(disk, "/d/a"), b"newer", 0)
    disk.sync(disk.node("/d/a"))

    assert left(disk, "/d/a") == {b"newer"}


def test_a_pending_write_may_be_lost_torn_or_there(disk):
    """Each part of it may be there, also behind a hole."""
    disk.write(file_of(disk, "/d/a"), b"newer", 0)

    found = left(disk, "/d/a")

    assert {b"old", b"newer", b"nld", b"newe"} <= found
    assert any(b"\0" in (content or b"") for content in found)
    assert disk.content("/d/a") == b"newer"


def test_pending_writes_arrive_in_any_order(disk):
    """The later one may be there without the earlier one."""
    disk.write(file_of(disk, "/d/a"), b"X", 0)
    disk.write(file_of(disk, "/d/a"), b"Y", 1)

    assert {b"old", b"Xld", b"oYd", b"XYd"} == left(disk, "/d/a")


def test_a_name_needs_its_directory(disk):
    """A file that was created and synced is lost unless its directory was synced, and so is a rename."""
    disk.write(disk.create("/d/b", 0o644), b"b", 0)
    disk.sync(disk.node("/d/b"))

    assert left(disk, "/d/b") == {None, b"b"}

    disk.sync(disk.node("/d"))
    disk.rename("/d/b", "/d/a")

    assert left(disk, "/d/a") == {b"old", b"b"}
    assert left(disk, "/d/b") == {None, b"b"}


def test_lost_pages_are_never_written(disk):
    """After a sync that failed, what is shown and what is durable differ, and another sync does not help."""
    disk.write(file_of(disk, "/d/a"), b"new", 0)
    disk.lose(disk.node("/d/a"), Random(1))
    disk.sync(disk.node("/d/a"))

    assert disk.content("/d/a") == b"new"
    assert b"new" not in left(disk, "/d/a")


def test_nothing_pending_arrives_in_the_simplest_fate(disk):
    """What acknowledgements are held to: the disk without all that is pending."""
    disk.write(file_of(disk, "/d/a"), b"newer", 0)
    disk.create("/d/b", 0o644)

    found = disk.after_power_cut(Fate())

    assert (found.content("/d/a"), found.names("/d")) == (b"old", ["a"])
