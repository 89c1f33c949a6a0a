"""What a bundle claims, found true or refused: every entry, root, signature, receipt and artifact. Reads only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from msgspec import Struct

from eventlog import bundle_format, chain, confirmation, manifest, receipt, signed_note, tree, tree_head
from eventlog.artifact_match import data_of
from eventlog.bundle_file import BundleFile
from eventlog.catalog import Catalog
from eventlog.continued import Continued, Segment
from eventlog.errors import EvidenceError, JournalDamagedError, RefusedError
from eventlog.file_digest import Progress
from eventlog.manifest import File
from eventlog.replay import Replay
from eventlog.signed_note import Note, PublicKey
from eventlog.tree_head import TreeHead


class Verified(Struct, frozen=True):
    """
    A bundle whose every claim was found true.

    Attributes:
        replay: the fold of the whole history up to its end.

        segment: its entries.

        note: its signed tree head, or None.

        directories: the files of each artifact that is a directory, by its hash.
    """

    file: BundleFile
    replay: Replay
    segment: Segment
    note: bytes | None
    directories: dict[str, list[File]]


def verify(file: BundleFile, target: Replay, trusted: PublicKey | None, progress: Progress | None = None) -> Verified:
    """
    Verify every claim of a bundle that continues, or is part of, the history of *target*; reads only.

    Raises as `eventlog.unbundle.unbundle`.
    """
    table, mine = file.table, target.catalog
    if mine.journal_id not in (None, table.journal_id):
        raise RefusedError(
            f"{file.where}: forked: expected journal {mine.journal_id}, as {mine.where} is, got {table.journal_id}"
        )
    if table.start.size > mine.size:
        raise RefusedError(
            f"{file.where}: partial: expected entries from position {mine.size} on, which {mine.where} does not have, "
            f"got them from {table.start.size} on: make it with bundle --since {mine.size}"
        )
    file.check(progress)
    journal = next(member for member in table.members if member.name == bundle_format.JOURNAL)
    begins, where = file.offset_of(journal), f"{file.where}: {bundle_format.JOURNAL}"
    segment = Segment(
        where,
        lambda offset, count: file.read(begins + offset, count),
        journal.size_bytes,
        table.start.size,
        table.end.size,
        table.start.hash,
    )
    if target.hash_at(table.start.size) != table.start.hash:
        raise RefusedError(
            f"{file.where}: forked: expected hash {target.hash_at(table.start.size)} after {table.start.size} entries, "
            f"as {mine.where} has, got {table.start.hash}: they differ at an entry before position {table.start.size}"
        )
    refuse_fork(file, segment, target)
    for _ in target.past.runs(0, table.start.size):
        pass  # what is wrong with these is said of this registry, not of the bundle
    replay = Replay(Continued(target.journal, segment), tell=lambda _notice: None, whole=True, home=target.home)
    try:
        catalog = replay.catch_up()
    except JournalDamagedError as error:
        raise RefusedError(f"{file.where}: damaged, so nothing is taken from it: {error}") from error
    got = (catalog.journal_id, catalog.size, catalog.hash)
    if got != (table.journal_id, table.end.size, table.end.hash):
        raise RefusedError(f"{where}: expected what {bundle_format.TABLE} says, got journal {got[0]} up to {got[2]}")
    note = _proven(file, replay, _signers(file, mine, trusted))
    return Verified(file, replay, segment, note, _directories(file, catalog))


def refuse_fork(file: BundleFile, segment: Segment, target: Replay) -> None:
    """Raise RefusedError where the bundle and *target* have different entries at one position."""
    start, stop = segment.start, min(target.catalog.size, segment.stop)
    flat = itertools.chain.from_iterable
    pairs = itertools.zip_longest(flat(target.past.runs(start, stop)), flat(segment.runs(start, stop)))
    for position, (ours, theirs) in enumerate(pairs, start):
        if ours != theirs:
            raise RefusedError(
                f"{file.where}: forked: expected at position {position} the entry that {target.catalog.where} has, got "
                "another: this history has gone on differently"
            )


def _signers(file: BundleFile, mine: Catalog, trusted: PublicKey | None) -> list[PublicKey]:
    """
    Return the keys one of which, or of those that they endorsed, must have signed all that the bundle has; or none.

    That is *trusted*; else those that may sign this registry's journal, where the bundle brings something new.
    """
    if trusted is not None:
        return [trusted]
    if file.table.end.size <= mine.size:
        return []
    return [signed_note.parse_public_key(key, mine.where) for key, item in mine.keys.items() if item.revoked is None]


def _proven(file: BundleFile, replay: Replay, signers: Sequence[PublicKey]) -> bytes | None:
    """Return the signed tree head, None for none, once it, the receipts and the root agree with the entries."""
    where = f"{file.where}: {bundle_format.NOTE}"
    members = {member.name: member for member in file.table.members}
    if bundle_format.NOTE not in members:
        if signers:
            raise EvidenceError(f"{where}: expected a tree head that {_named(signers)} signed, got none")
        _check_roots(file, replay, None)
        return None
    data = file.whole(members[bundle_format.NOTE], signed_note.NOTE_BYTES_MAX)
    head, note = tree_head.parsed(data, where)
    _check_signed(head, note, replay.catalog, signers, where)
    _check_roots(file, replay, head)
    for model_id in file.table.models:
        name = bundle_format.receipt_name(model_id)
        place = f"{file.where}: {name}"
        proof = receipt.parse(file.whole(members[name], receipt.BYTES_MAX), place)
        if proof.note != data:
            raise EvidenceError(f"{place}: expected the tree head that is in the bundle, got another")
        try:
            root = tree.root_from_inclusion(tree.leaf_hash(proof.entry), proof.index, head.size, proof.proof)
        except tree.ProofError as error:
            raise EvidenceError(f"{place}: {error}") from None
        published = replay.catalog.published
        if root != head.root or model_id not in published or published[model_id].position != proof.index:
            raise EvidenceError(f"{place}: expected the proof that {model_id} was published, got another")
    return data


def _check_signed(head: TreeHead, note: Note, catalog: Catalog, signers: Sequence[PublicKey], where: str) -> None:
    """Raise EvidenceError unless the tree head is of this journal, and of a key that counts."""
    anchor = head.anchor
    if anchor.journal_id != catalog.journal_id or not 0 < head.size <= catalog.size:
        raise EvidenceError(f"{where}: expected a tree head of this bundle's history, got {head.origin} of {head.size}")
    if signers:
        wanted = f"{_named(signers)}, or a key that it endorsed, over all {catalog.size} entries"
        holds = head.size == catalog.size and any(confirmation.is_trusted(head, note, key, catalog) for key in signers)
    else:
        wanted = "a key of the journal"
        holds = any(
            standing.could_sign(head.size) and note.signed_by(signed_note.parse_public_key(key, where)) is not None
            for key, standing in catalog.keys.items()
        )
    if not holds:
        raise EvidenceError(
            f"{where}: expected a signature of {wanted}, got {note.signers()} over {head.size}: where it was made, "
            "rebuild with --sign-key, and bundle it again"
        )


def _named(signers: Sequence[PublicKey]) -> str:
    return " or ".join(f"{key.name}+{key.id.hex()}" for key in signers)


def _check_roots(file: BundleFile, replay: Replay, head: TreeHead | None) -> None:
    """Compare the root that the bundle tells, and the one that was signed, with the entries."""
    growing, end = tree.Growing(), file.table.end
    for entries in replay.past.runs(0, end.size):
        for entry in entries:
            growing.add(tree.leaf_hash(entry))
            if head is None or growing.size != head.size:
                continue
            if (growing.root(), chain.hash_of(entry)) != (head.root, head.chain):
                raise EvidenceError(
                    f"{file.where}: {bundle_format.NOTE}: expected root {growing.root().hex()} after {head.size} "
                    f"entries, got {head.root.hex()}: it was signed of another history"
                )
    if growing.root().hex() != end.root:
        raise RefusedError(
            f"{file.where}: {bundle_format.TABLE}: expected root {growing.root().hex()}, got {end.root}: it was changed"
        )


def _directories(file: BundleFile, catalog: Catalog) -> dict[str, list[File]]:
    """Return the files of each directory, once the artifacts are those of the models, the active one's among them."""
    table = file.table
    members = {member.sha256: member for member in table.artifacts()}
    active = catalog.active_id()
    unknown = [model_id for model_id in table.models if model_id not in catalog.published]
    if unknown or active not in table.models:
        raise RefusedError(
            f"{file.where}: {bundle_format.TABLE}: expected published models, {active} among them, which is active, "
            f"got {table.models!r:.200}"
        )
    found: dict[str, list[File]] = {}
    wanted: dict[str, int] = {}
    for model_id in table.models:
        data = data_of(catalog.published[model_id])
        member = members.get(data.sha256)
        if data.signature is not None:  # how large it is the history does not say
            signature = members.get(data.signature.sha256)
            wanted[data.signature.sha256] = -1 if signature is None else signature.size_bytes
        if data.artifact_files is None:
            wanted[data.sha256] = data.artifact_size_bytes
        elif member is not None and data.sha256 not in found:
            where = f"{file.where}: {member.name}"
            found[data.sha256] = manifest.decode(file.whole(member, manifest.BYTES_MAX), where)
            wanted |= {part.sha256: part.size_bytes for part in found[data.sha256]} | {data.sha256: member.size_bytes}
        elif member is None:
            wanted[data.sha256] = -1
    got = {digest: member.size_bytes for digest, member in members.items()}
    odd = next((digest for digest in sorted({**wanted, **got}) if wanted.get(digest) != got.get(digest)), None)
    if odd is not None:
        what = "it is missing or has another size" if odd in wanted else "no model needs it"
        raise RefusedError(f"{file.where}: expected just the artifacts of its models, got others: {odd}: {what}")
    return found
