"""`list`: the models, newest first."""

from __future__ import annotations

from logging import getLogger

import click

from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from scripts import options, output

_log = getLogger("modelog")


@click.command()
@click.option(
    "--verified-prefix",
    is_flag=True,
    help="Of a damaged journal, show what comes before the damage (and still exit with 3).",
)
@options.shown
@options.common
def command(verified_prefix: bool, output_format: str, registry_dir: str, state_dir: str | None) -> None:
    """List the models, newest first."""
    registry = options.open_for_reading(registry_dir, state_dir)
    problem: ModelogError | None = None
    if verified_prefix:
        catalog, problem = registry.verified_prefix()
    else:
        catalog = registry.catalog()
    try:
        _print(catalog, output_format, registry_dir)
        output.flush()
    except OSError:
        if problem is None:
            raise
        output.abandon_streams()
    if problem is not None:
        raise problem


def _print(catalog: Catalog, output_format: str, registry_dir: str) -> None:
    if output_format == "json":
        output.print_json([output.as_dict(catalog, model_id) for model_id in reversed(catalog.published)])
    elif catalog.published:
        _print_table(catalog)
    else:
        _log.info("no models in %s", registry_dir)


def _print_table(catalog: Catalog) -> None:
    models = [catalog.model(model_id) for model_id in reversed(catalog.published)]
    active = catalog.active_id()
    output.print_table(
        ("", "MODEL ID", "CREATED (UTC)", "BACKEND", "SHA256", "ARTIFACT", "METADATA"),
        [
            (
                "*" if model.model_id == active else "",
                model.model_id,
                f"{model.created_at:%Y-%m-%d %H:%M:%S}",
                model.backend,
                model.sha256[:12],
                model.to_dict()["artifact_path"],
                output.metadata_text(model.dataset_metadata),
            )
            for model in models
        ],
        marked=[model.model_id == active for model in models],
    )
