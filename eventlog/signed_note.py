"""
Signed notes: a text and the signatures under it, as any C2SP tool reads them.

    modelog/9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7
    42
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — modelog/9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7 Az3grlgt…

A key has a name, and an id of four bytes that hangs on name, kind and public key. A public key is written
`NAME+ID+BASE64(kind ‖ 32 bytes)`, a private one `PRIVATE+KEY+NAME+ID+BASE64(kind ‖ 32-byte seed)`. The kinds: 1,
Ed25519 over the text; 4, a witness's Ed25519 over the text and its time. What does not verify with a key that one
trusts says nothing. Pure.

Source: c2sp.org/signed-note, c2sp.org/tlog-cosignature; key files as in Go's `golang.org/x/mod/sumdb/note`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from eventlog import ed25519
from eventlog.errors import RefusedError

NOTE_BYTES_MAX = 64 << 10
SIGNATURES_MAX = 64
KIND_LOG = 1
KIND_WITNESS = 4
_PRIVATE = "PRIVATE+KEY+"
_DASH = "— "
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_TIME_BYTES = 8


class PublicKey(Struct, frozen=True):
    """
    Who may have signed.

    Attributes:
        kind: `KIND_LOG` or `KIND_WITNESS`.

        raw: 32 bytes.
    """

    name: str
    kind: int
    raw: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart; no proof of anything."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encoded(bytes([self.kind]) + self.raw)}"


class PrivateKey(Struct, frozen=True):
    """Who signs; *seed* is 32 secret bytes."""

    name: str
    kind: int
    seed: bytes

    @property
    def public(self) -> PublicKey:
        """The key that others verify with. Raises RefusedError where `cryptography` is not installed."""
        return PublicKey(self.name, self.kind, ed25519.public_key(self.seed))

    def __repr__(self) -> str:
        return f"PrivateKey({self.name!r})"

    def spelled(self) -> str:
        """Return the line that a key file holds."""
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{encoded(bytes([self.kind]) + self.seed)}"


class Signature(Struct, frozen=True):
    """One line under a text: the key's name and id, and what the key made of the text."""

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {encoded(self.key_id + self.data)}\n"


class Note(Struct, frozen=True):
    """A text, ending in a newline, and at least one signature; nothing of it is true before it is verified."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    def signers(self) -> str:
        """Return in words who says to have signed."""
        names = [f"{item.name}+{item.key_id.hex()}" for item in self.signatures]
        return f"{', '.join(names):.300}"

    def signed_by(self, key: PublicKey) -> int | None:
        """
        Return when *key* signed this text, in seconds since 1970, or 0 where its kind says no time; None if it did not.

        A signature of the key's name and id that does not verify makes the whole note one that it did not sign.
        """
        found: int | None = None
        for signature in self.signatures:
            if (signature.name, signature.key_id) == (key.name, key.id):
                when = _verified(key, signature.data, self.text)
                if when is None:
                    return None
                found = when
        return found


def sign(text: str, key: PrivateKey, now_seconds: int = 0) -> Signature:
    """Return the signature of *key* under *text*; a witness's says when, in seconds since 1970."""
    public = key.public
    if key.kind == KIND_LOG:
        return Signature(key.name, public.id, ed25519.sign(key.seed, text.encode()))
    stamp = now_seconds.to_bytes(_TIME_BYTES, "big")
    return Signature(key.name, public.id, stamp + ed25519.sign(key.seed, _cosigned(text, now_seconds)))


def parse(data: bytes, where: str) -> Note:
    """
    Return the note that *data* spells, in the one way that there is.

    Raises:
        RefusedError: it is no note.
    """
    try:
        if len(data) > NOTE_BYTES_MAX:
            raise ValueError(f"more than {NOTE_BYTES_MAX} bytes")
        whole = _text(data)
        if any(char < " " and char != "\n" for char in whole):
            raise ValueError("control characters")
        text, separator, rest = whole.rpartition("\n\n")
        lines = rest.split("\n")
        if not separator or not text or lines.pop() != "" or not 0 < len(lines) <= SIGNATURES_MAX:
            raise ValueError("no text, empty line and signatures")
        note = Note(text + "\n", tuple(map(_signature, lines)))
        if str(note) != whole:
            raise ValueError("another spelling than the one there is")
    except ValueError as error:
        raise RefusedError(f"{where}: expected a signed note, got {error}") from None
    return note


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are no text") from None


def parse_public_key(text: str, where: str) -> PublicKey:
    """Return the public key that *text* spells. Raises RefusedError where it is none."""
    try:
        name, key_id, data = _parts(text)
        key = PublicKey(name, data[0], data[1:])
        if key.kind not in (KIND_LOG, KIND_WITNESS) or str(key) != f"{name}+{key_id}+{encoded(data)}":
            raise ValueError("an id that does not fit")
    except ValueError as error:
        raise RefusedError(f"{where}: expected a public key NAME+ID+BASE64, got {error}") from None
    return key


def parse_private_key(text: str, where: str) -> PrivateKey:
    """Return the private key that *text* spells. Raises RefusedError, which never quotes it, where it is none."""
    try:
        if not text.startswith(_PRIVATE):
            raise ValueError("something else")
        name, key_id, data = _parts(text.removeprefix(_PRIVATE))
        key = PrivateKey(name, data[0], data[1:])
        if key.kind not in (KIND_LOG, KIND_WITNESS):
            raise ValueError("an unknown kind of key")
    except ValueError as error:
        raise RefusedError(f"{where}: expected a private key as keygen writes it, got {error}") from None
    if key.public.id.hex() != key_id:
        raise RefusedError(f"{where}: expected a private key as keygen writes it, got one whose id does not fit")
    return key


def check_name(name: str) -> str:
    """Return *name*, or raise `RefusedError` where no key can have it."""
    if not _NAME.fullmatch(name):
        raise RefusedError(f"key name: expected 1 to 200 characters without spaces and '+', got {name!r:.80}")
    return name


def decoded(text: str) -> bytes:
    """Return the bytes that base64 *text* stands for, spelled in the one way. Raises ValueError."""
    data = base64.b64decode(text.encode("ascii"), validate=True)
    if encoded(data) != text:
        raise ValueError("base64 that is not spelled as it should be")
    return data


def encoded(data: bytes) -> str:
    """Return *data* as base64."""
    return base64.b64encode(data).decode()


def _parts(text: str) -> tuple[str, str, bytes]:
    parts: Sequence[str] = text.strip().split("+", 2)
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
        raise ValueError("something else")
    data = decoded(parts[2])
    if len(data) != 1 + ed25519.PUBLIC_BYTES:
        raise ValueError(f"{len(data)} bytes")
    return parts[0], parts[1], data


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _NAME.fullmatch(name):
        raise ValueError("a line under the text that is no signature")
    data = decoded(encoded)
    if len(data) <= 4:
        raise ValueError("a signature that is too short")
    return Signature(name, data[:4], data[4:])


def _verified(key: PublicKey, data: bytes, text: str) -> int | None:
    if key.kind == KIND_LOG:
        return 0 if ed25519.is_signed(key.raw, data, text.encode()) else None
    when = int.from_bytes(data[:_TIME_BYTES], "big")
    return when if ed25519.is_signed(key.raw, data[_TIME_BYTES:], _cosigned(text, when)) else None


def _cosigned(text: str, when: int) -> bytes:
    return f"cosignature/v1\ntime {when}\n{text}".encode()


assert binascii.Error.__mro__[1] is ValueError, "what base64 raises is caught as ValueError"
