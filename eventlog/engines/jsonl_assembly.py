"""
Put a journal together from the whole lines of several files, taking only bytes whose hashes fit.

A line that ends in its own hash is what it was when it was written, wherever it stands now. `prev` in it names the line
before. So from the hash of the last line the way back to the first is unique, and every line on it is proven: it does
not matter which file a line comes from, nor what stands around it. The way forward is not proven in the same
sense (two files may go on differently from one place), so two ways on are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec import Struct

from eventlog import chain
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_scan import CHUNK_BYTES
from eventlog.errors import RefusedError
from eventlog.journal import ENTRY_BYTES_MAX

_PIECE_BYTES_MAX = 4 * ENTRY_BYTES_MAX
_TRIES_MAX = 2_000
_GAPS_MAX = 32
_BEGIN = re.compile(rb'\{"')
_END = re.compile(rb',"hash":"[0-9a-f]{64}"\}')


class Line(Struct, frozen=True, gc=False):
    """
    Where a whole line stands: in which of the files, at which offset, of how many bytes without its newline.

    Attributes:
        ended: a newline follows it.

        inside: other bytes stand before it on its line. Somebody may have put it there, into the text of an event: it
            counts only where its hash is asked for.
    """

    prev: str
    hash: str
    file: int
    offset_bytes: int
    size_bytes: int
    ended: bool
    inside: bool


class Assembly:
    """
    The whole lines of some files.

    Args:
        files: open for reading, the damaged journal first; a line that stands in several is taken from the first.
    """

    def __init__(self, files: Sequence[int]) -> None:
        self._files = files
        self._by_hash: dict[str, Line] = {}
        for number, descriptor in enumerate(files):
            for line in _whole_lines(descriptor, number):
                if self._by_hash.setdefault(line.hash, line).inside and not line.inside:
                    self._by_hash[line.hash] = line

    def back_from(self, newest: str, size: int) -> list[Line]:
        """
        Return the *size* lines of which the last has the hash *newest*, in order.

        Raises:
            RefusedError: one of them is in none of the files, or they are not *size*.
        """
        lines: list[Line] = []
        wanted = newest
        while wanted != chain.GENESIS:
            line = self._by_hash.get(wanted)
            if line is None or len(lines) == size:
                place = f"entry {size - len(lines) - 1} with hash {wanted}"
                got = "none of the files has it" if line is None else f"a history of more than {size} entries"
                raise RefusedError(f"expected {place}, got: {got}")
            lines.append(line)
            wanted = line.prev
        if len(lines) != size:
            raise RefusedError(f"expected {size} entries up to hash {newest}, got {len(lines)}")
        return lines[::-1]

    def forward_from(self, last: str, *, file: int | None = None, stop_at_fork: bool = False) -> list[Line]:
        """
        Return the lines that follow the one with the hash *last*, in order, as far as there are any.

        Args:
            last: 64 zeros for the beginning.

            file: take only lines of this one.

            stop_at_fork: end where two different lines follow the same one.

        Raises:
            RefusedError: two different lines follow the same one.
        """
        after: dict[str, Line] = {}
        forks: dict[str, Line] = {}
        for line in self._by_hash.values():
            if not line.inside and file in (None, line.file) and after.setdefault(line.prev, line) is not line:
                forks[line.prev] = line
        lines: list[Line] = []
        while (next_line := after.get(last)) is not None:
            if last in forks:
                if stop_at_fork:
                    break
                raise RefusedError(
                    f"expected one entry {len(lines)} after hash {last}, got {next_line.hash} and {forks[last].hash}"
                )
            lines.append(next_line)
            last = next_line.hash
        return lines

    def lines_of_first(self) -> list[Line]:
        """Return the lines that stand in the first file, in no order."""
        return [line for line in self._by_hash.values() if line.file == 0 and not line.inside]

    def entry(self, line: Line) -> bytes:
        """Return the bytes of one line, as they stand now."""
        return os.pread(self._files[line.file], line.size_bytes, line.offset_bytes)

    def entries(self, lines: Sequence[Line]) -> Iterator[bytes]:
        """
        Yield the bytes of *lines*, each with a newline, verified once more.

        Raises:
            RefusedError: a file has changed meanwhile.
        """
        prev = lines[0].prev if lines else chain.GENESIS
        for line in lines:
            entry = self.entry(line)
            try:
                prev = chain.verify([entry], prev)
            except chain.ChainError as error:
                raise RefusedError(f"a file changed while it was read: {error}") from error
            yield entry + b"\n"

    def surplus(self, lines: Sequence[Line]) -> list[tuple[int, int]]:
        """
        Return offset and size of the bytes of the first file that belong to none of *lines*, in order.

        Where these are many pieces, it is one from the first of them to the last, with the lines between.
        """
        size_bytes = os.fstat(self._files[0]).st_size
        gaps, end = [], 0
        used = sorted(
            (line.offset_bytes, line.offset_bytes + line.size_bytes + line.ended) for line in lines if line.file == 0
        )
        for start, stop in [*used, (size_bytes, size_bytes)]:
            if start > end:
                gaps.append((end, start - end))
            end = max(end, stop)
        return gaps if len(gaps) <= _GAPS_MAX else [(gaps[0][0], sum(gaps[-1]) - gaps[0][0])]


def head_of(lines: Sequence[Line]) -> Head:
    """Return the head that acknowledges *lines* from the first on."""
    if not lines:
        return Head()
    return Head(len(lines), sum(line.size_bytes + 1 for line in lines), lines[-1].hash)


def in_place(lines: Sequence[Line]) -> bool:
    """Say whether *lines* are the beginning of the first file as it stands, newlines included."""
    offset_bytes = 0
    for line in lines:
        if line.file != 0 or not line.ended or line.offset_bytes != offset_bytes:
            return False
        offset_bytes += line.size_bytes + 1
    return True


def _whole_lines(descriptor: int, file: int) -> Iterator[Line]:
    """Yield the lines that end in their own hash; memory is bounded whatever the file holds."""
    carried, offset_bytes, start, cut = b"", 0, 0, False
    while True:
        chunk = os.pread(descriptor, CHUNK_BYTES, offset_bytes)
        offset_bytes += len(chunk)
        pieces = (carried + chunk).split(b"\n")
        carried = pieces.pop()
        for piece in pieces:
            yield from _in_piece(piece, file, start, ended=True, cut=cut)
            start += len(piece) + 1
            cut = False
        if not chunk:
            yield from _in_piece(carried, file, start, ended=False, cut=cut)
            return
        if len(carried) > _PIECE_BYTES_MAX:
            yield from _in_piece(carried, file, start, ended=False, cut=cut)
            start += len(carried) - ENTRY_BYTES_MAX  # a line that has not ended yet begins behind this place
            carried, cut = carried[-ENTRY_BYTES_MAX:], True


def _in_piece(piece: bytes, file: int, offset_bytes: int, *, ended: bool, cut: bool) -> Iterator[Line]:
    """
    Yield the line that *piece* is; or those in it, where a lost newline has fused lines with others or with garbage.

    A line is looked for between the end of the one before and each place that looks like the end of one.

    Args:
        cut: more of the same line of the file stands before *piece*.
    """
    if not cut and chain.is_sealed(piece) and len(piece) <= ENTRY_BYTES_MAX:
        yield Line(chain.prev_of(piece), chain.hash_of(piece), file, offset_bytes, len(piece), ended, False)
        return
    begin, tries_left = 0, _TRIES_MAX
    for end in (match.end() for match in _END.finditer(piece)):
        starts = (match.start() for match in _BEGIN.finditer(piece, max(begin, end - ENTRY_BYTES_MAX), end))
        for start in islice(starts, tries_left):
            tries_left -= 1
            entry = piece[start:end]
            if chain.is_sealed(entry):
                last, inside = ended and end == len(piece), start != begin or (cut and start == 0)
                place = (file, offset_bytes + start, len(entry), last, inside)
                yield Line(chain.prev_of(entry), chain.hash_of(entry), *place)
                begin = end
                break
