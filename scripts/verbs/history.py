"""`history`: every event in order."""

from __future__ import annotations

from typing import Any

from scripts import filters, options, rows
from scripts.criteria import FILTERING, criteria
from scripts.declared import verb


@verb(
    options.position("--from", "Only from this position on.", dest="start"),
    options.position("--to", "Only up to and with this position.", dest="last"),
    *FILTERING,
    *filters.LIMITED,
    filters.AS_OF,
    options.TRUSTING,
    options.SHOWN,
    *options.COMMON,
    epilog=filters.WHERE_HELP,
)
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
    journal: str | None,
    **wanted: Any,
) -> None:
    """
    Show every event in order: when, who, why, and which model was active before and after.

    A time marked ! is before an earlier event's: some clock went backwards. Order is the position.
    """
    selected = criteria(start=start or 0, last=last, **wanted)
    registry = options.open_for_questions(registry_dir, state_dir, journal, public_key)
    changes = registry.history(selected, as_of=as_of, limit=limit, newest_first=reverse)
    rows.print_changes(changes, output_format)
