"""`publish`: record a model and make it active."""

from __future__ import annotations

from typing import Any

import click

from eventlog.dataset_metadata import parse_pairs
from eventlog.errors import refused_by
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
    record_refusals: bool,
    sign_key: str | None,
    public_key: str | None,
    **terms: Any,
) -> None:
    """Record a model and make it active; prints it as JSON."""
    settings = {"record_refusals": record_refusals, "sign_key": sign_key, "public_key": public_key}
    registry = options.open_for_change(registry_dir, state_dir, lock_timeout, **settings)
    wanted = {"artifact": artifact, "backend": backend, "metadata": " ".join(metadata)}
    who = {name: terms[name] for name in ("actor", "reason", "request_id", "dry_run")}
    with registry.on_record("publish", wanted, **who), refused_by("metadata"):
        dataset_metadata = parse_pairs(metadata)
    with progress.hashing() as hashing:
        output.print_recorded(
            lambda: registry.publish_model(
                artifact, backend=backend, dataset_metadata=dataset_metadata, progress=hashing, **terms
            ),
            dry_run=terms["dry_run"],
        )
