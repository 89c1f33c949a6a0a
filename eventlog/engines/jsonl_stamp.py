r"""
The stamp: what the journal's file looked like when all of it had last been verified, so that it need not be done again.

    <end offset_bytes:20> <hash:64> <device:20> <inode:20> <mtime:20> <ctime:20> <16 hex of the SHA-256 of all that>\n

Whoever writes to a file through the file system moves its ctime, which nobody can set. As long as the stamp fits the
file, no byte of it was written to since. The stamp proves nothing about what is shown: that is verified whenever it is
read. It only says that what is not read need not be; and, as it is written after the sync of the head, that this has
reached the disk. Where it is missing or does not fit, everything is verified from
the first byte on. It is no part of the history, and says nothing about a copy of the journal.

A file system notes times in ticks of some milliseconds (Linux before 6.13): a change within the tick of the last append
cannot be seen here, nor can one that goes around the file system. `verify` never asks the stamp.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256

from eventlog import durable, durable_replacement
from eventlog.engines.jsonl_head import Head
from eventlog.errors import RefusedError
from eventlog.file_state import state_of

NAME = "journal.stamp"
_BYTES = 20 + 1 + 64 + 4 * 21 + 17 + 1


def look(journal: int | str) -> os.stat_result | None:
    """Return the status of a journal, open or by its path; None where it cannot be told: then there is no stamp."""
    try:
        return os.fstat(journal) if isinstance(journal, int) else os.lstat(journal)
    except OSError:
        return None


def spelled(head: Head, status: os.stat_result) -> bytes:
    """Return the stamp of a journal file of that *status*, all of which is good up to *head*, its end."""
    state = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    text = b"%020d %b %020d %020d %020d %020d" % (head.end_bytes, head.hash.encode(), *state)
    return b"%b %b\n" % (text, sha256(text).hexdigest()[:16].encode())


def fits(path: str, head: Head, status: os.stat_result | None) -> bool:
    """Say whether the stamp at *path* is that of a journal file of that *status* and *head*."""
    try:
        if status is None or status.st_size != head.end_bytes:
            return False
        return durable.read_start(path, _BYTES) == spelled(head, status)
    except (OSError, RefusedError):
        return False


def put(path: str, head: Head, status: os.stat_result | None) -> None:
    """
    Write the stamp, if that can be done; without a sync, because one that is lost or torn only costs time.

    The caller holds the journal's lock.
    """
    if status is None or status.st_size != head.end_bytes:
        return
    with suppress(OSError, RefusedError):
        durable_replacement.write_over(path, spelled(head, status))


def is_same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    """Say whether a file has certainly not been written to between two looks at it."""
    return one is not None and other is not None and state_of(one) == state_of(other)
