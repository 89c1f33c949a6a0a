"""
Evidence for strangers, wired: receipts, proofs of consistency, witnesses. What is issued was verified before.

`eventlog.receipt` and `eventlog.witness` have the formats, and what is checked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from msgspec import Struct

from eventlog import artifact_match, artifacts, durable, locking, signed_note, tree, tree_head, witness
from eventlog import receipt as receipts
from eventlog.artifact_path import path_from_text
from eventlog.catalog import Catalog
from eventlog.confirmation import Trust
from eventlog.durable_replacement import replace_file
from eventlog.errors import EvidenceError, RefusedError
from eventlog.file_digest import Progress
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.model_id import check_model_id
from eventlog.queries import RegistryQueries
from eventlog.receipt import Proven, Receipt
from eventlog.replay import Replay
from eventlog.signed_note import NOTE_BYTES_MAX, Note, PublicKey
from eventlog.tree_head import TreeHead
from eventlog.witness import Request, Seen
from projections.projection import TREE_HEAD_NOTE
from projections.tree_head_note import TreeHeadNote
from projections.wiring import manager_of, wire

Path = str | os.PathLike[str]


class Issued(Struct, frozen=True):
    """A receipt that was written: where, and what it proves against which tree head."""

    path: str
    model_id: str
    position: int
    origin: str
    size: int
    root: str


class Signed(Struct, frozen=True):
    """A verified journal and its newest signed tree head, which agrees with it."""

    replay: Replay
    catalog: Catalog
    head: TreeHead
    note: Note
    leaves: list[bytes]

    def receipt_of(self, model_id: str) -> Receipt:
        """Return the receipt of a model. Raises RefusedError where there is no such model, or nobody signed it."""
        catalog = self.catalog
        position = catalog.publication(model_id).position
        if position >= self.head.size:
            raise RefusedError(
                f"{catalog.where}: expected a signed tree head of more than {position} entries, got one of "
                f"{self.head.size}: rebuild with --sign-key"
            )
        entry = next(iter(self.replay.journal.read(position, position + 1)))
        return Receipt(entry, position, tuple(tree.inclusion_proof(self.leaves, position)), str(self.note).encode())


def issue_receipt(
    model_id: str,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    journal: str | None = None,
    destination: Path | None = None,
) -> Issued:
    """
    Write the receipt of a model's publication; by default beside its artifact, as `ARTIFACT.tlog-proof`.

    Args:
        destination: another file; one that is no receipt is not overwritten.

    Raises:
        RefusedError: there is no such model, or no signed tree head that covers it, or the file cannot be written.

        JournalDamagedError: as any question.
    """
    check_model_id(model_id)
    opened = _open(registry_dir, state_dir, journal)
    catalog = opened.catalog
    receipt = opened.receipt_of(model_id)
    if destination is None:
        data = artifact_match.data_of(catalog.published[model_id])
        beside = data.artifact_path if data.origin_path is None else data.origin_path
        beside_hex = data.artifact_path_hex if data.origin_path is None else data.origin_path_hex
        destination = f"{path_from_text(beside, beside_hex)}{receipts.SUFFIX}"
    path = os.fspath(destination)
    with durable.refusing(path):
        if os.path.lexists(path) and not receipts.is_receipt(durable.read_start(path, 64)):
            raise RefusedError(f"{path}: expected a receipt or no file, got another file: it is not overwritten")
        replace_file(path, receipt.spelled())
    return Issued(path, model_id, receipt.index, opened.head.origin, opened.head.size, opened.head.root.hex())


def verify_receipt(
    receipt_path: Path,
    artifact_path: Path,
    public_key: str,
    progress: Progress | None = None,
) -> Proven:
    """
    Return what a receipt proves of an artifact; needs no registry.

    Raises:
        EvidenceError: it does not prove that this file was published, or the key did not sign it.

        RefusedError: a file cannot be read, or is no receipt.
    """
    key = signed_note.parse_public_key(public_key, "public key")
    where = os.fspath(receipt_path)
    receipt = receipts.parse(_read(where, receipts.BYTES_MAX), where)
    artifact = artifacts.hash_artifact(artifact_path, progress)
    return receipts.verify(receipt, key, artifact.sha256, where, is_directory=artifact.files is not None)


def prove_consistency(
    old_size: int,
    old_root: bytes | None,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    journal: str | None = None,
    origin: str | None = None,
) -> Request:
    """
    Return what shows that the newest signed tree head extends the one of *old_size* entries.

    Args:
        old_root: its root, 32 bytes; refused where the journal had another. None where only the size is known.

        origin: of which journal it is.

    Raises:
        EvidenceError: the journal does not extend it.
    """
    opened = _open(registry_dir, state_dir, journal)
    head, where = opened.head, opened.catalog.where
    if origin is not None and origin != head.origin:
        raise EvidenceError(f"{where}: expected a tree head of {head.origin}, got one of {origin}")
    if old_size > head.size:
        raise EvidenceError(
            f"{where}: expected a tree head of at most {head.size} signed entries, got one of {old_size}"
        )
    got = tree.root(opened.leaves[:old_size])
    if old_root is not None and got != old_root:
        raise EvidenceError(
            f"{where}: expected root {old_root.hex()} after {old_size} entries, got {got.hex()}: history was rewritten"
        )
    proof = tuple(tree.consistency_proof(opened.leaves, old_size))
    return Request(old_size, proof, str(opened.note).encode())


def observe(
    state_path: Path,
    public_keys: Sequence[str],
    *,
    request: bytes | None = None,
    sign_key: str | None = None,
    registry_dir: Path = "var/models",
    state_dir: Path | None = None,
    journal: str | None = None,
    now: Callable[[], float] = time.time,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> Seen:
    """
    Be a witness: check that a journal extends what was seen of it, remember that durably, and only then return it.

    Args:
        state_path: the witness's file; its directory must be there.

        public_keys: the journal's keys, one of which must have signed.

        request: as `prove_consistency` writes it; None to read the registry itself.

        sign_key: the witness's own private key.

    Raises as `eventlog.witness.observe`; what was remembered is as it was.
    """
    path = os.fspath(state_path)
    cosigner = None if sign_key is None else signed_note.parse_private_key(sign_key, "witness key")
    if cosigner is not None and cosigner.kind != signed_note.KIND_WITNESS:
        raise RefusedError(f"witness key {cosigner.name}: expected a witness's, got another: run keygen --witness")
    trusted = [signed_note.parse_public_key(key, "public key") for key in public_keys]
    with locking.locked_directory(os.path.dirname(path) or ".", timeout_seconds=lock_timeout_seconds):
        state = _read(path, NOTE_BYTES_MAX) if os.path.lexists(path) else None
        if request is None:
            asked = prove_consistency(witness.size_of(state, path), None, registry_dir, state_dir, journal=journal)
        else:
            asked = witness.parse_request(request, "request")
        seen = witness.observe(state, asked, trusted, cosigner, int(now()), path)
        with durable.refusing(path):
            replace_file(path, seen.state)
    return seen


def journal_lines(
    registry_dir: Path, state_dir: Path | None, public_key: str | None = None, *, journal: str | None = None
) -> Iterator[bytes]:
    """Yield the acknowledged entries as they are, all of them verified before the first. Raises as any question."""
    replay, projector = wire(registry_dir, manager_of(state_dir), journal)
    checks = []
    if public_key is not None:
        pinned = signed_note.parse_public_key(public_key, "public key")
        checks.append(partial(TreeHeadNote(os.fspath(registry_dir), replay).check, pinned))
    size = RegistryQueries(replay, [projector], checks=checks).catalog().size
    for entries in replay.past.runs(0, size):
        yield from entries


def tree_head_text(registry_dir: Path) -> str | None:
    """Return the signed tree head as it is written, or None where there is none that can be understood."""
    replay, _ = wire(registry_dir, None)
    found = TreeHeadNote(os.fspath(registry_dir), replay).read()
    return None if found is None else str(found[1])


def trust(
    public_key: str,
    registry_dir: Path = "var/models",
    *,
    witness_path: Path | None = None,
    witness_key: str | None = None,
) -> Trust:
    """Return whose word counts in an audit; see `eventlog.confirmation`."""
    note = os.path.join(os.fspath(registry_dir), TREE_HEAD_NOTE)
    elsewhere = None if witness_path is None else os.fspath(witness_path)
    return Trust(
        signed_note.parse_public_key(public_key, "public key"),
        note,
        lambda: _read(note, NOTE_BYTES_MAX),
        None if witness_key is None else signed_note.parse_public_key(witness_key, "witness key"),
        elsewhere or "",
        None if elsewhere is None else lambda: _read(elsewhere, NOTE_BYTES_MAX),
    )


def _open(registry_dir: Path, state_dir: Path | None, journal: str | None) -> Signed:
    """Verify a registry and its signed tree head."""
    replay, projector = wire(registry_dir, manager_of(state_dir), journal)
    RegistryQueries(replay, [projector]).catalog()
    found = signed(replay, registry_dir)
    if found is None:
        where = os.path.join(os.fspath(registry_dir), TREE_HEAD_NOTE)
        raise RefusedError(f"{where}: expected a signed tree head, got none: publish or rebuild with --sign-key")
    return found


def signed(replay: Replay, registry_dir: Path) -> Signed | None:
    """
    Verify that the signed tree head of a registry is one of its journal, signed by a key that could; None for none.

    Args:
        replay: verified.

    Raises:
        EvidenceError: it is of another history, or of no key that could sign it.
    """
    catalog, stored = replay.catalog, TreeHeadNote(os.fspath(registry_dir), replay)
    found = stored.read()
    if found is None:
        return None
    head, note = found
    if head.size > catalog.size:
        replay.catch_up(head.size)
    leaves = replay.leaves(head.size)
    if tree_head.head_of(head.anchor, leaves) != head or head.anchor.journal_id != catalog.journal_id:
        raise EvidenceError(
            f"{stored.where}: expected the root of the journal's first {head.size} entries, got another"
        )
    if not any(_has_signed(note, key, head.size, catalog) for key in catalog.keys):
        raise EvidenceError(f"{stored.where}: expected a signature of a key that could sign, got {note.signers()}")
    return Signed(replay, catalog, head, note, leaves)


def _has_signed(note: Note, spelled: str, size: int, catalog: Catalog) -> bool:
    key: PublicKey = signed_note.parse_public_key(spelled, catalog.where)
    return catalog.keys[spelled].could_sign(size) and note.signed_by(key) is not None


def _read(path: str, bytes_max: int) -> bytes:
    with durable.refusing(path):
        return durable.read_file(path, bytes_max=bytes_max)
