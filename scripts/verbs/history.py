"""`history`: every event in order."""

from __future__ import annotations

from typing import Any

import click

from scripts import filters, options, rows


@click.command(epilog=filters.WHERE_HELP)
@filters.positions
@filters.filtering
@filters.limited
@filters.as_of
@options.trusting
@options.shown
@options.common
def command(
    start: int | None,
    last: int | None,
    limit: int | None,
    reverse: bool,
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    **wanted: Any,
) -> None:
    """
    Show every event in order: when, who, why, and which model was active before and after.

    A time marked ! is before an earlier event's: some clock went backwards. Order is the position.
    """
    criteria = filters.criteria(start=start or 0, last=last, **wanted)
    registry = options.open_for_reading(registry_dir, state_dir, public_key)
    changes = registry.history(criteria, as_of=as_of, limit=limit, newest_first=reverse)
    rows.print_changes(changes, output_format)
