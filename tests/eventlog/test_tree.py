"""The Merkle tree: roots and proofs are those of RFC 6962, as an independent library computes them."""

from __future__ import annotations

import random
from functools import cache
from hashlib import sha256

import pymerkle
import pytest
from support import LONG

from eventlog import tree
from eventlog.tree import ProofError

SIZES = 300


@pytest.fixture(scope="module")
def theirs() -> pymerkle.InmemoryTree:
    """The library's tree, grown to the largest size; it answers for every smaller one."""
    grown = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(SIZES):
        grown.append_entry(b"entry %d" % number)
    return grown


_ENTRIES = [b"entry %d" % number for number in range(SIZES)]
LEAVES = [tree.leaf_hash(entry) for entry in _ENTRIES]


def test_known_answers():
    """The empty tree, one empty leaf, and the eight leaves that Certificate Transparency tests with."""
    entries = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    leaves = [tree.leaf_hash(entry) for entry in entries]

    assert tree.root([]).hex() == sha256(b"").hexdigest()
    assert tree.root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree.root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_roots_agree_for_every_size(theirs):
    """Ours of the first n leaves is theirs."""
    for size in range(1, SIZES + 1):
        assert tree.root(LEAVES[:size]) == theirs.get_root(size)


def test_a_tree_that_grows():
    """After each leaf its root is the one of all leaves so far, and of them it keeps but a few hashes."""
    growing = tree.Growing()
    assert growing.root() == tree.root([])
    for size, leaf in enumerate(LEAVES[:SIZES], 1):
        growing.add(leaf)

        assert (growing.size, growing.root()) == (size, tree.root(LEAVES[:size]))
        assert len(growing._whole) == size.bit_count()


def test_inclusion_proofs_agree_for_every_size(theirs, tally):
    """Theirs leads to the same root as ours, and ours has the same hashes without theirs' own leaf."""
    for size in range(1, SIZES + 1):
        root = tree.root(LEAVES[:size])
        indices = range(size) if LONG or size <= 40 else {0, 1, size // 3, size // 2, size - 2, size - 1}
        for index in indices:
            proof = tree.inclusion_proof(LEAVES[:size], index)
            found = theirs.prove_inclusion(index + 1, size).serialize()["path"]

            assert tree.root_from_inclusion(LEAVES[index], index, size, proof) == root
            assert sorted([LEAVES[index].hex(), *(item.hex() for item in proof)]) == sorted(found)
        tally("inclusion proof beside the library's", len(indices))


@cache
def _their_root(start: int, stop: int) -> bytes:
    return bytes(pymerkle.InmemoryTree.init_from_entries(_ENTRIES[start:stop], algorithm="sha256").get_root())


def _subproof(start: int, stop: int, old: int, whole: bool) -> list[bytes]:
    """RFC 6962 section 2.1.2, read off the page, with the library's roots."""
    if old == stop:
        return [] if whole else [_their_root(start, stop)]
    split = start + max(1 << power for power in range(10) if 1 << power < stop - start)
    if old <= split:
        return [*_subproof(start, split, old, whole), _their_root(split, stop)]
    return [*_subproof(split, stop, old, False), _their_root(start, split)]


def test_consistency_proofs_agree_for_every_size(theirs, tally):
    """Ours is what the RFC defines, made of the library's roots; ours and theirs are both accepted."""
    for size in range(1, SIZES + 1):
        root = tree.root(LEAVES[:size])
        olds = range(1, size + 1) if LONG or size <= 40 else {1, 2, size // 3, size // 2, size - 1, size}
        for old in olds:
            old_root = tree.root(LEAVES[:old])
            proof = tree.consistency_proof(LEAVES[:size], old)

            assert proof == _subproof(0, size, old, True)
            tree.check_consistency(old, old_root, size, root, proof)
            pymerkle.verify_consistency(old_root, root, theirs.prove_consistency(old, size))
        tally("consistency proof beside the library's", len(olds))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21])
def test_no_other_inclusion_is_proven(size):
    """A proof that is cut, extended, altered, or for another index, size or leaf does not lead to the root."""
    leaves, root = LEAVES[:size], tree.root(LEAVES[:size])
    for index in range(size):
        proof = tree.inclusion_proof(leaves, index)
        others = [proof[:-1]] if proof else []
        others += [[*proof, LEAVES[99]], *(_altered(proof, at) for at in range(len(proof)))]
        for other in others:
            assert _leads_to(leaves[index], index, size, other) != root
        for wrong in range(-1, size + 1):
            if wrong != index:
                assert _leads_to(leaves[index], wrong, size, proof) != root
        assert _leads_to(LEAVES[99], index, size, proof) != root


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21])
def test_no_other_extension_is_proven(size):
    """Neither by a proof that is cut, extended or altered, nor for another old size or root."""
    leaves, root = LEAVES[:size], tree.root(LEAVES[:size])
    for old in range(1, size + 1):
        old_root, proof = tree.root(leaves[:old]), tree.consistency_proof(leaves, old)
        others = [proof[:-1]] if proof else []
        others += [[*proof, LEAVES[99]], *(_altered(proof, at) for at in range(len(proof)))]
        for other in others:
            with pytest.raises(ProofError):
                tree.check_consistency(old, old_root, size, root, other)
        for wrong_old, wrong_root in ((old, LEAVES[99]), (old + size, old_root), (-1, old_root)):
            with pytest.raises(ProofError):
                tree.check_consistency(wrong_old, wrong_root, size, root, proof)
        with pytest.raises(ProofError):
            tree.check_consistency(old, old_root, size, LEAVES[99], proof)


def test_forks_are_refused():
    """Two histories that part anywhere cannot be shown as one, whatever hashes either knows."""
    chance = random.Random(3)
    for _ in range(200):
        size = chance.randrange(2, 40)
        old = chance.randrange(1, size + 1)
        fork = list(LEAVES[:size])
        fork[chance.randrange(old)] = tree.leaf_hash(b"forged")

        with pytest.raises(ProofError):
            tree.check_consistency(
                old, tree.root(LEAVES[:old]), size, tree.root(fork), tree.consistency_proof(fork, old)
            )


def test_the_empty_tree():
    """Everything extends it, without a proof; and only it."""
    tree.check_consistency(0, tree.EMPTY_ROOT, 5, tree.root(LEAVES[:5]), [])
    for root, proof in ((LEAVES[0], []), (tree.EMPTY_ROOT, [LEAVES[0]])):
        with pytest.raises(ProofError):
            tree.check_consistency(0, root, 5, tree.root(LEAVES[:5]), proof)


def _altered(proof: list[bytes], at: int) -> list[bytes]:
    return [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]


def _leads_to(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    try:
        return tree.root_from_inclusion(leaf, index, size, proof)
    except ProofError:
        return None
