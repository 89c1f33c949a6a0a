"""`export`: the very lines, CSV, and a page; all of it or nothing. The page itself is in `test_audit_page.py`."""

from __future__ import annotations

import csv
import io
import os
import sys

import pytest


@pytest.fixture
def filled(desk):
    desk.publish("größe", "--reason", "=1+1\u2028")
    desk.publish("b", data=b"2")
    return desk


def test_lines(filled):
    """Byte for byte what the journal acknowledges, and nothing behind it."""
    acknowledged = filled.journal.read_bytes()
    with filled.journal.open("ab") as file:
        file.write(b'{"torn')

    done = filled.spawn(*filled.argv("export", "jsonl"))

    assert (done.returncode, done.stdout) == (0, acknowledged)


def test_csv(filled):
    """As `history --output csv` prints it; what a spreadsheet would run is text."""
    text = filled.spawn(*filled.argv("export", "csv")).stdout.decode()

    assert text == filled.run("history", "--output", "csv").out
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[2][5] == "'=1+1\\u2028"
    assert rows[2][7] == "größe"


@pytest.mark.parametrize("form", ["jsonl", "csv", "html"])
def test_into_a_file(filled, form):
    """All at once, also over an older one; nothing is left beside it."""
    target = filled.root / "out"
    filled.run("export", form, "--to", str(target))
    older = target.read_bytes()
    filled.publish("c", data=b"3")

    assert filled.run("export", form, "--to", str(target)).status == 0

    assert target.read_bytes() not in (older, b"")
    assert [path.name for path in filled.root.iterdir() if path.name.startswith("out")] == ["out"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "html"])
def test_damage_is_not_exported(filled, refused, form):
    """Status 3, and the file that was there is as it was."""
    filled.run("export", form, "--to", str(filled.root / "out"))
    data = bytearray(filled.journal.read_bytes())
    data[700] ^= 1
    filled.journal.write_bytes(data)

    refused(*filled.argv("export", form, "--to", str(filled.root / "out")), status=3)


@pytest.mark.parametrize("form", ["jsonl", "csv", "html"])
@pytest.mark.parametrize("kind", ["journal", "file", "fifo", "link", "directory"])
def test_no_other_file_is_lost(filled, refused, form, kind):
    """What is there and is no earlier export is refused, also the journal, whose lines look like one."""
    target = filled.journal if kind == "journal" else filled.root / "out"
    if kind == "file":
        target.write_text("a key, a model")
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "link":
        target.symlink_to(filled.root / "elsewhere")
    elif kind == "directory":
        target.mkdir()
    before = target.lstat()

    line = refused(*filled.argv("export", form, "--to", str(target)))

    assert str(target) in line
    assert target.lstat() == before


def test_of_nothing_it_is_said(desk):
    """A registry that was mistyped has no events; that is told, for the file alone does not show it."""
    done = desk.run("export", "csv", "--to", str(desk.root / "out"))

    assert done.status == 0
    assert done.err.startswith("warning: no events in ")


def test_not_to_a_terminal(filled, monkeypatch, pseudo_terminal):
    """What is exported is not made for a terminal; the line says what to do."""
    monkeypatch.setattr(sys, "stdout", pseudo_terminal.file)

    assert filled.run("export", "jsonl").status == 2

    assert pseudo_terminal.shown() == ""


@pytest.mark.parametrize("words", [["export"], ["export", "pdf"], ["export", "html", "--to", "/dev/null/x"]])
def test_bad_input(filled, refused, words):
    """One line, status 2."""
    refused(*filled.argv(*words))
