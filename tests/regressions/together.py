"""Several processes that start the same thing at the same moment."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable

SECONDS_MAX = 120

_fork = multiprocessing.get_context("fork")


def together(count: int, action: Callable[[int], None]) -> None:
    """Run *action* in *count* processes, each with its number, once all are there; fail if one of them fails."""
    start = _fork.Barrier(count)

    def begin(number: int) -> None:
        status = 1
        try:
            start.wait(SECONDS_MAX)
            action(number)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    processes = [_fork.Process(target=begin, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + SECONDS_MAX
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        process.kill()
        process.join()
    assert [process.exitcode for process in processes] == [0] * count
