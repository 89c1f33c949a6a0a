"""What `eventlog.journal.Journal` promises to whoever does not begin at zero, checked on every engine."""

from __future__ import annotations

import pytest
from support import entries, outcome_of

from eventlog import chain
from eventlog.errors import JournalDamagedError
from eventlog.journal import APPEND_ENTRIES_MAX, Journal

STORED = entries(3_000)
OFFSETS = [sum(map(len, STORED[:count])) + count for count in range(len(STORED))]


def _text(position: int) -> bytes:
    """Return what only the entry at *position* contains."""
    return b'{"n":%d,' % position


@pytest.fixture
def long(journal: Journal) -> Journal:
    """A journal of 3,000 entries that this very object has appended."""
    for start in range(0, len(STORED), APPEND_ENTRIES_MAX):
        journal.append(STORED[start : start + APPEND_ENTRIES_MAX], expected_size=start)
    return journal


@pytest.mark.parametrize("stop", [None, 0, 1, 1_500, 2_999])
def test_runs_are_what_is_read(long: Journal, stop: int | None) -> None:
    """In order, none of them empty, and never all at once."""
    for start in (0, 1, 1_499, 2_999, 3_000):
        found = list(long.read_runs(start, stop))

        assert [entry for run in found for entry in run] == STORED[start:stop]
        assert all(found)
        assert max(map(len, found), default=0) < 1_000


@pytest.mark.parametrize("position", [1, 700, 2_998, 2_999])
def test_it_resumes_from_the_last_entry_that_contains_a_text(long: Journal, position: int) -> None:
    """Everything from there on comes, and its place; afterwards all can be read as ever."""
    found = long.resume(_text(position))

    assert found is not None
    assert (found[0], list(found[1])) == (position, STORED[position:])
    assert list(long.read(2_990)) == STORED[2_990:]
    assert list(long.read()) == STORED
    last = long.resume(b'{"n":29')
    assert last is not None
    assert last[0] == 2_999


def test_it_does_not_resume_where_there_is_nothing_to_begin_with(journal: Journal, long: Journal) -> None:
    """Not from an entry that is not there, nor from the first one, before which there is nothing."""
    assert long.resume(b"nowhere") is None
    assert long.resume(_text(0)) is None


def test_an_empty_journal_is_not_resumed(journal: Journal) -> None:
    """And mentions nothing."""
    assert journal.resume(b'"n"') is None
    assert not journal.mentions(b'"n"')


@pytest.mark.parametrize("position", [0, 1, 1_234, 2_999])
def test_an_entry_is_found_at_its_place(long: Journal, position: int) -> None:
    """By position, offset and hash."""
    entry = STORED[position]

    assert long.entry_at(position, OFFSETS[position], chain.hash_of(entry)) == entry
    assert list(long.read(position, position + 2)) == STORED[position : position + 2]


@pytest.mark.parametrize(
    ("position", "offset_bytes", "of"),
    [(5, OFFSETS[5], 6), (3_000, OFFSETS[-1] + len(STORED[-1]) + 1, 5), (10**9, 10**18, 5), (7, 10**30, 7)],
)
def test_another_entry_is_damage(long: Journal, position: int, offset_bytes: int, of: int) -> None:
    """A place that holds another entry than the one that was named, or none, is damage."""
    wanted = chain.hash_of(STORED[of])

    assert isinstance(outcome_of(lambda: long.entry_at(position, offset_bytes, wanted)), JournalDamagedError)


def test_what_is_mentioned(long: Journal) -> None:
    """A text is found wherever it stands, also where the file is read in two parts."""
    assert all(long.mentions(_text(position)) for position in range(0, len(STORED), 37))
    assert not long.mentions(b'{"n":3000,')
