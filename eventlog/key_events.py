"""Which keys may sign a journal's tree heads: the events that say so, and what follows from them for one key."""

from msgspec import Struct


class KeyAdded(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    From the next entry on a key may sign tree heads.

    Attributes:
        key: the public key, as `eventlog.signed_note` spells it.

        reason: why, in the person's words.

        endorsed_by: the public key of one that could sign until then, and *endorsement* its signature, base64, under
            `eventlog.keys.endorsed_text`: who trusts that key may trust this one.
    """

    key: str
    reason: str | None = None
    endorsed_by: str | None = None
    endorsement: str | None = None


class KeyRevoked(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A key may sign no tree head of more entries than came before this one; what it signed of fewer stays good.

    Attributes:
        key: the public key.

        reason: why, in the person's words.
    """

    key: str
    reason: str | None = None


class Standing(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    Between which positions a key could sign.

    Attributes:
        added: the position of the event that added it.

        data: what was said when it was added.

        revoked: the position of the event that revoked it, or None.
    """

    added: int
    data: KeyAdded
    revoked: int | None = None

    def could_sign(self, size: int) -> bool:
        """Say whether it could sign a tree head of *size* entries."""
        return self.added < size and (self.revoked is None or size <= self.revoked)
