"""The rows of `registry.json` are compared while the journal is folded; what is said of the file does not change."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Place

from eventlog import rows_beside, second_half
from eventlog.model_rows import ROW_BREAK
from eventlog.rows_beside import RowsBeside
from eventlog.verify import Report
from projections import registry_json, verify_registry

END = b"\n]}\n"
HALVES = [1 << 60, 1]
"""From how many entries on there are two processes."""


def _verified(place: Place) -> Report:
    return verify_registry(place.registry_dir, place.state_dir)


def _damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    for bit in range(0, len(data) * 8, 89):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(flipped)
    lines = data.splitlines(keepends=True)
    for at in range(len(lines)):
        yield f"line {at} taken out", b"".join([*lines[:at], *lines[at + 1 :]])
        yield f"line {at} doubled", b"".join([*lines[: at + 1], *lines[at:]])
        yield f"cut behind line {at}", b"".join(lines[:at])
        yield f"ended behind line {at}", b"".join(lines[:at])[: -len(ROW_BREAK)] + END
    yield "more behind the end", data + b"\n"
    yield "another end", data[:-1] + b" "
    yield "a space", data.replace(b"},\n", b"} ,\n", 1)


@pytest.mark.parametrize("entries_min", HALVES)
def test_every_damage_of_the_file_is_told_alike(long: Place, monkeypatch: pytest.MonkeyPatch, entries_min: int) -> None:
    """What verify says of each damaged file is what it says where nothing is compared beside the fold."""
    monkeypatch.setattr(second_half, "ENTRIES_MIN", entries_min)
    tried = 0

    for what, damaged in _damages(long.registry_json.read_bytes()):
        long.registry_json.write_bytes(damaged)
        beside = _verified(long)
        with monkeypatch.context() as patch:
            patch.setattr(registry_json.RegistryJson, "beside", lambda _: None)
            assert beside == _verified(long), what
        tried += beside.findings != [] or beside.verdict != "intact"

    assert tried > 100


@pytest.mark.parametrize("entries_min", HALVES)
@pytest.mark.parametrize("lagging", [False, True])
def test_no_row_is_made_twice(long: Place, monkeypatch: pytest.MonkeyPatch, entries_min: int, lagging: bool) -> None:
    """Also of a file that lacks what was published last; or the audit would cost as much as a second reading."""
    monkeypatch.setattr(second_half, "ENTRIES_MIN", entries_min)
    monkeypatch.setattr(registry_json, "FRESH_ENTRIES_MAX", 10)
    if lagging:
        before = long.registry_json.read_bytes()
        long.publish("one more")
        long.registry_json.write_bytes(before)
    monkeypatch.setattr(registry_json, "same_bytes", None)

    assert _verified(long).findings == []


def test_a_file_that_is_replaced_meanwhile_is_looked_at_again(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compared was another one."""
    real = registry_json.RegistryJson.beside

    def replaced(self: registry_json.RegistryJson) -> RowsBeside | None:
        found = real(self)
        data = long.registry_json.read_bytes().replace(b'"backend":"', b'"backend":"x', 1)
        long.registry_json.unlink()
        long.registry_json.write_bytes(data)
        return found

    monkeypatch.setattr(registry_json.RegistryJson, "beside", replaced)

    (finding,) = _verified(long).findings
    assert "differs from what the journal says" in finding.what


def test_what_cannot_be_read_is_told_as_before(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is none at all is named once, and the journal is judged."""
    long.registry_json.unlink()
    long.registry_json.mkdir()
    beside = _verified(long)
    monkeypatch.setattr(registry_json.RegistryJson, "beside", lambda _: None)

    assert beside == _verified(long)
    assert beside.verdict == "cannot tell"


sizes = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@given(
    sizes=sizes, cuts=st.lists(st.integers(1, 9)), first=st.integers(0, 29), wrong=st.none() | st.integers(0, 10_000)
)
@settings(deadline=None)
def test_rows_in_any_pieces_from_anywhere(sizes: list[int], cuts: list[int], first: int, wrong: int | None) -> None:
    """From the first row on, or from any other; all of them are alike, unless some byte is not."""
    rows = [b'{"model_id":"%05d","x":"%b"}' % (number, b"y" * size) for number, size in enumerate(sizes)]
    first = min(first, len(rows) - 1)
    start, before = b'{"models":[\n', sum(len(row) + len(ROW_BREAK) for row in rows[:first])
    data = bytearray(start + ROW_BREAK.join(rows) + END)
    if wrong is not None:
        data[len(start) + before + wrong % (len(data) - len(start) - before)] ^= 1
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as file:
        file.write(data)
        file.flush()
        beside: RowsBeside | None = RowsBeside(file.name, len(start), END)
        if first:
            beside = beside and beside.behind()
        assert beside is not None
        left = rows[first:]
        for cut in [*cuts, len(left)]:
            if left:
                beside.show(ROW_BREAK.join([*left[:cut], b""]), len(left[:cut]))
                left = left[cut:]

    expected = rows_beside.Alike(len(start) + before, len(data) - len(END), len(rows) - first, ended=True)
    assert (beside.alike == expected) == (wrong is None)
