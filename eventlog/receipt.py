"""
Receipts: proof that a model was published in a journal, for whoever has the receipt, the model's file and a public key.

    c2sp.org/tlog-proof@v1
    extra <base64 of the entry, which says what was published, when and by whom>
    index 42
    <base64 of each hash of the inclusion proof, one a line>

    <the signed tree head>

The entry is not authenticated by itself: it counts because its hash leads to the root that was signed. Pure.

Source: C2SP's format of proofs from transparency logs, version 1.
"""

from __future__ import annotations

import re

from msgspec import Struct

from eventlog import chain, codec, signed_note, tree, tree_head
from eventlog.errors import EvidenceError, RefusedError
from eventlog.events import Event, ModelPublished
from eventlog.journal import ENTRY_BYTES_MAX
from eventlog.signed_note import NOTE_BYTES_MAX, PublicKey
from eventlog.tree import PROOF_HASHES_MAX, ProofError
from eventlog.tree_head import TreeHead

SUFFIX = ".tlog-proof"
BYTES_MAX = 2 * ENTRY_BYTES_MAX + NOTE_BYTES_MAX
_MAGIC = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class Receipt(Struct, frozen=True):
    """
    One entry and what leads from it to a signed root.

    Attributes:
        entry: without its newline.

        index: its position.

        proof: hashes of 32 bytes, from the leaf up.

        note: the signed tree head, as it is written.
    """

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    note: bytes

    def spelled(self) -> bytes:
        """Return the receipt as it is written."""
        hashes = "".join(f"{signed_note.encoded(item)}\n" for item in self.proof)
        start = f"{_MAGIC}\nextra {signed_note.encoded(self.entry)}\nindex {self.index}\n{hashes}\n"
        return start.encode() + self.note


class Proven(Struct, frozen=True):
    """What a receipt shows: that *event* stands in the journal whose *head* was signed."""

    event: Event
    head: TreeHead


def is_receipt(data: bytes) -> bool:
    """Say whether *data* begins as a receipt does."""
    return data.startswith(f"{_MAGIC}\n".encode())


def parse(data: bytes, where: str) -> Receipt:
    """Return the receipt that *data* spells in the one way there is. Raises RefusedError where it is none."""
    try:
        if len(data) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX} bytes")
        text, _, note = data.decode().partition("\n\n")
        lines = text.split("\n")
        index = _INDEX.fullmatch(lines[2]) if len(lines) > 2 else None
        if lines[0] != _MAGIC or index is None or not lines[1].startswith("extra "):
            raise ValueError("other lines")
        if len(lines) - 3 > PROOF_HASHES_MAX:
            raise ValueError(f"more than {PROOF_HASHES_MAX} hashes")
        proof = tuple(map(signed_note.decoded, lines[3:]))
        if any(len(item) != tree.HASH_BYTES for item in proof):
            raise ValueError("a hash of another length")
        entry = signed_note.decoded(lines[1].removeprefix("extra "))
        receipt = Receipt(entry, int(index[1]), proof, note.encode())
        if receipt.spelled() != data:
            raise ValueError("another spelling than the one there is")
    except ValueError as error:
        raise RefusedError(f"{where}: expected a receipt, got {error}") from None
    return receipt


def verify(receipt: Receipt, key: PublicKey, artifact_sha256: str, where: str, *, is_directory: bool = False) -> Proven:
    """
    Return what a receipt shows of a file with this SHA-256, 64 hex, or of a directory whose manifest has it.

    Raises:
        EvidenceError: it does not show that the artifact was published, or *key* did not sign it.

        RefusedError: it is malformed, or `cryptography` is not installed.
    """
    head, note = tree_head.parsed(receipt.note, where)
    if note.signed_by(key) is None:
        raise EvidenceError(f"{where}: expected a signature of {key.name}+{key.id.hex()}, got {note.signers()}")
    try:
        root = tree.root_from_inclusion(tree.leaf_hash(receipt.entry), receipt.index, head.size, receipt.proof)
    except ProofError as error:
        raise EvidenceError(f"{where}: {error}: this proof is of another entry or tree") from None
    if root != head.root:
        raise EvidenceError(f"{where}: expected root {head.root.hex()}, as was signed, got {root.hex()} from the entry")
    if not chain.is_sealed(receipt.entry):
        raise EvidenceError(f"{where}: expected an entry that ends in its own hash, got another")
    event = codec.decode(receipt.entry, receipt.index, head.anchor.journal_id, where)
    if not isinstance(event.data, ModelPublished):
        raise EvidenceError(f"{where}: expected the publication of a model, got {event.type}")
    if event.data.sha256 != artifact_sha256:
        raise EvidenceError(
            f"{where}: expected an artifact with sha256 {event.data.sha256}, as {event.subject} was published, "
            f"got {artifact_sha256}"
        )
    if (event.data.artifact_files is not None) != is_directory:
        expected, got = ("a file", "a directory") if is_directory else ("a directory", "a file")
        raise EvidenceError(f"{where}: expected {expected}, as {event.subject} was published, got {got}")
    return Proven(event, head)
