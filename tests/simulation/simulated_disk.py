"""
A disk in memory that promises no more than POSIX does: what a running system shows, what is durable, what is pending.

Bytes of a file are durable after a sync of that file, a name after a sync of its directory. All else is pending: a
power cut lets each pending operation arrive, or not, or in part. The rules are those of `tests/crash/disk_model.py`,
and `applied` is its very function; there all outcomes of one moment are tried, here one is drawn.

A sync that fails may have lost its pages for good: they are still shown, and no later sync writes them. Changes of
size and of names belong to the file system's own journal; they stay pending until a sync succeeds.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from disk_states import FULL, NONE, Variant, applied
from strace_log import Op

DIRECTORY_MODE = stat.S_IFDIR | 0o755
_Kind = TypeVar("_Kind", "File", "Directory")
_STYLES = ("nothing", "everything", "in order", "in order", "anything", "anything", "anything")


@dataclass(eq=False)
class Node:
    """A file or a directory; *version* goes up with each change, and serves as the times of a file."""

    number: int
    mode: int
    version: int = 0


@dataclass(eq=False)
class File(Node):
    """Bytes: as shown, as durable, and the writes and cuts between the two, oldest first."""

    live: bytearray = field(default_factory=bytearray)
    disk: bytes = b""
    pending: list[tuple[Op, int]] = field(default_factory=list)
    """Each with the size that the file had before."""

    unreported: bool = False
    """Whether writing back failed behind everybody's back: the next sync says so."""


@dataclass(frozen=True)
class Naming:
    """A change of names in one directory."""

    removed: str = ""
    added: str = ""
    child: Node | None = None

    def apply(self, names: dict[str, Node]) -> None:
        names.pop(self.removed, None)
        if self.child is not None:
            names[self.added] = self.child


@dataclass(eq=False)
class Directory(Node):
    """Names: as shown, as durable, and the changes between the two, oldest first."""

    live: dict[str, Node] = field(default_factory=dict)
    disk: dict[str, Node] = field(default_factory=dict)
    pending: list[Naming] = field(default_factory=list)


class Fate:
    """
    What a power cut does to the pending operations.

    Args:
        rng: draws it; None for the worst that is simple: nothing arrives.
    """

    def __init__(self, rng: Random | None = None) -> None:
        self._rng = rng
        self.style = "nothing" if rng is None else rng.choice(_STYLES)

    def variants(self, count: int) -> list[Variant]:
        """Return for each of *count* operations on one file or directory whether it arrives."""
        if self._rng is None or self.style == "nothing":
            return [NONE] * count
        if self.style == "everything":
            return [FULL] * count
        if self.style == "in order":
            arrived = self._rng.randint(0, count)
            return [FULL] * arrived + [NONE] * (count - arrived)
        return [FULL if self._rng.random() < 0.5 else NONE for _ in range(count)]

    def torn(self, op: Op, size_before: int) -> Variant:
        """Draw whether and how a write that arrives does so in part only."""
        size = len(op.data)
        if self._rng is None or self.style == "everything" or size < 2 or self._rng.random() < 0.6:
            return FULL
        first, last = self._rng.randrange(size), self._rng.randrange(size)
        grows = op.offset + size > size_before
        if grows and self._rng.random() < 0.5:
            return ("grown", min(first, last), max(first, last))
        return ("torn", first, 0)


class Disk:
    """A tree of nodes; paths are absolute and without links. Errors are those of the system calls."""

    def __init__(self) -> None:
        self.root = Directory(1, DIRECTORY_MODE)
        self._nodes = 1

    def node(self, path: str) -> Node:
        """Return what *path* names."""
        node: Node = self.root
        for name in path.split("/"):
            if name:
                if not isinstance(node, Directory):
                    raise _failure(errno.ENOTDIR, path)
                if name not in node.live:
                    raise _failure(errno.ENOENT, path)
                node = node.live[name]
        return node

    def content(self, path: str) -> bytes | None:
        """Return the bytes of a file as a running system shows them, or None where there is none."""
        try:
            node = self.node(path)
        except FileNotFoundError:
            return None
        return bytes(node.live) if isinstance(node, File) else None

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, or none where there is none."""
        try:
            node = self.node(path)
        except FileNotFoundError:
            return []
        return list(node.live) if isinstance(node, Directory) else []

    def create(self, path: str, mode: int) -> File:
        """Make an empty file, which must not exist."""
        return self._make(path, File(self._next(), stat.S_IFREG | mode))

    def make_directory(self, path: str) -> Directory:
        """Make an empty directory, which must not exist."""
        return self._make(path, Directory(self._next(), DIRECTORY_MODE))

    def rename(self, old: str, new: str) -> None:
        """Move a name within one directory; of two names of one file, both stay."""
        assert os.path.dirname(old) == os.path.dirname(new), "only this is simulated"
        node = self.node(old)
        directory, name = self._place(new)
        if directory.live.get(name) is not node:
            self._change(directory, Naming(os.path.basename(old), name, node))

    def link(self, old: str, new: str) -> None:
        """Give a file a second name, which must not exist."""
        node = self.node(old)
        directory, name = self._place(new)
        if name in directory.live:
            raise _failure(errno.EEXIST, new)
        self._change(directory, Naming("", name, node))

    def unlink(self, path: str) -> None:
        """Take a name away."""
        self.node(path)
        directory, name = self._place(path)
        self._change(directory, Naming(name))

    def write(self, file: File, data: bytes, offset: int) -> None:
        """Write into the page cache."""
        self._take(file, Op("write", "", offset=offset, data=data))

    def truncate(self, file: File, size: int) -> None:
        """Cut or lengthen what is shown."""
        self._take(file, Op("truncate", "", offset=size))

    def sync(self, node: Node) -> None:
        """Make what is pending on *node* durable."""
        if isinstance(node, File):
            for op, _ in node.pending:
                node.disk = applied(node.disk, op, FULL)
        else:
            assert isinstance(node, Directory), "there are no other nodes"
            node.disk = dict(node.live)
        node.pending.clear()

    def lose(self, node: Node, rng: Random) -> None:
        """Let writing back fail: some pages arrive, the others are dropped and count as clean from now on."""
        if not isinstance(node, File):
            return
        kept = []
        for op, size_before in node.pending:
            if op.kind == "truncate":
                kept.append((op, size_before))
            elif rng.random() < 0.3:
                node.disk = applied(node.disk, op, ("torn", rng.randint(0, len(op.data)), 0))
            elif (growth := op.offset + len(op.data) - size_before) > 0 and rng.random() < 0.5:
                kept.append((replace(op, offset=size_before, data=bytes(growth)), size_before))
        node.pending = kept

    def after_power_cut(self, fate: Fate) -> Disk:
        """Return the disk as the next boot finds it; this one stays as it is."""
        found = Disk()
        found._nodes = self._nodes
        copies: dict[int, Node] = {}
        found.root = _survivor(self.root, fate, copies)
        return found

    def _next(self) -> int:
        self._nodes += 1
        return self._nodes

    def _place(self, path: str) -> tuple[Directory, str]:
        parent, name = os.path.split(path)
        directory = self.node(parent)
        if not isinstance(directory, Directory):
            raise _failure(errno.ENOTDIR, path)
        return directory, name

    def _make(self, path: str, node: _Kind) -> _Kind:
        directory, name = self._place(path)
        if name in directory.live:
            raise _failure(errno.EEXIST, path)
        self._change(directory, Naming("", name, node))
        return node

    def _change(self, directory: Directory, naming: Naming) -> None:
        naming.apply(directory.live)
        directory.pending.append(naming)
        directory.version += 1

    def _take(self, file: File, op: Op) -> None:
        size = len(file.live)
        file.pending.append((op, size))
        file.version += 1
        if op.kind == "truncate":
            file.live[op.offset :] = bytes(max(0, op.offset - size))
            return
        if op.offset > size:
            file.live.extend(bytes(op.offset - size))
        file.live[op.offset : op.offset + len(op.data)] = op.data


def _survivor(node: _Kind, fate: Fate, copies: dict[int, Node]) -> _Kind:
    """Return *node* after a power cut, with all that its durable names lead to; a file with two names is one file."""
    if node.number not in copies:
        arrived = fate.variants(len(node.pending))
        if isinstance(node, File):
            content = node.disk
            for (op, size_before), variant in zip(node.pending, arrived, strict=True):
                content = applied(content, op, fate.torn(op, size_before) if variant == FULL else NONE)
            copies[node.number] = File(node.number, node.mode, node.version, bytearray(content), content)
        else:
            names = dict(node.disk)
            for naming, variant in zip(node.pending, arrived, strict=True):
                if variant == FULL:
                    naming.apply(names)
            copies[node.number] = directory = Directory(node.number, node.mode, node.version)
            directory.live = {name: _survivor(child, fate, copies) for name, child in names.items()}
            directory.disk = dict(directory.live)
    return copies[node.number]


def _failure(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
