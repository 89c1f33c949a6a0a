"""
Bundle: models with their artifacts, the history that says what they are, and its proofs, in one file to carry away.

`bundle_format` says what is in it. The same journal and the same request give the same bytes on every machine. Whatever
can be missing is looked for before the first byte is written, artifacts are hashed again while they are copied, and the
file gets its name when it is whole and durable. Nothing in the registry changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from msgspec import Struct

from eventlog import bundle_format, chain, durable, durable_replacement, locking, manifest, objects, tree
from eventlog.artifact_match import data_of
from eventlog.artifact_places import ArtifactPlaces
from eventlog.bundle_file import digest_of
from eventlog.bundle_format import End, Member, Start, Table
from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.file_digest import Progress
from eventlog.log import log
from eventlog.model_id import check_model_id
from eventlog.replay import Replay

Parts = Callable[[], Iterator[bytes]]
"""Gives the bytes of a member, each time anew."""


class BundleReport(Struct, frozen=True):
    """What was bundled: *models*, and the entries `[start, size)`, the last with *hash*; *signed*: with receipts."""

    bundle: str
    journal_id: str
    start: int
    size: int
    hash: str
    models: list[str]
    signed: bool
    size_bytes: int


class Proofs(Struct, frozen=True):
    """The signed tree head, and what makes the receipt of a model that it covers."""

    note: bytes
    receipt_of: Callable[[str], bytes]


def bundle(
    replay: Replay,
    model_ids: Sequence[str],
    destination: str,
    places: ArtifactPlaces,
    *,
    since: int = 0,
    proofs: Proofs | None = None,
    progress: Progress | None = None,
) -> BundleReport:
    """
    Write a bundle.

    Args:
        replay: folded, checked and settled.

        model_ids: published models; the active one comes along in any case.

        destination: must not exist.

        places: where the artifacts are.

        since: how many entries the other side has already.

        proofs: where the journal is signed.

        progress: called with bytes hashed and bytes in all, of one artifact after the other.

    Raises:
        RefusedError: an artifact is missing or another, or the file cannot be written; there is none.
    """
    destination = durable.checked_path(destination, "bundle")
    _refuse_taken(destination)
    catalog = replay.catalog
    wanted = _wanted(catalog, model_ids)
    if since > catalog.size:
        raise RefusedError(f"--since: expected at most {catalog.size}, as many as {catalog.where} has, got {since}")
    if proofs is None:
        log.info("%s: no signed tree head: the bundle has no receipts", catalog.where)
    contents = _proofs(proofs, wanted)
    digest, size_bytes = digest_of(_lines(replay, since))
    contents.append((Member(bundle_format.JOURNAL, size_bytes, digest), lambda: _lines(replay, since)))
    for digest, (size_bytes, parts) in sorted(_files(catalog, wanted, places, progress).items()):
        contents.append((Member(bundle_format.artifact_name(digest), size_bytes, digest), parts))
    start, end = Start(since, replay.hash_at(since) or chain.GENESIS), _end(replay)
    members = [member for member, _ in contents]
    table = Table(bundle_format.FORMAT, catalog.journal_id or "", start, end, wanted, members)
    if len(table.encoded()) > bundle_format.TABLE_BYTES_MAX:
        raise RefusedError(f"{destination}: expected fewer files in a bundle, got {len(members)}: bundle fewer models")
    _write(destination, _bytes_of(table, contents))
    return BundleReport(
        destination, table.journal_id, since, end.size, end.hash, wanted, proofs is not None, table.size_bytes()
    )


def _proofs(proofs: Proofs | None, wanted: Sequence[str]) -> list[tuple[Member, Parts]]:
    """Return the signed tree head and the receipts."""
    if proofs is None:
        return []
    data = {bundle_format.NOTE: proofs.note}
    data |= {bundle_format.receipt_name(model_id): proofs.receipt_of(model_id) for model_id in wanted}
    return [(Member(name, len(item), sha256(item).hexdigest()), _constant(item)) for name, item in data.items()]


def _wanted(catalog: Catalog, model_ids: Sequence[str]) -> list[str]:
    """Return the models of a bundle in the order of publication."""
    for model_id in model_ids:
        catalog.publication(check_model_id(model_id))
    active = catalog.active_id()
    if active is None:
        raise RefusedError(f"{catalog.where}: expected an active model, got none: publish first")
    if active not in model_ids:
        log.info("%s: active, so it comes along", active)
    return sorted({*model_ids, active}, key=lambda model_id: catalog.published[model_id].position)


def _files(
    catalog: Catalog, wanted: Sequence[str], places: ArtifactPlaces, progress: Progress | None
) -> dict[str, tuple[int, Parts]]:
    """Return size and bytes of every file of the artifacts by its hash, each of which has just been hashed."""
    found: dict[str, tuple[int, Parts]] = {}

    def read(path: str, digest: str, size_bytes: int) -> Parts:
        def refuse(what: str) -> RefusedError:
            return RefusedError(f"{path}: changed after it was hashed: {what}: bundle it when its writer is done")

        return lambda: objects.checked(objects.read_file(path), digest, size_bytes, refuse)

    for model_id in wanted:
        event = catalog.published[model_id]
        if (signature := data_of(event).signature) is not None:
            path = places.signature_path(event)
            size_bytes = os.stat(path).st_size
            found[signature.sha256] = size_bytes, read(path, signature.sha256, size_bytes)
        artifact = places.locate(event, progress)
        if artifact.files is None:
            found[artifact.sha256] = artifact.size_bytes, read(artifact.path, artifact.sha256, artifact.size_bytes)
            continue
        for file in artifact.files:
            path = os.path.join(artifact.path, file.path)
            found[file.sha256] = file.size_bytes, read(path, file.sha256, file.size_bytes)
        data = manifest.encode(artifact.files)
        found[artifact.sha256] = len(data), _constant(data)
    return found


def _constant(data: bytes) -> Parts:
    return lambda: iter([data])


def _end(replay: Replay) -> End:
    """Return where the journal ends, with the root over all of it; memory does not grow with it."""
    growing = tree.Growing()
    for entries in replay.past.runs(0, replay.catalog.size):
        for entry in entries:
            growing.add(tree.leaf_hash(entry))
    return End(replay.catalog.size, replay.catalog.hash, growing.root().hex())


def _lines(replay: Replay, since: int) -> Iterator[bytes]:
    """Yield the lines of the segment."""
    for entries in replay.past.runs(since, replay.catalog.size):
        yield b"".join(entry + b"\n" for entry in entries)


def _bytes_of(table: Table, contents: Iterable[tuple[Member, Parts]]) -> Iterator[bytes]:
    """Yield the bytes of the file."""
    data = table.encoded()
    yield from bundle_format.framed(bundle_format.TABLE, len(data), iter([data]))
    for member, parts in contents:
        yield from bundle_format.framed(member.name, member.size_bytes, parts())
    yield bundle_format.END


def _write(destination: str, parts: Iterator[bytes]) -> None:
    """Write the file, beside its name and under it when it is durable; others that write it wait, and find it there."""
    above = os.path.dirname(destination) or "."
    with durable.refusing(destination), locking.locked_directory(above, timeout_seconds=objects.LOCK_TIMEOUT_SECONDS):
        _refuse_taken(destination)
        durable_replacement.replace_file(destination, parts, before_rename=objects.make_read_only)


def _refuse_taken(destination: str) -> None:
    if os.path.lexists(destination):
        raise RefusedError(f"{destination}: expected no file, got one: it is not overwritten")
