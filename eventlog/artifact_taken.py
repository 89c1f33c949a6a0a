"""An artifact on its way into a registry: hashed, but not recorded yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from eventlog.artifacts import Artifact
from eventlog.contents import Contents

if TYPE_CHECKING:
    from eventlog.model_signature import Signed


class Taken:
    """
    An artifact that is to be published: hashed, and copied where that was asked for, but not kept anywhere yet.

    Attributes:
        artifact: as it is recorded.

        contents: what its headers say, or None.

        must_keep: whether it, or its signature, has a place to be put in before it is recorded.

        signature: who signed it, or None.

    Args:
        keep: puts it where it is recorded to be, and returns it as it is there.
    """

    def __init__(
        self,
        artifact: Artifact,
        contents: Contents | None,
        keep: Callable[[], Artifact] | None = None,
        signed: Signed | None = None,
    ) -> None:
        self.artifact = artifact
        self.contents = contents
        self.signature = None if signed is None else signed.signature
        self.must_keep = keep is not None
        self._keep = keep
        self._kept: Artifact | None = None

    def keep(self) -> None:
        """See that it is where it is recorded to be, whole and durable. Raises RefusedError where it cannot be."""
        if self._keep is not None and self._kept is None:
            self._kept = self._keep()

    def check_unchanged(self) -> None:
        """Raise RefusedError where it is no longer what was hashed."""
        (self._kept or self.artifact).check_unchanged()
