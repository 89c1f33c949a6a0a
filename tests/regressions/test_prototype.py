"""
What a first prototype got wrong, by number; one test for each, here or where `GUARDS` says.

1. Damage looked like a torn tail, and the next publish healed an acknowledged event away; `list` asked no anchor.
2. Garbage was shown as an empty registry.
3. After the event was committed, a close, a lock release or stdout that failed turned into "refused".
4. What a failed publish had left was committed by the next one.
5. Predictable temporary names were written through, and stayed behind.
6. Links, FIFOs and devices in place of files were followed, waited for, read without end.
7. An artifact changed while it was hashed, or between hash and append.
8. `list` showed an event whose sync had not returned.
9. A held lock was waited for in silence and for ever; an unlinked one let a second writer in.
10. Escapes reached the terminal, an ASCII stdout broke the table, a wrong type gave a traceback.
11. Ctrl-C gave a traceback.
"""

from __future__ import annotations

import ast
import errno
import fcntl
import os
from pathlib import Path

import pytest
from command import Run
from support import Place, fill, outcome_of

from eventlog.errors import JournalDamagedError, RefusedError

ROOT = Path(__file__).resolve().parents[2]
GUARDS = {
    1: ["eventlog/engines/test_bit_rot.py::test_every_flipped_bit_of_the_journal"],
    3: [
        "scripts/test_streams.py::test_publish_onto_a_full_disk",
        "eventlog/test_failed_writes.py::test_every_call_fails",
    ],
    4: ["eventlog/test_failed_writes.py::test_every_call_fails"],
    5: [
        "scripts/test_hostile_files.py::test_temporary_name_that_is_a_link_to_a_victim",
        "projections/test_runtime_state_files.py::test_temporary_name_that_is_a_link",
    ],
    6: ["scripts/test_hostile_files.py::test_file_that_is_no_regular_file"],
    7: [
        "eventlog/test_artifacts.py::test_change_while_hashing",
        "eventlog/test_artifacts.py::test_change_after_hashing",
        "scripts/test_publish.py::test_file_that_changes_before_the_append",
    ],
    9: [
        "eventlog/test_concurrency.py::test_lock_that_cannot_be_had_names_its_holder",
        "eventlog/engines/test_jsonl.py::test_journal_that_is_removed_under_a_waiting_writer",
    ],
    10: [
        "scripts/test_output.py::test_hostile_values_of_a_resealed_journal",
        "scripts/test_output.py::test_output_that_cannot_encode_everything",
        "scripts/test_hostile_files.py::test_resealed_event_that_is_not_as_we_write_it",
    ],
    11: ["scripts/test_interrupts.py::test_interrupt_at_each_line"],
}
"""By the mistake's number, the tests elsewhere that would find it again."""


@pytest.mark.parametrize(("number", "guard"), [(number, guard) for number in GUARDS for guard in GUARDS[number]])
def test_guard_is_there(number: int, guard: str) -> None:
    """A test that guards against one of these mistakes is not lost when files are moved."""
    path, _, name = guard.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))

    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"mistake {number}"


def test_1_damage_that_looks_like_a_torn_tail(place: Place, run: Run) -> None:
    """A last entry that lost its end, with a head that was set back, is found out by what `list` itself compares."""
    history = fill(place, 5)
    place.journal.write_bytes(place.journal.read_bytes()[:-20])
    place.head.write_bytes(history[4]["m/journal.head"])
    before = place.files()
    words = ["--artifact", str(place.artifact("new")), "--backend", "b"]

    for remembers, other in ((place.registry_json, place.state_json), (place.state_json, place.registry_json)):
        place.put(before)
        other.unlink()
        left = place.files()
        assert [run(*verb).status for verb in (["list"], ["verify"], ["publish", *words])] == [3, 3, 3], remembers
        assert place.files() == left


GARBAGE = {
    "a huge line": b"x" * (9 << 20),
    "UTF-16": '{"specversion":"1.0"}\n'.encode("utf-16"),
    "deep nesting": b"[" * 60_000 + b"\n",
    "an integer of 10,000 digits": b"1" * 10_000 + b"\n",
    "an empty line": b"\n",
    "a NUL": b"\0",
    "half a line": b'{"specversion"',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_2_garbage_is_not_an_empty_registry(place: Place, garbage: bytes) -> None:
    """A file that no registry wrote is not shown as one without models, and is left as it is."""
    place.registry_dir.mkdir()
    place.journal.write_bytes(garbage)
    before = place.files()

    assert isinstance(outcome_of(place.open().catalog), JournalDamagedError)
    assert isinstance(outcome_of(lambda: place.publish("a")), JournalDamagedError)
    assert place.files() == before


@pytest.mark.parametrize("what", ["close", "lock release"])
def test_3_refused_although_it_was_committed(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """From the moment that the head is durable no error says "refused": the event is there, and the status says so."""
    fill(place, 3)
    syncs = []
    sync, close, lock = os.fdatasync, os.close, fcntl.flock

    def synced(descriptor: int) -> None:
        sync(descriptor)
        syncs.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def committed() -> bool:
        return str(place.journal) in syncs and syncs[-1] == str(place.head)

    def failing_close(descriptor: int) -> None:
        close(descriptor)
        if committed():
            raise OSError(errno.EIO, "Input/output error")

    def failing_lock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_UN and committed():
            raise OSError(errno.ENOLCK, "No locks available")
        lock(descriptor, operation)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", synced)
        patch.setattr(*((os, "close", failing_close) if what == "close" else (fcntl, "flock", failing_lock)))
        said = run("publish", "--artifact", str(place.artifact("new")), "--backend", "b", "--id", "new")

    assert committed()
    assert said.status == (5 if what == "close" else 0)
    assert said.json["artifact_path"] == str(place.root / "new")
    assert place.ids()[-1] == "new"


def test_4_failed_publish_is_committed_by_the_next(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish that was refused because the disk was full, whole line or half of it, is not there later."""
    fill(place, 3)
    real = os.pwrite

    for part in (1.0, 0.5):

        def failing(descriptor: int, data: bytes, offset: int, part: float = part) -> int:
            if os.readlink(f"/proc/self/fd/{descriptor}") != str(place.journal):
                return real(descriptor, data, offset)
            real(descriptor, bytes(data)[: int(len(data) * part)], offset)
            raise OSError(errno.ENOSPC, "No space left on device")

        size_bytes = place.journal.stat().st_size
        words = ["--artifact", str(place.artifact("new")), "--backend", "b"]
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing)
            assert run("publish", *words, "--id", "failed").status == 2
        assert place.journal.stat().st_size == size_bytes
        assert run("publish", *words).status == 0

    assert "failed" not in place.ids()
    assert not place.quarantine.exists()


def test_5_temporary_files_stay_behind(place: Place) -> None:
    """What earlier processes left under temporary names goes with the next publish, and none of its own stays."""
    fill(place, 3)
    place.journal.write_bytes(place.journal.read_bytes() + b"half")
    names = place.files().keys()
    for path in (place.registry_json, place.state_json):
        path.with_name(f".{path.name}.new").write_bytes(b"left behind")

    place.publish("new")

    assert {name for name in place.files() if "quarantine" not in name} == names
    assert [path.suffix for path in place.quarantine.iterdir()] == [".no-newline"]


@pytest.mark.parametrize("kind", ["file", "dangling link", "link to a directory"])
def test_5_quarantine_that_is_no_directory(place: Place, kind: str) -> None:
    """What stands where quarantine should be is never written through, and a publish that needs it is refused."""
    fill(place, 3)
    (place.root / "elsewhere").mkdir()
    if kind == "file":
        place.quarantine.write_bytes(b"mine")
    else:
        place.quarantine.symlink_to(place.root / ("nowhere" if kind == "dangling link" else "elsewhere"))
    place.journal.write_bytes(place.journal.read_bytes() + b"half")
    before = place.journal.read_bytes()

    error = outcome_of(lambda: place.publish("a"))

    assert isinstance(error, RefusedError)
    assert place.journal.read_bytes() == before
    assert list((place.root / "elsewhere").iterdir()) == []


def test_5_quarantine_that_cannot_be_listed(place: Place) -> None:
    """A file in the place of quarantine, with nothing to put into it: refused with the project's own error, or done."""
    fill(place, 3)
    place.quarantine.write_bytes(b"mine")

    error = outcome_of(lambda: place.publish("a"))

    assert error is None or isinstance(error, RefusedError)
    assert place.quarantine.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.head"])
@pytest.mark.parametrize("kind", ["symbolic link", "dangling link", "FIFO", "directory", "device"])
def test_6_file_that_is_no_file(place: Place, name: str, kind: str) -> None:
    """Reading and writing refuse at once what is not a regular file, and never write through a link."""
    fill(place, 3)
    path, victim = place.registry_dir / name, place.root / "victim"
    path.unlink()
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        target = {"symbolic link": victim, "dangling link": place.root / "nowhere", "device": Path("/dev/zero")}[kind]
        path.symlink_to(target)
    victim.write_bytes(b"mine")

    assert isinstance(outcome_of(place.open().catalog), RefusedError)
    assert isinstance(outcome_of(lambda: place.publish("a")), RefusedError)
    assert victim.read_bytes() == b"mine"
    assert not (place.root / "nowhere").exists()


def test_8_list_shows_an_event_before_its_sync_returned(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal's own sync has not returned, everybody else is shown what was there before."""
    fill(place, 3)
    before, real, shown = place.open().list_models(), os.fdatasync, []

    def watched(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(place.journal):
            shown.append(place.open().list_models())
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", watched)
        model = place.publish("new")

    assert shown
    assert all(models == before for models in shown)
    assert place.open().list_models()[0] == model
