"""A progress bar on a terminal's stderr while something takes long; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

DELAY_SECONDS = 0.5


@contextmanager
def hashing() -> Iterator[Callable[[int, int], None]]:
    """Give a callback for bytes done and bytes in all; the bar appears when it has gone on for `DELAY_SECONDS`."""
    began = time.monotonic()
    with ExitStack() as stack:
        bar = None
        shown = 0

        def progress(done: int, total: int) -> None:
            nonlocal bar, shown
            if bar is None and sys.stderr.isatty() and time.monotonic() - began > DELAY_SECONDS:
                import click  # noqa: PLC0415 - most hash quickly, or tell no terminal

                bar = stack.enter_context(
                    click.progressbar(length=total, label="hashing", file=sys.stderr, width=0, update_min_steps=1 << 24)
                )
            if bar is not None:
                bar.update(done - shown)
                shown = done
                if done >= total:
                    stack.close()
                    bar, shown = None, 0

        yield progress
