"""Keys that sign artifacts: what is none, or is one that `model_signing` does not take, is told in one line."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from support import Place, outcome_of

from eventlog import model_signature
from eventlog.errors import RefusedError


def pem(key: Any, password: bytes | None = None) -> str:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    raw: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    return raw.decode()


P256 = ec.generate_private_key(ec.SECP256R1())
BAD_KEYS: dict[str, tuple[str, str]] = {
    "encrypted": (pem(P256, b"secret"), "got one with a password, which openssl pkey"),
    "RSA": (pem(rsa.generate_private_key(65537, 2048)), "got RSAPrivateKey"),
    "Ed25519": (pem(ed25519.Ed25519PrivateKey.generate()), "got Ed25519PrivateKey"),
    "another curve": (pem(ec.generate_private_key(ec.SECP256K1())), "got secp256k1"),
    "public": (model_signature.new_key()[1], "got a public key"),
    "cut": (pem(P256)[:100], "got something else"),
    "nonsense": ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "got something else"),
    "no text": ("-----BEGIN \udc80", "got something else"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(place: Place, name: str) -> None:
    """One line, which says what was there instead and never quotes it; nothing is made."""
    text, part = BAD_KEYS[name]

    error = outcome_of(lambda: place.publish(registry=place.open(sign_key=text)))

    assert isinstance(error, RefusedError)
    assert part in str(error)
    assert "\n" not in str(error)
    assert "AAAA" not in str(error)
    assert place.files() == {}


def test_old_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot sign without randomness, or is not there, is told with what to install."""
    key = pem(P256)
    with monkeypatch.context() as patch:
        patch.setattr(ec, "ECDSA", lambda algorithm: None)
        with pytest.raises(RefusedError, match="expected cryptography 43 or newer"):
            model_signature.parse_private_key(key, "key")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(RefusedError, match=r"pip install 'modelog\[sign\]'"):
        model_signature.parse_private_key(key, "key")
