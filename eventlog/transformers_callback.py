"""
Transformers: each directory that a `Trainer` saves is published, and kept when `save_total_limit` deletes it.

    registry = open_registry()
    Trainer(…, callbacks=[PublishOnSave(registry, backend="transformers", run_id="nightly-7")]).train()

Needs the packages `transformers` and `accelerate`. Several processes of one training each open a registry; only the
first publishes. A `Trainer` does not tell its callbacks that it failed, so that is not recorded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from eventlog.errors import RefusedError
from eventlog.log import log
from eventlog.registry import ModelRegistry
from eventlog.training import TrainingRun, numbers


class PublishOnSave(TrainerCallback):
    """
    Publishes each directory that is saved; all of a training have the id of one run.

    `dataset_metadata` gets `epochs`, `steps` and `metrics`, the newest of each that was logged. What was given under
    such a name stays.

    Args:
        registry: where.

        backend, dataset_metadata, actor, reason: as in `ModelRegistry.publish_model`.

        run_id: with the same id each step is published once, however often the training is resumed; random by default.

        copy: keep a copy, as trainers delete older directories; None for what the registry's settings say.

    A training raises what `training_run` and `publish_model` raise, and ends with it; what it has saved is there, to
    resume from. One that would save nothing raises RefusedError at its start.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        *,
        backend: str,
        dataset_metadata: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        copy: bool | None = True,
        actor: str | None = None,
        reason: str | None = None,
    ) -> None:
        self._given = dict(dataset_metadata or {})
        self._begin = partial(
            registry.training_run,
            backend=backend,
            dataset_metadata=self._given,
            run_id=run_id,
            copy=copy,
            actor=actor,
            reason=reason,
        )
        self._run: TrainingRun | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Begin the run; refuse what would be refused later, as far as that can be known."""
        self._run = None
        if args.save_strategy == "no":
            raise RefusedError("save_strategy: expected steps or epoch, got no: nothing would be published")
        if state.is_world_process_zero:
            self._run = self._begin()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Publish the directory that was just saved, once all processes have put their files into it."""
        PartialState().wait_for_everyone()
        run, step = self._run, state.global_step
        if run is None:
            return
        run.artifact = os.path.join(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}")
        logged = {name: value for entry in state.log_history for name, value in entry.items()}
        metrics = {name: value for name, value in numbers(logged).items() if name not in ("epoch", "step")}
        run.dataset_metadata = {"epochs": state.epoch, "steps": step, "metrics": metrics, **self._given}
        run.publish(step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Say so where nothing was published."""
        run, self._run = self._run, None
        if run is not None and run.model is None:
            log.warning("training run %s: nothing was saved, so nothing was published", run.run_id)
