"""
A training run: what it leaves behind is published with how it came about; that it failed is recorded, too.

    with registry.training_run(backend="onnx", dataset_metadata={"rows": 1024}) as run:
        …
        run.artifact = "model.onnx"
    print(run.model.model_id)
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from eventlog import identity
from eventlog.clock import utc_now
from eventlog.errors import ModelogError, OutcomeUnknownError, RefusedError
from eventlog.log import log
from eventlog.model import ModelMetadata
from eventlog.training_events import Training, TrainingFailed

TRIES_MAX = 3
"""So often a publish is asked for whose outcome is not known."""

ERROR_CHARACTERS_MAX = 1_000
_GIT_SECONDS_MAX = 5.0
_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Publishes(Protocol):
    """What is asked of a registry here; see `eventlog.registry.ModelRegistry`."""

    @property
    def publish_model(self) -> Callable[..., ModelMetadata]:
        """Records a model and makes it active."""

    def published_by_request(self, request_id: str) -> ModelMetadata | None:
        """Return the model that a request with this id has published, or None."""

    def report_failed_training(self, data: TrainingFailed, *, actor: str | None = None) -> object:
        """Record that a run failed."""


class TrainingRun:
    """
    What the code of a run fills in, and is told.

    Attributes:
        artifact: the path of the file or directory that it leaves; to be set before the block ends.

        dataset_metadata: may be added to until then.

        model: what was published, after the block; before, what an earlier try with the same run id has published, so
            that there is nothing left to do, or None.
    """

    def __init__(self, run_id: str, dataset_metadata: dict[str, Any], model: ModelMetadata | None) -> None:
        self.run_id = run_id
        self.artifact: str | os.PathLike[str] | None = None
        self.dataset_metadata = dataset_metadata
        self.model = model


@contextmanager
def run(
    registry: Publishes,
    *,
    backend: str,
    dataset_metadata: Mapping[str, Any] | None,
    run_id: str | None,
    **terms: Any,
) -> Iterator[TrainingRun]:
    """Do as `ModelRegistry.training_run` says."""
    run_id = identity.check_text("run_id", run_id or identity.new_uuid(os.urandom))
    request_id = f"training-{run_id}"
    identity.check_text("backend", backend)
    found = TrainingRun(run_id, dict(dataset_metadata or {}), registry.published_by_request(request_id))
    started, clock = utc_now(), time.monotonic()
    try:
        yield found
    except BaseException as error:
        if found.model is None:
            _record_failure(registry, backend, _training(run_id, started, time.monotonic() - clock), error, terms)
        raise
    if found.model is not None:
        log.info("%s: was published by run %s already", found.model.model_id, run_id)
        return
    if found.artifact is None:
        raise RefusedError(f"training run {run_id}: expected run.artifact to be set, got nothing to publish")
    publish = partial(
        registry.publish_model,
        found.artifact,
        backend=backend,
        dataset_metadata=found.dataset_metadata,
        training=_training(run_id, started, time.monotonic() - clock),
        request_id=request_id,
        **terms,
    )
    found.model = _settled(publish)


def _record_failure(
    registry: Publishes, backend: str, training: Training, error: BaseException, terms: Mapping[str, Any]
) -> None:
    """Record that a run failed; where that cannot be, it is logged: the run's own error matters more."""
    words = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()
    try:
        data = TrainingFailed(backend, training, words[:ERROR_CHARACTERS_MAX], terms.get("reason"))
        registry.report_failed_training(data, actor=terms.get("actor"))
    except (ModelogError, OSError) as failed:
        log.warning("training run %s: not recorded that it failed: %s", training.run_id, failed)


def _settled(publish: Callable[[], ModelMetadata]) -> ModelMetadata:
    """Publish, and ask again where the outcome is not known: the id is the same."""
    for _ in range(TRIES_MAX - 1):
        try:
            return publish()
        except OutcomeUnknownError as error:
            log.warning("%s: asked again", error)
    return publish()


def _training(run_id: str, started: datetime, seconds: float) -> Training:
    commit = _git("rev-parse", "HEAD")
    known = commit is not None and _COMMIT.fullmatch(commit) is not None
    dirty = known and bool(_git("status", "--porcelain", "--untracked-files=no"))
    return Training(run_id, started, round(seconds, 3), os.uname().nodename, commit if known else None, dirty)


def _git(*words: str) -> str | None:
    """Return what git says of the working directory, or None where it does not."""
    import subprocess  # noqa: PLC0415 - takes its time, and is not needed before a run is over

    try:
        done = subprocess.run(  # noqa: S603 - only these words
            ["git", *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=_GIT_SECONDS_MAX,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
