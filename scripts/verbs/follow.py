"""`follow`: each new event as it happens."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from eventlog.moments import POSITION_MAX
from eventlog.queries import FOLLOW_PAUSE_SECONDS
from scripts import filters, options, output, rows

STATUS_INTERRUPTED = 130


@click.command(epilog=filters.WHERE_HELP)
@click.option(
    "--from",
    "start",
    type=click.IntRange(0, POSITION_MAX),
    metavar="POSITION",
    help="Begin with this position: the one behind the last that was dealt with.  [default: the next event]",
)
@filters.filtering
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option(
    "--output",
    "output_format",
    show_envvar=True,
    envvar="MODELOG_OUTPUT",
    type=click.Choice(("table", "json", "jsonl", "csv")),
    default="jsonl",
    show_default=True,
    help="For people or for programs; json is the same as jsonl here.",
)
@options.trusting
@options.common
def command(
    start: int | None,
    limit: int | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    **wanted: Any,
) -> int:
    """
    Show each event once it is acknowledged and on disk, and wait for the next; until interrupted.

    None is missed: whoever was killed begins again behind the position it dealt with last.
    """
    criteria = filters.criteria(**wanted)
    registry = options.open_for_reading(registry_dir, state_dir, public_key)
    changes = filter(criteria.admits, registry.follow(start, pause_seconds=FOLLOW_PAUSE_SECONDS))
    try:
        if output_format == "csv":
            output.print_csv(rows.HISTORY, ())
        for change in islice(changes, limit):
            if output_format == "table":
                output.print_line("  ".join(map(output.escape, rows.change_cells(change))))
            elif output_format == "csv":
                output.print_csv(None, [tuple(change.to_dict().values())])
            else:
                output.print_json(change.to_dict(), one_line=True)
            output.flush()
    except KeyboardInterrupt:
        return STATUS_INTERRUPTED
    return 0
