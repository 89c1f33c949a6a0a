"""
The tail rule: what may be done with bytes behind the acknowledged entries. A pure function; FORMAT.md has the table.

Acknowledged bytes are never judged here: they are good or the journal is damaged. What stands behind them was never
acknowledged. Whole valid entries there are kept (their writer may have died just before it said so); an unfinished
rest may be taken away; anything else is a riddle for a person.
"""

from __future__ import annotations

from msgspec import Struct

from eventlog import chain
from eventlog.engines.jsonl_head import Head, advanced
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX


class TailVerdict(Struct, frozen=True):
    """
    What the bytes behind the head are.

    Attributes:
        head: the head once the whole valid entries are adopted.

        readable: the head up to the last of them that stands there with its newline.

        adopted: their bytes, each with its newline (the last one's is supplied where only it was missing).

        torn: the unfinished rest, perhaps empty.

        reason: `no-newline` or `nul-bytes` for a torn rest, else empty.

        refusal: why no writer may touch this, or None.
    """

    head: Head
    readable: Head
    adopted: bytes = b""
    torn: bytes = b""
    reason: str = ""
    refusal: str | None = None


def judge(tail: bytes, head: Head) -> TailVerdict:
    """
    Apply the tail rule.

    Args:
        tail: the bytes that follow *head*, at most `APPEND_BYTES_MAX` plus one.

        head: the newest valid slot.
    """
    if not tail:
        return TailVerdict(head, head)
    if len(tail) > APPEND_BYTES_MAX:
        return TailVerdict(head, head, refusal=f"expected at most {APPEND_BYTES_MAX} bytes of one append, got more")
    lines = tail.split(b"\n")
    rest = lines.pop()
    whole = _valid_prefix(lines, head.hash)
    if whole > APPEND_ENTRIES_MAX:
        refusal = f"expected at most {APPEND_ENTRIES_MAX} entries of one append, got {whole}"
        return TailVerdict(head, head, refusal=refusal)
    readable = grown = advanced(head, lines[:whole])
    adopted = lines[:whole]
    if whole == len(lines) and _valid_prefix([rest], readable.hash):
        grown = advanced(readable, [rest])
        adopted, rest = [*adopted, rest], b""
    kept = b"".join(line + b"\n" for line in adopted)
    unfinished = b"\n".join([*lines[whole:], rest])
    if b"\0" in unfinished:
        return TailVerdict(grown, readable, kept, unfinished, "nul-bytes")
    if b"\n" in unfinished:
        refusal = "expected an entry or an unfinished one, got a finished line that does not verify"
        return TailVerdict(grown, readable, kept, refusal=refusal)
    return TailVerdict(grown, readable, kept, unfinished, "no-newline" if unfinished else "")


def _valid_prefix(lines: list[bytes], prev: str) -> int:
    """Return how many of *lines* are entries that follow *prev*."""
    too_long = next((index for index, line in enumerate(lines) if len(line) > ENTRY_BYTES_MAX), len(lines))
    lines = lines[:too_long]
    try:
        chain.verify(lines, prev)
    except chain.ChainError as error:
        return error.index
    return len(lines)
