"""Options that select events, and what they mean together."""

from __future__ import annotations

from eventlog.history import Criteria, check_type
from eventlog.model_id import check_model_id
from eventlog.moments import parse_time
from eventlog.where import Condition
from scripts import filters, options
from scripts.declared import Option

FILTERING = (
    Option(
        "--model", "models", multiple=True, read=options.as_text, metavar="ID", help="Only what concerns this model."
    ),
    Option("--actor", "actors", multiple=True, read=options.as_text, metavar="NAME", help="Only of this actor."),
    Option(
        "--type",
        "types",
        multiple=True,
        read=options.as_text,
        metavar="TYPE",
        help="Only of this type, e.g. model.published.",
    ),
    Option(
        "--backend",
        "backends",
        multiple=True,
        read=options.as_text,
        metavar="NAME",
        help="Only of models of this backend.",
    ),
    Option("--since", read=options.as_text, metavar="TIME", help="Only of that time or later."),
    Option("--until", read=options.as_text, metavar="TIME", help="Only of that time or before."),
    filters.conditional(("time",)),
)
"""What selects events; `criteria` makes them one thing."""


def criteria(
    *,
    models: tuple[str, ...],
    actors: tuple[str, ...],
    types: tuple[str, ...],
    backends: tuple[str, ...],
    since: str | None,
    until: str | None,
    condition: Condition | None,
    start: int = 0,
    last: int | None = None,
) -> Criteria:
    """Return what the options select. Raises RefusedError where one cannot be understood."""
    return Criteria(
        models=tuple(map(check_model_id, models)),
        actors=actors,
        backends=backends,
        types=tuple(map(check_type, types)),
        where=condition,
        start=start,
        stop=None if last is None else last + 1,
        since=None if since is None else parse_time(since, "--since"),
        until=None if until is None else parse_time(until, "--until"),
    )
