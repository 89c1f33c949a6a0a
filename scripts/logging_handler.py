"""A handler of the standard logger; imported only where `logging` is."""

from __future__ import annotations

import logging
from typing import TextIO

from eventlog import log
from scripts.output import escape


class _Escaping(logging.Formatter):
    """`warning: what happened`, on one line whatever the message holds; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [f"{record.levelname.lower()}: {escape(record.getMessage())}"]
        if record.exc_info:
            lines += map(escape, self.formatException(record.exc_info).split("\n"))
        return "\n".join(lines)


def attached(stream: TextIO, level: str) -> tuple[logging.Handler, tuple[int, bool]]:
    """Show the log on *stream* from *level* on; return the handler, and what `detach` puts back."""
    logger = logging.getLogger(log.NAME)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Escaping())
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
