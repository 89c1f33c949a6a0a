"""Locks: one holder at a time, a time-out that says who it is, and nothing that can go stale."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from eventlog import locking
from eventlog.errors import LockTimeoutError, RefusedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "f").touch()
    return tmp_path / "f"


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR)


def test_one_holder_at_a_time(path: Path) -> None:
    """A second descriptor cannot have it until the first is closed; closing is enough."""
    first, second = _open(path), _open(path)

    locking.acquire(first, str(path), timeout_seconds=0)
    assert not locking.try_acquire(second, str(path))
    os.close(first)

    assert locking.try_acquire(second, str(path))
    os.close(second)


def test_time_out_names_the_holder(path: Path) -> None:
    """The message has the path, the holder's process id, how long we waited, and what to do."""
    first, second = _open(path), _open(path)
    locking.acquire(first, str(path), timeout_seconds=0)
    began = time.monotonic()

    with pytest.raises(LockTimeoutError) as caught:
        locking.acquire(second, str(path), timeout_seconds=0.05)

    assert 0.05 <= time.monotonic() - began < 5
    assert f"{path}: locked by process {os.getpid()} for more than 0.05 s" in str(caught.value)
    assert "--lock-timeout" in str(caught.value)
    os.close(first)
    os.close(second)


def test_holder_that_cannot_be_found_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody holds the lock, or the system does not say who does, nobody is named."""
    descriptor = _open(path)
    assert locking.holder_of(descriptor) is None

    def missing(*args: object, **kwargs: object) -> object:
        raise FileNotFoundError

    locking.acquire(descriptor, str(path), timeout_seconds=0)
    monkeypatch.setattr("builtins.open", missing)
    assert locking.holder_of(descriptor) is None
    os.close(descriptor)


def test_waiting_ends_when_the_holder_lets_go(path: Path) -> None:
    """A waiter gets the lock soon after it is free."""
    first, second = _open(path), _open(path)
    locking.acquire(first, str(path), timeout_seconds=0)
    timer = threading.Timer(0.05, fcntl.flock, [first, fcntl.LOCK_UN])
    timer.start()

    locking.acquire(second, str(path), timeout_seconds=10)

    timer.join()
    assert not locking.try_acquire(first, str(path))
    os.close(first)
    os.close(second)


def test_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the reason, not waited for."""

    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)

    with pytest.raises(RefusedError, match="cannot be locked: function not implemented"):
        locking.acquire(0, str(path), timeout_seconds=10)


def test_locked_directory(tmp_path: Path) -> None:
    """A directory is locked itself, without a file in it, and free again after an error inside."""
    with locking.locked_directory(str(tmp_path), timeout_seconds=0):
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(LockTimeoutError), locking.locked_directory(str(tmp_path), timeout_seconds=0.01):
            pass
    with pytest.raises(KeyError), locking.locked_directory(str(tmp_path), timeout_seconds=0):
        raise KeyError

    with locking.locked_directory(str(tmp_path), timeout_seconds=0):
        pass
