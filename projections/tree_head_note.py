"""
journal → `tree_head.note`: the newest signed tree head, where a key is configured; see `eventlog.tree_head`.

It is signed only where it extends the one that is there: a journal that was cut or rewritten is refused before, as
with any anchor, and a key that signed entries which a person gave up never signs again. The same key and journal give
the same bytes.
"""

from __future__ import annotations

import os
import time
from functools import partial

from eventlog import durable, durable_replacement, locking, tree_head
from eventlog.catalog import Catalog
from eventlog.confirmation import is_trusted
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.journal import Anchor
from eventlog.log import log
from eventlog.replay import Replay
from eventlog.signed_note import NOTE_BYTES_MAX, Note, PrivateKey, PublicKey
from eventlog.tree_head import TreeHead
from projections.projection import TREE_HEAD_NOTE, Stored, Writing, is_due
from projections.projector import is_young

_PAUSE_SECONDS = 0.01


class TreeHeadNote:
    """
    The projection into `DIRECTORY/tree_head.note`; see `projections.projection.Projection`.

    Args:
        directory: the registry's, where the journal is.

        replay: gives the leaves of the tree.

        signer: signs; without it the file is only read.

        lock_timeout_seconds: how long to wait for another writer of the file.
    """

    binding = True
    forget = "move it away"

    def __init__(
        self,
        directory: str,
        replay: Replay,
        signer: PrivateKey | None = None,
        *,
        lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS,
    ) -> None:
        self.where = os.path.join(directory, TREE_HEAD_NOTE)
        self._directory = directory
        self._replay = replay
        self._signer = signer
        self._locked = partial(locking.locked_directory, directory, timeout_seconds=lock_timeout_seconds)

    def anchor(self) -> Anchor | None:
        """Return how far the file has got."""
        return self.stored().anchor

    def may_lag(self, applied: Anchor, catalog: Catalog) -> bool:
        """Never: what nobody signed is not confirmed."""
        return False

    def stored(self) -> Stored:
        """Read the file; it has no anchor where it is missing or cannot be understood."""
        found = self._read()
        if found is None:
            return Stored(None, lambda catalog: self._signer is None and not self._exists())
        head, _ = found
        return Stored(head.anchor, lambda catalog: self._agrees(head, catalog))

    def writing(self, catalog: Catalog, *, rebuild: bool) -> Writing | None:
        """Say how the tree head of *catalog* is signed, never one of fewer entries than the file's."""
        signer = self._signer
        if signer is None or not self._may_sign(signer, catalog):
            return None

        def is_needless() -> bool:
            found = self._read()
            if found is not None and catalog.gave_up(found[0].anchor):
                self._refuse_two_histories(found[1], signer.public)
            return not is_due(None if found is None else found[0].anchor, catalog, rebuild=rebuild)

        return Writing(self._directory, self._locked, is_needless, lambda: self._render(catalog, signer))

    def put(self, data: bytes) -> None:
        """
        Store a signed tree head that was verified, unless the one that is there is of as many entries or more.

        Raises RefusedError: the one that was there is as it was.
        """
        head, _ = tree_head.parsed(data, self.where)
        with durable.refusing(self.where), self._locked():
            found = self._read()
            if found is None or found[0].size < head.size:
                durable_replacement.replace_file(self.where, data)

    def check(self, pinned: PublicKey, catalog: Catalog) -> None:
        """
        Refuse a journal that no tree head confirms, to its end, which *pinned*, or a key that it leads to, has signed.

        Whoever signs may begin with entries at the end that nobody has signed yet, as after a kill.

        Raises:
            JournalDamagedError: there is none, it is signed by nobody whom *pinned* vouches for, or it is of less.
        """
        if catalog.size == 0 or catalog.journal_id is None:
            return
        found = self._read()
        while self._signer is None and found is not None and found[0].size < catalog.size and is_young(catalog):
            time.sleep(_PAUSE_SECONDS)
            found = self._read()
        if found is None:
            raise JournalDamagedError(
                f"{self.where}: expected a tree head signed by {pinned.name}+{pinned.id.hex()}, got none: "
                "publish with --sign-key, or find out who took it away"
            )
        head, note = found
        if not is_trusted(head, note, pinned, catalog):
            raise JournalDamagedError(
                f"{self.where}: expected a signature of {pinned.name}+{pinned.id.hex()} or a key that it endorsed, got "
                f"none that holds for {head.size} entries: history was rewritten, or another key signed: run verify"
            )
        got = self._replay.hash_at(head.size) if head.anchor.journal_id == catalog.journal_id else head.origin
        if head.size <= catalog.size and got != head.chain:
            raise JournalDamagedError(
                f"{self.where}: expected hash {head.chain} after {head.size} entries, got {got}: history was rewritten"
            )
        if self._signer is None and head.size < catalog.size:
            raise JournalDamagedError(
                f"{self.where}: expected a tree head of {catalog.size} entries, got one of {head.size}: "
                "nobody has signed the newest: if they are right, rebuild with --sign-key",
                position=head.size,
            )

    def read(self) -> tuple[TreeHead, Note] | None:
        """Return the tree head and its note, unverified; None where there is none that can be understood."""
        return self._read()

    def _agrees(self, head: TreeHead, catalog: Catalog) -> bool:
        if head.size > catalog.size or (self._signer is not None and head.size != catalog.size):
            return False
        if head.anchor.journal_id != catalog.journal_id:
            return False
        leaves = self._replay.leaves(head.size)
        return len(leaves) == head.size and tree_head.head_of(head.anchor, leaves) == head

    def _render(self, catalog: Catalog, signer: PrivateKey) -> bytes:
        anchor = catalog.anchor()
        assert anchor is not None, "a projection is written from at least one entry"
        head = tree_head.head_of(anchor, self._replay.leaves(catalog.size))
        return str(tree_head.sign(head, [signer])).encode()

    def _may_sign(self, signer: PrivateKey, catalog: Catalog) -> bool:
        """Say whether the journal lets *signer* sign it as it is; not so where this very event revoked it."""
        standing = catalog.keys.get(str(signer.public))
        return standing is not None and standing.could_sign(catalog.size)

    def _refuse_two_histories(self, note: Note, key: PublicKey) -> None:
        if any((item.name, item.key_id) == (key.name, key.id) for item in note.signatures):
            raise RefusedError(
                f"{self.where}: expected a key that has signed only this history, got {key.name}+{key.id.hex()}, which "
                "signed entries that a rewind gave up: run keys revoke, keygen and keys add"
            )

    def _exists(self) -> bool:
        return os.path.lexists(self.where)

    def _read(self) -> tuple[TreeHead, Note] | None:
        with durable.refusing(self.where):
            try:
                data = durable.read_file(self.where, bytes_max=NOTE_BYTES_MAX)
            except FileNotFoundError:
                return None
        try:
            return tree_head.parsed(data, self.where)
        except RefusedError as error:
            log.warning("%s: not used: move it away, then rebuild with --sign-key", error)
            return None
