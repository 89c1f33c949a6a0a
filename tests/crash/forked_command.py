"""
A command in a child that is forked from a warm process, so that it starts in a millisecond, and killed by the clock.

The child calls `main(argv)` with stdout on a pipe. A line that arrives there whole is the acknowledgement. When `main`
has returned, the child tells its status on the same pipe. If it is to be killed, it then waits for that: so a kill may
come at any moment from the first instruction to long after the answer, and each such command dies of one.

The kill is a timer of the child's own whose signal is SIGKILL. A parent that sleeps until the moment has come would
wake up late on a busy machine, and find that the command is over.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from scripts.manage_models import main

_STATUS = b"status "
_LIFE_SECONDS_MAX = 300
"""When a child ends at the latest, whatever becomes of its parent."""


class ForkedCommand:
    """
    One running command.

    Attributes:
        verb: the first of its words.

        started: when, by the monotonic clock, in seconds.

        answer: the line on stdout, without its newline, where one has arrived.

        status: what `main` returned, where the process lived to say so.

        descriptor: becomes readable when there is something to `take`.

    Args:
        seconds: after which the process is killed; None to let it end.
    """

    def __init__(self, argv: Sequence[str], seconds: float | None) -> None:
        self.verb = argv[0]
        self.answer: bytes | None = None
        self.status: int | None = None
        self._killed = seconds is not None
        self._received = b""
        self._errors = os.memfd_create("stderr")
        self.descriptor, stdout = os.pipe2(os.O_CLOEXEC)
        self.started = time.monotonic()
        self._process = os.fork()
        if self._process == 0:
            _run(argv, stdout, self._errors, seconds)
        os.close(stdout)

    def take(self) -> bool:
        """Take what has arrived on the pipe, at least one byte; return False where nothing will come any more."""
        part = os.read(self.descriptor, 1 << 16)
        *lines, self._received = (self._received + part).split(b"\n")
        for line in lines:
            if line.startswith(_STATUS):
                self.status = int(line.removeprefix(_STATUS))
            else:
                assert self.answer is None, f"{self.verb}: expected one line on stdout, got also {line!r:.200}"
                self.answer = line
        return part != b""

    def end(self) -> str:
        """See the process off, and return what it said on stderr."""
        _, ended = os.waitpid(self._process, 0)
        os.close(self.descriptor)
        said = os.pread(self._errors, 1 << 20, 0).decode(errors="replace")
        os.close(self._errors)
        wanted = -signal.SIGKILL if self._killed else 0
        assert os.waitstatus_to_exitcode(ended) == wanted, f"{self.verb}: ended with wait status {ended}: {said}"
        return said

    def abort(self) -> None:
        """End the process because there is no more use for it."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _run(argv: Sequence[str], stdout: int, stderr: int, seconds: float | None) -> None:
    """Be the child; never returns."""
    try:
        kill_after(_LIFE_SECONDS_MAX if seconds is None else seconds)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.closerange(3, 1 << 10)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        status = main(argv)
        os.write(1, b"%b%d\n" % (_STATUS, status))
        while seconds is not None:
            signal.pause()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


class _Sigevent(ctypes.Structure):
    """`struct sigevent`, whose last member is a union that fills it up to 64 bytes."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("_", ctypes.c_byte * 48),
    )


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_libc = ctypes.CDLL(None, use_errno=True)
_SIGEV_SIGNAL = 0


def kill_after(seconds: float) -> None:
    """Have this process killed with SIGKILL, as `timer_create(2)` has it."""
    timer, event = ctypes.c_void_p(), _Sigevent(None, signal.SIGKILL, _SIGEV_SIGNAL)
    interval_and_first = (_Timespec * 2)(_Timespec(), _Timespec(int(seconds), int(seconds % 1 * 1e9) + 1))
    if _libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        raise OSError(ctypes.get_errno(), "timer_create")
    if _libc.timer_settime(timer, 0, interval_and_first, None):
        raise OSError(ctypes.get_errno(), "timer_settime")
