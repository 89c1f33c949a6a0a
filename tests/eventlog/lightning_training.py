"""
A training by Lightning that is over in a moment.

    python lightning_training.py DIRECTORY RUN_ID PROCESSES MOMENT

publishes into the registry of a directory, in several processes where that is asked for; at MOMENT, the name of a hook
of its module, the first process kills itself. RUN_ID may be empty: then each process takes one by chance.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from eventlog.lightning_callback import PublishOnFitEnd
from projections import open_registry

EPOCHS = 3
STEPS_OF_EPOCH = 4
LOSSES = (0.5, 0.25, 0.75)
"""What is said of each epoch in turn; so the second is the best."""


class Tiny(LightningModule):
    """
    Five numbers to learn.

    Args:
        losses: logged as `val_loss`, one for each epoch.

        moment: the hook in which to raise *error*, or to kill this process where that is None.
    """

    def __init__(
        self, losses: tuple[float, ...] = LOSSES, moment: str = "never", error: BaseException | None = None
    ) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self._losses, self._moment, self._error = losses, moment, error

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        """Return a loss."""
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        """Log what was planned."""
        self.log("val_loss", self._losses[self.current_epoch % len(self._losses)], sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the plainest one."""
        return torch.optim.SGD(self.parameters(), 0.1)

    def on_train_end(self) -> None:
        """The fit is nearly over."""
        self._at("on_train_end")

    def on_fit_end(self) -> None:
        """Callbacks were told that the fit is over."""
        self._at("on_fit_end")

    def _at(self, moment: str) -> None:
        if moment == self._moment and self.global_rank == 0:
            if self._error is not None:
                raise self._error
            os.kill(os.getpid(), signal.SIGKILL)


def best_of(directory: Path, **settings: Any) -> ModelCheckpoint:
    """Return what saves the best epoch."""
    return ModelCheckpoint(directory, **{"monitor": "val_loss", "filename": "{epoch}", **settings})


def fit(module: Tiny, *callbacks: Any, **settings: Any) -> Trainer:
    """Train on this machine's processor, and say nothing; return the trainer."""
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "devices": 1, "logger": False, **settings}
    trainer = Trainer(callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False, **settings)
    data = DataLoader(TensorDataset(torch.ones(2 * STEPS_OF_EPOCH * trainer.world_size, 4)), batch_size=2)
    trainer.fit(module, data, data)
    return trainer


def main(directory: str, run_id: str, processes: str, moment: str) -> None:
    """Do as the module says."""
    top = Path(directory)
    callback = PublishOnFitEnd(open_registry(top / "m", top / "s"), backend="lightning", run_id=run_id or None)
    settings = {"devices": int(processes), "strategy": "ddp"} if processes != "1" else {}
    fit(Tiny(moment=moment), callback, best_of(top / "saved"), **settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
