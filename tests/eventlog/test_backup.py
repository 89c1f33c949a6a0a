"""Backups: a consistent, self-verifying copy beside running writers; nothing is left of one that failed."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from support import Place, fill, flip, outcome_of

from eventlog import durable
from eventlog.errors import JournalDamagedError, RefusedError
from projections import backup_registry, open_registry, verify_registry


def test_backup_is_what_was_acknowledged(place: Place) -> None:
    """The very bytes of the journal, a head for them, and files that `sha256sum -c` finds in order."""
    fill(place, 6)

    report = backup_registry(place.root / "copy", place.registry_dir)

    copy = place.root / "copy"
    assert (copy / "journal.jsonl").read_bytes() == place.journal.read_bytes()
    assert (copy / "registry.json").read_bytes() == place.registry_json.read_bytes()
    assert sorted(report.files) == ["journal.head", "journal.jsonl", "registry.json"]
    assert (report.size, report.size_bytes) == (6, len(place.journal.read_bytes()))
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=copy, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK\n") == 3
    found = verify_registry(copy, None)
    assert (found.verdict, found.size, found.hash, found.findings) == ("intact", 6, report.hash, [])


def test_bytes_behind_the_head_are_not_copied(place: Place) -> None:
    """What was never acknowledged is in no backup; what recovery took out is."""
    fill(place, 6)
    with place.journal.open("ab") as file:
        file.write(b"half an ent")

    report = backup_registry(place.root / "copy", place.registry_dir)

    assert report.size == 6
    kept = [name for name in report.files if name.startswith("quarantine/")]
    assert len(kept) == 1
    assert (place.root / "copy" / kept[0]).read_bytes() == b"half an ent"


def test_the_same_history_gives_the_same_backup(place: Place) -> None:
    """Two backups of one state are equal, file by file."""
    fill(place, 5)

    reports = [backup_registry(place.root / name, place.registry_dir) for name in ("one", "two")]

    assert reports[0].files == reports[1].files


def test_beside_running_writers(place: Place) -> None:
    """Each backup taken while others publish is intact, and a prefix of what came later."""
    fill(place, 4)
    stop = threading.Event()
    for number in range(5):
        place.artifact(f"w{number}")  # now: one thread must not write what another one hashes

    def publish() -> None:
        registry = place.open()
        number = 0
        while not stop.is_set():
            place.publish(f"w{number % 5}", registry=registry)
            number += 1

    writers = [threading.Thread(target=publish) for _ in range(2)]
    for writer in writers:
        writer.start()
    reports = [backup_registry(place.root / f"copy{number}", place.registry_dir) for number in range(6)]
    stop.set()
    for writer in writers:
        writer.join()

    whole = place.journal.read_bytes()
    for report in reports:
        assert whole.startswith(Path(report.destination, "journal.jsonl").read_bytes())
        assert verify_registry(report.destination, None).verdict == "intact"
    assert [report.size for report in reports] == sorted(report.size for report in reports)
    assert reports[-1].size > reports[0].size


@pytest.mark.parametrize("what", ["a file", "a directory with something in it", "a link to nowhere"])
def test_destination_that_is_taken(place: Place, what: str) -> None:
    """Nothing is ever written over."""
    fill(place, 3)
    copy = place.root / "copy"
    if what == "a file":
        copy.write_text("mine")
    elif what == "a link to nowhere":
        copy.symlink_to("nowhere")
    else:
        copy.mkdir()
        (copy / "mine").touch()
    before = sorted(place.root.iterdir())

    with pytest.raises(RefusedError, match="expected a directory that does not exist"):
        backup_registry(copy, place.registry_dir)

    assert sorted(place.root.iterdir()) == before


def test_empty_directory_is_a_destination(place: Place) -> None:
    """A mount point that is ready is used."""
    fill(place, 3)
    (place.root / "copy").mkdir()

    backup_registry(place.root / "copy", place.registry_dir)

    assert verify_registry(place.root / "copy", None).verdict == "intact"


def test_damaged_journal_is_not_copied(place: Place) -> None:
    """A backup of damage would only hide it; nothing is left behind."""
    fill(place, 5)
    flip(place.journal, 8 * 900)
    before = sorted(place.root.iterdir())

    error = outcome_of(lambda: backup_registry(place.root / "copy", place.registry_dir))

    assert type(error) is JournalDamagedError
    assert sorted(place.root.iterdir()) == before


def test_journal_without_head_is_not_copied(place: Place) -> None:
    """Nobody knows whether it is whole."""
    fill(place, 5)
    place.head.unlink()

    error = outcome_of(lambda: backup_registry(place.root / "copy", place.registry_dir))

    assert error is not None
    assert "repair --rebuild-head" in str(error)
    assert not (place.root / "copy").exists()


def test_no_registry(place: Place) -> None:
    """There is nothing to copy, and no directory appears."""
    with pytest.raises(RefusedError, match="expected a journal to copy"):
        backup_registry(place.root / "copy", place.registry_dir)

    assert list(place.root.iterdir()) == []


def test_disk_that_is_full(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that cannot be written is refused, and nothing is left of it."""
    fill(place, 5)
    before = sorted(place.root.iterdir())
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if b"registry.json" in os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}")):
            raise OSError(28, "No space left on device")
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    error = outcome_of(lambda: backup_registry(place.root / "copy", place.registry_dir))

    assert type(error) is RefusedError
    assert "no space left" in str(error)
    assert sorted(place.root.iterdir()) == before


def test_read_only_registry_is_copied(fast_place: Place) -> None:
    """A backup needs no right to write where it copies from."""
    place = fast_place
    fill(place, 5)
    frozen = place.root / "frozen"
    shutil.copytree(place.registry_dir, frozen)
    for path in [*frozen.iterdir(), frozen]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (place.root / "out").mkdir()
    (place.root / "out").chmod(0o777)
    place.root.chmod(0o755)

    child = os.fork()
    if child == 0:
        try:
            os.chdir(place.root)
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            backup_registry("out/copy", "frozen")
            os._exit(0)
        except BaseException as error:
            os.write(2, str(error).encode())
            os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
    assert open_registry(place.root / "out" / "copy", None).catalog().size == 5


def test_last_sync_that_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup whose name is not durable is refused, and not there."""
    fill(place, 5)
    before = sorted(place.root.iterdir())
    synced = durable.sync_directory

    def failing(path: str) -> None:
        if os.path.exists(place.root / "copy"):
            raise OSError(5, "Input/output error")
        synced(path)

    monkeypatch.setattr(durable, "sync_directory", failing)
    error = outcome_of(lambda: backup_registry(place.root / "copy", place.registry_dir))

    assert type(error) is RefusedError
    assert sorted(place.root.iterdir()) == before
