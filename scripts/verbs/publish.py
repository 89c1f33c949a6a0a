"""`publish`: record a model and make it active."""

from __future__ import annotations

from typing import Any

import click

from eventlog.dataset_metadata import parse_pairs
from scripts import options, output, progress


@click.command()
@click.option("--artifact", required=True, metavar="FILE", help="The model's file; hashed, not copied.")
@click.option("--backend", required=True, callback=options.as_text, help="What runs it, for example 'onnx'.")
@click.option(
    "--metadata",
    callback=options.as_text,
    multiple=True,
    metavar="KEY=VALUE",
    help="About the data it was trained on; KEY:=JSON for numbers, lists and so on. May be repeated.",
)
@options.changing
@options.common
def command(
    artifact: str,
    backend: str,
    metadata: tuple[str, ...],
    registry_dir: str,
    state_dir: str | None,
    lock_timeout: float,
    **terms: Any,
) -> None:
    """Record a model and make it active; prints it as JSON."""
    dataset_metadata = parse_pairs(metadata)
    registry = options.open_for_change(registry_dir, state_dir, lock_timeout)
    with progress.hashing() as hashing:
        output.print_recorded(
            lambda: registry.publish_model(
                artifact, backend=backend, dataset_metadata=dataset_metadata, progress=hashing, **terms
            ),
            dry_run=terms["dry_run"],
        )
