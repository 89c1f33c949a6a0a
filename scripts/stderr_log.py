"""
Shows what the project says on stderr, one line each: `warning: what happened`.

For programs the same as JSON: `{"time":"2026-11-23T10:30:00.389392Z","level":"warning","message":"what happened"}`, and
`traceback` where there is one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from eventlog import log
from scripts.output import log_line

if TYPE_CHECKING:
    import logging

FORM_VARIABLE = "MODELOG_LOG_FORMAT"
"""Says how, also before the words are understood, and where they never are."""


class StderrLog:
    """
    The listener of one command; see `eventlog.log.Listener`.

    Attributes:
        level: what is less urgent is not shown; one of `eventlog.log.LEVELS`.

        form: `text` or `json`.
    """

    def __init__(self) -> None:
        self.level = "info"
        self.form = "json" if os.environ.get(FORM_VARIABLE) == "json" else "text"
        self._stream = sys.stderr
        self._handler: logging.Handler | None = None
        self._before: tuple[int, bool] = (0, True)

    def tell(self, level: str, message: str) -> None:
        """Write a message, unless it is not urgent enough; where stderr cannot be written to, it is lost."""
        if log.LEVELS.index(level) >= log.LEVELS.index(self.level):
            with suppress(OSError, ValueError):
                self._stream.write(f"{log_line(level, message, self.form)}\n")
                self._stream.flush()

    def attach(self) -> None:
        """Become a handler of the standard logger, which then does the same."""
        if self._handler is not None:
            return
        from scripts import logging_handler  # noqa: PLC0415 - `logging` is used already, or a traceback is shown

        self._handler, self._before = logging_handler.attached(self._stream, self.level, lambda: self.form)

    def set_level(self, level: str) -> None:
        """Show only what is at least as urgent as *level*."""
        self.level = level
        if self._handler is not None:
            from scripts import logging_handler  # noqa: PLC0415

            logging_handler.set_level(level)

    def detach(self) -> None:
        """Be no handler any more."""
        if self._handler is not None:
            from scripts import logging_handler  # noqa: PLC0415

            logging_handler.detach(self._handler, self._before)
            self._handler = None


@contextmanager
def listening() -> Iterator[None]:
    """Show on stderr meanwhile what this thread says, from level info on."""
    listener = StderrLog()
    token = log.listener.set(listener)
    if "logging" in sys.modules:
        listener.attach()  # now, because nothing should have to be imported once a registry is open
    try:
        yield
    finally:
        log.listener.reset(token)
        listener.detach()


def set_level(level: str) -> None:
    """Show only what is at least as urgent as *level*, one of `eventlog.log.LEVELS`."""
    listener = log.listener.get()
    if isinstance(listener, StderrLog):
        listener.set_level(level)


def set_form(form: str) -> None:
    """Show messages as `text` or `json` from now on."""
    listener = log.listener.get()
    if isinstance(listener, StderrLog):
        listener.form = form
