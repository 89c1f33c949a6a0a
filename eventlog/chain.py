"""
The hash chain: each entry ends in the hash of its own bytes and holds the hash of the entry before it.

An entry is one line of bytes whose last 149 bytes are `,"prev":"<64 hex>","hash":"<64 hex>"}`. `hash` is the SHA-256
of all that precedes the 75-byte suffix `,"hash":"…"}`; `prev` lies inside those bytes, so one hash covers an entry and
everything before it. The first entry has 64 zeros as `prev`. What stands before `prev` is opaque here: the chain can
be checked without knowing any event.

    >>> first = seal(b'{"data":1', GENESIS)
    >>> second = seal(b'{"data":2', hash_of(first))
    >>> verify([first, second], GENESIS) == hash_of(second)
    True

Source: linked time-stamping, Haber and Stornetta 1991; FORMAT.md says how a line is checked with `sed` and `sha256sum`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from operator import itemgetter

GENESIS = "0" * 64
SUFFIX_BYTES = 75
LINK_BYTES = SUFFIX_BYTES + 74
_HASH_KEY = b',"hash":"'
_PREV_KEY = b',"prev":"'
_hashed = itemgetter(slice(None, -SUFFIX_BYTES))
_link = itemgetter(slice(-LINK_BYTES, None))


class ChainError(ValueError):
    """
    An entry does not fit.

    Attributes:
        index: which of the entries handed in, 0-based.

        expected, got: what should stand there, and what does: two hashes, or words.

    Args:
        what: what the two are, where they do not say it themselves.
    """

    def __init__(self, index: int, expected: str, got: str, what: str = "") -> None:
        super().__init__(f"expected {what}{expected}, got {got}")
        self.index = index
        self.expected = expected
        self.got = got


def seal(body: bytes, prev: str) -> bytes:
    """Return the entry: *body* (JSON without its closing brace), linked to *prev* (64 hex), with its own hash."""
    linked = b'%b,"prev":"%b"' % (body, prev.encode())
    return b'%b,"hash":"%b"}' % (linked, sha256(linked).hexdigest().encode())


def hash_of(entry: bytes) -> str:
    """Return the hash that a verified *entry* ends in, 64 hex digits."""
    return entry[-66:-2].decode()


def prev_of(entry: bytes) -> str:
    """Return the hash of the entry before a verified *entry*, 64 hex digits."""
    return entry[-140:-76].decode()


def is_sealed(entry: bytes) -> bool:
    """Say whether *entry* ends in the hash of its own bytes, whatever it follows."""
    return _framed(entry) and entry[-66:-2] == sha256(entry[:-SUFFIX_BYTES]).hexdigest().encode()


def body_of(entry: bytes) -> bytes:
    """Return what `seal` was given: the bytes of a verified *entry* before `prev`."""
    return entry[:-LINK_BYTES]


def verify(entries: Sequence[bytes], prev: str) -> str:
    """
    Check that *entries* follow one another and the entry whose hash is *prev*; return the hash of the last.

    Raises:
        ChainError: the first one that does not fit.
    """
    if not entries:
        return prev
    actual = [digest.hexdigest() for digest in map(sha256, map(_hashed, entries))]
    links = [prev, *actual[:-1]]
    ends = '"},"prev":"'.join(map('","hash":"'.join, zip(links, actual, strict=True)))
    if f',"prev":"{ends}"}}'.encode() != b"".join(map(_link, entries)) or (min(map(len, entries)) <= LINK_BYTES):
        _explain(entries, prev, actual)
    return actual[-1]


def _framed(entry: bytes) -> bool:
    return (
        len(entry) > LINK_BYTES
        and entry[-SUFFIX_BYTES:-66] == _HASH_KEY
        and entry[-2:] == b'"}'
        and entry[-LINK_BYTES:-140] == _PREV_KEY
        and entry[-76:-SUFFIX_BYTES] == b'"'
    )


def _explain(entries: Sequence[bytes], prev: str, actual: list[str]) -> None:
    """
    Find the first misfit and raise; hash before link, because a wrong hash makes the next link wrong too.

    Of a hash, what the entry states is expected, and what its bytes give is what we got.
    """
    for index, (entry, link) in enumerate(zip(entries, [prev, *actual[:-1]], strict=True)):
        if not _framed(entry):
            raise ChainError(index, "a line that ends in its prev and hash", f"{len(entry)} bytes that do not")
        if entry[-66:-2] != actual[index].encode():
            raise ChainError(index, _text(entry[-66:-2]), actual[index], "hash ")
        if entry[-140:-76] != link.encode():
            raise ChainError(index, link, _text(entry[-140:-76]), "prev ")
    raise AssertionError("the caller found a misfit")


def _text(digits: bytes) -> str:
    return digits.decode("ascii", "backslashreplace")
