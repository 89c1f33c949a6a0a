"""
Puts a simulated system under the program: `os`, `fcntl.flock`, `time`, `/proc/locks` and the pauses between tries.

Only threads that were registered as actors are led to their system; all others go on as ever. A call that is not
simulated raises on an actor's thread: a run that went past its disk would prove nothing.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any
from unittest import mock

from simulated_kernel import DESCRIPTOR_MIN, Kernel
from simulated_scheduler import Actor
from simulated_system import System

from eventlog import locking

_SIMULATED = sorted(name.removeprefix("os_") for name in vars(Kernel) if name.startswith("os_") and name != "os_flock")
_NOT_SIMULATED = [
    "chmod",
    "chown",
    "copy_file_range",
    "dup",
    "dup2",
    "fchown",
    "fdopen",
    "fork",
    "lchown",
    "lockf",
    "mkfifo",
    "posix_fallocate",
    "preadv",
    "pwritev",
    "readlink",
    "remove",
    "removedirs",
    "renames",
    "replace",
    "rmdir",
    "scandir",
    "sendfile",
    "statvfs",
    "symlink",
    "sync",
    "truncate",
    "utime",
    "walk",
    "write",
    "writev",
]
_actors: dict[int, tuple[System, Actor]] = {}


class NotSimulatedError(AssertionError):
    """The program makes a call that the simulation has no place for: add it to `simulated_system`."""


@contextmanager
def registered(system: System, actor: Actor) -> Iterator[None]:
    """Lead the calls of this thread to *system*."""
    _actors[get_ident()] = (system, actor)
    try:
        yield
    finally:
        del _actors[get_ident()]


@contextmanager
def hooked() -> Iterator[None]:
    """
    Hook everything; what is said of each fault would fill the terminal.

    No garbage is collected meanwhile: an object that closes its file when it goes would make a call at a moment that
    the seed does not know.
    """
    previous, collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    with mock.patch.multiple(os, **{name: _led(name, getattr(os, name)) for name in _SIMULATED}):
        names = [name for name in _NOT_SIMULATED if hasattr(os, name)]
        try:
            with (
                mock.patch.multiple(os, **{name: _refused(name, getattr(os, name)) for name in names}),
                mock.patch.object(sys, "unraisablehook", _ignored),
                mock.patch.object(fcntl, "flock", _led("flock", fcntl.flock)),
                mock.patch.object(time, "sleep", _sleep(time.sleep)),
                mock.patch.object(time, "monotonic", _monotonic(time.monotonic)),
                mock.patch.object(locking, "open", _open_locks, create=True),
                mock.patch.object(locking, "_spread", _spread),
            ):
                yield
        finally:
            logging.disable(previous)
            if collecting:
                gc.enable()


def _ignored(_what: Any) -> None:
    """Let a file that a dead process had open go away."""


def _led(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        found = _actors.get(get_ident())
        if found is not None:
            return found[0].call(found[1], name, args, kwargs)
        if args and isinstance(args[0], int) and args[0] >= DESCRIPTOR_MIN:
            return None  # an object of a run that is over goes away
        return real(*args, **kwargs)

    return call


def _refused(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if get_ident() in _actors:
            raise NotSimulatedError(f"os.{name}{args!r:.200}")
        return real(*args, **kwargs)

    return call


def _sleep(real: Callable[[float], None]) -> Callable[[float], None]:
    def sleep(seconds: float) -> None:
        found = _actors.get(get_ident())
        return real(seconds) if found is None else found[0].sleep(found[1], seconds)

    return sleep


def _monotonic(real: Callable[[], float]) -> Callable[[], float]:
    def monotonic() -> float:
        found = _actors.get(get_ident())
        return real() if found is None else found[0].scheduler.now

    return monotonic


def _spread() -> float:
    """Draw the pauses between tries from the seed."""
    return _actors[get_ident()][0].rng.uniform(0.5, 1.5)


def _open_locks(path: str, **words: Any) -> Any:
    found = _actors.get(get_ident())
    if found is None:
        return open(path, **words)
    if path != "/proc/locks":
        raise NotSimulatedError(f"open({path!r})")
    return found[0].locks_table()
