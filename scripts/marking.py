"""What `retire` and `hold` have in common: a model is marked, for a reason, and the event that says so is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from eventlog.events import Event
from scripts import options, output

if TYPE_CHECKING:
    from eventlog.registry import ModelRegistry

OPTIONS = (
    *(replace(option, required=True) if option.name == "--reason" else option for option in options.EXPLAINED),
    options.REPEATABLE,
    options.SIGNING,
    options.TRUSTING,
    options.WAITING,
    options.SHOWN,
)


def opened(given: dict[str, Any]) -> ModelRegistry:
    """Return the registry that the options name."""
    places = [given[name] for name in ("registry_dir", "state_dir", "journal", "lock_timeout")]
    return options.open_for_change(*places, sign_key=given["sign_key"], public_key=given["public_key"])


def record(mark: Callable[..., Event], model_id: str, given: dict[str, Any]) -> int:
    """Mark a model, and show what is recorded."""
    event = mark(model_id, reason=given["reason"], actor=given["actor"], request_id=given["request_id"])
    told = {
        "position": event.position,
        "event_id": event.id,
        "time": msgspec.to_builtins(event.time),
        "type": event.type,
        "model_id": event.subject,
        "actor": event.actor,
        "reason": getattr(event.data, "reason", None),
    }
    fields = [(name, "none" if value is None else str(value)) for name, value in told.items()]
    return output.print_report(told, fields, given["output_format"], done=True)
