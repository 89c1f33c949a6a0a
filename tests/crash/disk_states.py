"""
The ways in which pending operations may have reached a disk, and the trees that follow from them.

Each pending operation may have arrived or not, in any combination, and a write may have arrived in part:

- torn: the first *i* bytes are there, and the file is no longer than that;
- grown: the file has its new size, but NULs stand where bytes did not arrive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from strace_log import Op, Tree

SECTOR_BYTES = 512
SUBSETS_MAX = 8
"""Up to so many pending operations every subset of them is tried."""

_LINES_MAX = 8
_ROOT = 0
Variant = tuple[str, int, int]
"""`full`, `none`, `torn` (the first *i* bytes) or `grown` (bytes [i, j), and NULs for the rest behind the old end)."""

FULL: Variant = ("full", 0, 0)
NONE: Variant = ("none", 0, 0)


@dataclass(frozen=True)
class Pending:
    """
    An operation that a power cut may undo.

    Attributes:
        inode: the file whose bytes it changes, or the directory whose names it changes.

        removed, added, child: the change of names, and the inode that the added one leads to.

        grows_from: for a write, how long the file was before.
    """

    inode: int
    op: Op
    removed: str = ""
    added: str = ""
    child: int = 0
    grows_from: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A disk at one moment: durable bytes of each file, durable names in each directory, and what is pending."""

    contents: Mapping[int, bytes]
    names: Mapping[int, Mapping[str, int]]
    pending: Sequence[Pending]


def enumerate_states(disk: Snapshot, stride: int, *, newest_only: bool) -> Iterator[Tree]:
    """
    Yield what may be found after a power cut; some states come more than once.

    All subsets of pending operations; then each write torn in every way, against all subsets of the others; then each
    two writes torn at once, in a few ways. With more than `SUBSETS_MAX` others, not all subsets of those: what is in
    order on each file and directory, and all but one or two, and one or two alone.

    Args:
        stride: every so many bytes a write is torn; 1 is everywhere. Ends of sectors and lines always count.

        newest_only: only states in which the newest pending operation had some effect.
    """
    writer = _StateWriter(disk)
    pending = disk.pending
    newest = {len(pending) - 1: FULL} if newest_only and pending else {}
    writes = [place for place, item in enumerate(pending) if item.op.kind == "write"]

    for others in _subsets(pending, newest):
        yield writer.tree(others)
    for place in writes:
        for variant in _partly(pending[place], stride):
            for others in _subsets(pending, newest | {place: variant}):
                yield writer.tree(others)
    for one, two in combinations(writes, 2):
        for first, second in product(_partly_in_few_ways(pending[one]), _partly_in_few_ways(pending[two])):
            for others in _subsets(pending, newest | {one: first, two: second}):
                yield writer.tree(others)


def applied(content: bytes, op: Op, variant: Variant) -> bytes:
    """Return *content* after as much of a write or truncation as *variant* says."""
    how, first, last = variant
    if how == "none":
        return content
    if op.kind == "truncate":
        return content[: op.offset].ljust(op.offset, b"\0")
    data = op.data
    if how == "torn":
        data = data[:first]
    elif how == "grown":
        missing = content[op.offset : op.offset + len(data)].ljust(len(data), b"\0")
        data = missing[:first] + data[first:last] + missing[last:]
    content = content.ljust(op.offset, b"\0")
    return content[: op.offset] + data + content[op.offset + len(data) :]


def move_name(names: dict[str, int], change: Pending) -> None:
    """Make the change of names that a pending operation stands for."""
    if change.removed:
        names.pop(change.removed, None)
    if change.added:
        names[change.added] = change.child


def tree_of(directories: Mapping[int, Mapping[str, int]], contents: Mapping[int, bytes]) -> Tree:
    """Return what can be reached from the root."""
    found: Tree = {}
    waiting = [("", _ROOT)]
    while waiting:
        prefix, number = waiting.pop()
        for name, child in directories[number].items():
            if child in directories:
                found[prefix + name] = None
                waiting.append((f"{prefix}{name}/", child))
            else:
                found[prefix + name] = contents[child]
    return dict(sorted(found.items()))


class _StateWriter:
    """Turns a choice of what arrived into a tree; what was worked out for one inode is kept for the next choice."""

    def __init__(self, disk: Snapshot) -> None:
        self._disk = disk
        self._places: dict[int, list[int]] = {}
        for place, item in enumerate(disk.pending):
            self._places.setdefault(item.inode, []).append(place)
        self._contents: dict[tuple[int, tuple[Variant, ...]], bytes] = {}
        self._names: dict[tuple[int, tuple[Variant, ...]], Mapping[str, int]] = {}

    def tree(self, choice: Mapping[int, Variant]) -> Tree:
        """Return the disk with the pending operations arrived as *choice* says, one for each place."""
        contents, names = dict(self._disk.contents), dict(self._disk.names)
        for inode, places in self._places.items():
            key = (inode, tuple([choice[place] for place in places]))
            if inode in contents:
                if key not in self._contents:
                    self._contents[key] = self._content(inode, zip(places, key[1], strict=True))
                contents[inode] = self._contents[key]
            else:
                if key not in self._names:
                    self._names[key] = self._directory(inode, zip(places, key[1], strict=True))
                names[inode] = self._names[key]
        return tree_of(names, contents)

    def _content(self, inode: int, arrived: Iterable[tuple[int, Variant]]) -> bytes:
        content = self._disk.contents[inode]
        for place, variant in arrived:
            content = applied(content, self._disk.pending[place].op, variant)
        return content

    def _directory(self, inode: int, arrived: Iterable[tuple[int, Variant]]) -> Mapping[str, int]:
        names = dict(self._disk.names[inode])
        for place, variant in arrived:
            if variant != NONE:
                move_name(names, self._disk.pending[place])
        return names


def _partly(item: Pending, stride: int) -> Iterator[Variant]:
    """Yield the ways in which a write may have arrived in part."""
    size = len(item.op.data)
    edges = _edges(item.op)
    for cut in sorted({*range(stride, size, stride), *edges}):
        yield ("torn", cut, 0)
    if item.op.offset + size > item.grows_from:
        yield ("grown", 0, 0)
        for cut in range(1, size) if stride == 1 else edges:
            yield ("grown", 0, cut)
            yield ("grown", cut, size)


def _partly_in_few_ways(item: Pending) -> Iterator[Variant]:
    """Yield a few of them, for where two writes are torn at once."""
    size = len(item.op.data)
    for cut in sorted({1, size // 2, size - 1} & set(range(1, size))):
        yield ("torn", cut, 0)
    if item.op.offset + size > item.grows_from:
        yield ("grown", 0, 0)


def _edges(op: Op) -> list[int]:
    """Return the places inside a write where a sector ends, and those around the ends of lines while they are few."""
    size = len(op.data)
    sectors = range(-op.offset % SECTOR_BYTES, size, SECTOR_BYTES)
    lines = [place for place, byte in enumerate(op.data, 1) if byte == ord("\n")]
    near = {place + step for place in [*lines[:_LINES_MAX], size] for step in (-2, -1, 0, 1)}
    return sorted(place for place in {1, *sectors, *near} if 0 < place < size)


def _subsets(pending: Sequence[Pending], fixed: Mapping[int, Variant]) -> Iterator[Mapping[int, Variant]]:
    """Yield choices for all *pending* with the *fixed* ones as they are: every one while the others are few."""
    places = [place for place in range(len(pending)) if place not in fixed]
    if len(places) <= SUBSETS_MAX:
        for variants in product((FULL, NONE), repeat=len(places)):
            yield {**dict(zip(places, variants, strict=True)), **fixed}
        return
    yield from ({**choice, **fixed} for choice in _in_order(pending, places))
    for few in (1, 2):
        for chosen in combinations(places, few):
            yield {**{place: NONE if place in chosen else FULL for place in places}, **fixed}
            yield {**{place: FULL if place in chosen else NONE for place in places}, **fixed}


def _in_order(pending: Sequence[Pending], places: Sequence[int]) -> Iterator[dict[int, Variant]]:
    """Yield choices in which each file and each directory has got a prefix of what was pending on it."""
    groups: dict[int, list[int]] = {}
    for place in places:
        groups.setdefault(pending[place].inode, []).append(place)
    for lengths in product(*(range(len(group) + 1) for group in groups.values())):
        arrived = {place for group, length in zip(groups.values(), lengths, strict=True) for place in group[:length]}
        yield {place: FULL if place in arrived else NONE for place in places}
