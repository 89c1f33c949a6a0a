"""
The signature of an artifact, as OpenSSF's `model_signing verify key` reads it: who has the key vouches for the bytes.

It is a Sigstore bundle: a DSSE envelope in JSON, whose payload, an in-toto statement, names the SHA-256 of each file:

    {"mediaType": …, "verificationMaterial": {"publicKey": {"hint": <64 hex>}, …}, "dsseEnvelope": {"payload": …, …}}

What is signed hangs on the bytes and the names inside a directory alone, and ECDSA without randomness (RFC 6979) signs
it: the same artifact and key give the same file, so one that is lost can be made again.

Source: model-signing 1.1.1; github.com/secure-systems-lab/dsse, protocol.md; docs.sigstore.dev/about/bundle.
"""

from __future__ import annotations

import binascii
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from eventlog.artifact_signature import Signature
from eventlog.errors import RefusedError
from eventlog.log import log

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from eventlog.artifacts import Artifact

LEFT_OUT = (".git", ".gitattributes", ".github", ".gitignore")
"""At the top of a directory: what `model_signing` neither signs nor looks at."""

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
"""The curves that `model_signing` takes, and the hash that goes with each."""


class Signed(Struct, frozen=True):
    """A signature, and the file's bytes."""

    signature: Signature
    data: bytes


class Signer:
    """Who signs artifacts; see `parse_private_key`."""

    def __init__(self, private: EllipticCurvePrivateKey, algorithm: Any) -> None:
        self.key = sha256(_public_pem(private)).hexdigest()
        self._private = private
        self._algorithm = algorithm

    def sign(self, artifact: Artifact) -> Signed:
        """Return the signature of what was hashed. Raises RefusedError where a directory has nothing to sign."""
        payload = msgspec.json.encode(_statement(artifact))
        framed = b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)
        signed = self._private.sign(framed, self._algorithm)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": self.key}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": _PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(signed), "keyid": ""}],
            },
        }
        data = msgspec.json.encode(bundle)
        return Signed(Signature(self.key, sha256(data).hexdigest()), data)


def is_pem(text: str) -> bool:
    """Say whether a key file's *text* is PEM, as the keys here are; those of tree heads are not."""
    return "-----BEGIN " in text


def parse_private_key(text: str, where: str) -> Signer:
    """
    Return who signs with the key that *text*, in PEM, spells.

    Raises:
        RefusedError: it is none that `model_signing` takes, or has a password; it is never quoted. Or the package
            `cryptography` is not installed, or cannot sign without randomness.
    """
    asymmetric, hashes, _ = _modules()
    try:
        key = _loaded(text)
    except ValueError as error:
        raise RefusedError(
            f"{where}: expected a private key on P-256, P-384 or P-521 in PEM, got {error}: run keygen --artifacts"
        ) from None
    try:
        algorithm = asymmetric.ECDSA(getattr(hashes, _CURVES[key.curve.name])(), deterministic_signing=True)
    except Exception as error:  # TypeError, or one of the package's own
        raise RefusedError(
            f"{where}: expected cryptography 43 or newer on OpenSSL 3.2 or newer, got an older one "
            f"({type(error).__name__}): pip install --upgrade 'modelog[sign]'"
        ) from None
    return Signer(key, algorithm)


def new_key() -> tuple[str, str]:
    """Return a new private key and its public key, on P-256, in PEM. Raises RefusedError as `parse_private_key`."""
    asymmetric, _, serialization = _modules()
    private = asymmetric.generate_private_key(asymmetric.SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret: bytes = private.private_bytes(pem, pkcs8, serialization.NoEncryption())
    return secret.decode(), _public_pem(private).decode()


def _loaded(text: str) -> EllipticCurvePrivateKey:
    """Return the private key in *text*; a ValueError says what is there instead, and quotes nothing."""
    asymmetric, _, serialization = _modules()
    try:
        key: Any = serialization.load_pem_private_key(text.encode(), None)
    except TypeError:
        raise ValueError("one with a password, which openssl pkey -in FILE -out NEW takes off") from None
    except Exception:  # ValueError, or one of the package's own
        raise ValueError("a public key" if "PUBLIC KEY-----" in text else "something else") from None
    if not isinstance(key, asymmetric.EllipticCurvePrivateKey):
        raise ValueError(type(key).__name__)
    if key.curve.name not in _CURVES:
        raise ValueError(key.curve.name)
    found: EllipticCurvePrivateKey = key
    return found


def _statement(artifact: Artifact) -> dict[str, Any]:
    """Return what is signed; the order of the files is that of `model_signing`, part by part of their paths."""
    serialization: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    files = [(".", artifact.sha256)]
    if artifact.files is not None:
        found = {file.path: file.sha256 for file in artifact.files}
        left_out = [path for path in found if path.split("/")[0] in LEFT_OUT]
        if len(left_out) == len(found):
            raise RefusedError(f"artifact {artifact.path}: expected files to sign, got only {', '.join(left_out):.200}")
        if left_out:
            log.warning("%s: not signed, as model_signing leaves it out: %.200s", artifact.path, ", ".join(left_out))
        files = [(path, found[path]) for path in sorted(found.keys() - left_out, key=lambda path: path.split("/"))]
        serialization["ignore_paths"] = LEFT_OUT
    digest = sha256(b"".join(bytes.fromhex(file) for _, file in files)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": artifact.sha256, "digest": {"sha256": digest}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": serialization,
            "resources": [{"name": path, "algorithm": "sha256", "digest": file} for path, file in files],
        },
    }


def _public_pem(private: EllipticCurvePrivateKey) -> bytes:
    _, _, serialization = _modules()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    raw: bytes = private.public_key().public_bytes(serialization.Encoding.PEM, form)
    return raw


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _modules() -> tuple[Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError:
        raise RefusedError(
            "signatures: expected the package cryptography, got none: pip install 'modelog[sign]'"
        ) from None
    return ec, hashes, serialization
