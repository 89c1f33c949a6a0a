"""`rebuild`: write the derived files anew from the journal."""

from __future__ import annotations

import eventlog.second_half  # noqa: F401 - before anything is looked at
from eventlog.log import log
from scripts import options
from scripts.declared import verb


@verb(options.SIGNING, options.MEASURED, options.WAITING, *options.COMMON)
def command(
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    lock_timeout: float,
    sign_key: str | None,
    metrics_file: str | None,
) -> None:
    """Write registry.json, the runtime's active model and, with a key, the tree head anew from the journal."""
    settings = {"sign_key": sign_key, "metrics_file": metrics_file, "processes": 2}
    size = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **settings).rebuild()
    runtime = options.STATE_DIR if state_dir is None else state_dir
    log.info("%s, %s: derived files written anew from %d entries", registry_dir, runtime, size)
