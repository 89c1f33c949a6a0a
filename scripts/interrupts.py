"""
What Ctrl-C means to a command: a refusal as long as nothing was handed to the disk, and patience afterwards.

Until `hold` an interrupt raises `KeyboardInterrupt`, and nothing was recorded. From `hold` on, for the few milliseconds
until the command has told what it recorded, it is ignored. So a status never contradicts the journal.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """The interrupts of one command."""

    def __init__(self) -> None:
        self.held = False

    def hold(self) -> None:
        """Ignore interrupts from now on."""
        self.held = True

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Be the signal's handler."""
        if not self.held:
            raise KeyboardInterrupt


def let_kill() -> None:
    """Let an interrupt simply end the process, unless they are ignored: right as long as nothing has happened."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """
    Handle interrupts meanwhile; where they are ignored (`nohup`), or in a thread, they stay as they are.

    A process of our own, in which they kill, ignores them to its end once they are held: it only has to say its status.
    """
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGINT)
    ours = before != signal.SIG_IGN and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        if ours:
            ending = interrupts.held and before == signal.SIG_DFL
            signal.signal(signal.SIGINT, signal.SIG_IGN if ending else before)
