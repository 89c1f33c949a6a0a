"""`list`: the models, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger

from eventlog import listing
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.events import Event
from eventlog.listing import Listing
from eventlog.model import shown
from eventlog.where import Condition
from scripts import filters, models, options, output, rows
from scripts.declared import Option, UsageError, verb

_MARK = "*"
_log = getLogger("modelog")


@verb(
    Option(
        "--verified-prefix",
        flag=True,
        help="Of a damaged journal, show what comes before the damage (and still exit with 3).",
    ),
    Option(
        "--sort",
        read=options.as_text,
        multiple=True,
        metavar="NAME",
        help="By an attribute or a metadata key, -NAME for the greatest first. May be repeated.  "
        "[default: newest first]",
    ),
    filters.conditional(("created_at",)),
    *filters.LIMITED,
    filters.AS_OF,
    options.TRUSTING,
    options.SHOWN,
    *options.COMMON,
    epilog=filters.WHERE_HELP,
)
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
        raise UsageError("--verified-prefix shows a damaged journal, of which nothing is known --as-of a moment")
    wanted = Listing(condition, sort, reverse, limit)
    registry = options.open_for_reading(registry_dir, state_dir, public_key)
    problem: ModelogError | None = None
    if verified_prefix:
        catalog, problem = registry.verified_prefix()
    else:
        catalog = registry.catalog(as_of)
    try:
        _print(catalog, listing.publications(catalog, wanted), output_format, registry_dir)
        output.flush()
    except OSError:
        if problem is None:
            raise
        output.abandon_streams()
    if problem is not None:
        raise problem


def _print(catalog: Catalog, events: Iterator[Event], output_format: str, registry_dir: str) -> None:
    active = catalog.active_id()
    if output_format != "table":
        row_of = models.as_dict if output_format == "csv" else models.row_of
        rows.print_rows((row_of(event, active) for event in events), models.ATTRIBUTES, output_format)
    elif cells := [_cells(event, active) for event in events]:
        headings = ("", "MODEL ID", "CREATED (UTC)", "BACKEND", "SHA256", "ARTIFACT", "METADATA")
        output.print_table(headings, cells, marked=[row[0] == _MARK for row in cells])
    else:
        _log.info("no models in %s%s", registry_dir, " that are like that" if catalog.published else "")


def _cells(event: Event, active: str | None) -> tuple[str, ...]:
    model = shown(event)
    return (
        _MARK if model.model_id == active else "",
        model.model_id,
        f"{model.created_at:%Y-%m-%d %H:%M:%S}",
        model.backend,
        model.sha256[:12],
        model.artifact_path,
        models.metadata_text(model.dataset_metadata),
    )
