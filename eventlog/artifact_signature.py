"""That an artifact was signed, as an event tells it; how that is done stands in `model_signature`."""

from msgspec import Struct


class Signature(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """
    That an artifact was signed.

    Attributes:
        key: the SHA-256 of the public key's file, as `sha256sum FILE.pub` prints it; 64 hex.

        sha256: of the signature, a file that the registry keeps; 64 hex.
    """

    key: str
    sha256: str
