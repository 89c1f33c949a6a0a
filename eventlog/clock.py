"""The clock: what time it is, wherever nobody handed in another one."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time of our clock, in UTC."""
    return datetime.now(UTC)
