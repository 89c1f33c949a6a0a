"""
Tables for people: columns as wide as their widest cell, whatever a terminal can show.

A table is printed when all of it is known. Until then only its cells are kept, in few pieces, so that a million rows
take no more than what they will show.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from msgspec import Struct

from scripts import output

_BOLD, _GREEN, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[0m"  # ECMA-48, 8.3.117
_GAP = "  "


class _Piece(Struct):
    """Some rows: their columns, a cell a line; and which of the rows stands out."""

    columns: list[str]
    marked: int | None


class Table:
    """Rows below *headings*; in order, some at a time."""

    def __init__(self, headings: Sequence[str]) -> None:
        self._pieces: list[_Piece] = []
        self._widths = [0] * len(headings)
        self.add([[heading] for heading in headings])

    def add(self, columns: Iterable[Sequence[str]], *, plain: bool = False, marked: int | None = None) -> None:
        """
        Go on by some rows, of which there is at least one; what nobody should see is spelled out.

        Args:
            columns: the cells of each.

            plain: all of it is known to be ASCII that can be seen.

            marked: which of the rows stands out on a terminal that has colour.
        """
        shown = [column if plain or _is_plain(column) else list(map(output.escape, column)) for column in columns]
        self._widths = list(map(max, self._widths, (max(map(len if plain else _width, column)) for column in shown)))
        self._pieces.append(_Piece(["\n".join(column) for column in shown], marked))

    def print(self, *, backwards: bool = False) -> None:
        """Print it, *backwards* with the last row first, and forget it."""
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        (headings, *rows), self._pieces = self._pieces, []
        output.print_line(f"{_BOLD}{self._lines(headings)[0]}{_PLAIN}" if coloured else self._lines(headings)[0])
        if not backwards:
            rows.reverse()
        while rows:
            piece = rows.pop()
            lines = self._lines(piece)
            if coloured and piece.marked is not None:
                lines[piece.marked] = f"{_GREEN}{_BOLD}{lines[piece.marked]}{_PLAIN}"
            output.print_line("\n".join(reversed(lines) if backwards else lines))

    def _lines(self, piece: _Piece) -> list[str]:
        *columns, last = piece.columns
        padded = [*map(_padded, columns, self._widths), last.split("\n")]
        return list(map(str.rstrip, map(_GAP.join, zip(*padded, strict=True))))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of *rows*."""
    table = Table(headings)
    columns = list(zip(*rows, strict=True))
    if columns:
        table.add(columns)
    table.print()


def _is_plain(cells: Sequence[str]) -> bool:
    text = "".join(cells)
    return text.isascii() and text.isprintable()


def _width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - most tables are ASCII

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _padded(column: str, width: int) -> list[str]:
    """Return the cells of a column, each *width* wide."""
    cells = column.split("\n")
    if column.isascii():
        all_full = len(column) == (width + 1) * len(cells) - 1
        return cells if all_full else [cell.ljust(width) for cell in cells]
    return [cell + " " * (width - _width(cell)) for cell in cells]
