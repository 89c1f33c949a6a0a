"""
What keeps a registry in good health, wired: verify, repair, backup, restore, doctor. Each returns a typed report.

The functions open the registry anew, read what is there, and say what they found or did; see the modules of `eventlog`
that they call for what is promised and raised.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import datetime
from typing import Any, cast, get_args

import eventlog.second_half  # noqa: F401 - before anything is looked at
from eventlog import backup as _backup
from eventlog import doctor as _doctor
from eventlog import durable, identity
from eventlog import restore as _restore
from eventlog import transfer as _transfer
from eventlog.clock import utc_now
from eventlog.decisions import Terms
from eventlog.engines import open_mirrored
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import RefusedError
from eventlog.file_digest import Progress
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.repair import Action, RepairReport, Repairs
from eventlog.verify import Report
from eventlog.verify import verify as _verify
from projections import evidence, registry_json
from projections.projection import write_all
from projections.wiring import manager_of, wire

Path = str | os.PathLike[str]


def verify_registry(
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    journal: str | None = None,
    artifacts: bool = False,
    progress: Progress | None = None,
    public_key: str | None = None,
    witness_path: Path | None = None,
    witness_key: str | None = None,
) -> Report:
    """
    Audit a registry from its first byte, its derived files and, if asked, its artifacts; see `eventlog.verify`.

    Args:
        public_key: a tree head that it, or a key that it endorsed, has signed must agree.

        witness_path: what a witness keeps; it must agree, too, and be signed by *witness_key* where that is given.
    """
    manager = manager_of(state_dir)
    replay, projector = wire(registry_dir, manager, journal, tell=_silent, whole=True, processes=2, audited=True)
    trust = None
    if public_key is not None:
        trust = evidence.trust(public_key, registry_dir, witness_path=witness_path, witness_key=witness_key)
    return _verify(replay, [projector], trust=trust, artifacts=artifacts, progress=progress)


def repair_registry(
    action: Action,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    copy: Path | None = None,
    reason: str | None = None,
    actor: str | None = None,
    dry_run: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    now: Callable[[], datetime] = utc_now,
    random_bytes: Callable[[int], bytes] = os.urandom,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> RepairReport:
    """Mend a damaged journal as far as that can be proven; `eventlog.repair` has the actions and what they raise."""
    if action not in get_args(Action):
        raise RefusedError(f"action: expected one of {', '.join(get_args(Action))}, got {action!r:.80}")
    terms = Terms(
        actor=identity.check_text("actor", identity.default_actor() if actor is None else actor),
        request_id=identity.new_uuid(random_bytes),
        reason=None if reason is None else identity.check_utf8("reason", reason),
    )
    repairs = Repairs(
        lambda: _opened(registry_dir, state_dir, lock_timeout_seconds),
        now=now,
        random_bytes=random_bytes,
        point_of_no_return=point_of_no_return,
    )
    return repairs.run(action, terms=terms, copy=None if copy is None else os.fspath(copy), dry_run=dry_run)


def backup_registry(
    destination: Path,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    journal: str | None = None,
) -> _backup.BackupReport:
    """Copy what is acknowledged into a new directory, verified; see `eventlog.backup`."""
    replay, projector = wire(registry_dir, manager_of(state_dir), journal, whole=True, processes=2)
    derived = {registry_json.NAME: registry_json.render}
    where, destination = os.fspath(registry_dir), os.fspath(destination)
    return _backup.backup(replay, where, destination, subscribers=[projector], derived=derived)


def restore_registry(
    source: Path,
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    dry_run: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> _restore.RestoreReport:
    """Bring an empty registry, or one that the backup continues, up to the backup; see `eventlog.restore`."""
    replay, subscribers = _opened(registry_dir, state_dir, lock_timeout_seconds)
    projection = registry_json.RegistryJson(os.fspath(registry_dir), lock_timeout_seconds=lock_timeout_seconds)
    return _restore.restore(
        os.fspath(source),
        replay,
        subscribers,
        dry_run=dry_run,
        announce=lambda catalog: write_all([projection], catalog),
        point_of_no_return=point_of_no_return,
    )


def import_journal(
    registry_dir: Path,
    journal: str,
    state_dir: Path | None = None,
    *,
    dry_run: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> _transfer.Transfer:
    """Move the journal in a directory into a cluster; see `eventlog.transfer`."""
    directory = durable.checked_path(registry_dir, "registry directory")
    _, projector = wire(registry_dir, manager_of(state_dir))
    local = JsonlJournal(directory, lock_timeout_seconds=lock_timeout_seconds)
    with closing(_cluster(journal, directory, lock_timeout_seconds)) as cluster:
        return _transfer.import_journal(local, cluster, [projector], dry_run=dry_run)


def export_journal(
    destination: Path,
    registry_dir: Path,
    journal: str,
    *,
    dry_run: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> _transfer.Transfer:
    """Copy the journal of a cluster into a directory, as a journal of its own; see `eventlog.transfer`."""
    local = JsonlJournal(durable.checked_path(destination, "DEST"), lock_timeout_seconds=lock_timeout_seconds)
    directory = durable.checked_path(registry_dir, "registry directory")
    with closing(_cluster(journal, directory, lock_timeout_seconds)) as cluster:
        return _transfer.export_journal(cluster, local, dry_run=dry_run)


def examine_registry(
    registry_dir: Path = "var/models",
    state_dir: Path | None = "var/runtime",
    *,
    journal: str | None = None,
    packages: Collection[str] = (),
    settings: Collection[str] = (),
) -> _doctor.Examination:
    """Say everything that a person should know of a registry and its surroundings; see `eventlog.doctor`."""
    manager, cluster = manager_of(state_dir), None
    if journal is not None:
        from eventlog.engines.jetstream_doctor import Look  # noqa: PLC0415 - few journals are on a cluster

        cluster = Look(journal)  # before the mirror reads on: so it has at least what is seen here
    return _doctor.examine(
        os.fspath(registry_dir),
        None if manager is None else manager.where,
        verify_registry(registry_dir, state_dir, journal=journal),
        cluster=cluster,
        packages=packages,
        settings=settings,
    )


def _opened(registry_dir: Path, state_dir: Path | None, lock_timeout_seconds: float) -> tuple[Any, list[Any]]:
    manager = manager_of(state_dir, lock_timeout_seconds)
    replay, projector = wire(registry_dir, manager, lock_timeout_seconds=lock_timeout_seconds, whole=True)
    return replay, [projector]


def _cluster(journal: str, directory: str, lock_timeout_seconds: float) -> _transfer.ReplicatedJournal:
    found = open_mirrored(journal, directory, lock_timeout_seconds=lock_timeout_seconds)
    return cast(_transfer.ReplicatedJournal, found)


def _silent(_notice: str) -> None:
    """The report tells."""
