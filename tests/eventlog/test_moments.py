"""Moments: what may be typed, and that a time answers only where the clocks decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.events import Event, HistoryReviewed
from eventlog.moments import Moment, moment_of, parse_time, size_at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def asked(moment: Moment, *seconds: float) -> int:
    """Return what `size_at` says of events at these seconds after 1970."""
    catalog = Catalog("j")
    times = [EPOCH + timedelta(seconds=at) for at in seconds]
    for position, time in enumerate(times):
        if catalog.latest_time is not None and time < catalog.latest_time:
            catalog.backward = (position, position, 1)
        else:
            catalog.latest_time = time
    catalog.size = len(times)
    events = [Event(number, "", time, "", None, HistoryReviewed(0)) for number, time in enumerate(times)]
    return size_at(moment, catalog, NOW, SimpleNamespace(events=lambda start, stop: events[start:stop]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23 10:30", datetime(2026, 11, 23, 10, 30, tzinfo=UTC)),
        ("2026-11-23T10:30:01", datetime(2026, 11, 23, 10, 30, 1, tzinfo=UTC)),
        ("2026-11-23T10:30:01.5Z", datetime(2026, 11, 23, 10, 30, 1, 500_000, tzinfo=UTC)),
        ("2026-11-23t10:30:01z", None),
        ("2026-11-23T10:30:01.389392+02:00", datetime(2026, 11, 23, 8, 30, 1, 389_392, tzinfo=UTC)),
        ("2026-13-01", None),
        ("2026-02-30", None),
        ("2026-11-23T25:00", None),
        ("2026-11-23T10:30+25:00", None),
        ("0001-01-01T00:00+01:00", None),
        ("20261123T103000Z", None),
        ("2026-W10", None),
        ("yesterday", None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٢٠٢٦-11-23", None),
        ("2026-11-23\n", None),
        ("9" * 30, None),
    ],
)
def test_what_may_be_typed(text, expected):
    """ISO 8601, UTC unless it says otherwise; anything else is refused in one line that shows what is expected."""
    if expected is not None:
        assert moment_of(text).time == parse_time(text, "x") == expected
        return
    with pytest.raises(RefusedError, match=r"^as_of: expected a position, or a time such as|^as_of: expected a time"):
        moment_of(text)


def test_what_python_may_say():
    """A position, an aware time of any zone; a naive time could be any."""
    assert moment_of(7).position == 7
    assert moment_of(EPOCH.astimezone(timezone(timedelta(hours=5)))).time == EPOCH
    with pytest.raises(RefusedError, match="with its zone"):
        moment_of(datetime(2026, 1, 1))
    with pytest.raises(TypeError):
        moment_of(True)
    with pytest.raises(RefusedError):
        moment_of(-1)


def test_positions():
    """The event at the position has happened; beyond the end nothing is known."""
    assert [asked(moment_of(position), 1, 2, 3) for position in range(3)] == [1, 2, 3]
    with pytest.raises(RefusedError, match="expected a position from 0 to 2, got 3"):
        asked(moment_of(3), 1, 2, 3)
    with pytest.raises(RefusedError, match="a journal with that position"):
        asked(moment_of(0))


def test_times_between_events():
    """What happened at that very microsecond has happened."""
    at = lambda seconds: asked(Moment("t", time=EPOCH + timedelta(seconds=seconds)), 10, 20, 20, 30)  # noqa: E731

    assert [at(9.999999), at(10), at(19.999999), at(20), at(29), at(30), at(31)] == [0, 1, 1, 3, 3, 4, 4]


def test_the_future_is_not_known():
    """A time that has not come is refused; one up to the newest event is known, whatever our clock says."""
    later = Moment("t", time=NOW + timedelta(seconds=1))
    ahead = (NOW - EPOCH).total_seconds() + 60

    with pytest.raises(RefusedError, match="expected a time that has come"):
        asked(later, 1)
    assert asked(later, ahead) == 0


def test_an_ambiguous_time_is_refused_with_what_it_may_mean():
    """Where a clock went backwards the time alone does not say what was active; the positions in question are named."""
    at = lambda seconds: asked(Moment("t", time=EPOCH + timedelta(seconds=seconds)), 100, 200, 150, 300)  # noqa: E731

    assert [at(100), at(149), at(200), at(300)] == [1, 1, 3, 4]
    with pytest.raises(RefusedError, match="clock went backwards: at t the position may have been any of 0 to 2"):
        at(150)
    with pytest.raises(RefusedError, match="any of none to 1"):
        asked(Moment("t", time=EPOCH), 5, -1)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=12), st.integers(-1, 21))
def test_it_answers_exactly_where_there_is_one_answer(seconds, wanted):
    """A size is given if and only if all events before it are not later than the time, and all behind it are."""
    possible = [
        size
        for size in range(len(seconds) + 1)
        if all(at <= wanted for at in seconds[:size]) and all(at > wanted for at in seconds[size:])
    ]

    try:
        found = [asked(Moment("t", time=EPOCH + timedelta(seconds=wanted)), *seconds)]
    except RefusedError:
        found = []

    assert found == possible
