"""
Who may sign a journal's tree heads: keys that its own history adds and revokes, by position and not by time.

A thief who has a key can also sign any time he likes; he cannot move the position of its revocation. A key that was
added with the signature of an older one may be trusted by whoever trusts the older one. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from eventlog import ed25519, signed_note
from eventlog.errors import RefusedError
from eventlog.events import KeyAdded
from eventlog.signed_note import KIND_LOG, PrivateKey, PublicKey
from eventlog.tree_head import origin_of


class Standing(Struct, frozen=True):
    """
    Between which positions a key could sign.

    Attributes:
        added: the position of the event that added it.

        revoked: of the one that revoked it, or None.

        data: what was said when it was added.
    """

    added: int
    data: KeyAdded
    revoked: int | None = None

    def could_sign(self, size: int) -> bool:
        """Say whether it could sign a tree head of *size* entries."""
        return self.added < size and (self.revoked is None or size <= self.revoked)


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
    """Return *key*, or raise `RefusedError` where it is a witness's."""
    if key.kind != KIND_LOG:
        raise RefusedError(f"key {key.name}: expected one for tree heads, got a witness's: see keygen")
    return key


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
