"""The one place where things are wired: a journal, its fold, and the standard projections as its subscribers."""

from __future__ import annotations

import os
from typing import Any

from eventlog import durable
from eventlog.engines import open_journal
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.replay import Replay
from eventlog.signed_note import PrivateKey
from projections.projector import Projection, Projector
from projections.registry_json import RegistryJson
from projections.runtime_checkpoint import RuntimeCheckpointProjection
from projections.runtime_state import RuntimeStateManager
from projections.tree_head_note import TreeHeadNote


def manager_of(
    state_dir: str | os.PathLike[str] | None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
) -> RuntimeStateManager | None:
    """Return the manager of the runtime in *state_dir*; None for no runtime."""
    return None if state_dir is None else RuntimeStateManager(state_dir, lock_timeout_seconds=lock_timeout_seconds)


def wire(
    root: str | os.PathLike[str],
    manager: RuntimeStateManager | None,
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    sign_key: PrivateKey | None = None,
    **settings: Any,
) -> tuple[Replay, Projector]:
    """Return the fold of the journal in *root*, and what keeps the derived files up to date; nothing is read yet."""
    directory = durable.checked_path(root, "registry directory")
    replay = Replay(open_journal(f"file:{directory}", lock_timeout_seconds=lock_timeout_seconds), **settings)
    projections: list[Projection] = [
        RegistryJson(directory, lock_timeout_seconds=lock_timeout_seconds),
        TreeHeadNote(directory, replay, sign_key, lock_timeout_seconds=lock_timeout_seconds),
    ]
    if manager is not None:
        projections.append(RuntimeCheckpointProjection(manager))
    return replay, Projector(replay, projections)
