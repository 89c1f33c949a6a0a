"""A journal and entries that may follow it, read as one; nothing is stored. So what would be is folded before it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from math import inf

from eventlog import chain
from eventlog.errors import RefusedError
from eventlog.journal import ENTRY_BYTES_MAX, DiscardedTail, Journal, Notice, Tail

_PART_BYTES = 1 << 20


class Segment:
    """
    The entries `[start, stop)` of a journal, as lines in a file. Each time they are read they are verified.

    Args:
        where: for messages.

        read: returns so many bytes from an offset in the lines on.

        size_bytes: of all lines.

        prev: the hash of the entry before the first, 64 hex.
    """

    def __init__(
        self, where: str, read: Callable[[int, int], bytes], size_bytes: int, start: int, stop: int, prev: str
    ) -> None:
        self.where, self.start, self.stop = where, start, stop
        self._read, self._size_bytes = read, size_bytes
        self._marks: list[tuple[float, int, str]] = [(start, 0, prev)]  # position, offset, hash before

    def runs(self, first: int, stop: int | None = None) -> Iterator[list[bytes]]:
        """
        Yield the entries from position *first* on, in runs, each verified against the one before.

        Raises:
            RefusedError: the first that does not fit; or there are more or fewer than there should be.
        """
        mark, offset, prev = self._marks[bisect_right(self._marks, (first, inf, "")) - 1]
        position, left, stop = int(mark), b"", self.stop if stop is None else min(stop, self.stop)
        begins = offset
        while offset < self._size_bytes and position < stop:
            part = self._read(offset, min(_PART_BYTES, self._size_bytes - offset))
            offset += len(part)
            *lines, left = (left + part).split(b"\n")
            if max(map(len, [*lines, left])) > ENTRY_BYTES_MAX or position + len(lines) > self.stop:
                raise RefusedError(f"{self.where}: expected {self.stop - self.start} entries, got more or longer ones")
            try:
                prev = chain.verify(lines, prev)
            except chain.ChainError as error:
                raise RefusedError(f"{self.where}: entry {position + error.index}: {error}") from None
            some = lines[max(0, first - position) : max(0, stop - position)]
            position, begins = position + len(lines), offset - len(left)
            if lines and position > self._marks[-1][0]:
                self._marks.append((position, begins, prev))
            if some:
                yield some
        if position < stop or (offset == self._size_bytes and (left or position != self.stop)):
            raise RefusedError(f"{self.where}: expected {self.stop - self.start} whole entries, got fewer")


class Continued:
    """
    What a journal would be with a segment behind its first entries; see `eventlog.journal.Journal`.

    Only what a fold from zero asks for is here: it cannot be written to.

    Args:
        base: has at least the entries before the segment; what it has beyond those is not looked at.
    """

    def __init__(self, base: Journal, segment: Segment) -> None:
        self.where = segment.where
        self._base = base
        self._segment = segment

    def files(self) -> Sequence[str]:
        """Return nothing: files alone do not tell."""
        return ()

    def notices(self) -> Sequence[Notice]:
        """Return nothing: what there is to say of the base is said by whoever reads that."""
        return ()

    def refresh(self) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> None:
        """Do nothing: it does not grow."""

    def close(self) -> None:
        """Do nothing."""

    def tail(self) -> Tail:
        """Return how many entries there are, and the hash of the last, which is read for that."""
        size = self._segment.stop
        return Tail(size, chain.hash_of(next(iter(self.read(size - 1))))) if size else Tail()

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the entries `[start, stop)`."""
        for entries in self.read_runs(start, stop):
            yield from entries

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        """Yield the same in runs."""
        behind = self._segment.start
        stop = self._segment.stop if stop is None else min(stop, self._segment.stop)
        if start < behind:
            yield from self._base.read_runs(start, min(stop, behind))
        if stop > behind:
            yield from self._segment.runs(max(start, behind), stop)

    def resume(self, text: bytes) -> tuple[int, Sequence[bytes]] | None:
        """Return nothing: all of it is to be read."""
        return None

    def vouch(self, size: int) -> None:
        """Do nothing: it is no journal yet."""

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """Return one entry, if it has that hash."""
        if position < self._segment.start:
            return self._base.entry_at(position, offset_bytes, entry_hash)
        for entry in self.read(position, position + 1):
            if chain.hash_of(entry) == entry_hash:
                return entry
        raise RefusedError(f"{self.where}: expected entry {position} with hash {entry_hash}, got another")

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """Return nothing: one process reads it."""
        return None

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands in any entry."""
        return self._base.mentions(text) or any(text in entry for entry in self.read(self._segment.start))

    def confirm(self, *, mend: bool = True) -> None:
        """Do nothing: nothing may rest on it."""

    def salvage(self) -> Iterator[bytes]:
        """Yield all entries: each reading verifies them."""
        return self.read()

    def exclusive(self) -> AbstractContextManager[None]:
        """Refuse: it cannot be written to."""
        raise RefusedError(f"{self.where}: expected a journal to write to, got one that can only be read")

    def discarded(self) -> Sequence[DiscardedTail]:
        """Return nothing."""
        return ()

    def append(self, entries: Sequence[bytes], *, expected_size: int, recording: Sequence[DiscardedTail] = ()) -> Tail:
        """Refuse, as `exclusive`."""
        raise RefusedError(f"{self.where}: expected a journal to write to, got one that can only be read")
