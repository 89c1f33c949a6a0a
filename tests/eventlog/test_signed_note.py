"""Signed notes and tree heads: one spelling, only what a trusted key signed, and OpenSSL says the same."""

from __future__ import annotations

import base64
import subprocess

import pytest
from support import outcome_of

from eventlog import signed_note, tree, tree_head
from eventlog.errors import RefusedError
from eventlog.signed_note import KIND_LOG, KIND_WITNESS, Note, PrivateKey
from eventlog.tree_head import TreeHead

LOG = PrivateKey("modelog/j", KIND_LOG, bytes(range(32)))
OTHER = PrivateKey("modelog/j", KIND_LOG, bytes(range(1, 33)))
WITNESS = PrivateKey("witness.example/w1", KIND_WITNESS, bytes(range(2, 34)))
HEAD = TreeHead("modelog/j", 42, tree.leaf_hash(b"x"), "c" * 64)


def test_a_note_that_others_made():
    """The example of the specification, with its key: read, verified, spelled again to the same bytes."""
    key = signed_note.parse_public_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "k")
    data = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()

    note = signed_note.parse(data, "n")

    assert note.signed_by(key) == 0
    assert str(note).encode() == data
    assert signed_note.parse(data.replace(b"your problem is", b"our problem is"), "n").signed_by(key) is None


def test_keys_are_spelled_and_read():
    """What keygen writes is read back; a private key never shows in its representation."""
    for key in (LOG, WITNESS):
        assert signed_note.parse_private_key(key.spelled() + "\n", "f") == key
        assert signed_note.parse_public_key(str(key.public) + "\n", "f") == key.public
        assert base64.b64encode(key.seed).decode()[:8] not in repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b+c",
        str(LOG.public).replace("modelog", "model"),
        str(LOG.public)[:-1],
        str(LOG.public).replace("+A", "+B", 1),
        str(LOG.public) + "A",
        LOG.spelled(),
        "x" * 300 + str(LOG.public),
    ],
)
def test_what_is_no_public_key(text):
    """It is refused in one line; a private key in its place is not quoted."""
    refused = outcome_of(lambda: signed_note.parse_public_key(text, "f"))

    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("f: expected a public key")
    assert base64.b64encode(LOG.seed).decode()[4:12] not in str(refused)


@pytest.mark.parametrize("text", ["", "a", str(LOG.public), LOG.spelled()[:-2], LOG.spelled().replace("modelog", "x")])
def test_what_is_no_private_key(text):
    """It is refused in one line, without a byte of it."""
    refused = outcome_of(lambda: signed_note.parse_private_key(text, "f"))

    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("f: expected a private key")
    assert len(text) < 20 or text[-20:] not in str(refused)


def test_a_signed_tree_head():
    """The same head and key give the same bytes; the key that signed is found, no other."""
    note = tree_head.sign(HEAD, [LOG])
    data = str(note).encode()

    assert str(tree_head.sign(HEAD, [LOG])).encode() == data
    assert tree_head.parsed(data, "n") == (HEAD, note)
    assert [note.signed_by(key.public) for key in (LOG, OTHER, WITNESS)] == [0, None, None]


def test_a_cosignature_says_when():
    """A witness's signature covers its time; the same note may bear both."""
    signature = signed_note.sign(HEAD.text, WITNESS, 1_700_000_000)
    note = Note(HEAD.text, (*tree_head.sign(HEAD, [LOG]).signatures, signature))

    assert (note.signed_by(WITNESS.public), note.signed_by(LOG.public)) == (1_700_000_000, 0)
    moved = signed_note.Signature(signature.name, signature.key_id, bytes(8) + signature.data[8:])
    assert Note(HEAD.text, (moved,)).signed_by(WITNESS.public) is None


def test_every_flipped_bit_is_noticed(tally):
    """No note that differs in a bit is read as signed by the key."""
    data = str(tree_head.sign(HEAD, [LOG])).encode()
    found: list[Note] = []
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        refused = outcome_of(lambda: found.append(signed_note.parse(bytes(flipped), "n")))  # noqa: B023
        assert isinstance(refused, RefusedError) or found.pop().signed_by(LOG.public) is None
    tally("flipped bit of a signed tree head", len(data) * 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\n\n",
        b"text\n\nsigned\n",
        "text\n\n— a QUJD\n".encode(),
        "text\n\n— a QUJDREVG\r\n".encode(),
        "te\x1bxt\n\n— a QUJDREVG\n".encode(),
        "text\n\n— a QUJDREVG".encode(),
        "text\n\n— a b QUJDREVG\n".encode(),
        "text\n\n—  QUJDREVG\n".encode(),
        "text\n\n— a QUJDREV=\n".encode(),
        b"\xff\n\n",
        b"x" * 70_000,
        b"text\n\n" + "— a QUJDREVG\n".encode() * 65,
    ],
)
def test_what_is_no_note(data):
    """It is refused in one line that names where it stood."""
    refused = outcome_of(lambda: signed_note.parse(data, "f"))

    assert isinstance(refused, RefusedError)
    assert str(refused).startswith("f: expected a signed note")


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n",
        "a\n01\nQQ==\n",
        "a\n1\nQQ==\n",
        HEAD.text + "more\n",
        HEAD.text.replace("chain ", "chain  "),
        HEAD.text.replace("c" * 64, "C" * 64),
        "\n" + HEAD.text,
        "a\n-1\nx\n",
    ],
)
def test_what_is_no_tree_head(text):
    """Four lines, no more, each in its one spelling."""
    assert isinstance(outcome_of(lambda: tree_head.of_note(Note(text, ()), "f")), RefusedError)


def test_openssl_agrees(tmp_path):
    """The signature is plain Ed25519 over the text, and OpenSSL verifies it with nothing of ours."""
    note = tree_head.sign(HEAD, [LOG])
    der = bytes.fromhex("302a300506032b6570032100") + LOG.public.raw
    (tmp_path / "text").write_text(note.text)
    (tmp_path / "signature").write_bytes(note.signatures[0].data)
    (tmp_path / "key.pem").write_text(
        "-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der).decode() + "\n-----END PUBLIC KEY-----\n"
    )
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in text -sigfile signature"

    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")
