"""
Lightning: what `trainer.fit` leaves is published when it ends; that it failed is recorded.

    registry = open_registry()
    Trainer(callbacks=[PublishOnFitEnd(registry, backend="lightning")]).fit(module)

Needs the package `lightning`. Several processes of one training each open a registry; only the first publishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from eventlog.errors import RefusedError
from eventlog.log import log
from eventlog.registry import ModelRegistry
from eventlog.training import TrainingRun, numbers

AnyPath = str | os.PathLike[str]


class PublishOnFitEnd(Callback):
    """
    Publishes what a fit leaves, as one training run.

    `dataset_metadata` gets `epochs`, `steps` and `metrics`, as they are at the end; and of the best file `monitor` and
    `score`, what it was chosen by. What was given under such a name stays.

    Args:
        registry: where.

        backend, dataset_metadata, actor, reason: as in `ModelRegistry.publish_model`.

        artifact: the path of a file or directory, or a function that is called with the trainer at the end and returns
            one; by default the best file of the trainer's first `ModelCheckpoint`, or its last where none is best.

        run_id: as in `ModelRegistry.training_run`: with the same id it is published once, however often it is tried.

        copy: keep a copy, as trainers delete older files; None for what the registry's settings say.

    A fit raises what `training_run` and `publish_model` raise. Where it leaves nothing it raises RefusedError, at its
    start where that is known by then; nothing was recorded. With `fast_dev_run` nothing is published.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        *,
        backend: str,
        artifact: AnyPath | Callable[[Trainer], AnyPath] | None = None,
        dataset_metadata: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        copy: bool | None = True,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        self._artifact = artifact
        self._begin = partial(
            registry.training_run,
            backend=backend,
            dataset_metadata=dataset_metadata,
            run_id=run_id,
            copy=copy,
            actor=actor,
            reason=reason,
        )
        self._run: TrainingRun | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the run; refuse what would be refused at its end, as far as that can be known."""
        self._run = None
        if trainer.fast_dev_run:
            log.info("fast_dev_run: nothing will be published")
            return
        if self._artifact is None and _saver(trainer) is None:
            raise RefusedError(
                "PublishOnFitEnd: expected a ModelCheckpoint, got none: add one to callbacks, or pass artifact=…"
            )
        if trainer.is_global_zero:
            self._run = self._begin()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Publish."""
        run = self._run
        if run is None:
            return
        path, chosen = self._left_by(trainer)
        self._run = None  # from here on an error is the registry's, and not the run's
        run.artifact = path or None
        run.dataset_metadata = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "metrics": numbers(trainer.callback_metrics),
            **chosen,
            **run.dataset_metadata,
        }
        run.publish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Record that the run failed."""
        run, self._run = self._run, None
        if run is not None:
            run.fail(exception)

    def _left_by(self, trainer: Trainer) -> tuple[AnyPath | None, dict[str, Any]]:
        """Return the path that is to be published, and what it was chosen by."""
        if self._artifact is not None:
            return (self._artifact(trainer) if callable(self._artifact) else self._artifact), {}
        saver = _saver(trainer)
        if saver is None:
            return None, {}
        if saver.best_model_path and saver.monitor is not None:
            return saver.best_model_path, {"monitor": saver.monitor, **numbers({"score": saver.best_model_score})}
        return saver.best_model_path or saver.last_model_path, {}


def _saver(trainer: Trainer) -> ModelCheckpoint | None:
    return next((found for found in trainer.checkpoint_callbacks if isinstance(found, ModelCheckpoint)), None)
