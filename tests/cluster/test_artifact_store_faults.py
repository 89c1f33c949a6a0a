"""`eventlog/artifact_store.py` in bad company: a kill, little memory, a full disk, another process."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest
import s3_server
from s3_server import MIB, BucketShelf, Child, DirectoryShelf, Shelf, artifact, below, content, place_of, refusal_of

from eventlog import artifact_store, objects
from eventlog.artifact_store import open_store
from eventlog.artifacts import hash_artifact
from eventlog.errors import LockTimeoutError

server, bucket, shelf = s3_server.server, s3_server.bucket, s3_server.shelf
BIG = 3 * artifact_store.SINGLE_PUT_BYTES_MAX
BIG_FILE_BYTES = 300 * MIB
MEMORY_KIB_MAX = 100 << 10


def test_killed_during_a_fetch(shelf: Shelf, tmp_path: Path):
    """No file is seen; the next fetch succeeds and takes away what was left."""
    put = artifact(tmp_path, content(BIG))
    open_store(shelf.url).put(put)
    script = (
        "real = durable.write_at\n"
        "def slow(descriptor, data, offset):\n    real(descriptor, data, offset)\n    offset < 9 << 20 or pause()\n"
        "durable.write_at = slow\nopen_store(sys.argv[1]).fetch(sys.argv[2], None, sys.argv[3])"
    )

    Child(script, shelf.url, put.sha256, tmp_path / "m").kill_at_pause()

    assert below(tmp_path / "m") == [f"sha256/{put.sha256[:2]}/.{put.sha256}.new"]
    path = open_store(shelf.url).fetch(put.sha256, None, tmp_path / "m")
    assert hash_artifact(path).sha256 == put.sha256
    assert below(tmp_path / "m") == [f"sha256/{put.sha256[:2]}/{put.sha256}"]


def test_killed_during_a_put(shelf: Shelf, tmp_path: Path):
    """No object is seen; the next put succeeds and takes away what was left."""
    put = artifact(tmp_path, content(BIG))
    script = (
        "real = durable.read_parts\n"
        "def slow(path, *, bytes_max):\n"
        "    for number, part in enumerate(real(path, bytes_max=bytes_max)):\n"
        "        number < 17 or pause()\n        yield part\n"
        "found = hash_artifact(sys.argv[2])\ndurable.read_parts = slow\nopen_store(sys.argv[1]).put(found)"
    )

    Child(script, shelf.url, put.path).kill_at_pause()

    assert put.sha256 not in shelf.names()
    open_store(shelf.url).put(put)
    assert shelf.names() == [put.sha256]


def test_memory_is_bounded(shelf: Shelf, tmp_path: Path):
    """A big file is put, verified and fetched in parts."""
    with (tmp_path / "big").open("wb") as file:
        file.truncate(BIG_FILE_BYTES)
    script = (
        "def peak():\n"
        "    return [int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')][0]\n"
        "store, small = open_store(sys.argv[1]), hash_artifact(sys.argv[2])\n"
        "store.put(small)\nstore.fetch(small.sha256, None, sys.argv[4])\nbefore = peak()\n"
        "big = hash_artifact(sys.argv[3])\nstore.put(big)\nstore.fetch(big.sha256, None, sys.argv[4])\n"
        "print(peak() - before)"
    )

    grown_kib = int(Child(script, shelf.url, artifact(tmp_path, b"w").path, tmp_path / "big", tmp_path / "m").answer())

    assert grown_kib < MEMORY_KIB_MAX


def test_files_that_may_not_grow(shelf: Shelf, tmp_path: Path):
    """A fetch, and a put into a directory, that run out of room are refused and leave nothing."""
    put = artifact(tmp_path, content(BIG))
    script = (
        "import resource\nstore, found = open_store(sys.argv[1]), hash_artifact(sys.argv[2])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 20, 9 << 20))\n"
        "try:\n    store.put(found)\n    store.fetch(found.sha256, None, sys.argv[3])\n"
        "except RefusedError as error:\n    print(error)"
    )

    said = Child(script, shelf.url, put.path, tmp_path / "m").answer()

    assert said.endswith("file too large")
    assert shelf.names() == ([] if isinstance(shelf, DirectoryShelf) else [put.sha256])
    assert below(tmp_path / "m") == []


@pytest.mark.usefixtures("as_root")
def test_full_disk(shelf: Shelf, tmp_path: Path):
    """The same on a disk that is full; once there is room, the fetch succeeds."""
    put = artifact(tmp_path, content(BIG))
    store, disk = open_store(shelf.url), tmp_path / "disk"
    store.put(put)
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={BIG // 2}", "modelog-test", str(disk)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode != 0:
        assert not os.environ.get("CI"), f"continuous integration mounts file systems: {done.stderr}"
        pytest.skip(f"file systems cannot be mounted here: {done.stderr}")
    try:
        assert refusal_of(lambda: store.fetch(put.sha256, None, disk)).endswith("no space left on device")
        assert below(disk) == []
        subprocess.run(["mount", "-o", f"remount,size={BIG * 2}", str(disk)], check=True)
        store.fetch(put.sha256, None, disk)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_somebody_else_writes_for_too_long(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Waiting for another process's fetch of the same file ends."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    store.put(put)
    path = place_of(tmp_path / "m", put.sha256)
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(objects, "LOCK_TIMEOUT_SECONDS", 0.1)

    with path.with_name(f".{put.sha256[:2]}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refusal_of(lambda: store.fetch(put.sha256, None, tmp_path / "m"), LockTimeoutError)

    assert below(tmp_path / "m") == []


def test_a_fork_is_refused(bucket: BucketShelf, tmp_path: Path):
    """A process that was forked off one that used a bucket would wait for ever; it is told so instead."""
    script = (
        "store, found = open_store(sys.argv[1]), hash_artifact(sys.argv[2])\nstore.put(found)\n"
        "pid = os.fork()\n"
        "if pid:\n    sys.exit(os.waitpid(pid, 0)[1])\n"
        "try:\n    store.verify(found.sha256)\nexcept RefusedError as error:\n    print(error, flush=True)\n"
    )

    said = Child(script, bucket.url, artifact(tmp_path, b"weights").path).answer()

    assert "got a fork of it: start a new one" in said
