"""`list`: the models, newest first."""

from __future__ import annotations

from logging import getLogger

import click

from eventlog import listing
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.listing import Listing
from eventlog.where import Condition
from scripts import filters, models, options, output, rows

_log = getLogger("modelog")


@click.command(epilog=filters.WHERE_HELP)
@click.option(
    "--verified-prefix",
    is_flag=True,
    help="Of a damaged journal, show what comes before the damage (and still exit with 3).",
)
@click.option(
    "--sort",
    callback=options.as_text,
    multiple=True,
    metavar="NAME",
    help="By an attribute or a metadata key, -NAME for the greatest first. May be repeated.  [default: newest first]",
)
@filters.conditional(("created_at",))
@filters.limited
@filters.as_of
@options.trusting
@options.shown
@options.common
def command(
    verified_prefix: bool,
    sort: tuple[str, ...],
    condition: Condition | None,
    limit: int | None,
    reverse: bool,
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
) -> None:
    """List the models, newest first."""
    if verified_prefix and as_of is not None:
        raise click.UsageError("--verified-prefix shows a damaged journal, of which nothing is known --as-of a moment")
    wanted = Listing(condition, sort, reverse, limit)
    registry = options.open_for_reading(registry_dir, state_dir, public_key)
    problem: ModelogError | None = None
    if verified_prefix:
        catalog, problem = registry.verified_prefix()
    else:
        catalog = registry.catalog(as_of)
    try:
        _print(catalog, listing.models(catalog, wanted), output_format, registry_dir)
        output.flush()
    except OSError:
        if problem is None:
            raise
        output.abandon_streams()
    if problem is not None:
        raise problem


def _print(catalog: Catalog, ids: list[str], output_format: str, registry_dir: str) -> None:
    if output_format != "table":
        rows.print_rows((models.as_dict(catalog, model_id) for model_id in ids), models.ATTRIBUTES, output_format)
    elif ids:
        _print_table(catalog, ids)
    else:
        _log.info("no models in %s%s", registry_dir, " that are like that" if catalog.published else "")


def _print_table(catalog: Catalog, ids: list[str]) -> None:
    shown = [catalog.model(model_id) for model_id in ids]
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
                models.metadata_text(model.dataset_metadata),
            )
            for model in shown
        ],
        marked=[model.model_id == active for model in shown],
    )
