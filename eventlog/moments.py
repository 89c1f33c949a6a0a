"""
A moment of the history: a position, or a time that decides on one. Pure.

Order is the position. A time answers only where the clocks of the events do: an event whose time lies before an earlier
one's makes every time between the two ambiguous, and that is said instead of guessed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import UTC, datetime

from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.lookup import History

POSITION_MAX = (1 << 63) - 1
_POSITION = re.compile(r"[0-9]{1,19}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
EXPECTED_TIME = "a time such as 2026-11-23T10:30:00Z, 2026-11-23 10:30 or 2026-11-23 (UTC unless it says otherwise)"


class Moment(Struct, frozen=True):
    """
    A position or a time, and how it was spelled.

    Attributes:
        position: the last entry that counts, or None.

        time: aware, UTC; or None.
    """

    text: str
    position: int | None = None
    time: datetime | None = None


def parse_time(text: str, what: str) -> datetime:
    """
    Return the time that *text* names, in UTC; a date is its first instant.

    Raises:
        RefusedError: names *what* was being read.
    """
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        time = datetime.fromisoformat(text.upper())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RefusedError(f"{what}: expected {EXPECTED_TIME}, got {text!r:.80}") from None


def moment_of(value: int | str | datetime, what: str = "as_of") -> Moment:
    """
    Return the moment that a caller named: a position, an aware time, or either as text.

    Raises:
        RefusedError: it is neither.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise RefusedError(f"{what}: expected a time with its zone, got {value!r}")
        try:
            return Moment(value.isoformat(), time=value.astimezone(UTC))
        except OverflowError:
            raise RefusedError(f"{what}: expected a time from the year 1 to 9999 in UTC, got {value!r}") from None
    if isinstance(value, int) and not 0 <= value <= POSITION_MAX:
        raise RefusedError(f"{what}: expected a position from 0 to {POSITION_MAX}, got another")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise TypeError(f"{what}: expected a position or a time, got {value!r}")
    if _POSITION.fullmatch(text) and int(text) <= POSITION_MAX:
        return Moment(text, position=int(text))
    if not _TIME.fullmatch(text):
        raise RefusedError(f"{what}: expected a position, or {EXPECTED_TIME}, got {text!r:.80}")
    return Moment(text, time=parse_time(text, what))


def size_at(moment: Moment, catalog: Catalog, now: datetime, history: History, what: str = "as_of") -> int:
    """
    Return how many entries of *catalog*, which has them all, had happened at *moment*, that one included.

    Args:
        now: the time of our clock; what is later is not known yet.

        history: reads events of *catalog*'s journal again.

    Raises:
        RefusedError: the position is beyond the end, the time is yet to come, or the clocks do not decide.
    """
    where = catalog.where
    if moment.position is not None:
        if moment.position >= catalog.size:
            expected = f"a position from 0 to {catalog.size - 1}" if catalog.size else "a journal with that position"
            raise RefusedError(f"{what}: {where}: expected {expected}, got {moment.position}")
        return moment.position + 1
    time = moment.time
    assert time is not None, "a moment has one of the two"
    if time > max(now, catalog.latest_time or now):
        raise RefusedError(
            f"{what}: expected a time that has come, got {moment.text!r}: now is {now:%Y-%m-%dT%H:%M:%SZ}"
        )
    if catalog.backward is None:
        return bisect_right(range(catalog.size), time, key=lambda position: _time_at(position, history))
    times = [event.time for event in history.events(0, catalog.size)]
    upto = [position for position, at in enumerate(times) if at <= time]
    latest = upto[-1] + 1 if upto else 0
    if len(upto) != latest:  # some entry before the last of these has a later time
        first = next(position for position, at in enumerate(times) if at > time)
        reach = f"{first - 1} to {latest - 1}" if first else f"none to {latest - 1}"
        raise RefusedError(
            f"{what}: {where}: the clock went backwards: at {moment.text} the position may have been any of {reach}: "
            "name a position (see history)"
        )
    return latest


def _time_at(position: int, history: History) -> datetime:
    (event,) = history.events(position, position + 1)
    return event.time
