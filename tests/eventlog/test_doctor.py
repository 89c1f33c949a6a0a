"""The doctor: each thing that can be wrong around a registry is found, with its remedy; nothing is written."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from datetime import timedelta
from typing import Any

import pytest
from support import START, Clock, Place, fill, flip

from eventlog import doctor, surroundings
from eventlog.doctor import Examination
from eventlog.errors import MEND_LINES
from eventlog.surroundings import Mount
from projections import examine_registry, verify_registry

LOOKED_AT = [
    "history", "permissions", "file system", "free space", "clock", "lock", "leftovers", "packages", "environment"
]  # fmt: skip


def examine(place: Place, **settings: Any) -> Examination:
    """Examine, and make sure that nothing was written."""
    before = place.files()
    found = doctor.examine(
        str(place.registry_dir),
        str(place.state_json),
        verify_registry(place.registry_dir, place.state_dir),
        **settings,
    )
    assert place.files() == before
    return found


def about(found: Examination) -> list[tuple[str, str]]:
    return [(symptom.kind, symptom.about) for symptom in found.symptoms]


@pytest.fixture(autouse=True)
def _a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run, the place is on a disk with room, unless a test says otherwise."""
    monkeypatch.setattr(surroundings, "mount_of", lambda path: Mount("/", "ext4", False))
    monkeypatch.setattr(surroundings, "free_bytes", lambda path: 1 << 40)


def test_clean(place: Place) -> None:
    """A sound registry: every check is named, none found anything."""
    fill(place, 4)

    found = examine(place, packages=("eventlog", "projections", "msgspec"), settings=("MODELOG_OUTPUT",))

    assert (found.looked_at, found.symptoms, found.clean) == (LOOKED_AT, [], True)


def test_every_symptom_has_a_remedy(place: Place) -> None:
    """What is wrong with the history is told here, too, each with what to do."""
    fill(place, 4)
    flip(place.journal, 8 * 700)

    (symptom,) = examine(place).symptoms

    assert (symptom.kind, symptom.about, symptom.remedy) == ("problem", "history", MEND_LINES)
    assert "damaged entry 1" in symptom.what


def test_derived_file_that_lags(place: Place) -> None:
    """A projection that is behind, and what mends it."""
    files = fill(place, 4)
    (place.root / "m/registry.json").write_bytes(files[3]["m/registry.json"])

    (symptom,) = examine(place).symptoms

    assert (symptom.about, symptom.remedy) == ("derived files", "run rebuild")


def test_no_registry_yet(place: Place) -> None:
    """Where nothing was published there is nothing to lose, and that is said."""
    assert about(examine(place)) == [("problem", "history")]


@pytest.mark.parametrize("name", ["m", "m/journal.jsonl", "m/journal.head", "m/registry.json", "s", "s/state.json"])
def test_anybody_may_write(place: Place, name: str) -> None:
    """What others may write to is a risk."""
    fill(place, 3)
    path = place.root / name
    path.chmod(path.stat().st_mode | 0o002)

    found = examine(place)

    assert about(found) == [("risk", "permissions")]
    assert found.symptoms[0].remedy == f"chmod o-w {shlex.quote(str(path))}"


def test_not_ours_to_write(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that we may not write to is a problem before the next publish finds out."""
    fill(place, 3)
    real = surroundings.why_not
    monkeypatch.setattr(
        surroundings, "why_not", lambda path, mode: "permission denied" if path.endswith("head") else real(path, mode)
    )

    assert about(examine(place)) == [("problem", "permissions")]


def test_file_that_is_none(place: Place) -> None:
    """A link in the place of a file is never followed for writing."""
    fill(place, 3)
    moved = place.root / "moved"
    place.registry_json.rename(moved)
    place.registry_json.symlink_to(moved)

    assert ("problem", "permissions") in about(examine(place))


@pytest.mark.parametrize(
    ("mount", "kind", "word"),
    [
        (Mount("/net", "nfs4", False), "risk", "server"),
        (Mount("/share", "cifs", False), "risk", "server"),
        (Mount("/dev/shm", "tmpfs", False), "risk", "power cut"),
        (Mount("/mnt", "ext4", True), "problem", "read-only"),
    ],
)
def test_file_systems(place: Place, monkeypatch: pytest.MonkeyPatch, mount: Mount, kind: str, word: str) -> None:
    """What the promises rest on and this file system does not give."""
    fill(place, 3)
    monkeypatch.setattr(surroundings, "mount_of", lambda path: mount)

    found = examine(place)

    assert about(found) == [(kind, "file system")] * 2
    assert word in found.symptoms[0].what


@pytest.mark.parametrize(("free", "kind"), [(0, "problem"), (1 << 20, "risk")])
def test_free_space(place: Place, monkeypatch: pytest.MonkeyPatch, free: int, kind: str) -> None:
    """Little room is a risk, none is a problem."""
    fill(place, 3)
    monkeypatch.setattr(surroundings, "free_bytes", lambda path: free)

    assert about(examine(place)) == [(kind, "free space")] * 2


def test_clock_that_went_back(place: Place) -> None:
    """A clock before the latest event, or before the journal was written."""
    fill(place, 3)

    found = examine(place, now=lambda: START - timedelta(days=1))

    assert about(found) == [("risk", "clock")] * 2


def test_lock_that_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who keeps the lock is named, with the command."""
    fill(place, 3)
    monkeypatch.setattr(doctor, "STEADY_SECONDS", 0.05)
    with place.journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = examine(place)

    assert about(found) == [("problem", "lock")]
    assert f"process {os.getpid()} (" in found.symptoms[0].what
    assert "python" in found.symptoms[0].what


def test_lock_on_a_directory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derived files are guarded by locks of their directories; one that is kept is found, too."""
    fill(place, 3)
    monkeypatch.setattr(doctor, "STEADY_SECONDS", 0.05)
    held = os.open(place.state_dir, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    found = examine(place)
    os.close(held)

    assert about(found) == [("problem", "lock")]
    assert str(place.state_dir) in found.symptoms[0].what


def test_quarantine_that_cannot_be_used(place: Place) -> None:
    """A recovery needs it, and would only then find out."""
    fill(place, 3)
    place.quarantine.touch()

    assert about(examine(place)) == [("problem", "permissions")]


def test_journal_that_can_only_be_appended_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attribute `a` of chattr keeps every writer out; the remedy takes it away, whatever the path looks like."""
    fill(place, 3)
    monkeypatch.setattr(surroundings.fcntl, "ioctl", _attributes)

    (symptom,) = examine(place).symptoms

    assert symptom.remedy == f"chattr -a {shlex.quote(str(place.journal))}"


def _attributes(descriptor: int, _request: int, _data: bytes) -> bytes:
    append_only = os.readlink(f"/proc/self/fd/{descriptor}").endswith("journal.jsonl")
    return (0x20 if append_only else 0).to_bytes(8, sys.byteorder)


def test_link_in_the_place_of_the_journal(place: Place) -> None:
    """The remedy keeps the events: nothing is moved away that holds them."""
    fill(place, 3)
    place.journal.rename(place.root / "elsewhere")
    place.journal.symlink_to(place.root / "elsewhere")

    remedies = [symptom.remedy for symptom in examine(place).symptoms if symptom.about == "permissions"]

    assert remedies == ["put the file that it leads to in its place"]


def test_no_remedy_is_to_look_again(place: Place) -> None:
    """Whatever is wrong with the history, the remedy is not the audit that was just made."""
    fill(place, 3)
    kept = place.files()
    for damage in (place.head.unlink, place.journal.unlink, place.registry_json.unlink):
        damage()
        assert not [symptom for symptom in examine(place).symptoms if symptom.remedy == "run verify"]
        place.put(kept)


def test_file_that_is_just_being_written(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary file that comes and goes is somebody at work."""
    fill(place, 3)
    temporary = place.registry_dir / ".registry.json.new"
    temporary.touch()
    monkeypatch.setattr(doctor.time, "sleep", lambda _seconds: temporary.unlink(missing_ok=True))

    found = doctor.examine(
        str(place.registry_dir), str(place.state_json), verify_registry(place.registry_dir, place.state_dir)
    )

    assert found.clean


def test_leftovers(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted command left is named; the next one deals with it."""
    fill(place, 3)
    monkeypatch.setattr(doctor, "STEADY_SECONDS", 0.05)
    (place.registry_dir / ".registry.json.new").touch()
    (place.state_dir / ".state.json.new").touch()

    assert about(examine(place)) == [("risk", "leftovers")] * 2


def test_package_that_hides_ours(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the same name, earlier on the path, would be imported in the place of ours."""
    fill(place, 3)
    (place.root / "hiding" / "projections").mkdir(parents=True)
    (place.root / "hiding" / "projections" / "__init__.py").touch()
    (place.root / "hiding" / "msgspec.py").touch()
    monkeypatch.syspath_prepend(str(place.root / "hiding"))

    found = examine(place, packages=("eventlog", "projections", "msgspec"))

    assert about(found) == [("problem", "packages")] * 2
    assert str(place.root / "hiding") in found.symptoms[0].what


def test_setting_that_means_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable is silently ignored by every command, so the doctor names it."""
    fill(place, 3)
    monkeypatch.setenv("MODELOG_REGISTRY_DIRECTORY", "x")
    monkeypatch.setenv("MODELOG_OUTPUT", "json")

    found = examine(place, settings=("MODELOG_OUTPUT",))

    assert about(found) == [("risk", "environment")]
    assert "MODELOG_REGISTRY_DIRECTORY" in found.symptoms[0].what


def test_wired(place: Place) -> None:
    """The function that callers have."""
    fill(place, 3)

    found = examine_registry(place.registry_dir, place.state_dir)

    assert found.looked_at == LOOKED_AT
    assert found.verification.verdict == "intact"


def test_remedies_of_the_history(place: Place) -> None:
    """A clock that once went back does no harm; bytes behind the head are dealt with; each is said as such."""
    fill(place, 3, clock=Clock(step=-timedelta(seconds=1)))
    place.journal.write_bytes(place.journal.read_bytes() + b"torn")

    found = examine(place, now=lambda: START + timedelta(days=30_000))

    assert {symptom.remedy for symptom in found.symptoms} == {
        "nothing: it does no harm",
        "the next publish or rollback deals with them",
    }
    assert all(symptom.kind == "risk" for symptom in found.symptoms)
