"""`follow`: each new event as it happens."""

from __future__ import annotations

from itertools import islice
from typing import Any

from msgspec.structs import replace

from scripts import filters, options, output, rows
from scripts.criteria import FILTERING, criteria
from scripts.declared import Option, verb

STATUS_INTERRUPTED = 130


@verb(
    options.position(
        "--from",
        "Begin with this position: the one behind the last that was dealt with.  [default: the next event]",
        dest="start",
    ),
    *FILTERING,
    Option("--limit", number=int, least=1, metavar="N", help="End after N events."),
    replace(options.SHOWN, default="jsonl", help="For people or for programs; json is the same as jsonl here."),
    options.TRUSTING,
    *options.COMMON,
    epilog=filters.WHERE_HELP,
)
def command(
    start: int | None,
    limit: int | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    **wanted: Any,
) -> int:
    """
    Show each event once it is acknowledged and on disk, and wait for the next; until interrupted.

    None is missed: whoever was killed begins again behind the position it dealt with last.
    """
    selected = criteria(**wanted)
    registry = options.open_for_questions(registry_dir, state_dir, journal, public_key)
    changes = filter(selected.admits, registry.follow(start))
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
