"""Bundles, wired: models and their history in one file, for a host that no network reaches; see `eventlog.bundle`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from eventlog import bundle as _bundle
from eventlog import durable, signed_note
from eventlog import unbundle as _unbundle
from eventlog.artifact_places import ArtifactPlaces
from eventlog.bundle import BundleReport, Proofs
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import RefusedError
from eventlog.file_digest import Progress
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.queries import RegistryQueries
from eventlog.unbundle import UnbundleReport
from eventlog.vault import Vault
from projections import evidence
from projections.tree_head_note import TreeHeadNote
from projections.wiring import checks, manager_of, wire

Path = str | os.PathLike[str]


def bundle_models(
    model_ids: Sequence[str],
    destination: Path,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    since: int = 0,
    journal: str | None = None,
    artifact_store: str | None = None,
    public_key: str | None = None,
    progress: Progress | None = None,
) -> BundleReport:
    """
    Write models, their history and its proofs into one file; see `eventlog.bundle`.

    Args:
        journal, artifact_store, public_key: as `projections.open_registry` takes them.
    """
    replay, projector = wire(registry_dir, manager_of(state_dir), journal)
    with RegistryQueries(replay, [projector], checks=checks(registry_dir, replay, public_key)) as reader:
        catalog = reader.catalog()
        replay.settle()
        if any(notice.extent_unknown for notice in replay.journal.notices()):
            raise RefusedError(f"{catalog.where}: nobody knows whether it is whole: run repair --rebuild-head")
        signed = evidence.signed(replay, registry_dir)
        proofs = None
        if signed is not None:
            proofs = Proofs(str(signed.note).encode(), lambda model_id: signed.receipt_of(model_id).spelled())
        places = ArtifactPlaces(os.path.abspath(os.fspath(registry_dir)), artifact_store)
        return _bundle.bundle(
            replay, model_ids, os.fspath(destination), places, since=since, proofs=proofs, progress=progress
        )


def unbundle(
    path: Path,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    public_key: str | None = None,
    dry_run: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    progress: Progress | None = None,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> UnbundleReport:
    """Bring the registry in a directory of this machine what a bundle holds; see `eventlog.unbundle`."""
    directory = durable.checked_path(registry_dir, "registry directory")
    if (stream := JsonlJournal(directory).stream) is not None:
        raise RefusedError(
            f"{directory}: expected a journal of its own, got the mirror of {stream}: "
            "unbundle into another directory, and move that into a cluster with import-journal"
        )
    manager = manager_of(state_dir, lock_timeout_seconds)
    replay, projector = wire(directory, manager, lock_timeout_seconds=lock_timeout_seconds)
    note = TreeHeadNote(directory, replay, lock_timeout_seconds=lock_timeout_seconds)
    return _unbundle.unbundle(
        os.fspath(path),
        replay,
        [projector],
        Vault(directory),
        trusted=None if public_key is None else signed_note.parse_public_key(public_key, "public key"),
        put_note=note.put,
        dry_run=dry_run,
        progress=progress,
        point_of_no_return=point_of_no_return,
    )
