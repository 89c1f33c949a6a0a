"""
Ed25519 (RFC 8032) from the `cryptography` package, which is imported when it is used.

Install it with the extra: `pip install 'modelog[sign]'`.
"""

from __future__ import annotations

from typing import Any

from eventlog.errors import RefusedError

SEED_BYTES = 32
PUBLIC_BYTES = 32


def public_key(seed: bytes) -> bytes:
    """Return the public key, 32 bytes, of the private key whose seed is *seed*. Raises as `sign`."""
    raw: bytes = _private(seed).public_key().public_bytes_raw()
    return raw


def sign(seed: bytes, message: bytes) -> bytes:
    """
    Return the signature, 64 bytes; the same message always has the same one.

    Raises:
        RefusedError: the package is not installed.
    """
    signature: bytes = _private(seed).sign(message)
    return signature


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether *signature* is one of *message*. Raises as `sign`."""
    module = _module()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        module.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(seed: bytes) -> Any:
    return _module().Ed25519PrivateKey.from_private_bytes(seed)


def _module() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra
    except ImportError:
        raise RefusedError(
            "signatures: expected the package cryptography, got none: pip install 'modelog[sign]'"
        ) from None
    return ed25519
