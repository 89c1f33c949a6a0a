"""The vault: what was published with a copy is there for good, once, and is the same wherever the registry lies."""

from __future__ import annotations

import os
import shutil
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from support import Place, artifact_problems, flip, outcome_of

from eventlog import objects
from eventlog.artifact_path import located
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from projections.maintenance import verify_registry


def test_the_copy_is_the_artifact(place: Place) -> None:
    """The path is that of a read-only file named by its hash; what was published is kept as its origin."""
    model = place.copy()

    digest = sha256(b"a").hexdigest()
    path = place.registry_dir / "artifacts" / "sha256" / digest[:2] / digest
    assert (model.artifact_path, model.sha256) == (str(path), digest)
    assert path.read_bytes() == b"a"
    assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
    data = place.event(1).data
    assert isinstance(data, ModelPublished)
    assert (data.artifact_path, data.origin_path) == (f"artifacts/sha256/{digest[:2]}/{digest}", str(place.root / "a"))
    assert list((place.registry_dir / "artifacts" / "incoming").iterdir()) == []


def test_who_may_read_is_left_to_the_umask(place: Place) -> None:
    """A model that nobody else may read is not shown to others by keeping it."""
    before = os.umask(0o077)
    try:
        model = place.copy()
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(model.artifact_path).st_mode) == 0o400


def test_way_back_when_the_trainer_has_cleaned_up(place: Place) -> None:
    """The file that was published may be overwritten or gone: a rollback finds the copy."""
    first = place.copy("a")
    place.artifact("a", b"overwritten")
    second = place.copy("b")
    (place.root / "b").unlink()

    registry = place.open()
    assert registry.rollback() == first
    assert registry.rollback() == second
    assert Path(first.artifact_path).read_bytes() == b"a"


def test_equal_bytes_are_there_once(place: Place) -> None:
    """Also where a directory holds the same bytes as a file, or twice."""
    place.copy("a", b"same")
    place.copy("b", b"same")
    directory = place.directory({"x": b"same", "y/z": b"same"})
    model = place.open().publish_model(directory, backend="b", copy=True)

    assert list(place.kept().values()).count(b"same") == 1
    same = [path for path in place.registry_dir.rglob("*") if path.is_file() and path.read_bytes() == b"same"]
    assert (len(same), len({path.stat().st_ino for path in same})) == (3, 1)
    assert (Path(model.artifact_path) / "y" / "z").read_bytes() == b"same"


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "another kind"])
def test_damaged_copy(place: Place, damage: str) -> None:
    """It is noticed by `rollback` and `verify --artifacts`, told with the remedy, and healed by doing that."""
    first = place.copy("a", b"a" * 100)
    place.copy("b")
    path = Path(first.artifact_path)
    path.chmod(0o644)
    if damage == "bit":
        flip(path, 5)
    elif damage == "cut":
        os.truncate(path, 10)
    else:
        path.unlink()
        if damage == "another kind":
            path.mkdir()

    error = outcome_of(place.open().rollback)
    (problem,) = artifact_problems(place)

    assert isinstance(error, RefusedError)
    assert "publish the same bytes again with --copy" in problem
    if damage == "another kind":
        path.rmdir()  # nobody removes a directory that he did not make
    again = place.copy("c", b"a" * 100)
    assert again.artifact_path == first.artifact_path
    assert artifact_problems(place) == []
    assert place.open().rollback(first.model_id) == first


def test_moved_registry(place: Place, tmp_path: Path) -> None:
    """A registry's directory that was moved or copied works as before, and names its files where they are now."""
    first = place.copy("a")
    second = place.open().publish_model(place.directory(), backend="b", copy=True)
    registry_json = place.registry_json.read_bytes()
    other = Place(tmp_path / "other")
    shutil.copytree(place.registry_dir, other.registry_dir, symlinks=True)
    shutil.copytree(place.state_dir, other.state_dir)
    shutil.rmtree(place.registry_dir)
    shutil.rmtree(place.root / "d")

    listed = other.open().list_models()

    assert [Path(model.artifact_path).relative_to(other.registry_dir) for model in listed] == [
        Path(model.artifact_path).relative_to(place.registry_dir) for model in (second, first)
    ]
    assert Path(other.open().open_active(full=True)).is_relative_to(other.registry_dir)
    assert other.registry_json.read_bytes() == registry_json
    other.open().sync()
    assert str(other.registry_dir).encode() in other.state_json.read_bytes()
    report = verify_registry(other.registry_dir, other.state_dir, artifacts=True)
    assert report.verdict == "intact", report
    assert (report.findings, report.artifacts) == ([], 2)
    assert other.open().rollback().model_id == first.model_id


def test_dry_run(place: Place) -> None:
    """It says what would be recorded, and leaves nothing behind."""
    place.publish("first")
    before = place.files()

    model = place.copy("b", dry_run=True)

    assert model.artifact_path.startswith(str(place.registry_dir / "artifacts" / "sha256"))
    assert place.files() == before


def test_a_retry_is_one_event_and_one_copy(place: Place) -> None:
    """The same id with the same request gives the same answer; without the copy it is another request."""
    first = place.copy("a", request_id="key")
    again = place.copy("a", request_id="key")
    other = outcome_of(lambda: place.publish("a", request_id="key"))

    assert first == again
    assert isinstance(other, RefusedError)
    assert len(place.lines()) == 2


def test_settings_ask_for_copies(place: Place) -> None:
    """Where they do, a publish keeps a copy unless it says that it wants none; others that are open learn of it."""
    other = place.open()
    first = place.publish("a", registry=other)
    place.open().change_settings(copy=True, actor="ana", reason="never again")

    second = place.publish("b", registry=other)
    third = place.open().publish_model(place.artifact("c"), backend="b")
    fourth = place.open().publish_model(place.artifact("d"), backend="b", copy=False)

    kept = [str(place.registry_dir) in model.artifact_path for model in (first, second, third, fourth)]
    assert kept == [False, True, True, False]
    assert set(place.kept().values()) == {b"b", b"c"}
    assert place.open().change_settings(copy=True) == place.open().settings
    assert [event.type for event in map(place.event, range(2, 3))] == ["settings.changed.v1"]
    assert len(place.lines()) == 6


def test_settings_stay_behind_a_snapshot(place: Place) -> None:
    """A registry that begins with a snapshot has them, too."""
    registry = place.open()
    place.publish("a", registry=registry)
    registry.change_settings(copy=True)
    path = place.artifact("n")
    for number in range(260):
        registry.publish_model(path, backend=f"{number}", copy=False)

    assert b"journal.snapshot_taken.v1" in place.journal.read_bytes()
    assert place.open().settings.copy
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_objects_refuse_names_that_are_no_hash() -> None:
    """A name is 64 hex digits, so it cannot lead anywhere else."""
    for name in ("", "ab", "../" * 30, "A" * 64, "g" * 64):
        with pytest.raises(RefusedError, match="expected a SHA-256"):
            objects.path_of("/top", name)


def test_a_path_that_is_no_copy_is_taken_as_it_stands(place: Place) -> None:
    """Only the very path of a kept artifact is looked for below the registry; a forged one leads nowhere."""
    digest = "ab" * 32
    assert located(f"artifacts/sha256/ab/{digest}", digest, "/r") == f"/r/artifacts/sha256/ab/{digest}"
    assert located(f"artifacts/trees/ab/{digest}", digest, "/r") == f"/r/artifacts/trees/ab/{digest}"
    for path in ("/abs", "artifacts/../../etc/passwd", f"artifacts/sha256/ab/{'cd' * 32}", "x"):
        assert located(path, digest, "/r") == path
    assert place.files() == {}
