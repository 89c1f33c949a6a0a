"""Find lines in a journal file without reading it from its first byte; what is found is not verified here."""

from __future__ import annotations

import os

from eventlog import chain
from eventlog.journal import ENTRY_BYTES_MAX

_BACK_BYTES_MIN, _BACK_BYTES_MAX = 256 << 10, 64 << 20
_SEARCH_BYTES = 1 << 20
_LINE_BYTES_LIKELY = 4 << 10
_BEHIND_BYTES = 8 << 20
_NEAR_BYTES = 360
"""In the data of an event, which are a person's, any text may stand; they begin behind that, but with a short id."""


def last_lines(descriptor: int, end_bytes: int, text: bytes) -> tuple[list[bytes], int]:
    """Return the lines from the last one on with *text* near its start, and where they begin; none if far back."""
    size_bytes = _BACK_BYTES_MIN
    while True:
        size_bytes = min(size_bytes, end_bytes)
        data = os.pread(descriptor, size_bytes, end_bytes - size_bytes)
        found = len(data)
        while (found := data.rfind(text, 0, found)) >= 0 and (first := data.rfind(b"\n", 0, found) + 1) > 0:
            if found - first <= _NEAR_BYTES:
                return data[first:].split(b"\n")[:-1], end_bytes - size_bytes + first
            found = first
        if size_bytes in (end_bytes, _BACK_BYTES_MAX):
            return [], end_bytes
        size_bytes = min(size_bytes * 2, _BACK_BYTES_MAX)


def line_at(descriptor: int, offset_bytes: int, entry_hash: str) -> bytes | None:
    """Return the line that begins at *offset_bytes*, if it is an entry with that hash."""
    try:
        line, newline, _ = os.pread(descriptor, _LINE_BYTES_LIKELY, offset_bytes).partition(b"\n")
        if not newline:
            line, newline, _ = os.pread(descriptor, ENTRY_BYTES_MAX + 1, offset_bytes).partition(b"\n")
    except (OSError, OverflowError):  # an offset that nobody can have written
        return None
    return line if newline and chain.is_sealed(line) and chain.hash_of(line) == entry_hash else None


def line_behind(descriptor: int, offset_bytes: int, text: bytes) -> tuple[int, bytes] | None:
    """Return the first whole line behind *offset_bytes* with *text* near its start, and where; None if far off."""
    for size_bytes in (_SEARCH_BYTES, _BEHIND_BYTES):  # mostly it is near
        data = os.pread(descriptor, size_bytes, offset_bytes)
        found = -1
        while (found := data.find(text, found + 1)) >= 0 and (last := data.find(b"\n", found)) > 0:
            first = data.rfind(b"\n", 0, found) + 1
            if first > 0 and found - first <= _NEAR_BYTES:
                return offset_bytes + first, data[first:last]
    return None


def mentions(descriptor: int, end_bytes: int, text: bytes) -> bool:
    """Say whether *text* stands anywhere in the first *end_bytes* bytes."""
    offsets = range(0, end_bytes, _SEARCH_BYTES - len(text))
    return any(text in os.pread(descriptor, _SEARCH_BYTES, offset) for offset in offsets)


def end_of_last_line(descriptor: int, end: int) -> int:
    """Return where the last newline before *end* ends, or 0."""
    while end > 0:
        start = max(0, end - _SEARCH_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
