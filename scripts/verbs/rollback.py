"""`rollback`: make an older model active again."""

from __future__ import annotations

from typing import Any

from scripts import options, progress, recording
from scripts.declared import Option, verb


@verb(
    Option("--model-id", metavar="ID", help="The model; the one that was active before by default."),
    *options.CHANGING,
    *options.COMMON,
)
def command(
    model_id: str | None,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    lock_timeout: float,
    record_refusals: bool,
    artifact_store: str | None,
    sign_key: str | None,
    public_key: str | None,
    metrics_file: str | None,
    **terms: Any,
) -> None:
    """Make an older model active again, if its file is there and unchanged; prints it as JSON."""
    settings = {
        "record_refusals": record_refusals,
        "artifact_store": artifact_store,
        "sign_key": sign_key,
        "public_key": public_key,
        "metrics_file": metrics_file,
    }
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **settings)
    with progress.hashing() as hashing:
        recording.print_recorded(
            lambda: registry.rollback(model_id, progress=hashing, **terms), dry_run=terms["dry_run"]
        )
