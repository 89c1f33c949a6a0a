"""`list`: the models, newest first."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from eventlog import listing
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.listing import Listing
from eventlog.log import log
from scripts import filters, models, options, output
from scripts.declared import Option, UsageError, verb
from scripts.rows import print_rows

if TYPE_CHECKING:
    from eventlog.where import Condition

_SECONDS = len("2026-11-23 10:30:00")


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
    journal: str | None,
) -> None:
    """List the models, newest first."""
    if verified_prefix and as_of is not None:
        raise UsageError("--verified-prefix shows a damaged journal, of which nothing is known --as-of a moment")
    wanted = Listing(condition, sort, reverse, limit)
    registry = options.open_for_reading(registry_dir, state_dir, journal, public_key)
    problem: ModelogError | None = None
    if verified_prefix:
        catalog, problem = registry.verified_prefix()
    else:
        catalog = registry.catalog(as_of)
    try:
        _print(catalog, wanted, output_format, registry_dir)
        output.flush()
    except OSError:
        if problem is None:
            raise
        output.abandon_streams()
    if problem is not None:
        raise problem


def _print(catalog: Catalog, wanted: Listing, output_format: str, registry_dir: str) -> None:
    active = catalog.active_id()
    if output_format in ("jsonl", "csv"):  # some rows at a time, however many there are
        spelled = chain.from_iterable(models.marked(some, active) for some in listing.some_rows(catalog, wanted))
        found = map(msgspec.Raw if output_format == "jsonl" else msgspec.json.decode, spelled)
        print_rows(found, models.ATTRIBUTES, output_format)
    elif output_format == "json":
        rows = models.marked(listing.rows(catalog, wanted), active)
        output.print_json(msgspec.Raw(b"[%b]" % b",".join(rows)))
    elif rows := listing.rows(catalog, wanted):
        _print_table(_cells.decode(b"[%b]" % b",".join(rows)), active)
    else:
        log.info("no models in %s%s", registry_dir, " that are like that" if catalog.published else "")


class _Cells(Struct, gc=False):
    """A row, with its time as it is spelled."""

    model_id: str
    backend: str
    artifact_path: str
    sha256: str
    created_at: str
    dataset_metadata: dict[str, Any]


_cells = msgspec.json.Decoder(list[_Cells])


def _print_table(found: list[_Cells], active: str | None) -> None:
    """Print a line for each model; made column by column, which for ten thousand of them takes half the time."""
    marked = [model.model_id == active for model in found]
    columns = {
        "": ["*" if mark else "" for mark in marked],
        "MODEL ID": [model.model_id for model in found],
        "CREATED (UTC)": [model.created_at[:_SECONDS].replace("T", " ") for model in found],
        "BACKEND": [model.backend for model in found],
        "SHA256": [model.sha256[:12] for model in found],
        "ARTIFACT": [model.artifact_path for model in found],
        "METADATA": [models.metadata_text(model.dataset_metadata) for model in found],
    }
    output.print_columns(tuple(columns), tuple(columns.values()), marked=marked)
