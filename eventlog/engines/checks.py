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
    largest = max(map(len, entries))
    if largest > ENTRY_BYTES_MAX:
        raise RefusedError(
            f"{where}: expected an event of at most {ENTRY_BYTES_MAX} bytes, got {largest}: "
            "keep large data in a file and record its hash"
        )
    if any(b"\n" in entry for entry in entries):
        raise RefusedError(f"{where}: expected an entry without a newline")
    total_bytes = sum(map(len, entries)) + len(entries)
    if total_bytes > APPEND_BYTES_MAX:
        raise RefusedError(f"{where}: expected at most {APPEND_BYTES_MAX} bytes in one append, got {total_bytes}")
    try:
        chain.verify(entries, prev)
    except chain.ChainError as error:
        raise RefusedError(f"{where}: entry {error.index} does not follow the journal: {error}") from error
