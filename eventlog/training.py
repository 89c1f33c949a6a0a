"""
A training run: what it leaves behind is published with how it came about; that it failed is recorded, too.

    with registry.training_run(backend="onnx", dataset_metadata={"rows": 1024}) as run:
        …
        run.artifact = "model.onnx"
    print(run.model.model_id)
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from eventlog import dataset_metadata as metadata_rules
from eventlog import identity
from eventlog.clock import utc_now
from eventlog.errors import ModelogError, OutcomeUnknownError, RefusedError
from eventlog.log import log
from eventlog.model import ModelMetadata
from eventlog.training_events import Training, TrainingFailed

TRIES_MAX = 3
"""So often a publish is asked for whose outcome is not known."""

ERROR_CHARACTERS_MAX = 1_000
RUN_ID_CHARACTERS_MAX = 200
"""A request's id, which is longer, is made of it."""

_TERMS = {"copy", "actor", "reason", "expect_active", "take_over", "progress"}
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
    A run that has begun. As a block it is published at its end, or the error that ends it is recorded.

    Attributes:
        run_id: of the run.

        artifact: the path of the file or directory that it leaves; to be set before it is published.

        dataset_metadata: may be added to until then.

        model: what was published last; before, what an earlier try with the same run id has published, so that there
            is nothing left to do, or None.

    Arguments as of `eventlog.registry.ModelRegistry.training_run`.
    """

    def __init__(
        self,
        registry: Publishes,
        *,
        backend: str,
        dataset_metadata: Mapping[str, Any] | None,
        run_id: str | None,
        **terms: Any,
    ) -> None:
        self.run_id = identity.check_text("run_id", run_id or identity.new_uuid(os.urandom))
        if len(self.run_id) > RUN_ID_CHARACTERS_MAX:
            raise RefusedError(f"run_id: expected at most {RUN_ID_CHARACTERS_MAX} characters, got {len(self.run_id)}")
        if unknown := terms.keys() - _TERMS:
            raise TypeError(
                f"training_run: expected some of {', '.join(sorted(_TERMS))}, got {', '.join(sorted(unknown))}"
            )
        self.artifact: str | os.PathLike[str] | None = None
        self.dataset_metadata = metadata_rules.checked(dataset_metadata or {})
        self.model = registry.published_by_request(self._request_id(None))
        self._registry = registry
        self._backend = identity.check_text("backend", backend)
        self._terms = terms
        self._started, self._clock = utc_now(), time.monotonic()

    def __enter__(self) -> TrainingRun:
        """Return the run."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Publish, or record *error*, which goes on."""
        if error is None:
            self.publish()
        else:
            self.fail(error)

    def publish(self, step: int | None = None) -> ModelMetadata:
        """
        Publish `artifact`: once, or once for each *step*, however often the run is tried.

        Raises as `publish_model`, and RefusedError where `artifact` was not set.
        """
        request_id = self._request_id(step)
        self.model = self._registry.published_by_request(request_id)
        if self.model is not None:
            log.info("%s: was published by run %s already", self.model.model_id, self.run_id)
            return self.model
        if self.artifact is None:
            raise RefusedError(
                f"training run {self.run_id}: expected an artifact, run.artifact, got nothing to publish"
            )
        publish = partial(
            self._registry.publish_model,
            self.artifact,
            backend=self._backend,
            dataset_metadata=self.dataset_metadata,
            training=self._training(),
            request_id=request_id,
            **self._terms,
        )
        self.model = _settled(publish)
        return self.model

    def fail(self, error: BaseException) -> None:
        """Record that the run failed, unless it has published; where that cannot be, it is logged."""
        if self.model is not None:
            return
        words = _words_of(error).encode("utf-8", "backslashreplace").decode()
        reason, actor = self._terms.get("reason"), self._terms.get("actor")
        try:
            data = TrainingFailed(self._backend, self._training(), words[:ERROR_CHARACTERS_MAX], reason)
            self._registry.report_failed_training(data, actor=actor)
        except (ModelogError, OSError) as failed:  # the run's own error matters more
            log.warning("training run %s: not recorded that it failed: %s", self.run_id, failed)

    def _request_id(self, step: int | None) -> str:
        return f"training-{self.run_id}" if step is None else f"step-{step}-of-{self.run_id}"

    def _training(self) -> Training:
        return _training(self.run_id, self._started, time.monotonic() - self._clock)


def _words_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # whoever wrote it may have got its words wrong, and the run's own error goes on
        return type(error).__name__


def numbers(measured: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a framework has measured as JSON: floats, and as text those that JSON does not have (`nan`, `inf`).

    What is no single number is left out.
    """
    found: dict[str, Any] = {}
    for name, value in measured.items():
        with suppress(TypeError, ValueError):
            number = float(value)
            found[name] = number if math.isfinite(number) else str(number)
    return found


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
