r"""
The head file: how much of the journal is acknowledged. Two slots of 128 bytes, written in place; pure functions.

    <size:20> <end offset_bytes:20> <hash:64> <first 16 hex of the SHA-256 of what precedes>    \n

Each append writes the slot that does *not* hold the newest value, so a torn write can only harm the older one. (Writing
slot `size & 1` would do so for appends of one entry only: two appends of two entries each hit the same slot.) Writing
in place needs no new block, no rename and no directory sync, so it also works on a full disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from msgspec import Struct

from eventlog import chain
from eventlog.chain import GENESIS

SLOT_BYTES = 128
HEAD_BYTES = 2 * SLOT_BYTES
_SLOT = re.compile(rb"([0-9]{20}) ([0-9]{20}) ([0-9a-f]{64}) ([0-9a-f]{16}) {4}\n")


class Head(Struct, frozen=True):
    """What is acknowledged: *size* entries in the first *end_bytes* bytes, the last of them with *hash*."""

    size: int = 0
    end_bytes: int = 0
    hash: str = GENESIS


class HeadFile(Struct, frozen=True):
    """
    What the two slots say.

    Attributes:
        newest: the valid slot with the larger size, or None when neither is valid.

        spare: the slot that the next write goes to, 0 or 1.

        valid: how many of the two are valid.
    """

    newest: Head | None
    spare: int
    valid: int


def format_slot(head: Head) -> bytes:
    """Return the 128 bytes of a slot."""
    text = b"%020d %020d %b" % (head.size, head.end_bytes, head.hash.encode())
    return b"%b %b    \n" % (text, _check(text))


def advanced(head: Head, entries: Sequence[bytes]) -> Head:
    """Return the head behind *entries*, newlines counted."""
    if not entries:
        return head
    return Head(
        head.size + len(entries), head.end_bytes + sum(map(len, entries)) + len(entries), chain.hash_of(entries[-1])
    )


@lru_cache(maxsize=4)  # of two slots only one changes between two looks
def parse_slot(slot: bytes) -> Head | None:
    """Return what a slot says, or None when it is not, to the letter, what `format_slot` writes."""
    match = _SLOT.fullmatch(slot)
    if match is None or match[4] != _check(slot[:106]):
        return None
    return Head(int(match[1]), int(match[2]), match[3].decode())


def parse(data: bytes) -> HeadFile:
    """Return what the bytes of a head file say; missing bytes make slots invalid, surplus ones are ignored."""
    first, second = parse_slot(data[:SLOT_BYTES]), parse_slot(data[SLOT_BYTES:HEAD_BYTES])
    if first is None:
        return HeadFile(second, 0, int(second is not None))
    if second is None:
        return HeadFile(first, 1, 1)
    return HeadFile(first, 1, 2) if first.size >= second.size else HeadFile(second, 0, 2)


def _check(text: bytes) -> bytes:
    return sha256(text).hexdigest()[:16].encode()
