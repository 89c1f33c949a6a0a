"""The vault: what was published with a copy is there for good, once, and is the same wherever the registry lies."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import Place, flip, outcome_of

from eventlog import artifacts, file_digest, objects, vault
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.model import ModelMetadata
from projections.maintenance import verify_registry

REPOSITORY = Path(__file__).resolve().parents[2]


def _kept(place: Place) -> dict[str, bytes]:
    """Return every kept file by its name; what is not a file of the vault's own layout fails the test."""
    found = {}
    for path in (place.registry_dir / "artifacts" / "sha256").rglob("*"):
        if path.is_file() and not path.name.endswith(".lock"):
            assert path.parent.name == path.name[:2]
            found[path.name] = path.read_bytes()
    return found


def _copy(place: Place, name: str = "a", data: bytes | None = None, **terms: Any) -> ModelMetadata:
    path = place.artifact(name, data)
    return place.open().publish_model(path, backend="b", actor="t", copy=True, **terms)


def _problems(place: Place) -> list[str]:
    return [finding.what for finding in verify_registry(place.registry_dir, place.state_dir, artifacts=True).findings]


def _directory(place: Place, name: str = "d", **files: bytes) -> Path:
    top = place.root / name
    for path, data in (files or {"config.json": b"{}", "weights/part": b"weights" * 1000}).items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    return top


def test_the_copy_is_the_artifact(place: Place) -> None:
    """The path is that of a read-only file named by its hash; what was published is kept as its origin."""
    model = _copy(place)

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
        model = _copy(place)
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(model.artifact_path).st_mode) == 0o400


def test_way_back_when_the_trainer_has_cleaned_up(place: Place) -> None:
    """The file that was published may be overwritten or gone: a rollback finds the copy."""
    first = _copy(place, "a")
    place.artifact("a", b"overwritten")
    second = _copy(place, "b")
    (place.root / "b").unlink()

    registry = place.open()
    assert registry.rollback() == first
    assert registry.rollback() == second
    assert Path(first.artifact_path).read_bytes() == b"a"


def test_equal_bytes_are_there_once(place: Place) -> None:
    """Also where a directory holds the same bytes as a file, or twice."""
    _copy(place, "a", b"same")
    _copy(place, "b", b"same")
    directory = _directory(place, **{"x": b"same", "y/z": b"same"})
    model = place.open().publish_model(directory, backend="b", copy=True)

    assert list(_kept(place).values()).count(b"same") == 1
    same = [path for path in place.registry_dir.rglob("*") if path.is_file() and path.read_bytes() == b"same"]
    assert (len(same), len({path.stat().st_ino for path in same})) == (3, 1)
    assert (Path(model.artifact_path) / "y" / "z").read_bytes() == b"same"


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "another kind"])
def test_damaged_copy(place: Place, damage: str) -> None:
    """It is noticed by `rollback` and `verify --artifacts`, told with the remedy, and healed by doing that."""
    first = _copy(place, "a", b"a" * 100)
    _copy(place, "b")
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
    (problem,) = _problems(place)

    assert isinstance(error, RefusedError)
    assert "publish the same bytes again with --copy" in problem
    if damage == "another kind":
        path.rmdir()  # nobody removes a directory that he did not make
    again = _copy(place, "c", b"a" * 100)
    assert again.artifact_path == first.artifact_path
    assert _problems(place) == []
    assert place.open().rollback(first.model_id) == first


def test_moved_registry(place: Place, tmp_path: Path) -> None:
    """A registry's directory that was moved or copied works as before, and names its files where they are now."""
    first = _copy(place, "a")
    second = place.open().publish_model(_directory(place), backend="b", copy=True)
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


def test_source_that_changes_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and nothing of it is kept."""
    monkeypatch.setattr(file_digest, "CHUNK_BYTES", 1024)
    path = place.artifact("a", b"x" * 5000)

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"y")

    error = outcome_of(lambda: place.open().publish_model(path, backend="b", copy=True, progress=grow))

    assert isinstance(error, RefusedError)
    assert "changed while it was hashed" in str(error)
    assert not place.journal.exists()
    assert _kept(place) == {}


def test_full_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the room is seen to be too small nothing is copied; where it ends half-way, nothing is kept."""
    place.publish("first")
    before = place.files()
    real, calls = os.pwrite, []

    def full(descriptor: int, data: bytes, offset: int) -> int:
        calls.append(offset)
        if offset >= 2 << 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    for size in (3 << 20, 12 << 20):  # by one thread, and by two
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            error = outcome_of(lambda size=size: _copy(place, "large", b"x" * size))
        assert isinstance(error, RefusedError)
        assert "no space left on device" in str(error)
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        patch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 4096, 100, 9, 9, 0, 0, 0, 0, 255)))
        error = outcome_of(lambda: _copy(place, "large"))
    assert isinstance(error, RefusedError)
    assert "free bytes for a copy" in str(error)
    assert calls == []
    assert {name: data for name, data in place.files().items() if "artifacts" not in name} == before
    assert _kept(place) == {}


def test_refused_request_keeps_nothing(place: Place) -> None:
    """What the state refuses is refused before anything is kept."""
    place.publish("first")
    before = place.files()

    error = outcome_of(lambda: _copy(place, "b", expect_active="none"))

    assert isinstance(error, RefusedError)
    assert {name: data for name, data in place.files().items() if "artifacts" not in name} == before
    assert _kept(place) == {}


def test_dry_run(place: Place) -> None:
    """It says what would be recorded, and leaves nothing behind."""
    place.publish("first")
    before = place.files()

    model = _copy(place, "b", dry_run=True)

    assert model.artifact_path.startswith(str(place.registry_dir / "artifacts" / "sha256"))
    assert place.files() == before


def test_a_retry_is_one_event_and_one_copy(place: Place) -> None:
    """The same id with the same request gives the same answer; without the copy it is another request."""
    first = _copy(place, "a", request_id="key")
    again = _copy(place, "a", request_id="key")
    other = outcome_of(lambda: place.publish("a", request_id="key"))

    assert first == again
    assert isinstance(other, RefusedError)
    assert len(place.lines()) == 2


def test_registry_inside_the_artifact(place: Place) -> None:
    """A directory that holds the registry cannot be copied into it."""
    place.publish("first")

    error = outcome_of(lambda: place.open().publish_model(place.root, backend="b", copy=True))

    assert isinstance(error, RefusedError)
    assert "without this registry in it" in str(error)


def test_many_at_once(place: Place) -> None:
    """Threads and processes that keep the same and other bytes at once lose none."""
    for number in range(4):
        place.artifact(f"n{number}", b"%d" % (number % 2) * 100)
    script = (
        "import sys; from projections import open_registry\n"
        "for n in range(4):\n"
        "    open_registry(sys.argv[1], None).publish_model(f'{sys.argv[2]}/n{n}', backend='b', copy=True)\n"
    )
    command = [sys.executable, "-c", script, str(place.registry_dir), str(place.root)]
    processes = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        registry = place.open()
        list(pool.map(lambda n: registry.publish_model(place.root / f"n{n}", backend="b", copy=True), range(4)))

    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(place.open().list_models()) == 16
    assert sorted(_kept(place).values()) == [b"0" * 100, b"1" * 100]
    place.open().rebuild()
    assert _problems(place) == []


def test_what_a_kill_leaves_is_removed(place: Place) -> None:
    """A copy whose process is gone is removed by the next; one that is still being made is not."""
    place.publish("first")
    incoming = place.registry_dir / "artifacts" / "incoming"
    (incoming / "0123456789abcdef").mkdir(parents=True)
    (incoming / "0123456789abcdef" / "0").write_bytes(b"half")
    held, go_on = threading.Event(), threading.Event()

    def hold(done: int, total: int) -> None:
        held.set()
        assert go_on.wait(20)

    path = place.artifact("slow", b"slow" * 1000)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(place.open().publish_model, path, backend="b", copy=True, progress=hold)
        assert held.wait(20)
        _copy(place, "quick")
        assert not (incoming / "0123456789abcdef").exists()
        go_on.set()
        assert slow.result(20).sha256 in _kept(place)
    assert list(incoming.iterdir()) == []


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
    assert set(_kept(place).values()) == {b"b", b"c"}
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


@pytest.mark.skipif(not os.path.exists("/dev/shm"), reason="no file system in memory")
def test_other_file_system(place: Place, tmp_path: Path) -> None:
    """The artifact may lie on another one."""
    path = Path("/dev/shm") / f"modelog-{os.getpid()}-{time.time_ns()}"
    path.write_bytes(b"elsewhere" * 2_000_000)
    try:
        model = place.open().publish_model(path, backend="b", copy=True)
    finally:
        path.unlink()

    assert Path(model.artifact_path).read_bytes() == b"elsewhere" * 2_000_000


def test_file_system_that_shares_blocks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does nothing is copied, and what is hashed is what is kept."""
    path = place.artifact("a", b"x" * 100)

    def cloned(into: int, request: int, descriptor: int) -> int:
        assert request == 0x40049409
        return os.pwrite(into, os.pread(descriptor, 1000, 0), 0)

    monkeypatch.setattr(file_digest.fcntl, "ioctl", cloned)
    monkeypatch.setattr(file_digest.durable, "write_at", lambda *terms: pytest.fail("nothing is to be copied"))
    with vault.Vault(str(place.registry_dir)).copying(path, None) as copy:
        kept = copy.keep()

    assert Path(kept.path).read_bytes() == b"x" * 100
    assert kept.sha256 == sha256(b"x" * 100).hexdigest()


def test_links_that_cannot_be_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without links the files of a directory are copied."""
    real = os.link

    def no_links(source: str, path: str, **terms: Any) -> None:
        if "artifacts" in str(source):
            raise OSError(errno.EPERM, "Operation not permitted")
        real(source, path, **terms)

    monkeypatch.setattr(os, "link", no_links)
    model = place.open().publish_model(_directory(place), backend="b", copy=True)

    assert (Path(model.artifact_path) / "config.json").read_bytes() == b"{}"
    assert _problems(place) == []


def test_objects_refuse_names_that_are_no_hash() -> None:
    """A name is 64 hex digits, so it cannot lead anywhere else."""
    for name in ("", "ab", "../" * 30, "A" * 64, "g" * 64):
        with pytest.raises(RefusedError, match="expected a SHA-256"):
            objects.path_of("/top", name)


def test_a_path_that_is_no_copy_is_taken_as_it_stands(place: Place) -> None:
    """Only the very path of a kept artifact is looked for below the registry; a forged one leads nowhere."""
    digest = "ab" * 32
    assert artifacts.located(f"artifacts/sha256/ab/{digest}", digest, "/r") == f"/r/artifacts/sha256/ab/{digest}"
    assert artifacts.located(f"artifacts/trees/ab/{digest}", digest, "/r") == f"/r/artifacts/trees/ab/{digest}"
    for path in ("/abs", "artifacts/../../etc/passwd", f"artifacts/sha256/ab/{'cd' * 32}", "x"):
        assert artifacts.located(path, digest, "/r") == path
    assert place.files() == {}
