"""`rebuild`: write the derived files anew from the journal."""

from __future__ import annotations

from logging import getLogger

import click

from eventlog.locking import LOCK_TIMEOUT_SECONDS
from scripts import options

_log = getLogger("modelog")


@click.command()
@click.option(
    "--lock-timeout",
    envvar="MODELOG_LOCK_TIMEOUT",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=LOCK_TIMEOUT_SECONDS,
    show_default=True,
    help="How long to wait for another writer.",
)
@options.common
def command(registry_dir: str, state_dir: str | None, lock_timeout: float) -> None:
    """Write registry.json and the active model in the runtime checkpoint anew from the journal."""
    size = options.open_for_change(registry_dir, state_dir, lock_timeout).rebuild()
    _log.info("%s: derived files written anew from %d entries", registry_dir, size)
