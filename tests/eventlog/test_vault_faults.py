"""The vault in bad company: full disks, kills, other processes, files that change; nothing is half kept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import Place, artifact_problems, outcome_of

from eventlog import file_digest, vault
from eventlog.errors import RefusedError

REPOSITORY = Path(__file__).resolve().parents[2]


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
    assert place.kept() == {}


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
            error = outcome_of(lambda size=size: place.copy("large", b"x" * size))
        assert isinstance(error, RefusedError)
        assert "no space left on device" in str(error)
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        patch.setattr(os, "statvfs", lambda path: os.statvfs_result((1, 4096, 100, 9, 9, 0, 0, 0, 0, 255)))
        error = outcome_of(lambda: place.copy("large"))
    assert isinstance(error, RefusedError)
    assert "free bytes for a copy" in str(error)
    assert calls == []
    assert {name: data for name, data in place.files().items() if "artifacts" not in name} == before
    assert place.kept() == {}


def test_refused_request_keeps_nothing(place: Place) -> None:
    """What the state refuses is refused before anything is kept."""
    place.publish("first")
    before = place.files()

    error = outcome_of(lambda: place.copy("b", expect_active="none"))

    assert isinstance(error, RefusedError)
    assert {name: data for name, data in place.files().items() if "artifacts" not in name} == before
    assert place.kept() == {}


def test_registry_inside_the_artifact(place: Place) -> None:
    """A directory that a publish itself writes to is no artifact, copied or not: it would not be what was hashed."""
    place.publish("first")
    before = place.files()
    runtime, journal = place.state_dir, place.registry_dir / "journal.jsonl"
    link = place.root / "link"
    link.symlink_to(journal)

    for path in (place.root, place.registry_dir, runtime, journal, link, place.registry_dir / "registry.json"):
        for how in ({"copy": True}, {"copy": False}, {"dry_run": True}):
            error = outcome_of(lambda path=path, how=how: place.open().publish_model(path, backend="b", **how))
            assert isinstance(error, RefusedError), (path, how)
            assert "expected none of the registry's own files" in str(error), (path, how)
    assert place.files() == before


def test_beside_the_registry(place: Place) -> None:
    """What only stands beside the registry's own files, or has the name of one, is an artifact like any other."""
    place.publish("first")
    elsewhere = place.root / "elsewhere" / "registry.json"
    elsewhere.parent.mkdir()
    elsewhere.write_text("a model")
    (place.registry_dir / "model.bin").write_text("another")

    for path in (elsewhere, elsewhere.parent, place.registry_dir / "model.bin"):
        assert place.open().publish_model(path, backend="b").artifact_path == str(path)


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
    assert sorted(place.kept().values()) == [b"0" * 100, b"1" * 100]
    place.open().rebuild()
    assert artifact_problems(place) == []


def test_what_a_kill_leaves_is_removed(place: Place) -> None:
    """A copy whose process is gone is removed by the next; one that is still being made is not."""
    place.publish("first")
    incoming = place.registry_dir / "artifacts" / "incoming"
    (incoming / "7").mkdir(parents=True)
    (incoming / "7" / "0").write_bytes(b"half")
    held, go_on = threading.Event(), threading.Event()

    def hold(done: int, total: int) -> None:
        held.set()
        assert go_on.wait(20)

    path = place.artifact("slow", b"slow" * 1000)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(place.open().publish_model, path, backend="b", copy=True, progress=hold)
        assert held.wait(20)
        place.copy("quick")
        assert not (incoming / "7").exists()
        go_on.set()
        assert slow.result(20).sha256 in place.kept()
    assert list(incoming.iterdir()) == []


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
    model = place.open().publish_model(place.directory(), backend="b", copy=True)

    assert (Path(model.artifact_path) / "config.json").read_bytes() == b"{}"
    assert artifact_problems(place) == []
