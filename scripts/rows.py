"""Rows of a fixed schema, for programs: a JSON array, a JSON object a line, or CSV; and the history's table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from eventlog.log import log
from scripts import output
from scripts.table import print_table

if TYPE_CHECKING:
    from eventlog.change import Change
    from eventlog.timeline import Stretch

HISTORY = (
    "position",
    "time",
    "type",
    "event_id",
    "actor",
    "reason",
    "model_id",
    "backend",
    "before",
    "after",
    "clock_went_backwards",
    "hash",
    "data",
)
"""The keys of `Change.to_dict`, which CSV names even where there is no row."""

STRETCHES = (
    "model_id",
    "how",
    "from_position",
    "from_time",
    "from_actor",
    "from_reason",
    "displaced",
    "until_position",
    "until_time",
    "until_actor",
    "until_reason",
    "displaced_by",
)
"""The keys of `Stretch.to_dict`."""

_CLOCK = "!"


def print_rows(rows: Iterable[Any], columns: Sequence[str], output_format: str) -> None:
    """Print each of *rows*, which have the keys *columns*, as `json`, `jsonl` or `csv`; for CSV they are dicts."""
    if output_format == "json":
        output.print_json(list(rows))
    elif output_format == "jsonl":
        for row in rows:
            output.print_json(row, one_line=True)
    else:
        output.print_csv(columns, (tuple(row.values()) for row in rows))


def print_changes(changes: Iterable[Change], output_format: str) -> None:
    """Print the rows of a history."""
    if output_format != "table":
        print_rows((change.to_dict() for change in changes), HISTORY, output_format)
        return
    cells = list(map(change_cells, changes))
    if cells:
        print_table(("POSITION", "TIME (UTC)", "EVENT", "BEFORE", "AFTER", "ACTOR", "REASON"), cells)
    else:
        log.info("no events")
    if any(row[1].endswith(_CLOCK) for row in cells):
        log.warning("%s: the time is before an earlier event's: order is the position", _CLOCK)


def print_stretches(stretches: Sequence[Stretch]) -> None:
    """Print when which model was active, as a table."""
    headings = ("ACTIVE FROM (UTC)", "POSITION", "HOW", "BY", "REASON", "UNTIL (UTC)", "POSITION", "DISPLACED BY", "BY")
    print_table(headings, [_stretch_cells(stretch) for stretch in stretches])


def change_cells(change: Change) -> tuple[str, ...]:
    """Return what the history's table says of a change; the active model only where it changed."""
    changed = change.before != change.after
    words = [text for text in (change.summary(), change.reason) if text]
    return (
        str(change.position),
        _time(change),
        _kind(change),
        (change.before or "none") if changed else "",
        (change.after or "none") if changed else "",
        change.event.actor,
        ": ".join(words),
    )


def _stretch_cells(stretch: Stretch) -> tuple[str, ...]:
    began, ended = stretch.began, stretch.ended
    return (
        _time(began),
        str(began.position),
        _kind(began),
        began.event.actor,
        began.reason or "",
        "still" if ended is None else _time(ended),
        "" if ended is None else str(ended.position),
        stretch.displaced_by or "",
        "" if ended is None else ended.event.actor,
    )


def _kind(change: Change) -> str:
    return change.event.type.rpartition(".")[0]


def _time(change: Change) -> str:
    return f"{change.event.time:%Y-%m-%d %H:%M:%S.%f}" + (f" {_CLOCK}" if change.clock_went_backwards else "")
