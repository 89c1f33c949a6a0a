"""What `eventlog.journal.Journal` promises to several machines (or processes) at once, on every engine."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from support import entries

from eventlog import chain
from eventlog.errors import ConflictError
from eventlog.journal import Journal, Tail

Open = Callable[[str], Journal]


def test_what_one_appends_the_other_reads(opened: Open) -> None:
    """After a refresh, byte for byte and in order, and it may be followed at once."""
    here, there = opened("here"), opened("there")
    stored = entries(7)

    here.append(stored[:4], expected_size=0)
    there.refresh()
    there.append(stored[4:], expected_size=4)
    here.refresh()

    assert list(here.read()) == list(there.read()) == stored
    assert here.tail() == there.tail() == Tail(7, chain.hash_of(stored[-1]))


def test_whoever_decided_on_less_is_a_conflict(opened: Open) -> None:
    """Of two that append to the same size one wins; the other changed nothing, reads on, and goes behind it."""
    here, there = opened("here"), opened("there")
    common = entries(2)
    here.append(common, expected_size=0)
    there.refresh()
    prev = chain.hash_of(common[-1])
    mine, theirs = entries(1, prev, mark="mine"), entries(1, prev, mark="theirs")

    here.append(mine, expected_size=2)
    with pytest.raises(ConflictError):
        there.append(theirs, expected_size=2)
    there.refresh()

    assert list(there.read()) == [*common, *mine]
    after = entries(1, chain.hash_of(mine[0]), mark="theirs")
    assert there.append(after, expected_size=3).size == 4


def test_a_batch_that_conflicts_leaves_nothing(opened: Open) -> None:
    """However many entries it has: none of them is stored, on any machine."""
    here, there = opened("here"), opened("there")
    here.append(entries(1), expected_size=0)
    there.refresh()
    here.append(entries(3)[1:], expected_size=1)

    with pytest.raises(ConflictError):
        there.append(entries(50, chain.hash_of(entries(1)[0]), mark="other"), expected_size=1)

    here.refresh()
    assert list(here.read()) == entries(3)


def test_repeating_an_append_never_stores_it_twice(opened: Open) -> None:
    """What stands at a position stands there for ever: the same bytes again are a conflict, as are others."""
    here = opened("here")
    stored = entries(3)
    here.append(stored, expected_size=0)

    for again in (stored[:1], entries(1, mark="other")):
        with pytest.raises(ConflictError):
            here.append(again, expected_size=0)

    here.refresh()
    assert list(here.read()) == stored


def test_many_machines_append_one_history(opened: Open) -> None:
    """Machines that decide anew after each conflict lose nothing, and all read the same in the end."""
    machines = [opened(f"m{number}") for number in range(4)]
    failures: list[BaseException] = []

    def append(number: int, journal: Journal) -> None:
        try:
            done = 0
            while done < 10:
                try:
                    with journal.exclusive():
                        journal.refresh()
                        tail = journal.tail()
                        journal.append(entries(1, tail.hash, mark=f"m{number}-{done}"), expected_size=tail.size)
                    done += 1
                except ConflictError:
                    continue
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=append, args=item) for item in enumerate(machines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for journal in machines:
        journal.refresh()
    found = [list(journal.read()) for journal in machines]

    assert failures == []
    assert all(reading == found[0] for reading in found)
    marks = sorted(entry.split(b'"')[1].decode() for entry in found[0])
    assert marks == sorted(f"m{number}-{done}" for number in range(4) for done in range(10))


def test_whoever_waits_sees_each_entry_once_in_order(opened: Open) -> None:
    """Also where many come at once, and where the one who waits begins in the middle."""
    here, there = opened("here"), opened("there")
    stored = entries(60)
    here.append(stored[:5], expected_size=0)
    there.refresh()
    seen = list(there.read())
    stop = threading.Event()

    def wait() -> None:
        while len(seen) < 60 and not stop.is_set():
            there.wait(1.0)
            there.refresh()
            seen.extend(there.read(len(seen)))

    thread = threading.Thread(target=wait)
    thread.start()
    for start in range(5, 60, 5):
        here.append(stored[start : start + 5], expected_size=start)
    thread.join(20)
    stop.set()

    assert seen == stored


def test_a_closed_journal_opens_again(opened: Open) -> None:
    """Closing lets go what is open, and loses nothing."""
    here = opened("here")
    here.append(entries(1), expected_size=0)

    here.close()
    here.refresh()

    assert here.append(entries(2)[1:], expected_size=1).size == 2
    assert list(here.read()) == entries(2)
