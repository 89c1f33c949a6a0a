"""
What may happen to a process in the middle of a change, brought about inside our own: it is killed, or a call fails.

A kill lets a number of bytes and other changes reach the files, and nothing more; what error handling does afterwards
is not done either, as of a process that is gone. (What the disk loses on top of that is the matter of `tests/crash`.)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

CHANGES = ("pwrite", "ftruncate", "rename", "unlink", "link", "mkdir")
SYNCS = ("fsync", "fdatasync")
READS = ("open", "pread", "read", "fstat", "close")
MODES = (
    "fails",
    "done, then fails",
    "half done, then fails",
    "half done",
    "fails for good",
    "half done, then fails for good",
)
CODES = (errno.EIO, errno.ENOSPC, errno.EACCES)


class KilledError(BaseException):
    """The process is gone."""


class Kill:
    """
    Ends the process after so many units: each byte written is one, and each other change.

    Attributes:
        dead: whether it came to that.
    """

    def __init__(self, units: int) -> None:
        self.dead = False
        self._left = units

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Whatever the block raises once the process is dead, nobody hears of."""
        with _hooked((*CHANGES, *SYNCS, "open"), self._call):
            try:
                yield
            except BaseException:
                if not self.dead:
                    raise

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.dead:
            raise KilledError
        if name not in CHANGES:
            return real(*args, **kwargs)
        units = len(args[1]) if name == "pwrite" else 1
        if self._left >= units:
            self._left -= units
            return real(*args, **kwargs)
        self.dead = True
        if name == "pwrite" and self._left:
            real(args[0], bytes(args[1])[: self._left], *args[2:])
        raise KilledError


class Fault:
    """
    Lets the call with number *at* of those in *names* fail, counted from 1, in one of `MODES`.

    `half done` alone is no error, but a short write.

    Attributes:
        happened: whether it came to that.
    """

    def __init__(self, names: tuple[str, ...], at: int, mode: str, code: int) -> None:
        self.happened = False
        self._names = names
        self._left = at
        self._mode = mode
        self._code = code

    @contextmanager
    def armed(self) -> Iterator[None]:
        with _hooked(self._names, self._call):
            yield

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._left -= 1
        if self._left > 0 or (self._left < 0 and not self._mode.endswith("for good")):
            return real(*args, **kwargs)
        self.happened = True
        if name == "pwrite" and self._left == 0 and self._mode.startswith("half done"):
            done = real(args[0], bytes(args[1])[: len(args[1]) // 2 or 1], *args[2:])
            if self._mode == "half done":
                return done
        elif self._mode == "half done":
            return real(*args, **kwargs)
        elif self._mode == "done, then fails" or name == "close":
            result = real(*args, **kwargs)
            if name == "open":
                os.close(result)
        raise OSError(self._code, os.strerror(self._code))


@contextmanager
def _hooked(names: tuple[str, ...], call: Callable[..., Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, partial(call, name, getattr(os, name)))
        yield
