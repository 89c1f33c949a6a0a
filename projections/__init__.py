"""
The read side, and the one place where things are wired: a journal, its fold, the registry, the standard projections.

    >>> from projections import ModelRegistry, RuntimeStateManager, open_registry
"""

from __future__ import annotations

import os
from typing import Any

from eventlog import durable
from eventlog import registry as _registry
from eventlog.catalog import ModelMetadata
from eventlog.engines import open_journal
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.replay import Replay
from eventlog.verify import Report
from eventlog.verify import verify as _verify
from projections.projector import Projection, Projector
from projections.registry_json import RegistryJson
from projections.runtime_checkpoint import RuntimeCheckpointProjection
from projections.runtime_state import RuntimeCheckpoint, RuntimeStateManager

__all__ = [
    "ModelMetadata",
    "ModelRegistry",
    "RuntimeCheckpoint",
    "RuntimeStateManager",
    "open_registry",
    "verify_registry",
]


class ModelRegistry(_registry.ModelRegistry):
    """
    The registry in a directory, with its projections attached; see `eventlog.registry.ModelRegistry` for the calls.

    Args:
        root: the registry's directory; created by the first publish.

        state_manager: of the runtime that is to follow; None for no runtime.

        lock_timeout_seconds: how long a writer waits for another one.

        settings: `now`, `random_bytes` and `point_of_no_return`, as in `eventlog.registry.ModelRegistry`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "var/models",
        state_manager: RuntimeStateManager | None = None,
        *,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
        **settings: Any,
    ) -> None:
        replay, projector = _wire(root, state_manager, lock_timeout_seconds)
        super().__init__(replay, [projector], **settings)


def open_registry(
    registry_dir: str | os.PathLike[str] = "var/models",
    state_dir: str | os.PathLike[str] | None = "var/runtime",
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    **settings: Any,
) -> ModelRegistry:
    """Return the registry of *registry_dir*, with the runtime of *state_dir* attached unless that is None."""
    manager = _manager(state_dir, lock_timeout_seconds)
    return ModelRegistry(registry_dir, manager, lock_timeout_seconds=lock_timeout_seconds, **settings)


def verify_registry(
    registry_dir: str | os.PathLike[str] = "var/models", state_dir: str | os.PathLike[str] | None = "var/runtime"
) -> Report:
    """Audit a registry from its first byte, and its projections; see `eventlog.verify`. Reads only."""
    manager = _manager(state_dir, LOCK_TIMEOUT_SECONDS)
    replay, projector = _wire(
        registry_dir, manager, LOCK_TIMEOUT_SECONDS, tell=lambda _notice: None
    )  # the report tells
    return _verify(replay, [projector])


def _manager(state_dir: str | os.PathLike[str] | None, lock_timeout_seconds: float) -> RuntimeStateManager | None:
    return None if state_dir is None else RuntimeStateManager(state_dir, lock_timeout_seconds=lock_timeout_seconds)


def _wire(
    root: str | os.PathLike[str], manager: RuntimeStateManager | None, lock_timeout_seconds: float, **settings: Any
) -> tuple[Replay, Projector]:
    directory = durable.checked_path(root, "registry directory")
    replay = Replay(open_journal(f"file:{directory}", lock_timeout_seconds=lock_timeout_seconds), **settings)
    projections: list[Projection] = [RegistryJson(directory, lock_timeout_seconds=lock_timeout_seconds)]
    if manager is not None:
        projections.append(RuntimeCheckpointProjection(manager))
    return replay, Projector(replay, projections)
