"""Receipts and witnesses' requests: one spelling, every bit counts, and only what leads to a signed root holds."""

from __future__ import annotations

import pytest
from support import Place, outcome_of

from eventlog import receipt as receipts
from eventlog import signed_note, tree, tree_head, witness
from eventlog.errors import EvidenceError, ModelogError, RefusedError
from eventlog.journal import Anchor
from eventlog.receipt import Receipt
from eventlog.signed_note import KIND_LOG, KIND_WITNESS, PrivateKey
from eventlog.witness import Request
from projections.evidence import issue_receipt

KEY = PrivateKey("example.com/models", KIND_LOG, bytes(range(32)))
OTHER = PrivateKey("example.com/other", KIND_LOG, bytes(range(1, 33)))
WITNESS = PrivateKey("example.com/w", KIND_WITNESS, bytes(range(2, 34)))
LEAVES = [tree.leaf_hash(b"%d" % number) for number in range(20)]


@pytest.fixture
def issued(place: Place) -> tuple[Place, bytes, str]:
    """A place, a receipt for its second model, and the hash of that model's artifact."""
    registry = place.open(sign_key=KEY.spelled())
    models = [place.publish(name, registry=registry) for name in "abcde"]
    path = place.root / "receipt"
    issue_receipt(models[1].model_id, place.registry_dir, place.state_dir, destination=path)
    return place, path.read_bytes(), models[1].sha256


def test_what_it_proves(issued: tuple[Place, bytes, str]) -> None:
    """The event as it stands in the journal, and the tree head that was signed."""
    place, data, sha256 = issued

    proven = receipts.verify(receipts.parse(data, "r"), KEY.public, sha256, "r")

    assert proven.event == place.event(3)
    assert proven.head.size == 7
    assert receipts.parse(data, "r").spelled() == data


def test_every_flipped_bit_is_noticed(issued: tuple[Place, bytes, str], tally) -> None:
    """No receipt that differs in a bit is good."""
    _, data, sha256 = issued
    for bit in range(0, len(data) * 8, 3):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        refused = outcome_of(lambda: receipts.verify(receipts.parse(bytes(flipped), "r"), KEY.public, sha256, "r"))  # noqa: B023
        assert isinstance(refused, RefusedError | EvidenceError | ModelogError), bit
    tally("flipped bit of a receipt", len(range(0, len(data) * 8, 3)))


def test_what_does_not_fit(issued: tuple[Place, bytes, str]) -> None:
    """Another file, another key, another entry of the same journal under this one's proof."""
    place, data, sha256 = issued
    good = receipts.parse(data, "r")
    entry = place.lines()[4][:-1]
    cases = [
        (good, KEY, "0" * 64),
        (good, OTHER, sha256),
        (Receipt(entry, 3, good.proof, good.note), KEY, sha256),
        (Receipt(good.entry, 4, good.proof, good.note), KEY, sha256),
        (Receipt(good.entry, 3, good.proof[:-1], good.note), KEY, sha256),
    ]
    for receipt, key, artifact in cases:
        refused = outcome_of(lambda: receipts.verify(receipt, key.public, artifact, "r"))  # noqa: B023
        assert isinstance(refused, EvidenceError)
        assert "expected" in str(refused) or "proof" in str(refused)


def test_only_a_publication_is_proven(issued: tuple[Place, bytes, str]) -> None:
    """The first entry is in the tree, too, but publishes nothing."""
    place, _, sha256 = issued
    entries = [line[:-1] for line in place.lines()]
    leaves = [tree.leaf_hash(entry) for entry in entries]
    note = (place.registry_dir / "tree_head.note").read_bytes()

    receipt = Receipt(entries[0], 0, tuple(tree.inclusion_proof(leaves, 0)), note)

    with pytest.raises(EvidenceError, match="expected the publication of a model, got journal"):
        receipts.verify(receipt, KEY.public, sha256, "r")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 00\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\nAAAA\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra AAA\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v2\nextra AAAA\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n" + b"A" * 43 + b"=\n" * 70,
        b"\xff",
        b"x" * 300_000,
    ],
)
def test_what_is_no_receipt(data: bytes) -> None:
    """It is refused in one line."""
    refused = outcome_of(lambda: receipts.parse(data, "r"))

    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("r: expected a receipt, got ")


def _note(size: int, *, key: PrivateKey = KEY, fork: bool = False, journal: str = "j") -> bytes:
    leaves = [tree.leaf_hash(b"fork"), *LEAVES[1:size]] if fork else LEAVES[:size]
    head = tree_head.head_of(Anchor(journal, size, "c" * 64), leaves)
    return str(tree_head.sign(head, [key])).encode()


def _request(old: int, size: int, **settings: bool | str | PrivateKey) -> Request:
    proof = tuple(tree.consistency_proof(LEAVES[:size], old)) if old <= size else ()
    return Request(old, proof, _note(size, **settings))  # type: ignore[arg-type]


def _state(size: int) -> bytes:
    return witness.observe(None, _request(0, size), [KEY.public], WITNESS, 5, "w").state


def test_a_witness_moves_on() -> None:
    """From any size to any larger one, and what it keeps bears both signatures."""
    for old in range(1, 20):
        for size in range(old, 21):
            seen = witness.observe(_state(old), _request(old, size), [KEY.public], WITNESS, 7, "w")

            head, note = tree_head.parsed(seen.state, "w")
            assert (seen.before, head.size, seen.head) == (old, size, head)
            assert (note.signed_by(KEY.public), note.signed_by(WITNESS.public)) == (0, 7)
    request = _request(3, 9)
    assert witness.parse_request(request.spelled(), "r") == request


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (_request(0, 4), EvidenceError),
        (_request(5, 4), EvidenceError),
        (_request(4, 9), RefusedError),
        (_request(0, 9), RefusedError),
        (Request(5, (), _note(9)), EvidenceError),
        (Request(5, tuple(tree.consistency_proof(LEAVES[:9], 5)), _note(9, fork=True)), EvidenceError),
        (_request(5, 5, fork=True), EvidenceError),
        (_request(5, 9, key=OTHER), EvidenceError),
        (_request(5, 9, journal="other"), EvidenceError),
    ],
)
def test_what_a_witness_refuses(request_: Request, kind: type[Exception]) -> None:
    """A shorter journal, a fork, another journal, another key; and a proof from elsewhere, which may be asked anew."""
    assert type(outcome_of(lambda: witness.observe(_state(5), request_, [KEY.public], WITNESS, 7, "w"))) is kind


@pytest.mark.parametrize(
    "data", [b"", b"old x\n\n", b"old 01\n\nx", b"old 1\nAAAA\n\nx", b"old 1\n" + b"A" * 99, b"\xff", b"x" * 90_000]
)
def test_what_is_no_request(data: bytes) -> None:
    """It is refused in one line."""
    assert isinstance(outcome_of(lambda: witness.parse_request(data, "r")), RefusedError)


def test_the_spelling_of_keys_is_bound_to_their_kind() -> None:
    """A witness's key does not pass for a journal's of the same bytes."""
    as_log = PrivateKey(WITNESS.name, KIND_LOG, WITNESS.seed)

    assert as_log.public.id != WITNESS.public.id
    assert signed_note.parse_public_key(str(as_log.public), "k") != WITNESS.public
