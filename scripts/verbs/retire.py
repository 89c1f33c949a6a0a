"""`retire`: say that a model is not to become active again, so that its artifact may be removed."""

from __future__ import annotations

from scripts import marking, options
from scripts.declared import Argument, Option, verb


@verb(
    Argument("model_id"),
    Option("--undo", flag=True, help="It is retired no longer."),
    *marking.OPTIONS,
    *options.COMMON,
)
def command(model_id: str, undo: bool, **given: object) -> int:
    """
    Record that a model is not to become active again: no rollback leads to it, and gc may remove its artifact.

    The active model is refused. Nothing is removed before gc.
    """
    registry = marking.opened(given)
    return marking.record(registry.reinstate if undo else registry.retire, model_id, given)
