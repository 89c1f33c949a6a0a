"""A journal with a segment behind it reads as the journal that it would be, wherever it is entered."""

from __future__ import annotations

import pytest
from support import entries, outcome_of

from eventlog import chain, continued
from eventlog.continued import Continued, Segment
from eventlog.engines.memory import MemoryJournal
from eventlog.errors import RefusedError
from eventlog.journal import Tail

ALL = entries(40)
START = 15


def segment_of(lines: bytes, start: int = START, prev: str = chain.hash_of(ALL[START - 1])) -> Segment:
    """Return a segment up to the end of all entries."""
    return Segment("s", lambda offset, count: lines[offset : offset + count], len(lines), start, len(ALL), prev)


def joined(part: list[bytes]) -> bytes:
    return b"".join(entry + b"\n" for entry in part)


@pytest.fixture
def base() -> MemoryJournal:
    """The entries before the segment, and some that are also in it."""
    journal = MemoryJournal()
    journal.append(ALL[:20], expected_size=0)
    return journal


@pytest.mark.parametrize("part_bytes", [1, 100, 1000, 1 << 20])
def test_every_range(base: MemoryJournal, monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    """In whatever pieces the file is read."""
    monkeypatch.setattr(continued, "_PART_BYTES", part_bytes)
    journal = Continued(base, segment_of(joined(ALL[START:])))

    for start in [0, 39, 15, 14, 16, 27, 3, 40]:
        for stop in (None, 16, 28, 40, 50):
            wanted = ALL[start:stop]
            assert list(journal.read(start, stop)) == wanted
    assert journal.tail() == Tail(40, chain.hash_of(ALL[-1]))
    assert journal.entry_at(30, 0, chain.hash_of(ALL[30])) == ALL[30]
    assert type(outcome_of(lambda: journal.entry_at(30, 0, chain.hash_of(ALL[31])))) is RefusedError
    assert (journal.mentions(b'"n":3,'), journal.mentions(b'"n":33,'), journal.mentions(b'"n":99,')) == (
        True,
        True,
        False,
    )


def test_nothing_before_it(base: MemoryJournal) -> None:
    """A whole history needs no base."""
    journal = Continued(MemoryJournal(), segment_of(joined(ALL), 0, chain.GENESIS))

    assert list(journal.read()) == ALL


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        joined(ALL[START:-1]),
        joined(ALL[START:])[:-1],
        joined(ALL[START:]) + b"\n",
        joined(ALL[START:]) + ALL[0] + b"\n",
        joined([*ALL[START:20], *ALL[21:]]),
        joined([*ALL[START:20], ALL[21], ALL[20], *ALL[22:]]),
        joined(ALL[START - 1 :]),
        joined(ALL[START:]).replace(b'"n":30', b'"n":31'),
        joined(ALL[START:30]) + b"x" * 100_000,
    ],
)
def test_what_does_not_fit(base: MemoryJournal, lines: bytes) -> None:
    """It is refused before its end, and what came before it is good."""
    found: list[bytes] = []

    error = outcome_of(lambda: found.extend(Continued(base, segment_of(lines)).read()))

    assert type(error) is RefusedError
    assert found == ALL[: len(found)]


def test_it_cannot_be_written_to(base: MemoryJournal) -> None:
    """It is what would be."""
    journal = Continued(base, segment_of(joined(ALL[START:])))

    assert type(outcome_of(journal.exclusive)) is RefusedError
    assert type(outcome_of(lambda: journal.append([b"x"], expected_size=40))) is RefusedError
