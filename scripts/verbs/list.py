"""`list`: the models, newest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from eventlog import listing
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.listing import Listing
from eventlog.log import log
from scripts import filters, options, output
from scripts.declared import Option, UsageError, verb

if TYPE_CHECKING:
    from eventlog.where import Condition


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
    show = _print_json
    if output_format != "json":
        from scripts import model_list  # noqa: PLC0415 - before a registry is open, and not for JSON

        show = partial(model_list.show, output_format)
    registry = options.open_for_reading(registry_dir, state_dir, journal, public_key)
    problem: ModelogError | None = None
    if verified_prefix:
        catalog, problem = registry.verified_prefix()
    else:
        catalog = registry.catalog(as_of)
    try:
        if not show(catalog, wanted):
            then = "" if as_of is None else f" as of {as_of}"
            log.info("no models in %s%s%s", registry_dir, " that are like that" if catalog.published else "", then)
        output.flush()
    except OSError:
        if problem is None:
            raise
        output.abandon_streams()
    if problem is not None:
        raise problem


def _print_json(catalog: Catalog, wanted: Listing) -> bool:
    active = catalog.active_id()
    blocks, backwards = listing.blocks(catalog, wanted)
    parts = [listing.joined(block, active, backwards=backwards) for block in blocks]
    output.print_json_array(parts[::-1] if backwards else parts)
    return True
