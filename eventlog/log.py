"""
The project's log: the standard logger `modelog`, and `logging` is not imported before it is needed.

A program that uses logging gets every message through it. In a process where nobody has imported `logging`, a listener
such as the command line is told directly: a command that says one line should not wait for a library first.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import Protocol

LEVELS = ("debug", "info", "warning", "error")
NAME = "modelog"


class Listener(Protocol):
    """Shows what is said."""

    def tell(self, level: str, message: str) -> None:
        """Show a message, where nobody uses `logging`."""
        ...

    def attach(self) -> None:
        """Become a handler of the standard logger; called before each message to it."""
        ...


listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
"""Who listens to what this thread says."""


class Log:
    """Says things; the methods are those of `logging.Logger`."""

    def debug(self, message: str, *values: object) -> None:
        """Say what helps to find a fault."""
        _say("debug", message, values)

    def info(self, message: str, *values: object) -> None:
        """Say what was done."""
        _say("info", message, values)

    def warning(self, message: str, *values: object) -> None:
        """Say what a person should know."""
        _say("warning", message, values)

    def error(self, message: str, *values: object) -> None:
        """Say why something was not done."""
        _say("error", message, values)

    def exception(self, message: str) -> None:
        """Say *message* and the traceback of what is being handled."""
        _say("error", message, (), traceback=True)


log = Log()


class Once:
    """Warnings by whoever looks at one thing again and again: each is said once, until there was another or none."""

    def __init__(self) -> None:
        self._last: str | None = None

    def warning(self, message: str | None) -> None:
        """Say *message*, unless it was the last; None where there is nothing to be said."""
        last, self._last = self._last, message
        if message not in (None, last):
            log.warning("%s", message)


def _say(level: str, message: str, values: tuple[object, ...], *, traceback: bool = False) -> None:
    heard = listener.get()
    if heard is not None and not traceback and "logging" not in sys.modules:
        heard.tell(level, message % values if values else message)
        return
    import logging  # noqa: PLC0415 - see the top of the module

    if heard is not None:
        heard.attach()
    logging.getLogger(NAME).log(getattr(logging, level.upper()), message, *values, exc_info=traceback, stacklevel=3)
