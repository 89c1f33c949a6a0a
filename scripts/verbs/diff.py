"""`diff`: what changed between two moments."""

from __future__ import annotations

from eventlog.timeline import State
from scripts import options, output, rows
from scripts.declared import Argument, verb


@verb(
    Argument("earlier", metavar="A", read=options.as_text),
    Argument("later", metavar="[B]", required=False, read=options.as_text),
    options.TRUSTING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    earlier: str,
    later: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """
    Show what changed after moment A, up to and with moment B, or to now; each a TIME or a POSITION.

    For jsonl and csv the rows are the events between the two.
    """
    found = options.open_for_questions(registry_dir, state_dir, journal, public_key).diff(earlier, later)
    if output_format == "json":
        output.print_json(found.to_dict())
        return
    if output_format == "table":
        before, after = found.earlier.active_model_id or "none", found.later.active_model_id or "none"
        output.print_fields(
            [
                ("from", _words(found.earlier)),
                ("to", _words(found.later)),
                ("active", f"{before} still" if before == after else f"{before} -> {after}"),
                ("published", " ".join(found.published) or "none"),
            ]
        )
    if found.changes or output_format != "table":
        rows.print_changes(found.changes, output_format)


def _words(state: State) -> str:
    where = f"position {state.size - 1}, hash {state.hash[:16]}" if state.size else "before the first event"
    return f"{where}: {state.models} model{'' if state.models == 1 else 's'}"
