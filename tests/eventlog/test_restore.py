"""Restores: verified before the first effect; into an empty or older registry, never over newer or other history."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import Clock, Place, fill, flip, outcome_of, restoring_fails

from eventlog.errors import JournalDamagedError, OutcomeUnknownError, RefusedError
from eventlog.restore import RestoreReport
from projections import backup_registry, restore_registry, verify_registry

SIZE = 8


def restore(place: Place, source: Path, *, dry_run: bool = False) -> RestoreReport:
    return restore_registry(source, place.registry_dir, place.state_dir, dry_run=dry_run, lock_timeout_seconds=5.0)


def refused(place: Place, source: Path, kind: type[Exception] = RefusedError) -> str:
    """Return the message of a restore that must be refused, with nothing changed on disk."""
    before = place.files()
    error = outcome_of(lambda: restore(place, source))
    assert type(error) is kind, error
    assert place.files() == before
    return str(error)


@pytest.fixture
def history(place: Place) -> list[dict[str, bytes]]:
    """What was on disk after each event; `copy` is a backup of five of them, `whole` of all."""
    states = fill(place, SIZE)
    for size, name in ((5, "copy"), (SIZE, "whole")):
        place.put(states[size])
        backup_registry(place.root / name, place.registry_dir)
    return states


def test_into_nothing(place: Place, history: list[dict[str, bytes]]) -> None:
    """A new machine has the same journal, to the byte, and the derived files of it."""
    place.put({})

    report = restore(place, place.root / "whole")

    assert (report.size_before, report.size, report.done) == (0, SIZE, True)
    assert place.journal.read_bytes() == history[SIZE]["m/journal.jsonl"]
    assert place.registry_json.read_bytes() == history[SIZE]["m/registry.json"]
    assert place.state_json.read_bytes() == history[SIZE]["s/state.json"]
    assert verify_registry(place.registry_dir, place.state_dir).findings == []


def test_registry_directory_that_was_lost(place: Place, history: list[dict[str, bytes]]) -> None:
    """The runtime checkpoint remembers the whole history; a backup of all of it brings it back."""
    shutil.rmtree(place.registry_dir)

    restore(place, place.root / "whole")

    assert place.journal.read_bytes() == history[SIZE]["m/journal.jsonl"]
    assert place.publish("new")


@pytest.mark.parametrize("size", [2, 5, 7])
def test_onto_an_older_prefix(place: Place, history: list[dict[str, bytes]], size: int) -> None:
    """Only what is missing is appended."""
    place.put(history[size])

    report = restore(place, place.root / "whole")

    assert (report.size_before, report.size) == (size, SIZE)
    assert place.files()["m/journal.jsonl"] == history[SIZE]["m/journal.jsonl"]
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_dry_run(place: Place, history: list[dict[str, bytes]]) -> None:
    """It says what would happen and changes nothing."""
    place.put({})

    report = restore(place, place.root / "whole", dry_run=True)

    assert (report.size_before, report.size, report.done) == (0, SIZE, False)
    assert place.files() == {}


def test_the_same_again(place: Place, history: list[dict[str, bytes]]) -> None:
    """Nothing is missing, so nothing happens."""
    before = place.files()

    report = restore(place, place.root / "whole")

    assert report.size_before == report.size == SIZE
    assert place.files() == before


def test_cut_short_and_asked_for_again(
    place: Place, history: list[dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a failing disk left is a shorter, sound journal; the next try goes on from there."""
    place.put({})
    with restoring_fails(monkeypatch, entries=2, at=3):
        error = outcome_of(lambda: restore(place, place.root / "whole"))
    assert isinstance(error, OutcomeUnknownError)  # status 4: something was changed
    assert f"4 of {SIZE} entries are restored: mend that, then restore again" in str(error)
    assert verify_registry(place.registry_dir, None).size == 4
    restore(place, place.root / "whole")

    assert place.journal.read_bytes() == history[SIZE]["m/journal.jsonl"]


# Refused, and it says which


def test_older_than_the_registry(place: Place, history: list[dict[str, bytes]]) -> None:
    """Never over newer history."""
    message = refused(place, place.root / "copy")

    assert "older" in message
    assert f"{SIZE} entries" in message


def test_older_than_the_runtime_remembers(place: Place, history: list[dict[str, bytes]]) -> None:
    """A lost registry is not silently set back; the one way on is named."""
    shutil.rmtree(place.registry_dir)

    message = refused(place, place.root / "copy")

    assert "older" in message
    assert f"repair --accept-rewind --from {place.root / 'copy'}" in message


def test_foreign(place: Place, history: list[dict[str, bytes]], tmp_path: Path) -> None:
    """A backup of another journal, for a registry that has one and for a runtime that follows one."""
    other = Place(tmp_path / "other")
    other.root.mkdir()
    other.publish("x")
    backup_registry(place.root / "foreign", other.registry_dir)

    assert "foreign" in refused(place, place.root / "foreign")
    shutil.rmtree(place.registry_dir)
    assert "foreign" in refused(place, place.root / "foreign")


def test_forked(place: Place, history: list[dict[str, bytes]], tmp_path: Path) -> None:
    """Two registries that went on differently from one point are told apart at that point."""
    fork = Place(tmp_path / "fork")
    fork.root.mkdir()
    shutil.copytree(place.root / "copy", fork.registry_dir)
    registry = fork.open(runtime=False, now=Clock())
    for number in range(5):
        fork.publish(f"f{number}", registry=registry)
    backup_registry(place.root / "forked", fork.registry_dir)

    assert "forked" in refused(place, place.root / "forked")
    shutil.rmtree(place.registry_dir)
    assert "forked" in refused(place, place.root / "forked")


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.head", "registry.json", "SHA256SUMS"])
def test_backup_that_has_rotted(place: Place, history: list[dict[str, bytes]], name: str) -> None:
    """One flipped bit in any file of a backup is noticed before anything is written."""
    place.put({})
    path = place.root / "whole" / name
    flip(path, 8 * (len(path.read_bytes()) // 2))

    assert str(place.root / "whole") in refused(place, place.root / "whole")


@pytest.mark.parametrize("line", ["../m/journal.jsonl", "/etc/passwd", "quarantine/../../x"])
def test_list_that_leads_elsewhere(place: Place, history: list[dict[str, bytes]], line: str) -> None:
    """A backup's list names files of the backup."""
    place.put({})
    with (place.root / "whole" / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {line}\n")

    assert "SHA256SUMS" in refused(place, place.root / "whole")


def test_no_backup_there(place: Place, history: list[dict[str, bytes]]) -> None:
    """A file, an empty directory and a missing one are no backups."""
    place.put({})
    (place.root / "file").touch()
    (place.root / "empty").mkdir()

    for name in ("file", "empty", "missing"):
        assert str(place.root / name) in refused(place, place.root / name)


def test_damaged_registry_is_for_repair(place: Place, history: list[dict[str, bytes]]) -> None:
    """Restoring continues a sound journal; for a damaged one, the repair is named."""
    flip(place.journal, 8 * 900)

    assert f"repair --from {place.root / 'whole'}" in refused(place, place.root / "whole", JournalDamagedError)


def test_a_plain_copy_is_a_source(place: Place, history: list[dict[str, bytes]]) -> None:
    """A copied registry directory without SHA256SUMS is judged by its chain."""
    shutil.copytree(place.registry_dir, place.root / "plain")
    place.put({})

    restore(place, place.root / "plain")

    assert place.journal.read_bytes() == history[SIZE]["m/journal.jsonl"]
