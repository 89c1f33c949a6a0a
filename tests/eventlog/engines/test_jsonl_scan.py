"""The scan: lines across chunks, verified from any known place, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import entries

from eventlog import chain
from eventlog.engines.jsonl_scan import CHUNK_BYTES, Mark, Marks, salvage, scan
from eventlog.errors import JournalDamagedError
from eventlog.journal import ENTRY_BYTES_MAX

COUNT = 2_000
ENTRIES = entries(COUNT)
DATA = b"".join(entry + b"\n" for entry in ENTRIES)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "j").write_bytes(DATA)
    descriptor = os.open(tmp_path / "j", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def _marks(descriptor: int) -> list[Mark]:
    return [mark for _, mark in scan(descriptor, "j", Mark(), len(DATA))]


def test_all_lines_once_and_in_order(descriptor: int) -> None:
    """Lines that lie across two chunks come once; the last mark is the end."""
    batches = list(scan(descriptor, "j", Mark(), len(DATA)))

    assert len(DATA) > 4 * CHUNK_BYTES
    assert [line for lines, _ in batches for line in lines] == ENTRIES
    assert batches[-1][1] == Mark(COUNT, len(DATA), chain.hash_of(ENTRIES[-1]))


def test_from_any_mark_and_to_any_end(descriptor: int) -> None:
    """Reading on from a verified place gives just what comes behind it; reading stops at the end that is asked for."""
    for mark in _marks(descriptor):
        assert [line for lines, _ in scan(descriptor, "j", mark, len(DATA)) for line in lines] == ENTRIES[mark.size :]
        found = [line for lines, _ in scan(descriptor, "j", Mark(), mark.offset_bytes) for line in lines]
        assert found == ENTRIES[: mark.size]


@pytest.mark.parametrize("position", [0, 1, 777, COUNT - 1])
def test_damage_says_where(descriptor: int, position: int) -> None:
    """The error has the first entry that does not fit and its offset; the lines of earlier chunks came before it."""
    offset = sum(map(len, ENTRIES[:position])) + position
    os.pwrite(descriptor, b"!", offset + 3)

    with pytest.raises(JournalDamagedError) as caught:
        list(scan(descriptor, "j", Mark(), len(DATA)))

    assert (caught.value.position, caught.value.offset_bytes) == (position, offset)
    assert list(salvage(descriptor)) == ENTRIES[:position]


def test_end_inside_a_line(descriptor: int) -> None:
    """An acknowledged end that is not the end of a line is damage."""
    with pytest.raises(JournalDamagedError, match="newline"):
        list(scan(descriptor, "j", Mark(), len(DATA) - 1))


def test_file_that_got_shorter(descriptor: int) -> None:
    """A file that ends before the acknowledged end is damage, not the end."""
    with pytest.raises(JournalDamagedError, match="acknowledged bytes"):
        list(scan(descriptor, "j", Mark(), len(DATA) + 1))


def test_line_that_never_ends(tmp_path: Path) -> None:
    """A line without end is refused after the longest that there can be, not read into memory whole."""
    path = tmp_path / "j"
    with path.open("wb") as file:
        file.truncate(1 << 32)
    descriptor = os.open(path, os.O_RDONLY)

    with pytest.raises(JournalDamagedError, match=str(ENTRY_BYTES_MAX)):
        list(scan(descriptor, "j", Mark(), 1 << 32))
    assert list(salvage(descriptor)) == []
    os.close(descriptor)


def test_salvage_ignores_an_unfinished_line(descriptor: int) -> None:
    """What is not ended is not shown."""
    os.ftruncate(descriptor, len(DATA) - 1)

    assert list(salvage(descriptor)) == ENTRIES[:-1]


LINE = chain.seal(b"{", chain.GENESIS)


def test_marks_stay_few() -> None:
    """About one mark a chunk is kept, and the furthest always; earlier places are not forgotten."""
    marks = Marks()
    for size in range(1, 10_001):
        marks.add(Mark(size, size * 100, "a" * 64), LINE)

    assert marks.newest().size == 10_000
    assert marks.before(0) == Mark()
    for position in range(0, 10_001, 100):
        assert 0 <= position - marks.before(position).size <= 2 * CHUNK_BYTES // 100
    marks.add(Mark(5, 500, "b" * 64), LINE)
    assert marks.newest().size == 10_000
