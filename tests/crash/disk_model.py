"""
A disk that promises no more than POSIX does: what is durable, and what is pending.

Bytes of a file survive if a finished `fsync` or `fdatasync` of that file came after them. A name (made, moved or
removed) survives if a finished `fsync` of its *directory* came after it; syncing the file does not help its name. All
else is pending: `disk_states` says in which ways each pending operation may or may not have reached the disk.

Files are inodes, so a file keeps its bytes whatever happens to its names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from disk_states import FULL, Pending, Snapshot, applied, enumerate_states, move_name, tree_of
from strace_log import Op, Tree

_ROOT = 0


@dataclass
class _Inode:
    """A file, or (with *names*) a directory: what is durable, and what a running system shows."""

    durable: bytes = b""
    live: bytes = b""
    names: dict[str, int] | None = None
    live_names: dict[str, int] = field(default_factory=dict)


class Disk:
    """
    Takes operations one after the other and says in which states a power cut may leave the disk.

    Args:
        start: what is durable before the first operation.
    """

    def __init__(self, start: Mapping[str, bytes | None]) -> None:
        self._inodes = [_Inode(names={})]
        self._pending: list[Pending] = []
        for path, data in sorted(start.items()):
            directory = self._inodes[self._find(os.path.dirname(path) or ".")]
            assert directory.names is not None, "a parent is a directory"
            directory.names[os.path.basename(path)] = directory.live_names[os.path.basename(path)] = len(self._inodes)
            self._inodes.append(_Inode(names={}) if data is None else _Inode(data, data))

    def take(self, op: Op) -> None:
        """Let *op* happen."""
        if op.kind in ("create", "mkdir"):
            self._inodes.append(_Inode(names={} if op.kind == "mkdir" else None))
            self._name(op, added=op.path, child=len(self._inodes) - 1)
        elif op.kind in ("write", "truncate"):
            inode = self._find(op.path)
            file = self._inodes[inode]
            self._pending.append(Pending(inode, op, grows_from=len(file.live)))
            file.live = applied(file.live, op, FULL)
        elif op.kind in ("sync", "sync_dir"):
            self._sync(self._find(op.path))
        elif op.kind == "rename" and os.path.dirname(op.path) != os.path.dirname(op.target):
            child = self._find(op.path)  # one directory may be written back without the other
            self._name(op, added=op.target, child=child)
            self._name(op, removed=op.path)
        elif op.kind == "rename":
            self._name(op, removed=op.path, added=op.target, child=self._find(op.path))
        elif op.kind == "link":
            self._name(op, added=op.target, child=self._find(op.path))
        elif op.kind in ("unlink", "rmdir"):
            self._name(op, removed=op.path)
        else:
            assert op.kind == "ack", f"unknown operation {op}"

    def live(self) -> Tree:
        """Return what a running system shows."""
        directories = {number: item.live_names for number, item in enumerate(self._inodes) if item.names is not None}
        return tree_of(directories, {number: item.live for number, item in enumerate(self._inodes)})

    def states(self, stride: int, *, newest_only: bool) -> Iterator[Tree]:
        """
        Yield the states in which a power cut now may leave the disk; some come more than once.

        Args:
            stride: see `disk_states.enumerate_states`.

            newest_only: leave out those in which the operation that came last had no effect; they were possible
                before it.
        """
        contents = {number: item.durable for number, item in enumerate(self._inodes) if item.names is None}
        names = {number: item.names for number, item in enumerate(self._inodes) if item.names is not None}
        return enumerate_states(Snapshot(contents, names, list(self._pending)), stride, newest_only=newest_only)

    def _find(self, path: str) -> int:
        inode = _ROOT
        for name in path.split("/") if path != "." else ():
            inode = self._inodes[inode].live_names[name]
        return inode

    def _name(self, op: Op, *, removed: str = "", added: str = "", child: int = 0) -> None:
        directory = self._find(os.path.dirname(added or removed) or ".")
        change = Pending(directory, op, os.path.basename(removed), os.path.basename(added), child)
        move_name(self._inodes[directory].live_names, change)
        self._pending.append(change)

    def _sync(self, number: int) -> None:
        inode = self._inodes[number]
        inode.durable = inode.live
        if inode.names is not None:
            inode.names = dict(inode.live_names)
        self._pending = [item for item in self._pending if item.inode != number]


def states_of(start: Mapping[str, bytes | None], ops: list[Op], stride: int) -> Iterator[tuple[int, Tree]]:
    """
    Yield every state in which a power cut during *ops* may leave the disk, with how many operations had been made.

    A sync only rules states out, so nothing new follows it; after an acknowledgement everything that is then possible
    comes again, because more is promised from there on.
    """
    disk = Disk(start)
    yield 0, disk.live()
    for count, op in enumerate(ops, 1):
        disk.take(op)
        if op.kind not in ("sync", "sync_dir"):
            for tree in disk.states(stride, newest_only=op.kind != "ack"):
                yield count, tree
