"""`keygen --artifacts`, `publish --sign-key` with such a key, `path --signature`; `show` and `verify --artifacts`."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keyed(desk):
    """A desk with a key for tree heads, `k`, and one for artifacts, `a`."""
    assert desk.call("keygen", "k", "--name", "example.com/m").status == 0
    assert desk.call("keygen", "--artifacts", "a").status == 0
    return desk


def test_keygen(desk, refused):
    """The private key is for its owner alone; the public one is printed. It has no name and is never overwritten."""
    before = os.umask(0)
    try:
        result = desk.call("keygen", "--artifacts", "a")
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat("a").st_mode) == 0o600
    assert stat.S_IMODE(os.stat("a.pub").st_mode) & 0o022 == 0
    assert result.out == (desk.root / "a.pub").read_text()
    assert result.out.startswith("-----BEGIN PUBLIC KEY-----\n")
    checked = subprocess.run(["openssl", "pkey", "-in", "a", "-pubout"], capture_output=True, text=True, check=True)
    assert checked.stdout == result.out
    assert "never overwritten" in refused("keygen", "--artifacts", "a")
    for words in (["--witness"], ["--name", "x"]):
        assert "expected --artifacts alone" in refused("keygen", "--artifacts", "b", *words)


def test_both_keys(keyed):
    """Each signs what it is for; `path --signature` says where, and openssl agrees with what stands there."""
    model = keyed.publish("b", "--sign-key", "k", "--sign-key", "a")

    assert keyed.run("list", "--public-key", "k.pub").status == 0
    path = keyed.run("path", "--signature").out.removesuffix("\n")
    assert keyed.run("path", "--signature", "--model-id", model["model_id"]).out == f"{path}\n"
    shown = keyed.run("show", model["model_id"], "--output", "json").json["signature"]
    digest = sha256((keyed.root / "a.pub").read_bytes()).hexdigest()
    assert shown == {"key": digest, "sha256": os.path.basename(path)}
    assert f"key={digest} sha256={os.path.basename(path)}" in keyed.run("show", model["model_id"]).out
    envelope = json.loads(Path(path).read_bytes())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (keyed.root / "signed").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload))
    (keyed.root / "raw").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    words = ["openssl", "dgst", "-sha256", "-verify", "a.pub", "-signature", "raw", "signed"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_one_key(keyed):
    """With the artifact's key alone no tree head is signed; `verify --artifacts` looks for the signature."""
    keyed.publish("b", "--sign-key", "a")

    assert not (keyed.models / "tree_head.note").exists()
    assert keyed.run("verify", "--artifacts").status == 0
    os.unlink(keyed.run("path", "--signature").out.removesuffix("\n"))
    result = keyed.run("verify", "--artifacts")
    assert (result.status, "missing: signature of" in result.out + result.err) == (3, True)
    result = keyed.run("path", "--signature")
    assert (result.status, result.out) == (2, "")
    assert "publish the same bytes again with --sign-key" in result.err


def test_a_model_that_nobody_signed(keyed):
    """There is no path that a shell could use; `show` says so."""
    model = keyed.publish()

    result = keyed.run("path", "--signature")

    assert (result.status, result.out) == (2, "")
    assert "got one that nobody signed" in result.err
    assert keyed.run("show", model["model_id"], "--output", "json").json["signature"] is None


def test_the_variable_is_one_file(keyed, monkeypatch):
    """Spaces and all."""
    for name in ("a", "a.pub"):
        os.rename(name, f"my {name}")
    monkeypatch.setenv("MODELOG_SIGN_KEY", "my a")

    keyed.publish()

    assert keyed.run("path", "--signature").status == 0


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (["pkey", "-in", "a", "-aes256", "-passout", "pass:x"], "got one with a password, which openssl pkey"),
        (["genrsa", "2048"], "got RSAPrivateKey"),
        (["pkey", "-in", "a", "-pubout"], "got a public key"),
        (["genpkey", "-algorithm", "ed25519"], "got Ed25519PrivateKey"),
        (["pkey", "-in", "a", "-outform", "DER"], "expected text, got other bytes"),
    ],
)
def test_bad_keys(keyed, refused, make, part):
    """One clear line, status 2, nothing changed, and the key is not quoted."""
    done = subprocess.run(["openssl", *make], check=True, capture_output=True)
    (keyed.root / "bad").write_bytes(done.stdout)
    (keyed.root / "bad").chmod(0o600)

    line = refused(*keyed.argv("publish", "--artifact", "a.pub", "--backend", "b", "--sign-key", "bad"))

    assert line.startswith("error: key file bad: ")
    assert part in line
    assert "AAAA" not in line


def test_keys_that_are_misused(keyed, refused):
    """Others can read it; it is for something else; there are two of a kind; a public one is told as such."""
    publish = keyed.argv("publish", "--artifact", keyed.artifact(), "--backend", "b", "--sign-key")
    assert "got a public key" in refused(*publish, "a.pub")
    assert "no such file" in refused(*publish, "none")
    assert "expected at most one key that signs artifacts, got 2" in refused(*publish, "a", "--sign-key", "a")
    assert "expected at most one key that signs tree heads, got 2" in refused(*publish, "k", "--sign-key", "k")
    for words in (["rollback"], ["rebuild"], ["keys", "add", "k.pub"]):
        assert "expected a key that signs tree heads, got one that signs artifacts" in refused(
            *words, "--sign-key", "a"
        )
    for mode in (0o640, 0o604):
        os.chmod("a", mode)
        assert "expected one that only its owner can read" in refused(*publish, "a")
