"""
A training by Transformers that is over in a moment.

    python transformers_training.py DIRECTORY RUN_ID STEPS KILLED_AT

publishes into the registry of a directory; as soon as step KILLED_AT was published, the first process kills itself.
Started again, it goes on from what was saved last. Under `torch.distributed.run` several processes train together.
RUN_ID may be empty: then each process takes one by chance.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from eventlog.transformers_callback import PublishOnSave
from projections import open_registry

DATA = [{"input_ids": [1, 2, number % 5], "labels": number % 2} for number in range(16)]


class KilledAt(TrainerCallback):
    """Kills this process when a step was saved, and the callbacks before were told."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **others: Any) -> None:
        """Do so."""
        if state.global_step == self._step and state.is_world_process_zero:
            os.kill(os.getpid(), signal.SIGKILL)


class Late(Trainer):
    """Of several processes, all but the first take their time to save what is theirs."""

    def _save_rng_state(self, output_dir: str) -> None:
        if self.args.process_index > 0:
            time.sleep(1)
        super()._save_rng_state(output_dir)


def trainer(saved: Path, *callbacks: TrainerCallback, **settings: Any) -> Trainer:
    """Return what trains some hundred numbers, saves each step, and keeps the newest alone."""
    config = BertConfig(
        vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        max_position_embeddings=4,
    )  # fmt: skip
    settings = {
        "max_steps": 3,
        "save_steps": 1,
        "save_total_limit": 1,
        "logging_steps": 1,
        "learning_rate": 0.01,
        **settings,
    }
    arguments = TrainingArguments(
        str(saved), use_cpu=True, report_to=[], disable_tqdm=True, per_device_train_batch_size=2,
        dataloader_pin_memory=False, **settings,
    )  # fmt: skip
    return Late(
        BertForSequenceClassification(config), arguments, train_dataset=DATA, eval_dataset=DATA, callbacks=[*callbacks]
    )


def main(directory: str, run_id: str, steps: str, killed_at: str) -> None:
    """Do as the module says."""
    top = Path(directory)
    callback = PublishOnSave(open_registry(top / "m", top / "s"), backend="transformers", run_id=run_id or None)
    training = trainer(top / "saved", callback, KilledAt(int(killed_at)), max_steps=int(steps))
    (top / "saved").mkdir(exist_ok=True)
    training.train(resume_from_checkpoint=get_last_checkpoint(str(top / "saved")))
    print(f"process {training.args.process_index} of {training.args.world_size}")


if __name__ == "__main__":
    main(*sys.argv[1:])
