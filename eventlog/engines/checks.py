"""What every engine checks before it stores anything."""

from __future__ import annotations

from collections.abc import Sequence

from eventlog import chain
from eventlog.errors import RefusedError
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX


def check_append(where: str, entries: Sequence[bytes], prev: str) -> None:
    """
    Check number, sizes and links of *entries* that are to follow the entry whose hash is *prev*.

    Raises:
        RefusedError: says which bound or link does not hold.
    """
    if not 1 <= len(entries) <= APPEND_ENTRIES_MAX:
        raise RefusedError(f"{where}: expected 1 to {APPEND_ENTRIES_MAX} entries in one append, got {len(entries)}")
    total_bytes = 0
    for entry in entries:
        if len(entry) > ENTRY_BYTES_MAX:
            raise RefusedError(
                f"{where}: expected an event of at most {ENTRY_BYTES_MAX} bytes, got {len(entry)}: "
                "keep large data in a file and record its hash"
            )
        if b"\n" in entry:
            raise RefusedError(f"{where}: expected an entry without a newline")
        total_bytes += len(entry) + 1
    if total_bytes > APPEND_BYTES_MAX:
        raise RefusedError(f"{where}: expected at most {APPEND_BYTES_MAX} bytes in one append, got {total_bytes}")
    try:
        chain.verify(entries, prev)
    except chain.ChainError as error:
        raise RefusedError(f"{where}: entry {error.index} does not follow the journal: {error}") from error
