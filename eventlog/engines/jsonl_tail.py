"""
The tail rule: what may be done with bytes behind the acknowledged entries. A pure function; FORMAT.md has the table.

Acknowledged bytes are never judged here: they are good or the journal is damaged. What stands behind them was never
acknowledged. Whole valid entries there are kept (their writer may have died just before it said so); an unfinished
rest may be taken away; anything else is a riddle for a person.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from eventlog import chain
from eventlog.engines.jsonl_head import Head
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX


class TailVerdict(Struct, frozen=True):
    """
    What the bytes behind the head are.

    Attributes:
        head: the head once the whole valid entries are adopted.

        adopted: their bytes, each with its newline (the last one's is supplied where only it was missing).

        torn: the unfinished rest, perhaps empty.

        reason: `no-newline` or `nul-bytes` for a torn rest, else empty.

        refusal: why no writer may touch this, or None.
    """

    head: Head
    adopted: bytes = b""
    torn: bytes = b""
    reason: str = ""
    refusal: str | None = None


def judge(tail: bytes, head: Head) -> TailVerdict:
    """Apply the tail rule to the bytes that follow *head* (at most `APPEND_BYTES_MAX` plus one)."""
    if len(tail) > APPEND_BYTES_MAX:
        return TailVerdict(head, refusal=f"expected at most {APPEND_BYTES_MAX} bytes of one append, got more")
    lines = tail.split(b"\n")
    rest = lines.pop()
    whole = _valid_prefix(lines, head.hash)
    if whole == len(lines) and rest and _is_valid(rest, chain.hash_of(lines[-1]) if lines else head.hash):
        lines.append(rest)
        whole, rest = whole + 1, b""
    adopted = b"".join(line + b"\n" for line in lines[:whole])
    unfinished = b"\n".join([*lines[whole:], rest])
    if whole > APPEND_ENTRIES_MAX:
        return TailVerdict(head, refusal=f"expected at most {APPEND_ENTRIES_MAX} entries of one append, got {whole}")
    if whole:
        head = Head(head.size + whole, head.end_bytes + len(adopted), chain.hash_of(lines[whole - 1]))
    if b"\0" in unfinished:
        return TailVerdict(head, adopted, unfinished, "nul-bytes")
    if b"\n" in unfinished:
        return TailVerdict(
            head, adopted, refusal="expected an entry or an unfinished one, got a finished line that does not verify"
        )
    return TailVerdict(head, adopted, unfinished, "no-newline" if unfinished else "")


def sha256_of(torn: bytes) -> str:
    """Return the SHA-256 of a torn rest, 64 hex; it names the rest in quarantine and in the history."""
    return sha256(torn).hexdigest()


def _valid_prefix(lines: list[bytes], prev: str) -> int:
    """Return how many of *lines* are entries that follow *prev*."""
    too_long = next((index for index, line in enumerate(lines) if len(line) > ENTRY_BYTES_MAX), len(lines))
    lines = lines[:too_long]
    try:
        chain.verify(lines, prev)
    except chain.ChainError as error:
        return error.index
    return len(lines)


def _is_valid(line: bytes, prev: str) -> bool:
    return _valid_prefix([line], prev) == 1
