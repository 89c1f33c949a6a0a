"""Stamps: whoever does not read what is past refuses what whoever reads it refuses, and shows nothing false."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from long_history import ENTRIES, SIZE, answers, began, damages, forged, state, whole
from support import Place, Randomness, flip, outcome_of

from eventlog.engines import jsonl_stamp, open_journal
from eventlog.errors import JournalDamagedError
from projections import verify_registry

STAMPS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "a flipped bit": lambda path: flip(path, 900),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link": lambda path: (path.rename(path.with_name("other")), path.symlink_to("other")),
}


@pytest.mark.parametrize("what", STAMPS)
def test_without_a_stamp_that_fits_everything_is_read(long: Place, what: str) -> None:
    """It answers the same, reading changes nothing, and a publish goes on; nothing is written through a link."""
    path = long.registry_dir / jsonl_stamp.NAME
    STAMPS[what](path)
    before = {name: data for name, data in long.files().items() if "FIFO" not in what}

    assert began(long) == 0
    assert state(long.open().catalog()) == state(whole(long).catalog())
    assert {name: data for name, data in long.files().items() if "FIFO" not in what} == before
    model = long.publish("more")
    assert long.open().get_active_model() == model
    assert (began(long) > 0) == (what not in ("a directory", "a FIFO", "a link"))
    if what == "a directory":
        path.rmdir()
    elif what in ("a FIFO", "a link"):
        path.unlink()


@pytest.mark.parametrize("touch", ["touched", "copied", "a byte more", "written in place"])
def test_a_file_that_was_written_to_is_read_from_zero(long: Place, touch: str) -> None:
    """The stamp is that of one file on one disk; the same bytes elsewhere have none."""
    data = long.journal.read_bytes()
    if touch == "touched":
        os.utime(long.journal)
    elif touch == "copied":
        long.journal.unlink()
        long.journal.write_bytes(data)
    elif touch == "a byte more":
        long.journal.write_bytes(data + b"{")
    else:
        with long.journal.open("r+b") as file:
            file.write(data[:1])

    assert began(long) == 0
    assert long.open().catalog().size == len(data.splitlines())


def _ask(place: Place) -> dict[str, Callable[[], object]]:
    """Return ways to ask, each of which begins in the middle where it may."""
    return {
        "list": lambda: place.open().list_models(),
        "active": lambda: place.open().get_active_model(),
        "as of": lambda: place.open().catalog(2),
        "blame": lambda: place.open().blame(place.open().catalog().active_id() or ""),
        "history": lambda: list(place.open().history()),
        "publish": lambda: place.publish("a0"),
        "rollback": lambda: place.open().rollback(),
        "review": lambda: place.open().review(),
        "rebuild": lambda: place.open().rebuild(),
        "no runtime": lambda: place.open(runtime=False).list_models(),
    }


def test_every_damage_is_refused_on_every_path(long: Place, tally: Callable[[str, int], None]) -> None:
    """The quick way refuses what the slow way refuses, and changes nothing; each question takes its turn."""
    files, asked = long.files(), list(_ask(long).items())
    journal = "m/journal.jsonl"
    count = 0

    for count, (what, data) in enumerate(damages(files[journal]), 1):
        long.journal.write_bytes(data)
        assert isinstance(outcome_of(whole(long).catalog), JournalDamagedError), what
        for name, ask in (asked[count % len(asked)], asked[(count * 7 + 3) % len(asked)]):
            error = outcome_of(ask)
            assert type(error) is JournalDamagedError, f"{what}: {name} says {error!r}"
        now = long.files()
        assert (now.pop(journal), now) == (data, {key: value for key, value in files.items() if key != journal}), what
    long.journal.write_bytes(files[journal])

    assert long.open().catalog().size == SIZE
    tally("damages of a journal with snapshots, refused on two paths each and from zero", count)
    assert count > 400


def test_a_forged_stamp_shows_nothing_false(long: Place) -> None:
    """Somebody changes what is past and writes a stamp for it: whatever is shown of it is refused, verify sees it."""
    lines = long.lines()
    at = next(number for number, line in enumerate(lines) if b'"model.published.v1"' in line and number > 2)
    model_id = long.event(at).subject or ""
    long.journal.write_bytes(b"".join(forged(lines, at)))
    assert isinstance(outcome_of(long.open().catalog), JournalDamagedError), "as long as the stamp does not fit"
    (long.registry_dir / jsonl_stamp.NAME).unlink()
    head = open_journal(str(long.registry_dir))._reader.read_head().newest  # type: ignore[attr-defined]
    size_bytes = sum(map(len, lines)) - long.journal.stat().st_size
    with long.journal.open("ab") as file:
        file.write(b"" if size_bytes <= 0 else b" " * size_bytes)
    jsonl_stamp.put(str(long.registry_dir / jsonl_stamp.NAME), head, os.stat(long.journal))

    for ask in (
        lambda: long.open().list_models(),
        lambda: long.open().catalog().model(model_id),
        lambda: long.open().blame(model_id),
        lambda: long.open().catalog(at),
        lambda: long.open().read_event(at),
        lambda: list(long.open().history()),
    ):
        assert isinstance(outcome_of(ask), JournalDamagedError)
    assert verify_registry(long.registry_dir, long.state_dir).verdict == "damaged"


def test_a_process_that_holds_on_writes_stamps_too(place: Place) -> None:
    """Many publishes by one object, and by two in turn: the next process begins in the middle."""
    one, two = place.open(random_bytes=Randomness("1")), place.open(random_bytes=Randomness("2"))
    for number in range(4 * ENTRIES):
        place.publish(f"a{number % 3}", registry=two if number % 3 else one)

    assert began(place) > 2 * ENTRIES
    assert answers(place.open()) == answers(whole(place))


def test_a_damaged_past_is_not_vouched_for_by_who_did_not_read_it(long: Place) -> None:
    """A process has verified everything, and then somebody writes to the file: its next stamp does not hide that."""
    registry = long.open()
    registry.catalog()
    lines = long.lines()
    long.journal.write_bytes(b"".join(forged(lines, 3))[: sum(map(len, lines))])

    outcome_of(lambda: long.publish("more", registry=registry))

    assert isinstance(outcome_of(long.open().catalog), JournalDamagedError)
