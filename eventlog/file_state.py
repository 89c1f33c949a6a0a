"""
What a file looks like from outside: whoever writes to it through the file system changes that.

A file counts as unchanged while device, inode, size, mtime and ctime are the same: nobody can set a ctime. What cannot
be seen this way is a change through a writable memory map, one that goes around the file system, and one that keeps the
size within the same tick of the file system's clock, some milliseconds (before Linux 6.13).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from operator import attrgetter

State = tuple[int, int, int, int, int]
Looks = tuple[State | None, ...]
SETTLED_SECONDS = 0.1
"""A file that was changed longer ago than this does not look the same after another change: the tick is over."""

COARSE_SECONDS = 2.1
"""The same where a file system seems to note no more than seconds, or pairs of them."""

_attributes = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


def state_of(status: os.stat_result) -> State:
    """Return what is the same as long as the file is."""
    found: State = _attributes(status)
    return found


def is_settled(states: Iterable[State], now: float | None = None) -> bool:
    """Say whether files in these *states* were all changed so long ago that the next change shows; *now* as below."""
    now = time.time() if now is None else now
    changes = (state[-1] for state in states)
    return all(
        changed <= (now - (SETTLED_SECONDS if changed % 1_000_000_000 else COARSE_SECONDS)) * 1e9 for changed in changes
    )


def settled(paths: Sequence[str], now: float | None = None) -> Looks | None:
    """
    Return what the files at *paths* look like, None for each that is not there.

    As long as that is returned, none of them was changed, made, removed or replaced.

    Args:
        now: the time of the file system's clock.

    Returns None instead where one was changed so recently that the next change may not show, or cannot be looked at.
    """
    now = time.time() if now is None else now
    states: list[State | None] = []
    for path in paths:
        try:
            state = state_of(os.lstat(path))
        except FileNotFoundError:
            states.append(None)
            continue
        except OSError:
            return None
        if not is_settled([state], now):
            return None
        states.append(state)
    return tuple(states)
