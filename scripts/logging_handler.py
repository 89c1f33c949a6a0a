"""A handler of the standard logger; imported only where `logging` is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TextIO

from eventlog import log
from scripts.output import log_line


class _Spelling(logging.Formatter):
    """As `scripts.output.log_line` has it."""

    def __init__(self, form: Callable[[], str]) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        return log_line(record.levelname.lower(), record.getMessage(), self._form(), traceback)


def attached(stream: TextIO, level: str, form: Callable[[], str]) -> tuple[logging.Handler, tuple[int, bool]]:
    """Show the log on *stream* from *level* on, in a *form*; return the handler, and what `detach` puts back."""
    logger = logging.getLogger(log.NAME)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Spelling(form))
    before = logger.level, logging.raiseExceptions
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logging.raiseExceptions = False
    return handler, before


def set_level(level: str) -> None:
    """Say nothing that is less urgent than *level*."""
    logging.getLogger(log.NAME).setLevel(level.upper())


def detach(handler: logging.Handler, before: tuple[int, bool]) -> None:
    """Show the log there no more."""
    logger = logging.getLogger(log.NAME)
    logger.removeHandler(handler)
    logger.setLevel(before[0])
    logging.raiseExceptions = before[1]
