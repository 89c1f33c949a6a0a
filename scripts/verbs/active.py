"""`active`: the model that is active now."""

from __future__ import annotations

from logging import getLogger

import click

from scripts import options, output

_log = getLogger("modelog")


@click.command()
@options.shown
@options.common
def command(output_format: str, registry_dir: str, state_dir: str | None) -> None:
    """Show the active model; JSON null where there is none."""
    catalog = options.open_for_reading(registry_dir, state_dir).catalog()
    model_id = catalog.active_id()
    if model_id is not None:
        output.print_model(catalog, model_id, output_format)
    elif output_format == "json":
        output.print_json(None)
    else:
        _log.info("no active model in %s", registry_dir)
