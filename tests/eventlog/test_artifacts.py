"""Artifacts: the hash is that of all the bytes of a file that did not change meanwhile."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import START, outcome_of

from eventlog import file_digest
from eventlog.artifact_path import path_from_text, path_to_text
from eventlog.artifacts import hash_artifact
from eventlog.errors import RefusedError
from eventlog.file_digest import CHUNK_BYTES
from eventlog.model_id import new_model_id


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7])
def test_hash_is_that_of_the_bytes(tmp_path: Path, size_bytes: int) -> None:
    """Also where the file is empty, just a chunk, or several."""
    data = os.urandom(size_bytes)
    (tmp_path / "a").write_bytes(data)
    calls: list[tuple[int, int]] = []

    artifact = hash_artifact(tmp_path / "a", lambda done, total: calls.append((done, total)))

    assert artifact.sha256 == sha256(data).hexdigest()
    assert artifact.size_bytes == size_bytes
    assert calls == sorted(calls)
    assert not size_bytes or calls[-1] == (size_bytes, size_bytes)


def test_path_is_absolute_and_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path through a link to a directory is recorded as what it leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)

    assert hash_artifact("link/../link/a").path == str(tmp_path.resolve() / "real" / "a")


def _appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _cut(path: Path) -> None:
    os.truncate(path, 10)


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(1, 1))


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def _replaced(path: Path) -> None:
    data = path.read_bytes()
    path.rename(path.with_suffix(".old"))
    path.write_bytes(data)


@pytest.mark.parametrize("change", [_appended, _cut, _overwritten, _touched])
def test_change_while_hashing(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A file whose state is not the same before and after was perhaps not read as one."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * (2 * CHUNK_BYTES))

    with pytest.raises(RefusedError, match="changed while it was hashed"):
        hash_artifact(path, lambda done, total: change(path))


@pytest.mark.parametrize("change", [_appended, _cut, _overwritten, _touched, _replaced, Path.unlink])
def test_change_after_hashing(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A file that is not the one that was hashed any more is found out, also if it was put there anew."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * 100)
    artifact = hash_artifact(path)
    artifact.check_unchanged()

    change(path)

    with pytest.raises(RefusedError):
        artifact.check_unchanged()


def test_file_that_grows_for_ever_ends(tmp_path: Path) -> None:
    """Reading stops where more came than the file had; it does not follow a writer for ever."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * CHUNK_BYTES)
    calls = 0

    def grow(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        with path.open("ab") as file:
            file.write(b"a" * CHUNK_BYTES)

    with pytest.raises(RefusedError):
        hash_artifact(path, grow)
    assert calls == 1


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="needs a file that has more bytes than its size says")
def test_size_that_is_not_that_of_the_bytes() -> None:
    """A file that gives other than the bytes its size promises is refused: size and hash would not belong together."""
    with pytest.raises(RefusedError):
        hash_artifact("/proc/version")


def test_first_id_has_seconds() -> None:
    """UTC to the second, and the first 8 of the hash."""
    assert new_model_id(START, "0123456789" * 6, ()) == "20260102030405_01234567"


def test_taken_ids_get_microseconds() -> None:
    """Then microseconds, and where those are taken too, the next one, also across a second."""
    late = START.replace(microsecond=999_999)
    taken: list[str] = []
    for _ in range(4):
        taken.append(new_model_id(late, "ab" * 32, taken))

    assert [model_id[:-9] for model_id in taken] == [
        "20260102030405",
        "20260102030405999999",
        "20260102030406000000",
        "20260102030406000001",
    ]
    assert new_model_id(late + timedelta(seconds=1), "ab" * 32, taken) == "20260102030406_abababab"


@given(path=st.binary(min_size=1, max_size=40))
def test_every_path_survives_as_text(path: bytes) -> None:
    """path_from_text(path_to_text(p)) == p for any bytes, and the text is UTF-8."""
    given_path = os.fsdecode(path)

    text, path_hex = path_to_text(given_path)

    assert path_from_text(text, path_hex) == given_path
    assert text.encode()
    assert (path_hex is None) == (text == given_path)


def test_a_large_file_is_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second thread reads; the hash is that of the bytes, at every size around a part's, and no thread is left."""
    monkeypatch.setattr(file_digest, "CHUNK_BYTES", 10)
    monkeypatch.setattr(file_digest, "AHEAD_BYTES_MIN", 9)

    for size in (*range(9, 45), 100, 101):
        path = tmp_path / f"{size}"
        path.write_bytes(bytes(range(size)))
        seen: list[tuple[int, int]] = []
        found = hash_artifact(path, lambda done, total, seen=seen: seen.append((done, total)))  # type: ignore[misc]
        assert (found.sha256, found.size_bytes) == (sha256(bytes(range(size))).hexdigest(), size)
        assert seen[-1] == (size, size)
    assert not [thread for thread in threading.enumerate() if thread.name == "modelog-read-ahead"]


def test_reading_ahead_fails_and_is_given_up_like_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing read, a file that grows or shrinks, and an interrupt end the thread, too."""
    monkeypatch.setattr(file_digest, "CHUNK_BYTES", 10)
    monkeypatch.setattr(file_digest, "AHEAD_BYTES_MIN", 9)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    real = os.readv

    def failing(descriptor: int, buffers: list[bytearray]) -> int:
        raise OSError(errno.EIO, "bad")

    def growing(descriptor: int, buffers: list[bytearray]) -> int:
        with path.open("ab") as file:
            file.write(b"y" * 20)
        return real(descriptor, buffers)

    def cut(descriptor: int, buffers: list[bytearray]) -> int:
        os.truncate(path, 20)
        return real(descriptor, buffers)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for readv in (failing, growing, cut):
        path.write_bytes(b"x" * 100)
        with monkeypatch.context() as patch:
            patch.setattr(os, "readv", readv)
            assert isinstance(outcome_of(lambda: hash_artifact(path)), RefusedError)
    path.write_bytes(b"x" * 100)
    with pytest.raises(KeyboardInterrupt):
        hash_artifact(path, interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name == "modelog-read-ahead"]
