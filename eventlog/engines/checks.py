"""What every engine checks before it stores anything, and how much it stores at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from eventlog import chain
from eventlog.errors import RefusedError
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX

PIECE_ENTRIES_MAX = 1_000
_PIECE_BYTES_MAX = APPEND_BYTES_MAX // 2


def pieces(entries: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield *entries* in pieces, each of which any engine can append at once."""
    piece: list[bytes] = []
    size_bytes = 0
    for entry in entries:
        if piece and (len(piece) >= PIECE_ENTRIES_MAX or size_bytes + len(entry) > _PIECE_BYTES_MAX):
            yield piece
            piece, size_bytes = [], 0
        piece.append(entry)
        size_bytes += len(entry) + 1
    if piece:
        yield piece


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
