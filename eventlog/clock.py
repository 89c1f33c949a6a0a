"""The clock: what time it is, wherever nobody handed in another one; and which times of events go backwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

Backward = tuple[int, int, int]
"""The first and the last position whose time is before an earlier one's, and how many there are."""


def utc_now() -> datetime:
    """Return the time of our clock, in UTC."""
    return datetime.now(UTC)


def gone_on(
    times: Sequence[datetime], position: int, latest: datetime | None, backward: Backward | None
) -> tuple[datetime, Backward | None]:
    """Return the latest time and which are backward, once events with *times* stand from *position* on."""
    latest = times[0] if latest is None else latest
    if times[0] >= latest and sorted(times) == times:
        return times[-1], backward
    for at, time in enumerate(times, position):
        if time < latest:
            first, _, count = backward or (at, at, 0)
            backward = first, at, count + 1
        else:
            latest = time
    return latest, backward
