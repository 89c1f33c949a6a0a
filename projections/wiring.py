"""The one place where things are wired: a journal, its fold, and the standard projections as its subscribers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from eventlog import durable
from eventlog.catalog import Catalog
from eventlog.engines import open_journal, open_mirrored
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.reader import RegistryReader
from eventlog.replay import Replay
from projections.projection import Projection
from projections.projector import Projector
from projections.registry_json import RegistryJson
from projections.runtime_checkpoint import RuntimeCheckpointProjection
from projections.runtime_state import RuntimeStateManager
from projections.unsigned_note import UnsignedNote

if TYPE_CHECKING:
    from eventlog.signed_note import PrivateKey


def manager_of(
    state_dir: str | os.PathLike[str] | None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> RuntimeStateManager | None:
    """Return the manager of the runtime in *state_dir*; None for no runtime."""
    return None if state_dir is None else RuntimeStateManager(state_dir, lock_timeout_seconds=lock_timeout_seconds)


def wire(
    root: str | os.PathLike[str],
    manager: RuntimeStateManager | None,
    journal: str | None = None,
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    sign_key: PrivateKey | None = None,
    audited: bool = False,
    **settings: Any,
) -> tuple[Replay, Projector]:
    """
    Return the fold of the journal in *root*, and what keeps the derived files up to date; nothing is read yet.

    Args:
        journal: the URL of one on a cluster, of which *root* holds the mirror; None for one in *root* itself.

        audited: the files are to be audited, so `registry.json` is compared with the fold while that goes on.
    """
    if manager is not None and not isinstance(manager, RuntimeStateManager):
        raise TypeError(f"state_manager: expected a RuntimeStateManager, got {type(manager).__name__}")
    directory = durable.checked_path(root, "registry directory")
    registry_json = RegistryJson(directory, lock_timeout_seconds=lock_timeout_seconds)
    if journal is None:
        opened = open_journal(f"file:{directory}", lock_timeout_seconds=lock_timeout_seconds)
    else:
        opened = open_mirrored(journal, directory, lock_timeout_seconds=lock_timeout_seconds)
    beside = registry_json.beside() if audited else None
    replay = Replay(
        opened, claimed_rows=registry_json.claimed_rows, home=os.path.abspath(directory), beside=beside, **settings
    )
    projections: list[Projection] = [registry_json]
    if sign_key is None:
        projections.insert(0, UnsignedNote(directory, replay))  # whatever it imports, it imports before all is read
    else:
        from projections.tree_head_note import TreeHeadNote  # noqa: PLC0415 - few journals are signed

        projections.append(TreeHeadNote(directory, replay, sign_key, lock_timeout_seconds=lock_timeout_seconds))
    if manager is not None:
        projections.append(RuntimeCheckpointProjection(manager))
    return replay, Projector(replay, projections)


def checks(
    root: str | os.PathLike[str], replay: Replay, public_key: str | None, signer: PrivateKey | None = None
) -> list[Callable[[Catalog], None]]:
    """Return what must hold of the newest state before anything is answered, for whoever trusts *public_key*."""
    if public_key is None:
        return []
    from eventlog import signed_note  # noqa: PLC0415 - few ask for a signature
    from projections.tree_head_note import TreeHeadNote  # noqa: PLC0415

    pinned = signed_note.parse_public_key(public_key, "public_key")
    return [partial(TreeHeadNote(os.fspath(root), replay, signer).check, pinned)]


def open_reader(
    registry_dir: str | os.PathLike[str],
    state_dir: str | os.PathLike[str] | None,
    journal: str | None = None,
    public_key: str | None = None,
) -> RegistryReader:
    """Return what answers questions about a registry's state, and no more, so that little is imported for it."""
    replay, projector = wire(registry_dir, manager_of(state_dir), journal)
    return RegistryReader(replay, [projector], checks=checks(registry_dir, replay, public_key))
