"""
Locks on open descriptors, exclusive or shared, with a time-out that names the holder.

The lock is `flock(2)` on the very file (or directory) that it guards: there is no lock file that could go stale or be
removed under a holder's feet, and the kernel releases it when the holder dies.

Waiting is polling, because a blocked `flock` cannot be given up in a thread. The pause grows from 0.2 ms to 10 ms with
a random part, so that many waiters do not step on each other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from eventlog.errors import LockTimeoutError, RefusedError, reason_of

if TYPE_CHECKING:
    import threading

LOCK_TIMEOUT_SECONDS = 30.0
LOCK_TIMEOUT_SECONDS_MAX = 1_000_000
_PAUSE_SECONDS_MIN = 0.0002
_PAUSE_SECONDS_MAX = 0.010


def checked_timeout(seconds: float) -> float:
    """Return how long to wait, at most `LOCK_TIMEOUT_SECONDS_MAX`. Raises RefusedError for what is no time to wait."""
    if not seconds >= 0:
        raise RefusedError(f"lock_timeout_seconds: expected 0 or more seconds, got {seconds!r}")
    return min(seconds, LOCK_TIMEOUT_SECONDS_MAX)


def acquire(
    descriptor: int,
    where: str,
    *,
    timeout_seconds: float,
    is_needless: Callable[[], bool] = lambda: False,
    shared: bool = False,
) -> bool:
    """
    Take the lock on an open file or directory; say whether we have it.

    Args:
        descriptor: closing it releases the lock.

        where: the path, for the message.

        timeout_seconds: 0 tries once.

        is_needless: asked while somebody else has the lock; once it says so, the lock is not taken.

        shared: others that want it shared may have it, too.

    Raises:
        LockTimeoutError: somebody else held it for that long.

        RefusedError: this file system has no locks.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = _PAUSE_SECONDS_MIN
    while not try_acquire(descriptor, where, shared=shared):
        if is_needless():
            return False
        if time.monotonic() >= deadline:
            raise timed_out(where, holder_of(descriptor) or "another process", timeout_seconds)
        time.sleep(pause * _spread())
        pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
    return True


def _spread() -> float:
    """Return a random factor from 0.5 to 1.5, so that many waiters do not step on each other."""
    return 0.5 + os.urandom(1)[0] / 255


@contextmanager
def one_thread(lock: threading.RLock, where: str, timeout_seconds: float) -> Iterator[None]:
    """Keep other threads of this process out. Raises LockTimeoutError."""
    if not lock.acquire(timeout=timeout_seconds):
        raise timed_out(where, "another thread", timeout_seconds)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_directory(
    path: str, *, timeout_seconds: float, is_needless: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """
    Hold the lock of a directory, which guards the files that are replaced in it; gives what `acquire` returns.

    Raises:
        LockTimeoutError, RefusedError: as `acquire`.

        OSError: the directory cannot be opened.
    """
    with Held() as held:
        descriptor = held.add(os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        yield acquire(descriptor, path, timeout_seconds=timeout_seconds, is_needless=is_needless)


def try_acquire(descriptor: int, where: str, *, shared: bool = False) -> bool:
    """Take the lock if it is free and say whether it was. Raises RefusedError where the file system has no locks."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EINTR:
            return False
        raise RefusedError(f"{where}: cannot be locked: {reason_of(error)}") from error
    return True


class Held:
    """
    Open files and directories, perhaps locked; unlocked and closed at the end of a `with` block.

    Where an interrupt comes just then, that is done when nobody has the object any more: a lock that outlives whoever
    held it would keep everybody out until the process ends.
    """

    def __init__(self) -> None:
        self._descriptors: list[int] = []
        self._process = 0

    def add(self, descriptor: int) -> int:
        """Hold an open descriptor; return it."""
        self._descriptors.append(descriptor)
        self._process = os.getpid()
        self.__class__ = _Holding
        return descriptor

    def release(self) -> None:
        """Unlock and close, also where a forked child still has a copy of a descriptor. Never raises OSError."""
        while self._descriptors:
            with suppress(OSError):
                fcntl.flock(self._descriptors[-1], fcntl.LOCK_UN)
            descriptor = self._descriptors.pop()  # before it is closed: a number is never closed twice
            with suppress(OSError):
                os.close(descriptor)
        self.__class__ = Held

    def __bool__(self) -> bool:
        """Say whether anything is held."""
        return bool(self._descriptors)

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.release()


class _Holding(Held):
    """One that holds something; no other has a finalizer, for an interrupt that comes while one runs is lost."""

    def __del__(self) -> None:
        if self._process == os.getpid():  # a forked child would take the lock from its parent
            self.release()


def timed_out(where: str, holder: str, timeout_seconds: float) -> LockTimeoutError:
    """Return the error that says who holds the lock, how long we waited, and what to do."""
    return LockTimeoutError(
        f"{where}: locked by {holder} for more than {timeout_seconds:g} s: wait for it to end, or raise --lock-timeout"
    )


def holder_of(descriptor: int) -> str | None:
    """Name the process that holds the lock, from `/proc/locks`; None where nobody does that we can see."""
    status = os.fstat(descriptor)
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        with open("/proc/locks", encoding="utf-8", errors="replace") as table:
            for line in table:
                fields = line.split()
                if "->" not in fields and "FLOCK" in fields and wanted in fields:
                    return f"process {fields[fields.index(wanted) - 1]}"
    except OSError:
        pass
    return None
