"""Many processes at once: every acknowledged publish is there once, none fails, and readers only ever see prefixes."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from support import LONG, Place, fill, outcome_of

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.errors import LockTimeoutError
from projections import open_registry, verify_registry
from scripts.manage_models import main

WRITERS = 16
READERS = 2
PUBLISHES = 200 if LONG else 50
SECONDS_MAX = 300

_fork = multiprocessing.get_context("fork")


def _write(place: Place, number: int) -> None:
    """Publish over and over through the command line; note each id that was acknowledged, and each failure."""
    output = place.root / f"writer{number}"
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - the process ends with it
    failures = []
    for count in range(PUBLISHES):
        argv = ["publish", "--artifact", str(place.root / f"a{number}"), "--backend", "b", "--id", f"{number}-{count}"]
        argv += ["--registry-dir", str(place.registry_dir), "--state-dir", str(place.state_dir)]
        status = main([*argv, "--lock-timeout", str(SECONDS_MAX), "--log-level", "error"])
        if status != 0:
            failures.append(status)
    (place.root / f"failures{number}").write_text(json.dumps(failures))
    os._exit(0)


def _read(place: Place, number: int) -> None:
    """Look over and over with a registry that was just opened and one that stays; note sizes and hashes."""
    seen = []
    staying = open_registry(place.registry_dir, place.state_dir)
    while not (place.root / "done").exists():
        for registry in (open_registry(place.registry_dir, place.state_dir), staying):
            catalog = registry.catalog()
            seen.append((catalog.size, catalog.hash))
    (place.root / f"seen{number}").write_text(json.dumps(seen))
    os._exit(0)


def _join(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(SECONDS_MAX)
        assert process.exitcode == 0


def test_many_writers_and_readers(fast_place: Place) -> None:
    """Each of many publishes is acknowledged with an id of its own, and stands in the journal once."""
    place = fast_place
    for number in range(WRITERS):
        place.artifact(f"a{number}")
    writers: list[BaseProcess] = [_fork.Process(target=_write, args=(place, number)) for number in range(WRITERS)]
    readers: list[BaseProcess] = [_fork.Process(target=_read, args=(place, number)) for number in range(READERS)]

    for process in writers + readers:
        process.start()
    _join(writers)
    (place.root / "done").touch()
    _join(readers)

    assert all(json.loads((place.root / f"failures{number}").read_text()) == [] for number in range(WRITERS))
    answers = [
        json.loads(line)
        for number in range(WRITERS)
        for line in (place.root / f"writer{number}").read_text().splitlines()
    ]
    catalog = place.open().catalog()
    assert len(answers) == WRITERS * PUBLISHES == len({answer["model_id"] for answer in answers})
    assert {answer["model_id"] for answer in answers} == catalog.published.keys()
    assert catalog.size == WRITERS * PUBLISHES + 1
    assert catalog.positions.keys() >= {f"{w}-{count}" for w in range(WRITERS) for count in range(PUBLISHES)}
    report = verify_registry(place.registry_dir, place.state_dir)
    assert (report.verdict, report.level, report.findings) == ("intact", "L2", [])
    _check_prefixes(place)


def _check_prefixes(place: Place) -> None:
    """Every size that a reader saw, it saw with the hash that the journal has there; and sizes never went back."""
    hashes = [chain.GENESIS] + [chain.hash_of(line[:-1]) for line in place.lines()]
    for number in range(READERS):
        seen = json.loads((place.root / f"seen{number}").read_text())
        sizes = [size for size, _ in seen]
        assert sizes == sorted(sizes)
        assert all(hashes[size] == found for size, found in seen)
        assert len(seen) > 10


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
