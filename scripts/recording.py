"""Carry out a change that is about a model, and say what was recorded."""

from __future__ import annotations

from collections.abc import Callable

from eventlog.errors import ProjectionLagError, reason_of
from eventlog.log import log
from eventlog.model import ModelMetadata
from scripts import output


def print_recorded(change: Callable[[], ModelMetadata], *, dry_run: bool) -> None:
    """
    Carry out a change and print the model as JSON, also where only a derived file is behind.

    Once it is recorded, an output that cannot be written must not look like a refusal: it is reported, status 0.
    """
    lag: ProjectionLagError | None = None
    try:
        model = change()
    except ProjectionLagError as error:
        if not isinstance(error.model, ModelMetadata):
            raise
        model, lag = error.model, error
    try:
        output.print_json(model.to_dict())
        output.flush()
    except OSError as error:
        if dry_run:
            raise
        output.abandon_streams()
        log.warning("%s is recorded, but stdout cannot be written: %s", model.model_id, reason_of(error))
    if dry_run:
        log.info("dry run: nothing was changed")
    if lag is not None:
        raise lag
