"""What a runtime opens: a path whose bytes are those of the journal, checked as seldom as that is safe."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Place, flip, outcome_of

from eventlog import artifact_memo, artifacts
from eventlog.errors import RefusedError
from projections import ModelRegistry

MODEL_IDS = "20260101000000_00000000"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The artifacts that were hashed, in order."""
    seen: list[str] = []
    real = artifacts.hash_artifact

    def watched(path: str, *terms: object, **more: object) -> artifacts.Artifact:
        seen.append(Path(path).name)
        return real(path, *terms, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(artifacts, "hash_artifact", watched)
    return seen


def _settle() -> None:
    time.sleep(0.15)  # a change in the same tick of the file system's clock would not show


def test_open_active(place: Place) -> None:
    """It gives the active model, as a path; whoever has it can see later whether something has changed."""
    model = place.publish("a")
    registry = place.open()

    loaded = registry.open_active()

    assert loaded.model == model
    assert (loaded.path, os.fspath(loaded)) == (str(place.root / "a"), str(place.root / "a"))
    with open(loaded, "rb") as file:
        assert file.read() == b"a"
    loaded.check_unchanged()
    place.artifact("a", b"other")
    assert isinstance(outcome_of(loaded.check_unchanged), RefusedError)


def test_nothing_to_open(place: Place) -> None:
    """Without an active model, for an unknown one, and for what is no id, it refuses."""
    assert isinstance(outcome_of(place.open().open_active), RefusedError)
    place.publish("a")
    for model_id in (MODEL_IDS, "../../etc/passwd", ""):
        assert isinstance(outcome_of(lambda model_id=model_id: place.open().load(model_id)), RefusedError)


@pytest.mark.parametrize("copy", [False, True])
def test_it_is_hashed_once(place: Place, hashed: list[str], copy: bool) -> None:
    """What looks as it did when it was hashed is believed, also by another process, unless *full* is asked for."""
    (place.root / "d").mkdir()
    for path in (place.artifact("a"), place.artifact("d/x").parent):
        model = place.open().publish_model(path, backend="b", copy=copy)
        _settle()
        hashed.clear()

        for registry in (place.open(), place.open()):
            assert registry.open_active().path == model.artifact_path
            assert registry.load(model.model_id).path == model.artifact_path
        assert len(hashed) == 1
        place.open().open_active(full=True)
        assert len(hashed) == 2


CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten, times put back": lambda path: (flip(path, 3), os.utime(path, ns=(1, path.stat().st_mtime_ns))),
    "replaced": lambda path: (path.rename(f"{path}.old"), path.write_bytes(b"b" * 100)),
    "gone": lambda path: path.unlink(),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a link": lambda path: (path.rename(f"{path}.old"), path.symlink_to(f"{path}.other")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_noticed(place: Place, change: str) -> None:
    """Also where size and modification time are as they were: nobody can set a ctime."""
    path = place.artifact("a", b"a" * 100)
    place.artifact("a.other", b"o" * 100)
    place.open().publish_model(path, backend="b")
    _settle()
    place.open().open_active()

    CHANGES[change](path)

    assert isinstance(outcome_of(place.open().open_active), RefusedError)


def test_a_file_that_was_just_changed_is_hashed_again(place: Place, hashed: list[str]) -> None:
    """Within the same tick of the clock a change could not be seen."""
    path = place.artifact("a", b"a" * 100)
    place.open().publish_model(path, backend="b")
    os.utime(path)  # its ctime is now
    hashed.clear()

    place.open().open_active()
    place.open().open_active()

    assert len(hashed) == 2


@pytest.mark.parametrize("damage", [b"", b"0" * 64, b"x", bytes(range(64))])
def test_a_note_that_does_not_fit_costs_only_time(place: Place, hashed: list[str], damage: bytes) -> None:
    """Torn, of another file or garbage: the artifact is hashed, and the note is made anew."""
    model = place.publish("a")
    _settle()
    place.open().open_active()
    note = place.registry_dir / "artifacts" / artifact_memo.CHECKED / model.sha256
    good = note.read_bytes()
    note.write_bytes(damage)
    hashed.clear()

    assert place.open().open_active().path == model.artifact_path

    assert len(hashed) == 1
    assert note.read_bytes() == good


def test_a_note_of_another_boot_does_not_count(
    place: Place, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power loss may take bytes that were hashed and never synced."""
    place.publish("a")
    _settle()
    place.open().open_active()
    hashed.clear()

    monkeypatch.setattr(artifact_memo, "_boot", lambda: "another")
    place.open().open_active()
    assert len(hashed) == 1
    monkeypatch.setattr(artifact_memo, "_boot", lambda: "")
    place.open().open_active()
    place.open().open_active()

    assert len(hashed) == 3, "and where nothing tells one boot from the next, there are no notes"


def test_a_copy_of_the_registry_does_not_believe_the_notes(place: Place, hashed: list[str], tmp_path: Path) -> None:
    """They are about other inodes."""
    place.open().publish_model(place.artifact("a"), backend="b", copy=True)
    _settle()
    place.open().open_active()
    hashed.clear()
    shutil.copytree(place.registry_dir, tmp_path / "copy")

    ModelRegistry(tmp_path / "copy").open_active()

    assert len(hashed) == 1
