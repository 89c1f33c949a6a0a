"""
The read side: what to import.

    >>> from projections import ModelRegistry, RuntimeStateManager, open_registry

What keeps a registry in good health (`verify_registry`, `repair_registry`, `backup_registry`, `restore_registry`,
`examine_registry`) comes from here too. Each name is imported when it is asked for (PEP 562): a runtime that only reads
its own file needs no registry, and one that publishes needs no repair.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventlog.model import ModelMetadata
    from projections.maintenance import (
        backup_registry,
        examine_registry,
        export_journal,
        import_journal,
        repair_registry,
        restore_registry,
        verify_registry,
    )
    from projections.opening import ModelRegistry, open_registry
    from projections.runtime_state import RuntimeCheckpoint, RuntimeStateManager

__all__ = [
    "ModelMetadata",
    "ModelRegistry",
    "RuntimeCheckpoint",
    "RuntimeStateManager",
    "backup_registry",
    "examine_registry",
    "export_journal",
    "import_journal",
    "open_registry",
    "repair_registry",
    "restore_registry",
    "verify_registry",
]

_HOMES = {
    "ModelMetadata": "eventlog.model",
    "ModelRegistry": "projections.opening",
    "RuntimeCheckpoint": "projections.runtime_state",
    "RuntimeStateManager": "projections.runtime_state",
    "open_registry": "projections.opening",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES.get(name, "projections.maintenance")), name)
    globals()[name] = found
    return found
