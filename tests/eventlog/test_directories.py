"""Directories as artifacts: all files together have one hash, and only a directory of plain files can be published."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from support import Place, flip, outcome_of

from eventlog import manifest
from eventlog.artifacts import hash_artifact
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished

FILES = {"config.json": b"{}", "weights/part-1": b"w" * 3000, "weights/part-2": b"v" * 10, "vocab": b""}


@pytest.fixture
def top(place: Place) -> Path:
    """A directory that can be published."""
    path = place.root / "model"
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def test_its_hash_is_that_of_its_manifest(place: Place, top: Path) -> None:
    """It can be computed with other means, and says nothing of where the directory lies, or in which order it is."""
    wanted = [manifest.File(name, len(data), sha256(data).hexdigest()) for name, data in FILES.items()]
    (top / "empty" / "directory").mkdir(parents=True)

    found = hash_artifact(top)
    model = place.open().publish_model(top, backend="b")

    assert found.sha256 == sha256(manifest.encode(wanted)).hexdigest()
    assert (found.size_bytes, found.files) == (3012, sorted(wanted, key=lambda file: file.path))
    assert hash_artifact(shutil.copytree(top, place.root / "copy")).sha256 == found.sha256
    data = place.event(1).data
    assert isinstance(data, ModelPublished)
    assert (data.sha256, data.artifact_size_bytes, data.artifact_files) == (found.sha256, 3012, 4)
    assert (model.sha256, model.artifact_path) == (found.sha256, str(top))


def test_progress_is_that_of_all_files(top: Path) -> None:
    """It grows, and ends at the size of all."""
    calls: list[tuple[int, int]] = []

    hash_artifact(top, lambda done, total: calls.append((done, total)))

    assert calls == sorted(calls)
    assert calls[-1] == (3012, 3012)


def _fifo(path: Path) -> Iterator[None]:
    os.mkfifo(path)
    yield


def _socket(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as bound:
        before = os.getcwd()
        os.chdir(path.parent)
        bound.bind(path.name)
        os.chdir(before)
        yield


def _link(path: Path) -> Iterator[None]:
    path.symlink_to("config.json")
    yield


def _directory_link(path: Path) -> Iterator[None]:
    path.symlink_to("weights")
    yield


def _odd_name(path: Path) -> Iterator[None]:
    Path(os.fsdecode(bytes(path) + b"\xff")).write_bytes(b"")
    yield


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_fifo, "expected only files in it, got a FIFO: weights/odd"),
        (_socket, "expected only files in it, got a socket: weights/odd"),
        (_link, "expected only files in it, got a symbolic link: weights/odd"),
        (_directory_link, "expected only files in it, got a symbolic link: weights/odd"),
        (_odd_name, "expected names in UTF-8"),
    ],
)
@pytest.mark.parametrize("copy", [False, True])
def test_what_cannot_be_in_it(
    place: Place, top: Path, copy: bool, make: Callable[[Path], Iterator[None]], told: str
) -> None:
    """Links, devices, sockets and names that are no text are refused by name, and nothing is recorded or kept."""
    for _ in make(top / "weights" / "odd"):
        error = outcome_of(lambda: place.open().publish_model(top, backend="b", copy=copy))

    assert isinstance(error, RefusedError)
    assert told in str(error)
    assert "\n" not in str(error)
    assert not place.journal.exists()


def test_without_files(place: Place) -> None:
    """A directory in which there is nothing is no model."""
    (place.root / "empty" / "x").mkdir(parents=True)

    error = outcome_of(lambda: place.open().publish_model(place.root / "empty", backend="b"))

    assert isinstance(error, RefusedError)
    assert "expected a directory with files in it" in str(error)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "bit": (lambda top: flip(top / "weights" / "part-1", 77), "'weights/part-1': expected sha256"),
    "cut": (lambda top: os.truncate(top / "config.json", 1), "'config.json': expected sha256"),
    "gone": (lambda top: (top / "vocab").unlink(), "'vocab': expected a file, got none"),
    "added": (lambda top: (top / "weights" / "new").write_bytes(b""), "'weights/new': expected no such file"),
    "moved": (lambda top: (top / "vocab").rename(top / "weights" / "vocab"), "'vocab': expected a file, got none"),
    "swapped": (
        lambda top: (
            (top / "weights" / "part-1").rename(top / "x"),
            (top / "weights" / "part-2").rename(top / "weights" / "part-1"),
            (top / "x").rename(top / "weights" / "part-2"),
        ),
        "'weights/part-1': expected sha256",
    ),
}


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told_file_by_file(place: Place, top: Path, copy: bool, damage: str) -> None:
    """A rollback and a load verify the whole, and name the first file that is another."""
    model = place.open().publish_model(top, backend="b", copy=copy)
    place.publish("other")
    path = Path(model.artifact_path)
    for file in path.rglob("*"):
        file.chmod(0o755)
    change, told = DAMAGES[damage]
    change(path)

    for action in (place.open().rollback, lambda: place.open().load(model.model_id)):
        error = outcome_of(action)
        assert isinstance(error, RefusedError)
        assert told in str(error)
    if copy:
        again = place.open().publish_model(top, backend="b", copy=True)
        assert again.artifact_path == model.artifact_path
        assert {str(file.path): file.size_bytes for file in hash_artifact(path).files or ()} == {
            name: len(data) for name, data in FILES.items()
        }
        assert place.open().rollback(model.model_id) == model


def test_empty_directories_do_not_count(place: Place, top: Path) -> None:
    """Whoever makes one does not change the artifact."""
    model = place.open().publish_model(top, backend="b", copy=True)
    (Path(model.artifact_path) / "cache").mkdir()

    assert place.open().load(model.model_id, full=True).path == model.artifact_path


def test_a_file_with_the_manifest_is_not_the_directory(place: Place, top: Path) -> None:
    """Both have the same hash; what is recorded says which of them it is."""
    model = place.open().publish_model(top, backend="b")
    place.publish("other")
    data = manifest.encode(hash_artifact(top).files or ())
    shutil.rmtree(top)
    top.write_bytes(data)
    assert hash_artifact(top).sha256 == model.sha256

    error = outcome_of(place.open().rollback)

    assert isinstance(error, RefusedError)
    assert "expected a directory, got a file" in str(error)


def test_a_directory_that_changes_meanwhile(place: Place, top: Path) -> None:
    """Files that come, go or grow while it is hashed make it refused."""
    changes: list[Callable[[], object]] = [
        lambda: (top / "new").write_bytes(b""),
        lambda: (top / "weights" / "part-1").write_bytes(b"x" * 3000),
        (top / "weights" / "part-2").unlink,
    ]
    for change in changes:
        done: list[object] = []

        def once(part: int, total: int, change: Callable[[], object] = change, done: list[object] = done) -> None:
            if not done:
                done.append(change())

        error = outcome_of(lambda once=once: place.open().publish_model(top, backend="b", progress=once))
        assert isinstance(error, RefusedError), change
    assert not place.journal.exists()
