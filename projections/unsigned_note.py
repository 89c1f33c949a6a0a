"""
`tree_head.note` where nobody has signed yet: what reads it is imported only when somebody does.

See `projections.tree_head_note`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from eventlog.catalog import Catalog
from eventlog.journal import Anchor
from eventlog.replay import Replay
from projections.projection import TREE_HEAD_NOTE, Stored

if TYPE_CHECKING:
    from projections.tree_head_note import TreeHeadNote


class UnsignedNote:
    """The projection that only reads `DIRECTORY/tree_head.note`; see `projections.projection.Projection`."""

    binding = True
    forget = "move it away"

    def __init__(self, directory: str, replay: Replay) -> None:
        self.where = os.path.join(directory, TREE_HEAD_NOTE)
        self._directory = directory
        self._replay = replay

    def anchor(self) -> Anchor | None:
        """Return how far the file has got, if it is there."""
        return self._note().anchor() if os.path.lexists(self.where) else None

    def stored(self) -> Stored:
        """Read the file, if it is there."""
        return self._note().stored() if os.path.lexists(self.where) else Stored(None, lambda catalog: True)

    def may_lag(self, applied: Anchor, catalog: Catalog) -> bool:
        """Never: what nobody signed is not confirmed."""
        return False

    def writing(self, catalog: Catalog, *, rebuild: bool) -> None:
        """Nothing is written: it takes a key."""

    def _note(self) -> TreeHeadNote:
        from projections.tree_head_note import TreeHeadNote  # noqa: PLC0415 - see the top of the module

        return TreeHeadNote(self._directory, self._replay)
