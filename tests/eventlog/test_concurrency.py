"""Who waits for a lock is told by whom it is held, and the dead hold nothing; many at once: `tests/properties`."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from support import Place, fill, outcome_of

from eventlog.engines import open_journal
from eventlog.errors import LockTimeoutError

_fork = multiprocessing.get_context("fork")


def test_lock_that_cannot_be_had_names_its_holder(place: Place) -> None:
    """A writer that waited long enough is refused, says which process holds the lock, and nothing changed."""
    fill(place, 3)
    before = place.files()
    ours, theirs = multiprocessing.Pipe()

    def hold() -> None:
        with open_journal(str(place.registry_dir)).exclusive():
            theirs.send("held")
            theirs.recv()
        os._exit(0)

    holder = _fork.Process(target=hold)
    holder.start()
    assert ours.recv() == "held"
    error = outcome_of(lambda: place.publish("new", registry=place.open(lock_timeout_seconds=0.05)))
    ours.send("go")
    holder.join(60)

    assert isinstance(error, LockTimeoutError)
    assert f"process {holder.pid} " in str(error)
    assert str(place.journal) in str(error)
    assert place.files() == before
    assert place.publish("new")


def test_holder_that_died_holds_nothing(place: Place) -> None:
    """The kernel gives the lock back when its holder is killed; the next writer goes on at once."""
    fill(place, 3)
    ours, theirs = multiprocessing.Pipe()

    def hold() -> None:
        with open_journal(str(place.registry_dir)).exclusive():
            theirs.send("held")
            theirs.recv()

    holder = _fork.Process(target=hold)
    holder.start()
    assert ours.recv() == "held"
    holder.kill()
    holder.join(60)

    assert place.publish("new", registry=place.open(lock_timeout_seconds=5.0))


def test_thread_that_cannot_have_the_lock_is_told(place: Place) -> None:
    """Within one process too: who waits for another thread is refused in the end, not kept for ever."""
    import threading

    journal = open_journal(str(place.registry_dir), lock_timeout_seconds=0.05)
    errors: list[BaseException | None] = []

    def enter() -> None:
        with journal.exclusive():
            pass

    with journal.exclusive():
        thread = threading.Thread(target=lambda: errors.append(outcome_of(enter)))
        thread.start()
        thread.join(30)

    assert [type(error) for error in errors] == [LockTimeoutError]
    assert Path(journal.where).exists()
