"""The history as people ask for it: which changes, in which order, how many. Pure but for reading the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from eventlog.change import Change
from eventlog.errors import RefusedError
from eventlog.events import EVENT_TYPES

if TYPE_CHECKING:
    from eventlog.where import Condition


class Criteria(Struct, frozen=True):
    """
    Which changes are wanted; those that meet all of what is given.

    Attributes:
        models: that concern one of these models (published, activated or displaced it, or a refused request named it).

        actors, backends: whose actor, or whose model's backend, is one of these.

        types: whose type is one of these; the version, or all behind a dot, may be left out.

        where: for whose attributes and model's metadata the condition holds.

        start, stop: whose position lies in `[start, stop)`; None for no bound.

        since, until: whose own time lies in `[since, until]`.
    """

    models: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    where: Condition | None = None
    start: int = 0
    stop: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def admits(self, change: Change) -> bool:
        """Say whether *change* is wanted."""
        event = change.event
        backend = None if change.model is None else change.model.backend
        return (
            change.position >= self.start
            and (self.stop is None or change.position < self.stop)
            and (not self.models or not change.concerns.isdisjoint(self.models))
            and (not self.actors or event.actor in self.actors)
            and (not self.backends or backend in self.backends)
            and (not self.types or any(f"{event.type}.".startswith(f"{name}.") for name in self.types))
            and (self.since is None or event.time >= self.since)
            and (self.until is None or event.time <= self.until)
            and (self.where is None or self.where.holds(finder(change)))
        )


def check_type(name: str) -> str:
    """Return *name*, or raise `RefusedError` unless it is an event type or the start of one, up to a dot."""
    if not any(f"{known}.".startswith(f"{name}.") for known in EVENT_TYPES):
        raise RefusedError(
            f"--type: expected one of {', '.join(EVENT_TYPES)}, or its start up to a dot, got {name!r:.80}"
        )
    return name


def finder(change: Change) -> Callable[[tuple[str, ...]], Any]:
    """Return the function that finds what a condition names: an attribute of the row, else the model's metadata."""
    row = change.to_dict()
    row["time"] = change.event.time
    metadata = {} if change.model is None else change.model.dataset_metadata
    from eventlog.attributes import find_in  # noqa: PLC0415 - hardly any history is asked for by a condition

    def find(path: tuple[str, ...]) -> Any:
        return find_in(row, metadata, path)

    return find


def selected(
    changes: Iterable[Change], criteria: Criteria, *, limit: int | None, newest_first: bool
) -> Iterator[Change]:
    """
    Yield the changes that meet *criteria*, in order of position or the other way round.

    Args:
        limit: yield only so many, the first of those in that order; None for all.
    """
    wanted = filter(criteria.admits, changes)
    if newest_first:
        return reversed(deque(wanted, maxlen=limit))
    return islice(wanted, limit)
