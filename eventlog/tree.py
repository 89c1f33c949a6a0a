"""
The Merkle tree over a journal's entries: one root for all, and short proofs of what is in it and what extends it.

A leaf is `SHA-256(0x00 ‖ entry)`, the entry without its newline; a node is `SHA-256(0x01 ‖ left ‖ right)`. A tree of
n leaves splits before the largest power of two that is less than n. Pure functions over leaf hashes, 32 bytes each; a
root stands for all of them, and a proof of at most 64 hashes leads to it.

    >>> leaves = [leaf_hash(entry) for entry in (b"a", b"b", b"c")]
    >>> root_from_inclusion(leaves[1], 1, 3, inclusion_proof(leaves, 1)) == root(leaves)
    True

Source: RFC 6962 section 2.1 (tree, proofs), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (how they are verified).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
PROOF_HASHES_MAX = 64
EMPTY_ROOT = sha256().digest()


class ProofError(ValueError):
    """A proof does not have the form that its sizes demand, or does not lead to the root."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the leaf of an entry."""
    return sha256(b"\x00" + entry).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree with these leaves; of none, the SHA-256 of nothing."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


class Growing:
    """A tree that grows leaf by leaf; of n leaves it keeps as many hashes as n has bits that are set."""

    def __init__(self) -> None:
        self.size = 0
        self._whole: list[bytes] = []  # roots of whole subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """Go on by one leaf."""
        found, size = leaf, self.size
        while size & 1:
            found, size = _node(self._whole.pop(), found), size >> 1
        self._whole.append(found)
        self.size += 1

    def root(self) -> bytes:
        """Return what `root` returns of the leaves so far."""
        found = self._whole[-1] if self._whole else EMPTY_ROOT
        for left in self._whole[-2::-1]:
            found = _node(left, found)
        return found


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from the leaf at *index* to the root, from the bottom up."""
    assert 0 <= index < len(leaves), "the caller knows the size"
    proof = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level = _above(level)
        index >>= 1
    return proof


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """
    Return the root of the tree of *size* leaves in which *proof* puts *leaf* at *index*.

    Raises:
        ProofError: no tree of that size has such a proof.
    """
    if not 0 <= index < size:
        raise ProofError(f"expected an index below the size {size}, got {index}")
    found, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            raise ProofError(f"expected fewer hashes for index {index} of {size}, got {len(proof)}")
        if index & 1 or index == last:
            found = _node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = _node(found, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ProofError(f"expected more hashes for the index in a tree of {size}, got {len(proof)}")
    return found


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the hashes that show that these leaves extend the first *old_size* of them; none for 0 and for all."""
    assert 0 <= old_size <= len(leaves), "the caller knows the size"
    if old_size in (0, len(leaves)):
        return []
    return _subproof(leaves, old_size, whole=True)


def check_consistency(old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """
    Check that the tree of *size* leaves extends the one of *old_size*.

    Raises:
        ProofError: it is not shown by *proof*.
    """
    if not 0 <= old_size <= size:
        raise ProofError(f"expected a size of at least {old_size}, got {size}")
    if old_size in (0, size):
        if proof:
            raise ProofError(f"expected no hashes between sizes {old_size} and {size}, got {len(proof)}")
        if old_root != (EMPTY_ROOT if old_size == 0 else new_root):
            raise ProofError(f"expected another root for size {old_size}")
        return
    old, new = _roots_of_consistency(old_size, old_root, size, proof)
    if old != old_root or new != new_root:
        raise ProofError(f"the tree of {size} entries does not extend the one of {old_size}")


def _roots_of_consistency(old_size: int, old_root: bytes, size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of both trees that *proof* leads to; *old_size* is neither 0 nor *size*."""
    index, last = old_size - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    hashes = list(proof)
    if index and not hashes:
        raise ProofError(f"expected a proof between sizes {old_size} and {size}, got none")
    old = new = hashes.pop(0) if index else old_root
    for sibling in hashes:
        if last == 0:
            raise ProofError(f"expected fewer hashes between sizes {old_size} and {size}, got {len(proof)}")
        if index & 1 or index == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = _node(new, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise ProofError(f"expected more hashes between sizes {old_size} and {size}, got {len(proof)}")
    return old, new


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _above(level: list[bytes]) -> list[bytes]:
    """Return the level above; a last hash without a partner rises as it is."""
    pairs = [_node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    return pairs + level[-1:] if len(level) & 1 else pairs


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    """Return RFC 6962's SUBPROOF; *whole*: the old tree is one that the verifier has the root of."""
    size = len(leaves)
    if old_size == size:
        return [] if whole else [root(leaves)]
    split = 1 << (size - 1).bit_length() - 1
    if old_size <= split:
        return [*_subproof(leaves[:split], old_size, whole=whole), root(leaves[split:])]
    return [*_subproof(leaves[split:], old_size - split, whole=False), root(leaves[:split])]
