"""Moments: what may be typed, and that a time answers only where the clocks decide."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.catalog import Catalog, microseconds
from eventlog.errors import RefusedError
from eventlog.moments import Moment, moment_of, parse_time, size_at

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def catalog_of(*seconds: float) -> Catalog:
    """Return a catalog of events at these seconds after 1970."""
    catalog = Catalog("j")
    latest = None
    for position, at in enumerate(seconds):
        time = EPOCH + timedelta(seconds=at)
        if latest is not None and time < latest:
            catalog.backward.append(position)
        else:
            latest = time
        catalog.times.append(microseconds(time))
    catalog.latest_time = latest
    catalog.size = len(seconds)
    return catalog


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
    assert [size_at(moment_of(position), catalog_of(1, 2, 3), NOW) for position in range(3)] == [1, 2, 3]
    with pytest.raises(RefusedError, match="expected a position from 0 to 2, got 3"):
        size_at(moment_of(3), catalog_of(1, 2, 3), NOW)
    with pytest.raises(RefusedError, match="a journal with that position"):
        size_at(moment_of(0), catalog_of(), NOW)


def test_times_between_events():
    """What happened at that very microsecond has happened."""
    catalog = catalog_of(10, 20, 20, 30)
    at = lambda seconds: size_at(Moment("t", time=EPOCH + timedelta(seconds=seconds)), catalog, NOW)  # noqa: E731

    assert [at(9.999999), at(10), at(19.999999), at(20), at(29), at(30), at(31)] == [0, 1, 1, 3, 3, 4, 4]


def test_the_future_is_not_known():
    """A time that has not come is refused; one up to the newest event is known, whatever our clock says."""
    later = Moment("t", time=NOW + timedelta(seconds=1))
    ahead = catalog_of((NOW - EPOCH).total_seconds() + 60)

    with pytest.raises(RefusedError, match="expected a time that has come"):
        size_at(later, catalog_of(1), NOW)
    assert size_at(later, ahead, NOW) == 0


def test_an_ambiguous_time_is_refused_with_what_it_may_mean():
    """Where a clock went backwards the time alone does not say what was active; the positions in question are named."""
    catalog = catalog_of(100, 200, 150, 300)
    at = lambda seconds: size_at(Moment("t", time=EPOCH + timedelta(seconds=seconds)), catalog, NOW)  # noqa: E731

    assert [at(100), at(149), at(200), at(300)] == [1, 1, 3, 4]
    with pytest.raises(RefusedError, match="clock went backwards: at t the position may have been any of 0 to 2"):
        at(150)
    with pytest.raises(RefusedError, match="any of none to 1"):
        size_at(Moment("t", time=EPOCH), catalog_of(5, -1), NOW)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=12), st.integers(-1, 21))
def test_it_answers_exactly_where_there_is_one_answer(seconds, wanted):
    """A size is given if and only if all events before it are not later than the time, and all behind it are."""
    catalog = catalog_of(*seconds)
    possible = [
        size
        for size in range(len(seconds) + 1)
        if all(at <= wanted for at in seconds[:size]) and all(at > wanted for at in seconds[size:])
    ]

    try:
        found = [size_at(Moment("t", time=EPOCH + timedelta(seconds=wanted)), catalog, NOW)]
    except RefusedError:
        found = []

    assert found == possible
    assert isinstance(catalog.times, array)
