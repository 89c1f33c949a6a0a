"""`eventlog/artifact_store.py`: what holds for a directory and for a bucket alike."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import s3_server
from s3_server import MIB, Child, DirectoryShelf, Shelf, artifact, below, content, place_of, refusal_of

from eventlog import artifact_store, durable
from eventlog.artifact_store import ObjectDamagedError, ObjectMissingError, open_store
from eventlog.artifacts import hash_artifact
from eventlog.file_state import state_of

server, bucket, shelf = s3_server.server, s3_server.bucket, s3_server.shelf
BIG = 3 * artifact_store.SINGLE_PUT_BYTES_MAX


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 1, 70 * MIB])
def test_round_trip(shelf: Shelf, tmp_path: Path, size: int):
    """What was put is fetched: same bytes, read-only, where the registry looks for it, and nothing beside it."""
    store, put = open_store(shelf.url), artifact(tmp_path, content(size))

    store.put(put)
    store.verify(put.sha256, size)
    path = store.fetch(put.sha256, size, tmp_path / "m")

    assert path == str(place_of(tmp_path / "m", put.sha256))
    assert hash_artifact(path).sha256 == put.sha256
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444
    assert below(tmp_path / "m") == [f"sha256/{put.sha256[:2]}/{put.sha256}"]
    assert shelf.names() == [put.sha256]


def test_put_twice_writes_once(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An object that is there and right is only read."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    store.put(put)
    monkeypatch.setattr(type(store._place), "write", None)

    store.put(put)

    assert shelf.names() == [put.sha256]


@pytest.mark.parametrize("size", [9, BIG])
def test_two_put_at_once(shelf: Shelf, tmp_path: Path, size: int):
    """Both succeed, and the object is right."""
    put = artifact(tmp_path, content(size))
    script = "store, found = open_store(sys.argv[1]), hash_artifact(sys.argv[2])\ninput()\nstore.put(found)"
    children = [Child(script, shelf.url, put.path) for _ in range(2)]

    with ThreadPoolExecutor(2) as together:
        answers = list(together.map(Child.answer, children))

    assert answers == ["", ""]
    open_store(shelf.url).verify(put.sha256, size)
    assert shelf.names() == [put.sha256]


def test_four_fetch_at_once(shelf: Shelf, tmp_path: Path):
    """Each gets the file, which is there once, whole."""
    put = artifact(tmp_path, content(BIG))
    open_store(shelf.url).put(put)
    script = "store = open_store(sys.argv[1])\ninput()\nprint(store.fetch(sys.argv[2], None, sys.argv[3]))"
    children = [Child(script, shelf.url, put.sha256, tmp_path / "m") for _ in range(4)]

    with ThreadPoolExecutor(4) as together:
        answers = set(together.map(Child.answer, children))

    assert answers == {str(place_of(tmp_path / "m", put.sha256))}
    assert hash_artifact(answers.pop()).sha256 == put.sha256
    assert len(below(tmp_path / "m")) == 1


def test_threads_share_a_store(shelf: Shelf, tmp_path: Path):
    """Threads put and fetch different artifacts with one store."""
    store = open_store(shelf.url)

    def both_ways(number: int) -> str:
        put = artifact(tmp_path, b"%d" % number * MIB, f"{number}.bin")
        store.put(put)
        return hash_artifact(store.fetch(put.sha256, put.size_bytes, tmp_path / "m")).sha256

    with ThreadPoolExecutor(8) as together:
        fetched = set(together.map(both_ways, range(16)))

    assert fetched == set(shelf.names())


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"x",
    "another": lambda data: b"lie" * 100,
}


@pytest.mark.parametrize("size", [4_097, BIG])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_object(shelf: Shelf, tmp_path: Path, damage: str, size: int, caplog: pytest.LogCaptureFixture):
    """It is named by `verify` and `fetch`, which leave nothing behind; `put`, which has the right bytes, heals it."""
    data = content(size)
    store, put = open_store(shelf.url), artifact(tmp_path, data)
    shelf.write(put.sha256, DAMAGES[damage](data))
    where = f"{shelf.url}/sha256/{put.sha256}: expected "

    assert refusal_of(lambda: store.verify(put.sha256), ObjectDamagedError).startswith(where)
    assert refusal_of(lambda: store.fetch(put.sha256, size, tmp_path / "m"), ObjectDamagedError).startswith(where)
    assert below(tmp_path / "m") == []
    store.put(put)

    store.verify(put.sha256, size)
    assert "replacing it" in caplog.text
    assert shelf.names() == [put.sha256]


def test_another_size_than_expected(shelf: Shelf, tmp_path: Path):
    """Right bytes under a name are not enough where the history says how many there were."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    store.put(put)

    assert "expected 8 bytes, got 7" in refusal_of(lambda: store.verify(put.sha256, 8), ObjectDamagedError)
    said = refusal_of(lambda: store.fetch(put.sha256, 6, tmp_path / "m"), ObjectDamagedError)
    assert "expected 6 bytes, got 7" in said


def test_an_object_without_end(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is given up as soon as it is longer than it should be."""
    store = open_store(shelf.url)

    def endless() -> Iterator[bytes]:
        yield from (b"x", b"x", b"x")
        raise AssertionError("it is read on and on")

    monkeypatch.setattr(type(store._place), "find", lambda *_: (2, endless()))

    assert "expected 2 bytes" in refusal_of(lambda: store.fetch("0" * 64, None, tmp_path / "m"), ObjectDamagedError)
    assert below(tmp_path / "m") == []


def test_missing_object(shelf: Shelf, tmp_path: Path):
    """It is told from a damaged one."""
    store = open_store(shelf.url)

    assert "got none" in refusal_of(lambda: store.verify("0" * 64), ObjectMissingError)
    assert "got none" in refusal_of(lambda: store.fetch("0" * 64, 1, tmp_path / "m"), ObjectMissingError)
    assert below(tmp_path / "m") == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "0" * 63 + "/"])
def test_what_is_no_digest(shelf: Shelf, tmp_path: Path, digest: str):
    """Nothing is looked up and nothing created under another name."""
    store = open_store(shelf.url)

    assert "expected a SHA-256" in refusal_of(lambda: store.verify(digest))
    assert "expected a SHA-256" in refusal_of(lambda: store.fetch(digest, None, tmp_path / "m"))
    assert not (tmp_path / "m").exists()


def test_a_store_that_lies(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the bytes do not come back as they were sent, `put` does not return."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    monkeypatch.setattr(type(store._place), "write", lambda _self, digest, *_, **__: shelf.write(digest, b"we1ghts"))

    assert put.sha256 in refusal_of(lambda: store.put(put), ObjectDamagedError)


@pytest.mark.parametrize("change", DAMAGES)
@pytest.mark.parametrize("size", [4_097, BIG])
def test_file_that_is_not_what_was_hashed(shelf: Shelf, tmp_path: Path, size: int, change: str):
    """Its bytes are never stored under the name of others."""
    data = content(size)
    put = artifact(tmp_path, data)
    Path(put.path).write_bytes(DAMAGES[change](data))

    assert "changed after it was hashed" in refusal_of(lambda: open_store(shelf.url).put(put))
    assert shelf.names() == []


@pytest.mark.parametrize("size", [2 * MIB, BIG])
def test_file_that_changes_during_the_upload(shelf: Shelf, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch):
    """The same, when most of it was sent already; and when it is whole again, it is stored."""
    put, real = artifact(tmp_path, content(size)), durable.read_parts

    def changing(path: str, *, bytes_max: int) -> Iterator[bytes]:
        for number, part in enumerate(real(path, bytes_max=bytes_max)):
            if path == put.path and number == size // MIB - 1:
                part = part[:-1] + b"?"  # noqa: PLW2901
            yield part

    with monkeypatch.context() as patched:
        patched.setattr(durable, "read_parts", changing)
        assert "changed after it was hashed" in refusal_of(lambda: open_store(shelf.url).put(put))

    assert shelf.names() == []
    open_store(shelf.url).put(put)
    assert shelf.names() == [put.sha256]


def test_a_right_file_is_kept(shelf: Shelf, tmp_path: Path):
    """What was fetched before is hashed and used; the store is not asked."""
    put = artifact(tmp_path, content(BIG))
    path = place_of(tmp_path / "m", put.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(content(BIG))
    before = state_of(os.stat(path))

    assert open_store(shelf.url).fetch(put.sha256, put.size_bytes, tmp_path / "m") == str(path)

    assert state_of(os.stat(path)) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_wrong_file_is_replaced(shelf: Shelf, tmp_path: Path, damage: str):
    """By the right one, and only when that has arrived."""
    data = content(MIB + 1)
    store, put = open_store(shelf.url), artifact(tmp_path, data)
    path = place_of(tmp_path / "m", put.sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(DAMAGES[damage](data))
    path.chmod(0o444)

    refusal_of(lambda: store.fetch(put.sha256, None, tmp_path / "m"), ObjectMissingError)
    assert path.read_bytes() == DAMAGES[damage](data)
    store.put(put)
    store.fetch(put.sha256, None, tmp_path / "m")

    assert path.read_bytes() == data
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444


def test_what_stands_in_the_place_of_a_file(shelf: Shelf, tmp_path: Path):
    """A link is replaced, not followed; a directory is refused, and stays."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    store.put(put)
    path = place_of(tmp_path / "m", put.sha256)
    path.parent.mkdir(parents=True)
    path.symlink_to(put.path)

    store.fetch(put.sha256, None, tmp_path / "m")
    assert not path.is_symlink()
    assert Path(put.path).read_bytes() == b"weights"
    path.unlink()
    path.mkdir()

    assert "is a directory" in refusal_of(lambda: store.fetch(put.sha256, None, tmp_path / "m"))
    assert below(tmp_path / "m") == []


def test_durable_before_it_is_seen(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file is synced, then renamed, then its directory and all above; so too by `put` into a directory."""
    store, put = open_store(shelf.url), artifact(tmp_path, b"weights")
    calls: list[tuple[str, str]] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(
            os, name, lambda number, name=name: calls.append((name, os.readlink(f"/proc/self/fd/{number}")))
        )
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda old, new: calls.append(("rename", str(new))) or rename(old, new))

    store.put(put)
    for path in [tmp_path / "store" / "sha256" / put.sha256] * isinstance(shelf, DirectoryShelf) + [
        place_of(tmp_path / "m", put.sha256)
    ]:
        store.fetch(put.sha256, None, tmp_path / "m")
        bytes_synced = calls.index(("fsync", str(path.with_name(f".{path.name}.new"))))
        renamed = calls.index(("rename", str(path)))

        assert bytes_synced < renamed
        after = calls[renamed:]
        assert all(("fsync", str(above)) in after for above in path.parents)
    assert sum(name == "rename" for name, _ in calls) == 1 + isinstance(shelf, DirectoryShelf)
    calls.clear()
    store.put(put)  # whoever put it there may have died before the sync
    assert (("fsync", str(tmp_path / "store" / "sha256")) in calls) == isinstance(shelf, DirectoryShelf)
