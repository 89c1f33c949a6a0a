"""
What Ctrl-C means to a command: a refusal as long as nothing was handed to the disk, and patience afterwards.

While a command is `armed` and not yet at `hold`, an interrupt raises `KeyboardInterrupt`, and nothing was recorded.
From `hold` on, for the few milliseconds until the command has told what it recorded, it is only noted; so it is while
the command is set up and wound up. So a status never contradicts the journal.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType


class Interrupts:
    """
    The interrupts of one command.

    Attributes:
        held: whether the point of no return is behind us.
    """

    def __init__(self) -> None:
        self.held = False
        self._armed = False
        self._noted = False

    def hold(self) -> None:
        """Only note interrupts from now on; one that Python lost on its way (see `interruptible`) ends the command."""
        if self._noted and not self.held:
            raise KeyboardInterrupt
        self.held = True

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Let interrupts, also one that was noted before, end the block."""
        try:
            self._armed = True
            if self._noted:
                raise KeyboardInterrupt
            yield
        finally:
            self._armed = False

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Be the signal's handler."""
        self._noted = True
        if self._armed and not self.held:
            raise KeyboardInterrupt


_current: ContextVar[Interrupts | None] = ContextVar("interrupts", default=None)
"""Those of the command that this thread runs."""


def holder() -> Callable[[], None]:
    """Return what is to be called at the point of no return: from there on, interrupts are only noted."""
    interrupts = _current.get()
    return interrupts.hold if interrupts else lambda: None


def let_kill() -> None:
    """Let an interrupt simply end the process, unless they are ignored: right as long as nothing has happened."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """
    Handle interrupts meanwhile; where they are ignored (`nohup`), or in a thread, they stay as they are.

    A process of our own, in which they kill, ignores them to its end once they are held: it only has to say its status.
    Python cannot pass on what is raised in a finalizer or in the callback of a weak reference (its import lock has
    one): it would print a traceback there. Nothing is printed, and the interrupt counts at `hold`.
    """
    interrupts = Interrupts()
    before, report = signal.getsignal(signal.SIGINT), sys.unraisablehook
    ours = before != signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupts.handle)
        sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else report(lost)
    outside = _current.set(interrupts)
    try:
        yield interrupts
    finally:
        _current.reset(outside)
        if ours:
            sys.unraisablehook = report
            ending = interrupts.held and before == signal.SIG_DFL
            signal.signal(signal.SIGINT, signal.SIG_IGN if ending else before)


@contextmanager
def stopping() -> Iterator[list[int]]:
    """Give a list that is no longer empty once somebody wants us to stop; what is being done is finished first."""
    stop: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        stop.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
