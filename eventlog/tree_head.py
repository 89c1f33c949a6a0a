"""
Tree heads: how many entries a journal had and what they hang on, signed. Pure.

    modelog/9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7
    42
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    chain c52ffab8d69244923a9cc012b793ea2b3ba722f5f0d5237eec63d5d4add26b3e

    — modelog/9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7 Az3grlgt…

The origin names the journal, so a tree head of another journal does not fit. The third line is the Merkle root, from
which short proofs hang. The fourth is the hash of the last entry: with it a tree head can be compared with the journal
as any anchor is, without hashing the tree, and the signature covers both.

Source: C2SP's format of tree heads in transparency logs; the fourth line is what it calls an extension.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from msgspec import Struct

from eventlog import signed_note, tree
from eventlog.errors import RefusedError
from eventlog.journal import Anchor
from eventlog.signed_note import Note, PrivateKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CHAIN = re.compile(r"chain ([0-9a-f]{64})")
_ORIGIN = "modelog/"


class TreeHead(Struct, frozen=True):
    """
    What a journal was at one moment.

    Attributes:
        origin: which journal.

        size: how many entries.

        root: of the Merkle tree over them, 32 bytes.

        chain: the hash of the last one, 64 hex.
    """

    origin: str
    size: int
    root: bytes
    chain: str

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\nchain {self.chain}\n"

    @property
    def anchor(self) -> Anchor:
        """The same as what other files remember of a journal."""
        return Anchor(self.origin.removeprefix(_ORIGIN), self.size, self.chain)


def origin_of(journal_id: str) -> str:
    """Return the origin of a journal's tree heads."""
    return _ORIGIN + journal_id


def head_of(anchor: Anchor, leaves: Sequence[bytes]) -> TreeHead:
    """Return the tree head of a journal of which *anchor* is the whole, with these leaf hashes."""
    assert len(leaves) == anchor.size, "one leaf an entry"
    return TreeHead(origin_of(anchor.journal_id), anchor.size, tree.root(leaves), anchor.hash)


def sign(head: TreeHead, keys: Sequence[PrivateKey]) -> Note:
    """Return the signed tree head. Raises RefusedError where `cryptography` is not installed."""
    return Note(head.text, tuple(signed_note.sign(head.text, key) for key in keys))


def of_note(note: Note, where: str) -> TreeHead:
    """
    Return the tree head that a note's text spells, in the one way there is.

    Raises:
        RefusedError: it is none.
    """
    lines = note.text.split("\n")
    try:
        chain = _CHAIN.fullmatch(lines[3]) if len(lines) == 5 else None
        if chain is None or not lines[0].startswith(_ORIGIN) or not _SIZE.fullmatch(lines[1]):
            raise ValueError("other lines")
        root = signed_note.decoded(lines[2])
        if len(root) != tree.HASH_BYTES:
            raise ValueError(f"a root of {len(root)} bytes")
    except ValueError as error:
        raise RefusedError(f"{where}: expected a tree head (origin, size, root, chain), got {error}") from None
    return TreeHead(lines[0], int(lines[1]), root, chain[1])


def parsed(data: bytes, where: str) -> tuple[TreeHead, Note]:
    """Return the tree head that *data* spells, and its note, unverified. Raises RefusedError where it is none."""
    note = signed_note.parse(data, where)
    return of_note(note, where), note
