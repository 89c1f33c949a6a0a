"""
Who may sign a journal's tree heads: keys that its own history adds and revokes, by position and not by time.

A thief who has a key can also sign any time he likes; he cannot move the position of its revocation. A key that was
added with the signature of an older one may be trusted by whoever trusts the older one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from eventlog import ed25519, signed_note
from eventlog.errors import RefusedError
from eventlog.key_events import KeyAdded, KeyRevoked, Standing
from eventlog.signed_note import KIND_LOG, PrivateKey, PublicKey
from eventlog.tree_head import origin_of


class KeyChangeError(ValueError):
    """A key was added or revoked that cannot be; *expected* and *got* say why."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got


def endorsed_text(journal_id: str, key: str) -> str:
    """Return what an older key signs to endorse *key*."""
    return f"modelog key\n{origin_of(journal_id)}\n{key}\n"


def added(key: PublicKey, journal_id: str, endorser: PrivateKey | None, reason: str | None) -> KeyAdded:
    """Return the event that adds *key*. Raises RefusedError where `cryptography` is needed and not installed."""
    if endorser is None:
        return KeyAdded(str(key), reason)
    signature = signed_note.sign(endorsed_text(journal_id, str(key)), endorser)
    return KeyAdded(str(key), reason, str(endorser.public), signed_note.encoded(signature.data))


def check_kind(key: PublicKey) -> PublicKey:
    """Return *key*, or raise `RefusedError` where it is a witness's, `TypeError` where it is no key."""
    if not isinstance(key, PublicKey):
        raise TypeError(f"key: expected a PublicKey, got {type(key).__name__}")
    if key.kind != KIND_LOG:
        raise RefusedError(f"key {key.name}: expected one for tree heads, got a witness's: see keygen")
    return key


def changed(standing: Standing | None, position: int, data: KeyAdded | KeyRevoked) -> Standing:
    """
    Return how a key stands after the event *data* at *position*.

    Args:
        standing: how it stood before; None where it was not known.

    Raises:
        KeyChangeError: the event cannot follow.
    """
    if isinstance(data, KeyRevoked):
        if standing is None or standing.revoked is not None:
            raise KeyChangeError("a key that may sign", data.key)
        return replace(standing, revoked=position)
    try:
        for spelled in filter(None, (data.key, data.endorsed_by)):
            check_kind(signed_note.parse_public_key(spelled, "key"))
    except RefusedError as error:
        raise KeyChangeError("a public key", str(error)) from None
    if standing is not None:
        raise KeyChangeError("a new key", data.key)
    return Standing(position, data)


def trusted(pinned: PublicKey, standings: Mapping[str, Standing], journal_id: str) -> dict[str, Standing]:
    """
    Return the keys that whoever trusts *pinned* may trust: itself, and what trusted keys endorsed in their time.

    Raises RefusedError where `cryptography` is not installed.
    """
    found: dict[str, Standing] = {}
    for spelled, standing in standings.items():  # in the order in which they were added
        data = standing.data
        older = found.get(data.endorsed_by or "")
        if spelled == str(pinned) or (
            older is not None and older.could_sign(standing.added) and _is_endorsed(data, journal_id)
        ):
            found[spelled] = standing
    return found


def _is_endorsed(data: KeyAdded, journal_id: str) -> bool:
    endorser = signed_note.parse_public_key(data.endorsed_by or "", "endorsed_by")
    try:
        signature = signed_note.decoded(data.endorsement or "")
    except ValueError:
        return False
    return ed25519.is_signed(endorser.raw, signature, endorsed_text(journal_id, data.key).encode())
