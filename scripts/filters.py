"""Options of the queries: as of when, which rows, in which order, how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from eventlog import where
from eventlog.events import check_model_id
from eventlog.history import Criteria, check_type
from eventlog.moments import POSITION_MAX, parse_time
from eventlog.where import Condition
from scripts import options

_F = TypeVar("_F", bound=Callable[..., Any])

WHERE_HELP = """\b
Conditions (--where):
  rows >= 1000                    a number; also of text that is one
  source = "lab 2" or stale       text with spaces; a name alone: it is there
  not (tags ~ prod and lr < 0.1)  ~: the text contains it, the list has it
  = != < <= > >= ~, and, or, not, ( ). Names are attributes or metadata keys,
  a.b leads into nested metadata, "a key" is one key; metadata.backend is the
  metadata even where an attribute has that name.
"""


def as_of(function: _F) -> _F:
    """Add the moment that is asked about."""
    add = click.option(
        "--as-of",
        callback=options.as_text,
        metavar="TIME|POSITION",
        help="As it was then: a position, or a time such as 2026-11-23T10:30:00Z (UTC unless it says otherwise).",
    )
    return add(function)


def limited(function: _F) -> _F:
    """Add how many rows and which end first."""
    for add in (
        click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N."),
        click.option("--reverse", is_flag=True, help="The other way round."),
    ):
        function = add(function)
    return function


def conditional(times: tuple[str, ...]) -> Callable[[_F], _F]:
    """Return what adds the condition; *times* are the attributes that are times."""

    def parsed(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Condition | None:
        return where.both(tuple(where.parse(text, times) for text in options.as_text(ctx, param, value)))

    return click.option(
        "--where",
        "condition",
        callback=parsed,
        multiple=True,
        metavar="CONDITION",
        help="Only what this holds for; see below. May be repeated: all must hold.",
    )


def filtering(function: _F) -> _F:
    """Add what selects events; `criteria` makes them one thing."""
    text: dict[str, Any] = {"multiple": True, "callback": options.as_text}
    for add in (
        conditional(("time",)),
        click.option("--until", callback=options.as_text, metavar="TIME", help="Only of that time or before."),
        click.option("--since", callback=options.as_text, metavar="TIME", help="Only of that time or later."),
        click.option("--backend", "backends", metavar="NAME", help="Only of models of this backend.", **text),
        click.option("--type", "types", metavar="TYPE", help="Only of this type, e.g. model.published.", **text),
        click.option("--actor", "actors", metavar="NAME", help="Only of this actor.", **text),
        click.option("--model", "models", metavar="ID", help="Only what concerns this model.", **text),
    ):
        function = add(function)
    return function


def positions(function: _F) -> _F:
    """Add the range of positions."""
    position = click.IntRange(0, POSITION_MAX)
    for add in (
        click.option("--to", "last", type=position, metavar="POSITION", help="Only up to and with this position."),
        click.option("--from", "start", type=position, metavar="POSITION", help="Only from this position on."),
    ):
        function = add(function)
    return function


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
