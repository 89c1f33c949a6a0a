"""`active`: the model that is active, or was."""

from __future__ import annotations

from eventlog.log import log
from scripts import filters, models, options, output
from scripts.declared import verb


@verb(filters.AS_OF, options.TRUSTING, options.SHOWN, *options.COMMON)
def command(
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """Show the model that is active, or was at a moment; JSON null where there is none."""
    registry = options.open_for_reading(registry_dir, state_dir, journal, public_key)
    catalog = registry.catalog(as_of)
    model_id = catalog.active_id()
    if model_id is not None:
        models.print_model(registry, catalog, model_id, output_format)
    elif output_format == "json":
        output.print_json(None)
    else:
        log.info("no active model in %s%s", registry_dir, "" if as_of is None else f" as of {as_of}")
