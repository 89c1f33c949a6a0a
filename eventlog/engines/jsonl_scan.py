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
"""As many as the longest line and its newline have: each chunk holds a whole line, or the line is too long."""

assert CHUNK_BYTES == ENTRY_BYTES_MAX + 1, "see above"


class Mark(Struct, frozen=True):
    """A verified place between two entries: *size* entries end at *offset_bytes*, the last of them with *hash*."""

    size: int = 0
    offset_bytes: int = 0
    hash: str = chain.GENESIS


class Marks:
    """Verified places to read on from, about one every chunk, so that no read starts at zero twice."""

    def __init__(self) -> None:
        self._marks = [Mark()]
        self._before_last = Mark()
        self._threads = threading.Lock()

    def newest(self) -> Mark:
        """Return the furthest verified place."""
        return self._marks[-1]

    def before(self, position: int) -> Mark:
        """Return the last verified place at or before *position*."""
        marks, before_last = self._marks, self._before_last
        if marks[-1].size > position >= before_last.size == marks[-1].size - 1:
            return before_last
        return marks[bisect_right(marks, position, key=lambda mark: mark.size) - 1]

    def after(self, mark: Mark) -> Mark | None:
        """Return the first verified place behind *mark*, or None."""
        marks = self._marks
        place = bisect_right(marks, mark.size, key=lambda other: other.size)
        return marks[place] if place < len(marks) else None

    def put(self, mark: Mark) -> None:
        """Remember a place that was proven by something else than reading up to it."""
        with self._threads:
            marks = self._marks
            place = bisect_right(marks, mark.size, key=lambda other: other.size)
            if marks[place - 1].size != mark.size:
                self._marks = [*marks[:place], mark, *marks[place:]]

    def add(self, mark: Mark, last: bytes) -> None:
        """
        Remember a place if it is further than all before; a newest one too close to the one before is replaced.

        Args:
            last: the line before it; the place before that is remembered, too, for whoever makes sure of the newest.
        """
        with self._threads:
            marks = self._marks
            if mark.size <= marks[-1].size:
                return
            self._before_last = Mark(mark.size - 1, mark.offset_bytes - len(last) - 1, chain.prev_of(last))
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
    while mark.offset_bytes < end_bytes:
        chunk = read_at(descriptor, min(CHUNK_BYTES, end_bytes - mark.offset_bytes), mark.offset_bytes)
        lines = chunk.split(b"\n")
        unended = len(lines.pop())
        if lines:
            mark = _verified(where, lines, mark, len(chunk) - unended)
            yield lines, mark
        elif len(chunk) == CHUNK_BYTES:
            raise _damaged(where, mark, f"expected a line of at most {ENTRY_BYTES_MAX} bytes, got more")
        elif mark.offset_bytes + unended == end_bytes:
            raise _damaged(where, mark, f"expected a newline at offset {end_bytes - 1}, got {chunk[-1:]!r}")
        else:
            raise JournalDamagedError(
                f"{where}: expected {end_bytes} acknowledged bytes, got {mark.offset_bytes + unended}: run verify",
                position=mark.size,
                offset_bytes=mark.offset_bytes,
            )


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


def read_at(descriptor: int, size_bytes: int, offset_bytes: int) -> bytes:
    """Return *size_bytes* from *offset_bytes* on, fewer only where the file ends before."""
    chunk = b""
    while len(chunk) < size_bytes:
        more = os.pread(descriptor, size_bytes - len(chunk), offset_bytes + len(chunk))
        if not more:
            break
        chunk = chunk + more if chunk else more
    return chunk


def _verified(where: str, lines: list[bytes], mark: Mark, size_bytes: int) -> Mark:
    """Return the mark behind *lines*, which with their newlines are *size_bytes* long."""
    try:
        newest = chain.verify(lines, mark.hash)
        if max(map(len, lines)) > ENTRY_BYTES_MAX:
            index = next(index for index, line in enumerate(lines) if len(line) > ENTRY_BYTES_MAX)
            raise chain.ChainError(index, f"at most {ENTRY_BYTES_MAX} bytes", "more")
    except chain.ChainError as error:
        good = lines[: error.index]
        mark = Mark(mark.size + len(good), mark.offset_bytes + sum(map(len, good)) + len(good))
        raise _damaged(where, mark, str(error), len(lines[error.index]), error) from error
    return Mark(mark.size + len(lines), mark.offset_bytes + size_bytes, newest)


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
