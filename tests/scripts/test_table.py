"""Tables and arrays that are made and printed in pieces: what is seen does not tell where one ends."""

from __future__ import annotations

import io
import json
import sys

import msgspec
import pytest

from scripts import output
from scripts.table import Table, print_table

HEADINGS = ("", "NAME", "MADE OF")
ROWS = [
    ("", "a", "b"),
    ("*", "much wider than the others", ""),
    ("", "", "   "),
    ("", "\u6a21\u578b", "wide"),
    ("", "e\u0301", "combining"),
    ("", "\x1b[31m\n\u202e", "hostile"),
    ("", "\u3164", "invisible"),
]


def _printed(capsys, pieces, *, backwards=False, plain=False):
    table = Table(HEADINGS)
    for rows in pieces:
        table.add(list(zip(*rows, strict=True)), plain=plain)
    table.print(backwards=backwards)
    return capsys.readouterr().out


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_of_a_table(capsys, size):
    """However many rows come at a time, the table is the same; backwards its rows come the other way round."""
    print_table(HEADINGS, ROWS)
    headings, *lines = capsys.readouterr().out.splitlines()
    pieces = [ROWS[start : start + size] for start in range(0, len(ROWS), size)]

    forwards, backwards = _printed(capsys, pieces), _printed(capsys, pieces, backwards=True)

    assert forwards.splitlines() == [headings, *lines]
    assert backwards.splitlines() == [headings, *reversed(lines)]


def test_cells_known_to_be_plain(capsys):
    """Where somebody knows that nothing in them is odd, the same is printed."""
    rows = [(" ", "x" * number, "y" * (30 - number)) for number in range(1, 30)]

    assert _printed(capsys, [rows], plain=True) == _printed(capsys, [rows])


def test_no_rows(capsys):
    """The headings alone."""
    print_table(HEADINGS, [])

    assert capsys.readouterr().out.split() == ["NAME", "MADE", "OF"]


def test_the_row_that_stands_out(monkeypatch, pseudo_terminal):
    """It is the same row, whichever way round the table is printed."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", pseudo_terminal.file)
    table = Table(("NAME",))
    table.add([["one", "two", "three"]], marked=1)
    table.add([["four"]])

    table.print(backwards=True)

    assert ["\x1b[32m" in line for line in pseudo_terminal.shown().splitlines()] == [False, False, False, True, False]


PARTS = [
    [],
    [["a"]],
    [["a", 1], ["b"]],
    [["\x7f"], ["\u202e", "\u6a21"], ["plain"]],
    [["plain"], ["\U0001f600"], ["\u00e9"], [""]],
]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("parts", PARTS, ids=len)
def test_parts_of_an_array(monkeypatch, parts, encoding):
    """An array in parts is printed as if it were one, also where one part alone has what stdout cannot encode."""
    values = [value for part in parts for value in part]
    outs = []
    for printing in (
        lambda: output.print_json(values),
        lambda: output.print_json_array([msgspec.json.encode(part)[1:-1] for part in parts]),
    ):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        printing()
        outs.append(raw.getvalue())

    assert outs[0] == outs[1]
    assert json.loads(outs[0].decode(encoding)) == values


@pytest.mark.parametrize("parts", PARTS, ids=len)
def test_parts_of_an_array_on_a_terminal(monkeypatch, pseudo_terminal, parts):
    """There it is indented."""
    values = [value for part in parts for value in part]
    monkeypatch.setattr(sys, "stdout", pseudo_terminal.file)

    output.print_json_array([msgspec.json.encode(part)[1:-1] for part in parts])

    shown = pseudo_terminal.shown()
    assert json.loads(shown) == values
    assert (len(shown.splitlines()) > 1) == (values != [])


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("values", [[], ["a", 1], ["a", "\u6a21", "\x7f\u202e"]], ids=len)
def test_lines_of_json(monkeypatch, values, encoding):
    """Many at once are printed as one by one."""
    outs = []
    for printing in (
        lambda: [output.print_json(value, one_line=True) for value in values],
        lambda: output.print_json_lines(list(map(msgspec.json.encode, values))),
    ):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
        printing()
        outs.append(raw.getvalue())

    assert outs[0] == outs[1]
    assert [json.loads(line) for line in outs[0].decode(encoding).splitlines()] == values
