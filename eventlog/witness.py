r"""
A witness remembers the newest tree head it has seen of a journal, and refuses whatever does not extend it.

It needs no access to the journal: what it is asked is a text,

    old 40
    <base64 of each hash of the consistency proof, one a line>

    <the signed tree head>

and what it keeps is one small file: that tree head, with its own signature under it where it has a key. Whoever
rewrites a journal, or sets both its directories back, cannot take back what a witness elsewhere has seen.

Source: the request and the checks of C2SP's witness protocol, without its transport.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from eventlog import signed_note, tree, tree_head
from eventlog.errors import EvidenceError, RefusedError
from eventlog.signed_note import NOTE_BYTES_MAX, Note, PrivateKey, PublicKey
from eventlog.tree import PROOF_HASHES_MAX, ProofError
from eventlog.tree_head import TreeHead

REQUEST_BYTES_MAX = NOTE_BYTES_MAX + 8_192
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Request(Struct, frozen=True):
    """
    What a witness is asked: to move on from *old_size* entries to the tree head *note*.

    Attributes:
        proof: hashes of 32 bytes.

        note: the signed tree head, as it is written.
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def spelled(self) -> bytes:
        """Return the request as it is written."""
        hashes = "".join(f"{signed_note.encoded(item)}\n" for item in self.proof)
        return f"old {self.old_size}\n{hashes}\n".encode() + self.note


class Seen(Struct, frozen=True):
    """
    What a witness answers.

    Attributes:
        before: how many entries it had seen.

        head: what it has seen now.

        state: the bytes of its file: the tree head with the journal's signatures and its own.
    """

    before: int
    head: TreeHead
    state: bytes


def parse_request(data: bytes, where: str) -> Request:
    """Return the request that *data* spells in the one way there is. Raises RefusedError where it is none."""
    try:
        if len(data) > REQUEST_BYTES_MAX:
            raise ValueError(f"more than {REQUEST_BYTES_MAX} bytes")
        text, _, note = data.decode().partition("\n\n")
        lines = text.split("\n")
        old = _OLD.fullmatch(lines[0])
        if old is None:
            raise ValueError("another first line than 'old SIZE'")
        if len(lines) - 1 > PROOF_HASHES_MAX:
            raise ValueError(f"more than {PROOF_HASHES_MAX} hashes")
        proof = tuple(map(signed_note.decoded, lines[1:]))
        if any(len(item) != tree.HASH_BYTES for item in proof):
            raise ValueError("a hash of another length")
        request = Request(int(old[1]), proof, note.encode())
        if request.spelled() != data:
            raise ValueError("another spelling than the one there is")
    except ValueError as error:
        raise RefusedError(
            f"{where}: expected a consistency proof, as prove-consistency writes it, got {error}"
        ) from None
    return request


def size_of(state: bytes | None, where: str) -> int:
    """Return how many entries a witness has seen that keeps *state*; 0 without one. Raises RefusedError."""
    return 0 if state is None else tree_head.parsed(state, where)[0].size


def observe(
    state: bytes | None,
    request: Request,
    keys: Sequence[PublicKey],
    cosigner: PrivateKey | None,
    now_seconds: int,
    where: str,
) -> Seen:
    """
    Decide on a request; the caller keeps `Seen.state` before it answers anybody.

    Args:
        state: what the witness keeps, or None before the first tree head, which is taken on trust.

        keys: the journal's public keys, one of which must have signed.

        cosigner: the witness's own key, or None.

        now_seconds: since 1970, for its signature.

        where: the state's path, for messages.

    Raises:
        EvidenceError: the tree head does not extend what was seen, or is of another journal, or signed by nobody known.

        RefusedError: the request begins at another size than what was seen, or something is malformed.
    """
    head, note = tree_head.parsed(request.note, "tree head")
    if all(note.signed_by(key) is None for key in keys):
        names = ", ".join(f"{key.name}+{key.id.hex()}" for key in keys)
        raise EvidenceError(f"tree head: expected a signature of {names}, got {note.signers()}")
    seen = None if state is None else tree_head.parsed(state, where)[0]
    before = 0 if seen is None else seen.size
    if seen is not None:
        _check_extends(seen, head, request, where)
    elif request.old_size or request.proof:
        raise RefusedError(f"{where}: nothing was seen yet: expected a proof from old size 0, got {request.old_size}")
    signatures = note.signatures
    if cosigner is not None:
        signatures = (*signatures, signed_note.sign(head.text, cosigner, now_seconds))
    return Seen(before, head, str(Note(head.text, signatures)).encode())


def _check_extends(seen: TreeHead, head: TreeHead, request: Request, where: str) -> None:
    if head.origin != seen.origin:
        raise EvidenceError(f"{where}: expected a tree head of {seen.origin}, got one of {head.origin}")
    if head.size < seen.size:
        raise EvidenceError(
            f"{where}: expected at least {seen.size} entries, as were seen, got {head.size}: the journal was rewound"
        )
    if request.old_size != seen.size:
        raise RefusedError(f"{where}: expected a proof from old size {seen.size}, got one from {request.old_size}")
    try:
        tree.check_consistency(seen.size, seen.root, head.size, head.root, request.proof)
    except ProofError as error:
        raise EvidenceError(f"{where}: {error}: history was rewritten, or the proof is of another") from None
