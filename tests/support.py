"""What the tests share: a place with a registry in it, a clock and randomness that repeat, and entries made by hand."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from eventlog import chain, codec
from eventlog.engines import checks, jsonl_head, jsonl_reader
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_writer import JsonlWriter
from eventlog.errors import ModelogError, RefusedError
from eventlog.events import Event
from projections import ModelMetadata, ModelRegistry, RuntimeStateManager, verify_registry

LONG = os.environ.get("MODELOG_TEST_LENGTH") == "long"
"""Whether the sweeps leave nothing out; the default run takes samples where everything would take minutes."""

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Clock:
    """Starts at *time* and goes on by *step* at each look."""

    def __init__(self, time: datetime = START, step: timedelta = timedelta(seconds=1)) -> None:
        self.time = time
        self.step = step

    def __call__(self) -> datetime:
        self.time += self.step
        return self.time


class Randomness:
    """Bytes that differ at each call and are the same in each run."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        return sha256(f"{self._seed}{self._calls}".encode()).digest()[:count]


@dataclass(frozen=True)
class Place:
    """A directory that holds a registry, a runtime's directory and artifacts."""

    root: Path

    @property
    def registry_dir(self) -> Path:
        return self.root / "m"

    @property
    def state_dir(self) -> Path:
        return self.root / "s"

    @property
    def journal(self) -> Path:
        return self.registry_dir / "journal.jsonl"

    @property
    def head(self) -> Path:
        return self.registry_dir / "journal.head"

    @property
    def registry_json(self) -> Path:
        return self.registry_dir / "registry.json"

    @property
    def state_json(self) -> Path:
        return self.state_dir / "state.json"

    @property
    def quarantine(self) -> Path:
        return self.registry_dir / "quarantine"

    def open(self, *, runtime: bool = True, **settings: Any) -> ModelRegistry:
        """Return the registry, as a new process would open it."""
        settings = {"lock_timeout_seconds": 5.0, **settings}
        manager = RuntimeStateManager(self.state_dir, lock_timeout_seconds=5.0) if runtime else None
        return ModelRegistry(self.registry_dir, manager, **settings)

    def artifact(self, name: str = "a", data: bytes | None = None) -> Path:
        """Write an artifact if it is not there, and return its path; by default its name is its content."""
        path = self.root / name
        if data is not None or not path.exists():
            path.write_bytes(name.encode() if data is None else data)
        return path

    def publish(self, name: str = "a", *, registry: ModelRegistry | None = None, **terms: Any) -> ModelMetadata:
        """Publish the artifact *name*."""
        terms = {"backend": "b", "actor": "t", **terms}
        return (registry or self.open()).publish_model(self.artifact(name), **terms)

    def copy(self, name: str = "a", data: bytes | None = None, **terms: Any) -> ModelMetadata:
        """Publish the artifact *name* with a copy."""
        return self.open().publish_model(self.artifact(name, data), backend="b", actor="t", copy=True, **terms)

    def retire(self, *models: ModelMetadata, **settings: Any) -> None:
        """Retire models."""
        for model in models:
            self.open(**settings).retire(model.model_id, reason="old")

    def gc(self, *, dry_run: bool = False, unnamed: bool = False, **settings: Any) -> set[str]:
        """Return the SHA-256 of what `gc` removes, or would."""
        found = self.open(**settings).gc(dry_run=dry_run, unnamed=unnamed, reason="room")
        return {removal.sha256 for removal in found.removed}

    def directory(self, files: Mapping[str, bytes] | None = None) -> Path:
        """Write an artifact that is a directory, and return its path."""
        for path, data in (files or {"config.json": b"{}", "weights/part": b"weights" * 1000}).items():
            (self.root / "d" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / "d" / path).write_bytes(data)
        return self.root / "d"

    def kept(self) -> dict[str, bytes]:
        """Return every file that the registry keeps by its hash, which is its name."""
        found = {}
        for path in (self.registry_dir / "artifacts" / "sha256").rglob("*"):
            if path.is_file() and not path.name.endswith(".lock"):
                assert path.parent.name == path.name[:2]
                found[path.name] = path.read_bytes()
        return found

    def event(self, position: int) -> Event:
        """Return the event at *position*, read as a new process would read it."""
        registry = self.open()
        registry.catalog()
        return registry.read_event(position)

    def lines(self) -> list[bytes]:
        """Return the journal's lines, each with its newline."""
        return self.journal.read_bytes().splitlines(keepends=True)

    def ids(self) -> list[str]:
        """Return the id of every acknowledged event, in order, read as a new process would read it."""
        return [change.event.id for change in self.open().history()]

    def files(self) -> dict[str, bytes]:
        """Return the content of every file of the registry and the runtime, by relative path; directories as empty."""
        found = {}
        for top in (self.registry_dir, self.state_dir):
            for path in [top, *top.rglob("*")] if top.exists() else ():
                found[str(path.relative_to(self.root))] = path.read_bytes() if path.is_file() else b""
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        """Make the registry and the runtime hold just *files*, as `files` returned them."""
        for top in (self.registry_dir, self.state_dir):
            shutil.rmtree(top, ignore_errors=True)
        for name, data in files.items():
            path = self.root / name
            if not data and path.suffix == "":
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def set_head(self, first: Head, second: Head) -> None:
        """Write both slots of the head."""
        self.head.write_bytes(jsonl_head.format_slot(first) + jsonl_head.format_slot(second))


def artifact_key() -> str:
    """Return a key that signs artifacts, the same in each run."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    raw = ec.derive_private_key(7, ec.SECP256R1()).private_bytes(pem, pkcs8, serialization.NoEncryption())
    return raw.decode()


def artifact_problems(place: Place) -> list[str]:
    """Return what `verify --artifacts` finds."""
    return [finding.what for finding in verify_registry(place.registry_dir, place.state_dir, artifacts=True).findings]


@contextmanager
def fast_place() -> Iterator[Place]:
    """Give a place in memory where there is such a thing, for sweeps of many thousand steps."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="modelog-test-") as name:
        yield Place(Path(name).resolve())


def fill(place: Place, size: int, *, clock: Clock | None = None) -> list[dict[str, bytes]]:
    """
    Let the registry write *size* events, and return what was on disk after each request.

    Publishes, with a rollback as every fourth event. The result at index n has n entries; [0] and [1] are empty,
    because the first publish writes two entries at once.
    """
    registry = place.open(now=clock or Clock(), random_bytes=Randomness())
    history: list[dict[str, bytes]] = [{}, {}]
    while len(history) <= size:
        number = len(history) - 1
        if number % 4 == 3:
            registry.rollback(actor="t", request_id=f"r{number}")
        else:
            place.publish(f"a{number}", registry=registry, request_id=f"r{number}")
        history.append(place.files())
    return history


def heads_of(lines: Sequence[bytes]) -> list[Head]:
    """Return the head after each number of *lines* (with newlines), from none on."""
    heads = [Head()]
    for line in lines:
        heads.append(Head(heads[-1].size + 1, heads[-1].end_bytes + len(line), chain.hash_of(line[:-1])))
    return heads


def entries(count: int, prev: str = chain.GENESIS, *, mark: str = "n") -> list[bytes]:
    """Return *count* linked entries with a body that no registry would write; engines do not look at it."""
    sealed: list[bytes] = []
    for number in range(count):
        sealed.append(chain.seal(b'{"%b":%d' % (mark.encode(), number), prev))
        prev = chain.hash_of(sealed[-1])
    return sealed


def reseal(lines: Sequence[bytes], start: int = 0) -> list[bytes]:
    """Return *lines* with every link and hash from *start* on computed anew, as a careful forger would."""
    prev = chain.hash_of(lines[start - 1][:-1]) if start else chain.GENESIS
    sealed = list(lines[:start])
    for line in lines[start:]:
        sealed.append(chain.seal(chain.body_of(line[:-1]), prev) + b"\n")
        prev = chain.hash_of(sealed[-1][:-1])
    return sealed


def event_entry(event: Event, journal_id: str, prev: str = chain.GENESIS) -> bytes:
    """Return *event* as an entry."""
    return codec.encode(event, journal_id, prev)


def outcome_of(action: Any) -> Exception | None:
    """Return the project's error that *action* raises, or None; anything else is a bug and goes through."""
    try:
        action()
    except ModelogError as error:
        return error
    return None


def flip(path: Path, bit: int) -> None:
    """Turn over one bit of a file, in place."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        old = os.pread(descriptor, 1, bit // 8)
        os.pwrite(descriptor, bytes([old[0] ^ 1 << bit % 8]), bit // 8)
    finally:
        os.close(descriptor)


@contextmanager
def restoring_fails(monkeypatch: pytest.MonkeyPatch, *, entries: int, at: int) -> Iterator[None]:
    """Let a restore append only so many *entries* at once, and the append number *at*, from 1 on, be refused."""
    calls = 0
    real = JsonlWriter.append

    def failing(self: JsonlWriter, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == at:
            raise RefusedError("no space left")
        return real(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(checks, "PIECE_ENTRIES_MAX", entries)
        patched.setattr(JsonlWriter, "append", failing)
        yield


@contextmanager
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody here waits for a head that is being written; the log of thousands of steps would fill the memory."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(previous)
