"""`show`: one model and how it was published."""

from __future__ import annotations

import click

from eventlog.errors import RefusedError
from eventlog.events import check_model_id
from scripts import filters, models, options


@click.command()
@click.argument("model_id")
@filters.as_of
@options.trusting
@options.shown
@options.common
def command(
    model_id: str,
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
) -> None:
    """Show one model and how it was published."""
    check_model_id(model_id)
    catalog = options.open_for_reading(registry_dir, state_dir, public_key).catalog(as_of)
    if model_id not in catalog.published:
        raise RefusedError(f"{catalog.where}: expected a published model, got {model_id!r}: see list")
    models.print_model(catalog, model_id, output_format)
