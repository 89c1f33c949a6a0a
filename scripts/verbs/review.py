"""`review`: record that somebody examined the history."""

from __future__ import annotations

import msgspec

from eventlog.events import HistoryReviewed
from scripts import options, output
from scripts.declared import verb


@verb(
    options.position("--position", "The last entry that was examined.  [default: the newest]"),
    options.SIGNING,
    options.REPEATABLE,
    *options.EXPLAINED,
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    position: int | None,
    request_id: str | None,
    actor: str | None,
    reason: str | None,
    lock_timeout: float,
    sign_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """Record that somebody examined the history up to a position, and what they say of it (--reason)."""
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, sign_key=sign_key)
    event = registry.review(position, actor=actor, reason=reason, request_id=request_id)
    data = event.data
    assert isinstance(data, HistoryReviewed), "a review records nothing else"
    told = {
        "position": event.position,
        "event_id": event.id,
        "time": msgspec.to_builtins(event.time),
        "actor": event.actor,
        "reason": data.reason,
        "reviewed_position": data.position,
    }
    fields = [(name, "none" if value is None else str(value)) for name, value in told.items()]
    return output.print_report(told, fields, output_format, done=True)
