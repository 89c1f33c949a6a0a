"""Compares signed tree heads with a journal, for an audit: which of them confirm it, and which contradict it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from eventlog import keys, signed_note, tree, tree_head
from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, ModelogError
from eventlog.replay import Replay
from eventlog.signed_note import Note, PublicKey
from eventlog.tree_head import TreeHead

ReadNote = Callable[[], bytes]
"""Reads a file with a signed tree head. Raises RefusedError where it cannot."""


class Trust(Struct, frozen=True):
    """
    Whose word counts.

    Attributes:
        key: the journal's public key, known from elsewhere; what it endorsed counts, too.

        where, read: the tree head beside the journal.

        witness_key: a witness's public key, or None.

        witness_where, read_witness: what the witness keeps, or None.
    """

    key: PublicKey
    where: str
    read: ReadNote
    witness_key: PublicKey | None = None
    witness_where: str = ""
    read_witness: ReadNote | None = None


class Confirmed(Struct, frozen=True):
    """A tree head of the first *size* entries that agrees with the journal."""

    where: str
    size: int
    witnessed: bool


def confirm(replay: Replay, trust: Trust) -> tuple[list[Confirmed], list[JournalDamagedError]]:
    """Return the tree heads that agree with the folded journal, and why others do not."""
    found: list[Confirmed] = []
    failed: list[JournalDamagedError] = []
    sources: list[tuple[str, ReadNote, PublicKey | None]] = [(trust.where, trust.read, None)]
    if trust.read_witness is not None:
        sources.append((trust.witness_where, trust.read_witness, trust.witness_key))
    for where, read, witness_key in sources:
        try:
            head, note = tree_head.parsed(read(), where)
            _check(replay, trust.key, head, note, where)
            if witness_key is not None and note.signed_by(witness_key) is None:
                raise JournalDamagedError(
                    f"{where}: expected a signature of witness {witness_key}, got {note.signers()}"
                )
            found.append(Confirmed(where, head.size, witness_key is not None))
        except JournalDamagedError as error:
            failed.append(error)
        except ModelogError as error:
            failed.append(JournalDamagedError(f"{error}: no tree head of a key you trust confirms the journal"))
    return found, failed


def is_trusted(head: TreeHead, note: Note, pinned: PublicKey, catalog: Catalog) -> bool:
    """Say whether *pinned*, or a key that it leads to, could sign a tree head of that size, and did."""
    for spelled, standing in keys.trusted(pinned, catalog.keys, catalog.journal_id or "").items():
        key = signed_note.parse_public_key(spelled, catalog.where)
        if standing.could_sign(head.size) and note.signed_by(key) is not None:
            return True
    return False


def _check(replay: Replay, pinned: PublicKey, head: TreeHead, note: Note, where: str) -> None:
    catalog = replay.catalog
    if head.anchor.journal_id != catalog.journal_id:
        raise JournalDamagedError(f"{where}: expected a tree head of journal {catalog.journal_id}, got {head.origin}")
    if not is_trusted(head, note, pinned, catalog):
        raise JournalDamagedError(
            f"{where}: expected a signature of {pinned.name}+{pinned.id.hex()} or a key that it endorsed, which holds "
            f"for {head.size} entries, got {note.signers()}"
        )
    if head.size > catalog.size:
        raise JournalDamagedError(
            f"{where}: expected at least {head.size} entries, as signed, got {catalog.size}: the journal was rewound",
            position=catalog.size,
        )
    leaves = replay.leaves(head.size)
    assert len(leaves) == head.size, "so many were folded"
    if tree.root(leaves) != head.root or replay.hash_at(head.size) != head.chain:
        raise JournalDamagedError(
            f"{where}: expected root {head.root.hex()} after {head.size} entries, as was signed, "
            f"got {tree.root(leaves).hex()}: history was rewritten",
            expected=head.root.hex(),
            actual=tree.root(leaves).hex(),
        )
