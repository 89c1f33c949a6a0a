"""What `eventlog.journal.Journal` promises, checked on every engine of `conftest.py`: appending and reading."""

from __future__ import annotations

import threading

import pytest
from support import entries

from eventlog import chain
from eventlog.errors import ConflictError, RefusedError
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX, Journal, Tail


def _sized(size_bytes: int, prev: str = chain.GENESIS) -> bytes:
    """Return an entry of just that many bytes."""
    overhead = len(chain.seal(b"", prev))
    return chain.seal(b"x" * (size_bytes - overhead), prev)


def test_new_journal_is_empty(journal: Journal) -> None:
    """Nothing is stored, and asking creates nothing to be stored."""
    assert journal.tail() == Tail(0, chain.GENESIS)
    assert list(journal.read()) == []
    assert list(journal.salvage()) == []
    assert list(journal.notices()) == []


def test_appended_entries_come_back_byte_for_byte(journal: Journal) -> None:
    """What was handed in is what is read, in order, however it was batched."""
    stored = entries(10)

    for start, stop in ((0, 1), (1, 4), (4, 9), (9, 10)):
        journal.append(stored[start:stop], expected_size=start)

    assert list(journal.read()) == stored
    assert list(journal.salvage()) == stored


def test_positions_are_contiguous(journal: Journal) -> None:
    """The entry that follows a journal of n entries stands at position n; there are no gaps."""
    stored = entries(6)

    for position, entry in enumerate(stored):
        assert journal.append([entry], expected_size=position).size == position + 1

    assert [next(iter(journal.read(position, position + 1))) for position in range(6)] == stored


def test_tail_says_size_and_hash(journal: Journal) -> None:
    """The tail is returned by each append, and is what the next entry must be linked to."""
    stored = entries(3)

    returned = journal.append(stored, expected_size=0)

    assert returned == journal.tail() == Tail(3, chain.hash_of(stored[-1]))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (0, 1), (0, None), (2, 4), (4, 4), (4, 9), (5, None), (5, 5), (7, 9), (9, None), (3, 2)]
)
def test_ranges_are_half_open_and_capped(journal: Journal, start: int, stop: int | None) -> None:
    """`[start, stop)` as of a list; what lies behind the last entry is empty, not an error."""
    stored = entries(5)
    journal.append(stored, expected_size=0)

    assert list(journal.read(start, stop)) == stored[start:stop]


def test_reading_is_a_snapshot(journal: Journal) -> None:
    """What was acknowledged when the first entry was asked for is what is read, also while more is appended."""
    stored = entries(6)
    journal.append(stored[:3], expected_size=0)

    reading = journal.read()
    first = next(reading)
    journal.append(stored[3:], expected_size=3)

    assert [first, *reading] == stored[:3]
    assert list(journal.read()) == stored


def test_a_reading_starts_when_the_first_entry_is_asked_for(journal: Journal) -> None:
    """Entries appended between the call and the first entry are part of the reading."""
    stored = entries(4)
    journal.append(stored[:2], expected_size=0)

    reading = journal.read()
    journal.append(stored[2:], expected_size=2)

    assert list(reading) == stored


@pytest.mark.parametrize("expected_size", [0, 1, 3, 100])
def test_stale_size_is_a_conflict(journal: Journal, expected_size: int) -> None:
    """Whoever decided on another size is refused, and nothing is stored."""
    stored = entries(3)
    journal.append(stored[:2], expected_size=0)

    with pytest.raises(ConflictError):
        journal.append(stored[2:], expected_size=expected_size)

    assert list(journal.read()) == stored[:2]
    assert journal.append(stored[2:], expected_size=2).size == 3


def _wrong_appends() -> dict[str, list[bytes]]:
    """Name what may not follow the two entries of `entries(2)`."""
    good = entries(4)[2:]
    prev = chain.hash_of(entries(2)[-1])
    many, size = [], 0
    link = prev
    while size <= APPEND_BYTES_MAX:
        many.append(_sized(60_000, link))
        link, size = chain.hash_of(many[-1]), size + 60_001
    return {
        "no entries": [],
        "one too large": [_sized(ENTRY_BYTES_MAX + 1, prev)],
        "the second too large": [_sized(1_000, prev), _sized(ENTRY_BYTES_MAX + 1, chain.hash_of(_sized(1_000, prev)))],
        "a newline inside": [chain.seal(b'{"n":\n1', prev)],
        "a newline behind": [good[0] + b"\n"],
        "not sealed": [b'{"n":1}' + b" " * 200],
        "empty entry": [b""],
        "too short": [b'"}'],
        "link to the start": entries(1),
        "link to nothing": [chain.seal(b'{"n":1', "f" * 64)],
        "in the wrong order": good[::-1],
        "the same twice": [good[0], good[0]],
        "a gap": good[1:],
        "hash of other bytes": [good[0].replace(b'"n":2', b'"n":3')],
        "upper-case hash": [good[0][:-66] + good[0][-66:-2].upper() + b'"}'],
        "too many entries": entries(APPEND_ENTRIES_MAX + 1, prev),
        "too many bytes": many,
    }


@pytest.mark.parametrize("name", _wrong_appends().keys())
def test_what_does_not_fit_is_refused_whole(journal: Journal, name: str) -> None:
    """Nothing of a batch is stored when one entry of it breaks a bound or a link."""
    stored = entries(3)
    journal.append(stored[:2], expected_size=0)

    with pytest.raises(RefusedError) as caught:
        journal.append(_wrong_appends()[name], expected_size=2)

    assert not isinstance(caught.value, ConflictError)
    assert list(journal.read()) == list(journal.salvage()) == stored[:2]
    assert journal.append(stored[2:], expected_size=2) == Tail(3, chain.hash_of(stored[2]))


def test_largest_appends_are_stored(journal: Journal) -> None:
    """The bounds themselves are allowed: the largest entry, and the most entries."""
    largest = _sized(ENTRY_BYTES_MAX)
    many = entries(APPEND_ENTRIES_MAX, chain.hash_of(largest))

    journal.append([largest], expected_size=0)
    journal.append(many, expected_size=1)

    assert list(journal.read()) == [largest, *many]


@pytest.mark.parametrize("body", [b'{"text":"\xe2\x80\xa8\xe2\x80\xa9\xc2\x85', b"\r\x0b\x0c\x1c\x85", b"\xff\xfe\x00"])
def test_entries_are_opaque_bytes(journal: Journal, body: bytes) -> None:
    """Only a newline ends an entry: U+2028, carriage returns and bytes that are not UTF-8 come back as they were."""
    first = chain.seal(body, chain.GENESIS)
    second = chain.seal(body, chain.hash_of(first))

    journal.append([first], expected_size=0)
    journal.append([second], expected_size=1)

    assert list(journal.read()) == [first, second]


def test_confirming_changes_nothing(journal: Journal) -> None:
    """What is there is made sure of, also where there is nothing yet, and by whoever asks."""
    stored = entries(2)

    journal.confirm()
    journal.append(stored, expected_size=0)
    journal.confirm()

    assert list(journal.read()) == stored


def test_exclusive_is_re_entrant(journal: Journal) -> None:
    """Whoever holds it may take it again, append and read; leaving an inner one does not let others in."""
    stored = entries(2)

    with journal.exclusive():
        with journal.exclusive():
            journal.append(stored[:1], expected_size=0)
        assert list(journal.read()) == stored[:1]
        journal.append(stored[1:], expected_size=1)

    assert list(journal.read()) == stored


def test_exclusive_is_released_by_an_error(journal: Journal) -> None:
    """An error inside goes through, and the next writer is not kept waiting."""
    with pytest.raises(KeyError), journal.exclusive():
        raise KeyError("mine")

    assert journal.append(entries(1), expected_size=0).size == 1


def test_exclusive_keeps_other_threads_out(journal: Journal) -> None:
    """While it is held, another thread's append waits; then it happens."""
    stored = entries(2)
    began, done = threading.Event(), threading.Event()

    def append() -> None:
        began.set()
        with journal.exclusive():
            journal.append(stored[1:], expected_size=journal.tail().size)
        done.set()

    thread = threading.Thread(target=append)
    with journal.exclusive():
        thread.start()
        assert began.wait(10)
        assert not done.wait(0.05)
        journal.append(stored[:1], expected_size=0)
        assert not done.wait(0.05)
    thread.join(10)

    assert done.is_set()
    assert list(journal.read()) == stored


def test_only_one_of_many_threads_wins_a_position(journal: Journal) -> None:
    """Of appends that expect the same size one is stored, the others are conflicts."""
    rivals = [entries(1, mark=f"rival{number}")[0] for number in range(8)]
    outcomes: list[str] = []
    barrier = threading.Barrier(len(rivals))

    def append(entry: bytes) -> None:
        barrier.wait(10)
        try:
            journal.append([entry], expected_size=0)
            outcomes.append("stored")
        except ConflictError:
            outcomes.append("conflict")

    threads = [threading.Thread(target=append, args=(entry,)) for entry in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcomes) == ["conflict"] * 7 + ["stored"]
    assert len(list(journal.read())) == 1


def test_reader_in_another_thread_sees_only_prefixes(journal: Journal) -> None:
    """Whatever a reader gets while a writer appends is the beginning of what is there in the end, and never shrinks."""
    stored = entries(120)
    seen: list[list[bytes]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(list(journal.read()))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for start in range(0, 120, 3):
        journal.append(stored[start : start + 3], expected_size=start)
    done.set()
    thread.join(30)

    assert failures == []
    assert seen
    assert all(reading == stored[: len(reading)] for reading in seen)
    assert [len(reading) for reading in seen] == sorted(len(reading) for reading in seen)
