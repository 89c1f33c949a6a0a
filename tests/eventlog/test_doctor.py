"""The doctor: each thing that can be wrong around a registry is found, with its remedy; nothing is written."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
    assert found.symptoms[0].remedy == f"chmod o-w {path}"


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
    monkeypatch.setattr(doctor, "LOCK_HELD_SECONDS_MAX", 0.05)
    with place.journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = examine(place)

    assert about(found) == [("problem", "lock")]
    assert f"process {os.getpid()} (" in found.symptoms[0].what
    assert "python" in found.symptoms[0].what


def test_leftovers(place: Place) -> None:
    """What an interrupted command left is named; the next one deals with it."""
    fill(place, 3)
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


# What it rests on


TABLE = r"""22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:30 / /srv/a\040b rw,relatime - nfs4 server:/x rw
31 22 0:31 / /srv ro,relatime - xfs /dev/sdb1 rw
32 22 0:32 / /data rw,relatime - btrfs /dev/sdc1 ro,space_cache
33 30 0:33 / /srv/a\040b rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", Mount("/", "ext4", False)),
        ("/no/such/place", Mount("/", "ext4", False)),
        ("/srv", Mount("/srv", "xfs", True)),
        ("/srv/a b", Mount("/srv/a b", "tmpfs", False)),
        ("/data", Mount("/data", "btrfs", True)),
        ("/srvx", Mount("/", "ext4", False)),
    ],
)
def test_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, expected: Mount, real_mount_of: Callable[..., Any]
) -> None:
    """The longest mount point above a path counts, and the last of several on one place."""
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    monkeypatch.setattr(surroundings, "existing", lambda name: name)

    assert real_mount_of(path, table=str(table)) == expected


_MOUNT_OF = surroundings.mount_of


@pytest.fixture
def real_mount_of() -> Callable[..., Any]:
    return _MOUNT_OF


def test_mounts_that_nobody_tells(tmp_path: Path, real_mount_of: Callable[..., Any]) -> None:
    """Where there is no table, or none that makes sense, nothing is said."""
    (tmp_path / "odd").write_text("this is - no table\n")

    assert real_mount_of("/", table=str(tmp_path / "none")) is None
    assert real_mount_of("/", table=str(tmp_path / "odd")) is None


def test_the_machine_itself(tmp_path: Path, real_mount_of: Callable[..., Any]) -> None:
    """On the machine that runs this there is a mount, and a command line of ours."""
    assert real_mount_of(str(tmp_path)) is not None
    assert surroundings.existing(str(tmp_path / "a" / "b")) == str(tmp_path.resolve())
    assert "python" in surroundings.command_of(str(os.getpid()))
    assert surroundings.command_of("0") == ""
    assert surroundings.free_names(str(tmp_path)) is None or surroundings.free_names(str(tmp_path)) > 0
    assert surroundings.origin_of("no_such_package_anywhere") is None
    assert datetime.now(UTC).tzinfo is UTC


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
