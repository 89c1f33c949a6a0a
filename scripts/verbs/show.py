"""`show`: one model and how it was published."""

from __future__ import annotations

from eventlog.model_id import check_model_id
from scripts import filters, models, options
from scripts.declared import Argument, verb


@verb(Argument("model_id"), filters.AS_OF, options.TRUSTING, options.SHOWN, *options.COMMON)
def command(
    model_id: str,
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """Show one model and how it was published."""
    check_model_id(model_id)
    registry = options.open_for_reading(registry_dir, state_dir, journal, public_key)
    catalog = registry.catalog(as_of)
    catalog.publication(model_id)
    models.print_model(registry, catalog, model_id, output_format)
