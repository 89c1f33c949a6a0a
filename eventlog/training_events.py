"""What a training run says of itself, in the event that publishes its model or in the one that says that it failed."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class Training(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    How a model came about, as its training run says.

    Attributes:
        run_id: of the run; repeating a run with the same id publishes once.

        started: when, UTC.

        seconds: how long it took.

        host: on which machine.

        git_commit: what was checked out in the working directory, 40 or 64 hex; None where that is no checkout.

        git_dirty: whether something there was not committed.
    """

    run_id: str
    started: Annotated[datetime, Meta(tz=True)]
    seconds: float
    host: str
    git_commit: str | None = None
    git_dirty: bool = False


class TrainingFailed(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A training run ended with an error, and published nothing.

    Attributes:
        backend: what would have run its model.

        training: the run, up to its end.

        error: the kind of the error and its words, cut at 1,000 characters.

        reason: why it was run.
    """

    backend: str
    training: Training
    error: str
    reason: str | None = None
