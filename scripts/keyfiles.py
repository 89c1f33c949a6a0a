"""
Key files: a private key only its owner can read, and the public key beside it.

The private file must never be shown; the public one, `FILE.pub`, is for everybody. A key that signs tree heads is one
line in each (`eventlog.signed_note`), one that signs artifacts is PEM (`eventlog.model_signature`).
"""

from __future__ import annotations

import os
import stat

from eventlog import durable, model_signature, signed_note
from eventlog.errors import RefusedError

PUBLIC_SUFFIX = ".pub"
_BYTES_MAX = 4_096


def read_private(path: str) -> str:
    """
    Return the line of a private key's file, checked; a key that signs tree heads.

    Raises:
        RefusedError: it is missing, no such key, or others can read it.
    """
    text = read_signing(path)
    if model_signature.is_pem(text):
        raise RefusedError(f"key file {path}: expected a key that signs tree heads, got one that signs artifacts")
    return text


def read_signing(path: str) -> str:
    """Do as `read_private`, but also for a key that signs artifacts."""
    where = f"key file {path}"
    text = _text(path, where)
    if model_signature.is_pem(text):
        model_signature.parse_private_key(text, where)  # that it is a public one is told first
    with durable.refusing(where):
        found = os.stat(path)
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        raise RefusedError(
            f"{where}: expected one that only its owner can read, got mode {found.st_mode & 0o777:04o}: chmod 600"
        )
    if not model_signature.is_pem(text):
        signed_note.parse_private_key(text, where)
    return text


def read_public(text: str, where: str = "--public-key") -> str:
    """Return the public key that *text* is, or that stands in the file *text*. Raises RefusedError where it is none."""
    if os.path.exists(text):
        where = f"key file {text}"
        return str(signed_note.parse_public_key(_text(text, where), where))
    if "+" not in text:
        raise RefusedError(f"{where}: expected a public key NAME+ID+BASE64, or a file with one, got {text!r:.200}")
    return str(signed_note.parse_public_key(text, where))


def create(path: str, private: str, public: str) -> None:
    """
    Write both files, the private one first, each with a newline at its end; neither may be there.

    Raises:
        RefusedError: one is there, or they cannot be written.
    """
    for name in (path, path + PUBLIC_SUFFIX):
        if os.path.lexists(name):
            raise RefusedError(f"key file {name}: expected no such file, got one: a key is never overwritten")
    before = os.umask(0o077)
    try:
        with durable.refusing(f"key file {path}"):
            durable.create_file(path, f"{private}\n".encode())
    finally:
        os.umask(before)
    with durable.refusing(f"key file {path}{PUBLIC_SUFFIX}"):
        durable.create_file(path + PUBLIC_SUFFIX, f"{public}\n".encode())
        durable.sync_directory(os.path.dirname(os.path.abspath(path)))


def _text(path: str, where: str) -> str:
    with durable.refusing(where):
        data = durable.read_file(path, bytes_max=_BYTES_MAX)
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        raise RefusedError(f"{where}: expected text, got other bytes") from None
