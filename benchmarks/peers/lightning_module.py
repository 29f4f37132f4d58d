"""A small Lightning module that notes what its training did, for the cases on schedulers."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import lightning
    from lightning.pytorch import callbacks as theirs

import numpy as np

from evolr.expression import parse
from evolr.lightning import horizon
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

for noisy in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(noisy).setLevel(logging.ERROR)

BATCHES, EPOCHS = 5, 4
OPEN = Schedule(expression=parse("0.02*(1 - progress)*(1 + epoch)"))
BY_LOSS = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)"))
LISTENING = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)/(1 + stale_epochs) + 0.001*val_loss + 0.1*lr"))
torch.manual_seed(0)
INPUTS = torch.randn(BATCHES * 4, 3)
DATA = TensorDataset(INPUTS, INPUTS @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3)


class Endless(IterableDataset):
    """Batches of no known number."""

    def __iter__(self) -> Any:
        while True:
            yield from (DATA[row] for row in range(len(DATA)))


class Module(lightning.LightningModule):
    """A linear model that notes the rate of each optimiser step and each batch's loss. make: (module, optimiser) → config."""

    def __init__(self, make: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Linear(3, 1)
        self.make = make
        self.rates: list[float] = []
        self.losses: list[float] = []
        with torch.no_grad():
            self.first = {"loss": self.loss(DATA[:4]).item(), "val_loss": self.loss(DATA[:]).item()}
        self.val_losses = [self.first["val_loss"]]

    def loss(self, batch: Any) -> Any:
        return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch: Any, _number: int) -> Any:
        loss = self.loss(batch)
        self.losses.append(loss.item())
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.rates.append(float(optimizer.param_groups[0]["lr"]))

    def validation_step(self, batch: Any, _number: int) -> None:
        self.log("val_loss", self.loss(batch))

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.val_losses.append(float(self.trainer.callback_metrics["val_loss"]))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": self.make(self, optimizer)}

    def expected(self, one: Schedule, accumulated: int = 1, steps_per_epoch: int = BATCHES) -> list[float]:
        losses = np.reshape(self.losses, (-1, accumulated)).mean(1).tolist()
        return follow(one, losses, self.val_losses, steps_per_epoch=steps_per_epoch)


def by(one: Schedule, **more: Any) -> Callable[[Any, Any], Any]:
    def make(module: Any, optimizer: Any) -> Any:
        first = {} if one is OPEN else module.first
        scheduler = ExpressionLR(optimizer, one, **horizon(module.trainer), **first)
        return {"scheduler": scheduler, "interval": "step", **more}

    return make


def trainer_of(callbacks: Sequence[Any], **options: Any) -> Any:
    settings = {
        "max_epochs": EPOCHS,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(one, theirs.ModelCheckpoint) for one in callbacks),
    }
    return lightning.Trainer(callbacks=list(callbacks), **(settings | options))


def loader(data: Any = DATA) -> Any:
    return DataLoader(data, batch_size=4)


def fit(module: Any, *callbacks: Any, checkpoint: str | None = None, data: Any = DATA, **options: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(callbacks, default_root_dir=folder, **options)
        trainer.fit(module, loader(data), loader(), ckpt_path=checkpoint)
    return trainer
