"""Ways to forget a sync, to be planted in a process: what a suite of power cuts must notice, or is known not to."""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest import mock

from eventlog import durable


def plant(name: str) -> None:
    """Make this process and those forked from it forget what `FORGOTTEN` says under *name*, for ever."""
    call, is_forgotten = FORGOTTEN[name]
    for forgotten in (call, "posix_fadvise"):  # what has begun may well be there in time
        sync = getattr(os, forgotten)

        def forgetful(descriptor: int, *how: int, sync: Callable[..., None] = sync) -> None:
            if not is_forgotten(os.readlink(f"/proc/self/fd/{descriptor}")):
                sync(descriptor, *how)

        mock.patch.object(durable.os, forgotten, forgetful).start()


def _named(*names: str) -> Callable[[str], bool]:
    return lambda path: os.path.basename(path) in names


FORGOTTEN: dict[str, tuple[str, Callable[[str], bool]]] = {
    "journal": ("fdatasync", _named("journal.jsonl")),
    "head": ("fdatasync", _named("journal.head")),
    "derived files": ("fsync", _named(".registry.json.new", ".state.json.new")),
    "directories": ("fsync", os.path.isdir),
    "runtime's directory": ("fsync", _named("runtime")),
    "registry's directory": ("fsync", _named("models")),
    "quarantine": ("fsync", lambda path: path.endswith(".pending.new")),
}
"""The system call, and for which paths it does nothing."""
