"""Read a journal file from a known place on, in 64 KiB chunks, and verify every line; memory stays bounded."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

from eventlog import chain
from eventlog.errors import JournalDamagedError
from eventlog.journal import ENTRY_BYTES_MAX

CHUNK_BYTES = 64 << 10


class Mark(Struct, frozen=True):
    """A verified place between two entries: *size* entries end at *offset_bytes*, the last of them with *hash*."""

    size: int = 0
    offset_bytes: int = 0
    hash: str = chain.GENESIS


class Marks:
    """Verified places to read on from, about one every chunk, so that no read starts at zero twice."""

    def __init__(self) -> None:
        self._marks = [Mark()]
        self._threads = threading.Lock()

    def newest(self) -> Mark:
        """Return the furthest verified place."""
        return self._marks[-1]

    def before(self, position: int) -> Mark:
        """Return the last verified place at or before *position*."""
        marks = self._marks
        return marks[bisect_right(marks, position, key=lambda mark: mark.size) - 1]

    def add(self, mark: Mark) -> None:
        """Remember a place if it is further than all before; a newest one too close to the one before is replaced."""
        with self._threads:
            marks = self._marks
            if mark.size <= marks[-1].size:
                return
            if len(marks) > 1 and mark.offset_bytes - marks[-2].offset_bytes < CHUNK_BYTES:
                self._marks = [*marks[:-1], mark]
            else:
                marks.append(mark)


def scan(descriptor: int, where: str, mark: Mark, end_bytes: int) -> Iterator[tuple[list[bytes], Mark]]:
    """
    Yield batches of verified lines between *mark* and *end_bytes*, each with the mark behind it.

    Raises:
        JournalDamagedError: a line does not verify, is too long, or the last one is not ended.
    """
    offset = mark.offset_bytes
    carried = b""
    while offset < end_bytes:
        chunk = os.pread(descriptor, min(CHUNK_BYTES, end_bytes - offset), offset)
        if not chunk:
            raise JournalDamagedError(
                f"{where}: expected {end_bytes} acknowledged bytes, got {offset}: run verify",
                position=mark.size,
                offset_bytes=mark.offset_bytes,
            )
        offset += len(chunk)
        lines = (carried + chunk).split(b"\n")
        carried = lines.pop()
        mark = _verified(where, lines, mark)
        if len(carried) > ENTRY_BYTES_MAX:
            raise _damaged(where, mark, f"expected a line of at most {ENTRY_BYTES_MAX} bytes, got more")
        if lines:
            yield lines, mark
    if carried:
        raise _damaged(where, mark, f"expected a newline at offset {end_bytes - 1}, got {carried[-1:]!r}")


def salvage(descriptor: int) -> Iterator[bytes]:
    """Yield the lines that verify, from the first on; the first that does not, or is not ended, ends it."""
    carried, offset, prev = b"", 0, chain.GENESIS
    while chunk := os.pread(descriptor, CHUNK_BYTES, offset):
        offset += len(chunk)
        lines = (carried + chunk).split(b"\n")
        carried = lines.pop()
        for line in lines:
            if len(line) > ENTRY_BYTES_MAX:
                return
            try:
                prev = chain.verify([line], prev)
            except chain.ChainError:
                return
            yield line
        if len(carried) > ENTRY_BYTES_MAX:
            return


def _verified(where: str, lines: list[bytes], mark: Mark) -> Mark:
    try:
        newest = chain.verify(lines, mark.hash)
        if lines and max(map(len, lines)) > ENTRY_BYTES_MAX:
            index = next(index for index, line in enumerate(lines) if len(line) > ENTRY_BYTES_MAX)
            raise chain.ChainError(index, f"at most {ENTRY_BYTES_MAX} bytes", "more")
    except chain.ChainError as error:
        good = lines[: error.index]
        mark = Mark(mark.size + len(good), mark.offset_bytes + _bytes_of(good))
        raise _damaged(where, mark, str(error), len(lines[error.index]), error) from error
    return Mark(mark.size + len(lines), mark.offset_bytes + _bytes_of(lines), newest)


def _bytes_of(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + len(lines)


def _damaged(
    where: str, mark: Mark, what: str, size_bytes: int | None = None, error: chain.ChainError | None = None
) -> JournalDamagedError:
    offset = mark.offset_bytes
    extent = f"from byte {offset} on" if size_bytes is None else f"bytes {offset} to {offset + size_bytes}"
    return JournalDamagedError(
        f"{where}: damaged entry {mark.size} (line {mark.size + 1}, {extent}): {what}: run verify",
        position=mark.size,
        offset_bytes=mark.offset_bytes,
        size_bytes=size_bytes,
        expected=None if error is None else error.expected,
        actual=None if error is None else error.got,
    )
