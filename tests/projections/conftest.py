"""
A place to work at: a registry with its runtime, artifacts, and comparisons of JSON by its bytes.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from eventlog.engines import open_journal
from eventlog.replay import Replay
from projections import ModelRegistry, RuntimeStateManager

sys.path.insert(0, str(Path(__file__).parent))


class Place:
    """A directory with `models`, `runtime` and artifacts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models = root / "models"
        self.runtime = root / "runtime"
        self.journal = self.models / "journal.jsonl"
        self.registry_json = self.models / "registry.json"
        self.state_json = self.runtime / "state.json"
        self.manager = RuntimeStateManager(self.runtime, lock_timeout_seconds=5)

    def open(self, *, runtime: bool = True, **settings: Any) -> ModelRegistry:
        """Return the registry as a new process would open it."""
        return ModelRegistry(self.models, self.manager if runtime else None, lock_timeout_seconds=5, **settings)

    def artifact(self, data: bytes = b"weights") -> Path:
        """Write an artifact with these bytes and return its path."""
        path = self.root / f"artifact-{data.hex()[:40]}"
        path.write_bytes(data)
        return path

    def publish(self, backend: str = "reference", data: bytes = b"weights", **terms: Any) -> Any:
        """Publish an artifact through a newly opened registry."""
        return self.open().publish_model(self.artifact(data), backend=backend, **terms)

    def state(self) -> Any:
        """Return the runtime checkpoint as JSON."""
        return json.loads(self.state_json.read_bytes())

    def write_state(self, data: bytes) -> None:
        """Be the runtime: write the file without asking anybody."""
        self.runtime.mkdir(exist_ok=True)
        self.state_json.write_bytes(data)

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Return mode and content of every file under this place; links and directories by mode alone."""
        paths = sorted(self.root.rglob("*"))
        return {
            str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
            for path in paths
        }


def _compact(data: bytes) -> bytes:
    """Return JSON without the whitespace between its tokens; every other byte stays as it is spelled."""
    out, inside, escaped = bytearray(), False, False
    for byte in data:
        if inside or byte not in b" \t\r\n":
            out.append(byte)
        if inside and escaped:
            escaped = False
        elif inside and byte == ord("\\"):
            escaped = True
        elif byte == ord('"'):
            inside = not inside
    return bytes(out)


@pytest.fixture
def compact() -> Callable[[bytes], bytes]:
    return _compact


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def unwritable() -> Callable[[Path], Any]:
    """Return a context manager in which a file cannot be replaced: its temporary name is taken by a directory."""

    @contextmanager
    def blocked(path: Path) -> Iterator[None]:
        obstacle = path.parent / f".{path.name}.new"
        obstacle.mkdir()
        try:
            yield
        finally:
            os.rmdir(obstacle)

    return blocked


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the recorders' files; two more are in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def replay(place: Place) -> Replay:
    """A replay that has folded a journal of two entries."""
    place.publish()
    replay = Replay(open_journal(f"file:{place.models}"))
    replay.catch_up()
    return replay
