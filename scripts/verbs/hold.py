"""`hold`: say that the artifact of a model is not to be removed, whatever else is said of it."""

from __future__ import annotations

from scripts import marking, options
from scripts.declared import Argument, Option, verb


@verb(
    Argument("model_id"),
    Option("--release", flag=True, help="It is held no longer."),
    *marking.OPTIONS,
    *options.COMMON,
)
def command(model_id: str, release: bool, **given: object) -> int:
    """Record that gc is not to remove the artifact of a model, also where that is retired."""
    registry = marking.opened(given)
    return marking.record(registry.release if release else registry.hold, model_id, given)
