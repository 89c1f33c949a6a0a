"""Rows: what `registry.json` says is shown as far as a snapshot proves it, and nothing else of it."""

from __future__ import annotations

from typing import Any

import pytest
from long_history import ENTRIES
from msgspec.structs import replace
from support import Place, flip

from eventlog import past, runs
from eventlog.catalog import Catalog
from eventlog.events import Event
from eventlog.listing import Listing, blocks
from eventlog.model_rows import block_of, rows_in
from eventlog.snapshot import SnapshotTaken
from projections import registry_json


def _rows(place: Place) -> list[bytes]:
    return _listed(place.open().catalog())


def _listed(catalog: Catalog) -> list[bytes]:
    found, backwards = blocks(catalog, Listing(reverse=True))
    assert not backwards
    return rows_in(b"".join(found))


def _rows_of(events: list[Event]) -> list[bytes]:
    return rows_in(block_of(events))


def _true_rows(place: Place) -> list[bytes]:
    return _rows_of(list(place.open().catalog().published.events()))


def _no_entries(*_: object) -> object:
    raise AssertionError("the entries were asked")


def test_proven_rows_are_shown_without_their_entries(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current file spares reading what is behind the newest snapshot; a late one, what is behind an older one."""
    long.open().rebuild()
    expected, models = _true_rows(long), long.open().list_models()
    assert expected == [_rows_of([event])[0] for event in long.open().catalog().published.events()]

    monkeypatch.setattr(past.runs, "decode_publications", _no_entries)

    assert _rows(long) == expected
    assert long.open().list_models() == models


def test_a_file_that_lags_is_used_as_far_as_it_goes(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks comes from the journal."""
    monkeypatch.setattr(registry_json, "LAG_DIVISOR", 1)
    long.open().rebuild()
    for number in range(3 * ENTRIES):
        long.publish(f"late {number}")
    asked = []
    real = runs.decode_publications
    monkeypatch.setattr(
        runs, "decode_publications", lambda entries, *rest: asked.append(len(entries)) or real(entries, *rest)
    )

    found = _rows(long)

    assert 0 < sum(asked) < len(long.lines()) // 2
    assert found == _true_rows(long)


def test_nothing_that_is_not_proven_is_shown(long: Place) -> None:
    """Bits, cuts, rows taken out, doubled, swapped and forged: what is listed is what the journal says."""
    long.open().rebuild()
    good, expected = long.registry_json.read_bytes(), _true_rows(long)
    lines = good.splitlines(keepends=True)
    tried = 0

    def try_(data: bytes) -> None:
        nonlocal tried
        long.registry_json.write_bytes(data)
        assert _rows(long) == expected
        assert _rows_of(list(long.open().catalog().published.events())) == expected
        tried += 1

    start = len(lines[0])  # what stands before is an anchor, and judged as one
    for bit in range(start * 8, len(good) * 8, 331):
        long.registry_json.write_bytes(good)
        flip(long.registry_json, bit)
        try_(long.registry_json.read_bytes())
    for size_bytes in range(start, len(good), 501):
        try_(good[:size_bytes])
    for at in range(1, len(lines) - 2):
        try_(b"".join([*lines[:at], *lines[at + 1 :]]))
        try_(b"".join([*lines[: at + 1], *lines[at:]]))
        try_(b"".join([*lines[:at], lines[at].replace(b'"backend":"', b'"backend":"x', 1), *lines[at + 1 :]]))
        try_(b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]))
    assert tried > 200


@pytest.mark.parametrize("what", ["missing", "a directory", "not readable as JSON", "of another registry"])
def test_without_a_file_the_journal_is_asked(long: Place, what: str) -> None:
    """It is not needed for an answer."""
    expected = _true_rows(long)
    data = long.registry_json.read_bytes()
    long.registry_json.unlink()
    if what == "a directory":
        long.registry_json.mkdir()
    elif what == "not readable as JSON":
        long.registry_json.write_bytes(b"\xff" * 100)
    elif what == "of another registry":
        long.registry_json.write_bytes(data.replace(b'"model_id":"2026', b'"model_id":"2025'))

    catalog = long.open()._replay.catch_up()

    assert _listed(catalog) == expected


WRONG: dict[str, dict[str, Any]] = {
    "none is told": {"rows_hash": None},
    "fewer models": {"models": 1},
    "more models": {"models": 1 << 40},
    "another hash": {"rows_hash": "0" * 64},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_snapshot_that_proves_nothing_is_no_obstacle(long: Place, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """One of an older program, or one that a writer got wrong: rows that are not proven come from the entries."""
    long.open().rebuild()
    expected = _true_rows(long)
    real = past.Past.snapshot_at

    def told(self: past.Past, place: Place) -> tuple[str, SnapshotTaken]:
        prev, data = real(self, place)
        return prev, replace(data, **WRONG[what]) if place.position == 3 * ENTRIES else data

    monkeypatch.setattr(past.Past, "snapshot_at", told)

    assert _rows(long) == expected


def test_a_line_that_does_not_end_is_given_up(long: Place) -> None:
    """Whatever lies in the file: no more than a part of it is kept while the end of a row is looked for."""
    expected = _true_rows(long)
    with open(long.registry_json, "r+b") as file:
        start = len(file.readline())
        file.truncate(start)
        file.truncate(256 << 20)

    take = registry_json.RegistryJson(str(long.registry_dir)).claimed_rows()

    assert (take(1), take(1 << 40)) == (b"", b"")
    assert _rows(long) == expected


@pytest.mark.parametrize("part_bytes", [21, 22, 25, 32, 50, 1000])
def test_rows_are_taken_as_they_stand(part_bytes: int) -> None:
    """However the file falls into parts, and however many are taken at a time; the last row gets its comma."""
    rows = [b'{"row":%d}' % 10**number for number in range(12)]
    text, claimed = b",\n".join(rows) + b"\n]}\n", b"".join(row + b",\n" for row in rows)
    parts = [text[start : start + part_bytes] for start in range(0, len(text), part_bytes)]
    for count in (1, 2, 3, 12):
        take = registry_json._Claimed(iter(parts)).take

        found = [take(count) for _ in range(0, len(rows), count)]

        assert b"".join(found) == claimed
        assert [len(rows_in(block)) for block in found] == [count] * (len(rows) // count)
