"""Which files can be published: regular ones that hold still, under any name."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from support import START, Place, outcome_of

from eventlog.errors import RefusedError


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


ARTIFACTS: dict[str, Callable[[Path], Path]] = {
    "missing": lambda path: path,
    "a FIFO": _fifo,
    "a character device": lambda path: Path("/dev/zero"),
    "a directory": _directory,
    "a symbolic link to itself": _loop,
    "below a file": lambda path: Path(__file__) / "x",
    "a NUL in its name": lambda path: Path(f"{path}\0"),
    "a name that is too long": lambda path: path / ("x" * 300),
}


@pytest.mark.parametrize("make", ARTIFACTS.values(), ids=ARTIFACTS.keys())
def test_odd_artifacts_are_refused(place: Place, make: Callable[[Path], Path]) -> None:
    """What is not a regular file that can be read is refused at once, and nothing is created."""
    path = make(place.root / "odd")

    error = outcome_of(lambda: place.open().publish_model(path, backend="b"))

    assert isinstance(error, RefusedError)
    assert place.files() == {}


def test_symbolic_link_is_resolved(place: Place) -> None:
    """The path that is recorded is that of the file itself."""
    (place.root / "link").symlink_to(place.artifact("a"))

    model = place.open().publish_model(place.root / "link", backend="b")

    assert model.artifact_path == str(place.root / "a")


def test_name_that_is_not_utf8(place: Place) -> None:
    """Such a path can be recorded, shown as text, opened again, and rolled back to."""
    path = os.fsencode(place.root) + b"/m\xff\xfe.bin"
    with open(path, "wb") as file:
        file.write(b"odd")
    first = place.open().publish_model(os.fsdecode(path), backend="b")
    place.publish("b")

    again = place.open().rollback()

    assert again == first
    assert os.fsencode(again.artifact_path) == path
    assert again.to_dict()["artifact_path"] == f"{place.root}/m\\xff\\xfe.bin"


def test_artifact_that_changes_while_it_is_hashed(place: Place) -> None:
    """The recorded hash is that of the bytes, so a file that is being written is refused."""
    path = place.artifact("a", b"x" * (3 << 20))

    def change(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    error = outcome_of(lambda: place.publish("a", progress=change))

    assert isinstance(error, RefusedError)
    assert "changed while it was hashed" in str(error)
    assert place.files() == {}


def test_artifact_that_changes_between_hash_and_append(place: Place) -> None:
    """It is looked at once more under the lock, just before the append."""
    path = place.artifact("a")
    looks = 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        path.write_bytes(b"other")
        return START

    error = outcome_of(lambda: place.publish("a", registry=place.open(now=now)))

    assert isinstance(error, RefusedError)
    assert "changed after it was hashed" in str(error)
    assert looks == 1
    assert place.open().list_models() == []
