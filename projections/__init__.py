"""
The read side: what to import.

    >>> from projections import ModelRegistry, RuntimeStateManager, open_registry

What keeps a registry in good health (`verify_registry`, `repair_registry`, `backup_registry`, `restore_registry`,
`examine_registry`) comes from here too, and is only imported when it is used.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from eventlog import registry as _registry
from eventlog import signed_note
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from eventlog.model import ModelMetadata
from projections.runtime_state import RuntimeCheckpoint, RuntimeStateManager
from projections.tree_head_note import TreeHeadNote
from projections.wiring import manager_of, wire

if TYPE_CHECKING:
    from projections.maintenance import (
        backup_registry,
        examine_registry,
        repair_registry,
        restore_registry,
        verify_registry,
    )

__all__ = [
    "ModelMetadata",
    "ModelRegistry",
    "RuntimeCheckpoint",
    "RuntimeStateManager",
    "backup_registry",
    "examine_registry",
    "open_registry",
    "repair_registry",
    "restore_registry",
    "verify_registry",
]


class ModelRegistry(_registry.ModelRegistry):
    """
    The registry in a directory, with its projections attached; see `eventlog.registry.ModelRegistry` for the calls.

    Args:
        root: the registry's directory; created by the first publish.

        state_manager: of the runtime that is to follow; None for no runtime.

        lock_timeout_seconds: how long a writer waits for another one.

        sign_key: signs the tree head after each event; the text of a key file as keygen writes it.

        public_key: the text of a public key: nothing is answered or changed unless a tree head that it signed, or a key
            that it endorsed, agrees with the journal.

        settings: `now`, `random_bytes`, `point_of_no_return` and `record_refusals`, as in
            `eventlog.requests.RegistryRequests`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "var/models",
        state_manager: RuntimeStateManager | None = None,
        *,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
        sign_key: str | None = None,
        public_key: str | None = None,
        **settings: Any,
    ) -> None:
        signer = None if sign_key is None else signed_note.parse_private_key(sign_key, "sign_key")
        replay, projector = wire(root, state_manager, lock_timeout_seconds=lock_timeout_seconds, sign_key=signer)
        if signer is not None:
            settings["signing"] = str(signer.public)
        if public_key is not None:
            pinned = signed_note.parse_public_key(public_key, "public_key")
            settings["checks"] = [partial(TreeHeadNote(os.fspath(root), replay, signer).check, pinned)]
        super().__init__(replay, [projector], **settings)


def open_registry(
    registry_dir: str | os.PathLike[str] = "var/models",
    state_dir: str | os.PathLike[str] | None = "var/runtime",
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    **settings: Any,
) -> ModelRegistry:
    """Return the registry of *registry_dir*, with the runtime of *state_dir* attached unless that is None."""
    manager = manager_of(state_dir, lock_timeout_seconds)
    return ModelRegistry(registry_dir, manager, lock_timeout_seconds=lock_timeout_seconds, **settings)


def __getattr__(name: str) -> Any:
    """Import the maintenance functions when they are asked for (PEP 562): a runtime that publishes needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from projections import maintenance  # noqa: PLC0415

    return getattr(maintenance, name)
