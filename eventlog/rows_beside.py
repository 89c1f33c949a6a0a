"""
The rows of a file held against those that a fold makes, while it makes them: nothing is spelled or read a second time.

What differs is only noticed here; whoever audits the file then looks at all of it, and says what is wrong.
"""

from __future__ import annotations

import os
from contextlib import suppress

from msgspec import Struct

from eventlog import durable
from eventlog.errors import RefusedError
from eventlog.file_state import state_of
from eventlog.model_rows import ROW_BREAK, ROW_START

_WINDOW_BYTES = 256 << 10
"""More than two rows have: an entry has 64 KiB at most, and a row is not six times as long."""


class Alike(Struct, frozen=True):
    """
    A stretch of a file whose rows were found to be those of a fold.

    Attributes:
        start, end: its bytes; *end* is behind the last row and what ends it.

        models: how many rows it has.

        ended: nothing follows in the file but its end; *end* is then where that begins.
    """

    start: int
    end: int
    models: int
    ended: bool = False


class RowsBeside:
    """
    The rows that a file has behind its start.

    Args:
        path: of the file; it is opened for each look, so that nothing is left open by whoever is interrupted.

        first: where the first row begins.

        end: the bytes at the file's end, in the place of what ends a row.

        somewhere: begin with whatever row is shown first, wherever that stands; ids must then be in order.

    Raises OSError and RefusedError where the file cannot be read.
    """

    def __init__(self, path: str, first: int, end: bytes, *, somewhere: bool = False) -> None:
        self._path, self._first, self._end = path, first, end
        self._state, self._start = state_of(os.lstat(path)), durable.read_start(path, first)
        self._somewhere, self._stopped = somewhere, False
        self.alike = Alike(first, first, 0)

    def behind(self) -> RowsBeside | None:
        """Return what compares rows from somewhere behind the first on; None where the file cannot be read now."""
        with suppress(OSError, RefusedError):
            return RowsBeside(self._path, self._first, self._end, somewhere=True)
        return None

    def show(self, rows: bytes, models: int) -> None:
        """Compare the rows of the next *models*, each with `ROW_BREAK` behind it."""
        if self._stopped:
            return
        if self._somewhere:
            self._somewhere, start = False, self._place_of(rows)
            self.alike = Alike(start, start, 0)
        at = self.alike
        found = self._read(len(rows) + len(self._end), at.end)
        if found.startswith(rows):
            self.alike = Alike(at.start, at.end + len(rows), at.models + models)
            return
        self._stopped = True
        last = found[: -len(self._end)]
        if found == last + self._end and rows.startswith(last + ROW_BREAK):
            self.alike = Alike(at.start, at.end + len(last), at.models + last.count(ROW_BREAK) + 1, ended=True)

    def go_on(self, other: Alike | None) -> None:
        """Add what another process has found, and compare no more."""
        at = self.alike
        if not self._stopped and other is not None and other.start == at.end:
            self.alike = Alike(at.start, other.end, at.models + other.models, other.ended)
        self._stopped = True

    def is_all_of(self, start: bytes, models: int) -> bool:
        """Say whether the file is *start*, the rows of so many models as they were shown, and its end."""
        at = self.alike
        return (
            at.ended
            and (at.start, at.models, at.end) == (len(start), models, self._state[2] - len(self._end))
            and self._start == start
            and state_of(os.lstat(self._path)) == self._state
        )

    def _read(self, size_bytes: int, offset_bytes: int) -> bytes:
        """Return what stands there; nothing where that cannot be read."""
        with suppress(OSError, RefusedError):
            descriptor = durable.open_regular(self._path, os.O_RDONLY)
            try:
                return os.pread(descriptor, size_bytes, offset_bytes)
            finally:
                os.close(descriptor)
        return b""

    def _place_of(self, rows: bytes) -> int:
        """Return where the first of *rows* would begin, found by halves."""
        wanted = rows[: rows.find(b'"', len(ROW_START)) + 1]
        low, high = self._first, self._state[2]
        while high - low > _WINDOW_BYTES:
            middle = (low + high) // 2
            found = self._read(_WINDOW_BYTES, middle)
            at = found.find(ROW_BREAK + ROW_START) + len(ROW_BREAK)
            if at < len(ROW_BREAK) or found[at : at + len(wanted)] >= wanted:
                high = middle
            else:
                low = middle + at
        found = self._read(2 * _WINDOW_BYTES, low)
        return low if found.startswith(wanted) else low + found.find(ROW_BREAK + wanted) + len(ROW_BREAK)
