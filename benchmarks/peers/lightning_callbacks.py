"""Cases of ours on Lightning's callbacks and checkpoints, with evolr's schedulers."""

from __future__ import annotations

import csv
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    from lightning.pytorch import callbacks as theirs
    from lightning.pytorch.loggers import CSVLogger
    from lightning.pytorch.tuner import Tuner


from benchmarks.peers.lightning_module import (
    BATCHES,
    BY_LOSS,
    EPOCHS,
    LISTENING,
    OPEN,
    Module,
    by,
    fit,
    loader,
    trainer_of,
)
from benchmarks.peers.runner import Cases, close
from evolr.lightning import TellLosses
from evolr.loop import follow
from evolr.schedule import Schedule

cases = Cases(strict=False)


@cases
def the_learning_rate_monitor_sees_each_rate() -> None:
    module = Module(by(OPEN))
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(
            [theirs.LearningRateMonitor("step")], logger=CSVLogger(folder), log_every_n_steps=1, default_root_dir=folder
        )
        trainer.fit(module, loader(), loader())
        text = Path(trainer.logger.log_dir, "metrics.csv").read_text(encoding="utf-8")
    logged = [float(line["lr-SGD"]) for line in csv.DictReader(text.splitlines()) if line["lr-SGD"]]
    close(logged, module.rates)


def saved(one: Schedule, folder: str, every: dict[str, int]) -> tuple[Any, list[str]]:
    """A whole training and the paths of its checkpoints."""
    module = Module(by(one))
    keeper = theirs.ModelCheckpoint(folder, save_top_k=-1, filename="{step}", **every)
    fit(module, keeper, *([] if one is OPEN else [TellLosses()]))
    return module, sorted(map(str, Path(folder).glob("*.ckpt")))


EVERY = {"step": {"every_n_train_steps": 3}, "epoch": {"every_n_epochs": 1}}


@cases.of_each({f"{name}, after some {unit}s": (one, unit) for name, one in
    (("reading nothing", OPEN), ("reading both losses", LISTENING)) for unit in EVERY})  # fmt: skip
def a_training_goes_on_from_each_checkpoint(case: tuple[Schedule, str]) -> None:
    one, unit = case
    with tempfile.TemporaryDirectory() as folder:
        whole, paths = saved(one, folder, EVERY[unit])
        assert len(paths) > 2
        for path in paths:
            step = int(Path(path).stem.partition("=")[2])
            # What is saved between an epoch's last step and its validation goes on without that validation.
            if step == EPOCHS * BATCHES or (unit == "step" and step % BATCHES == 0):
                continue
            again = Module(by(one))
            fit(again, *([] if one is OPEN else [TellLosses()]), checkpoint=path)
            # In the middle of an epoch Lightning begins anew with its batches, so that the losses are others.
            losses = whole.losses[:step] + again.losses
            val_losses = whole.val_losses[: 1 + step // BATCHES] + again.val_losses[1:]
            close(again.rates, follow(one, losses, val_losses, steps_per_epoch=BATCHES)[step:])


@cases
def a_checkpoint_is_read_as_weights_alone() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, paths = saved(LISTENING, folder, EVERY["epoch"])
        state = torch.load(paths[0], weights_only=True)
    assert state["lr_schedulers"][0]["last_epoch"] > 0


@cases
def a_training_that_is_stopped_early_ends_well() -> None:
    module = Module(by(BY_LOSS))
    fit(module, TellLosses(), theirs.EarlyStopping("val_loss", patience=1, min_delta=100.0))
    assert len(module.rates) == 2 * BATCHES
    assert all(rate > 0 for rate in module.rates)


@cases
def a_second_fit_begins_anew() -> None:
    module = Module(by(OPEN))
    fit(module)
    fit(module)
    close(module.rates[20:], module.rates[:20])


@cases
def a_validation_apart_from_the_training_is_not_told() -> None:
    module = Module(by(LISTENING))
    with tempfile.TemporaryDirectory() as folder:
        trainer_of([TellLosses()], default_root_dir=folder).validate(module, loader(), verbose=False)
    module.val_losses = module.val_losses[:1]
    fit(module, TellLosses())
    close(module.rates, module.expected(LISTENING))


class Thawing(theirs.BaseFinetuning):
    """Adds the bias as a group of its own in the third epoch."""

    def freeze_before_training(self, pl_module: Any) -> None:
        pl_module.net.bias.requires_grad = False

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 2:
            pl_module.net.bias.requires_grad = True
            optimizer.add_param_group({"params": [pl_module.net.bias], "lr": 0.01})


class Frozen(Module):
    """Its optimiser begins with the weight alone; notes the rate of the second group too."""

    def __init__(self, make: Callable[[Any, Any], Any]) -> None:
        super().__init__(make)
        self.seconds: list[float] = []

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD([self.net.weight], lr=0.1)
        return {"optimizer": optimizer, "lr_scheduler": self.make(self, optimizer)}

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        super().on_before_optimizer_step(optimizer)
        self.seconds += [float(group["lr"]) for group in optimizer.param_groups[1:]]


@cases
def a_group_that_is_thawed_keeps_its_ratio() -> None:
    module = Frozen(by(BY_LOSS))
    fit(module, TellLosses(), Thawing())
    close(module.rates, module.expected(BY_LOSS))
    close(module.seconds[1:], [rate / 10 for rate in module.rates[2 * BATCHES + 1 :]])


@cases
def a_training_goes_on_after_a_group_was_thawed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = Frozen(by(BY_LOSS))
        keeper = theirs.ModelCheckpoint(folder, save_top_k=-1, filename="{step}", every_n_epochs=1)
        fit(whole, keeper, TellLosses(), Thawing())
        for step in (10, 15):
            again = Frozen(by(BY_LOSS))
            fit(again, TellLosses(), Thawing(), checkpoint=f"{folder}/step={step}.ckpt")
            # Lightning does not thaw the bias again, so that the losses are others.
            expected = follow(BY_LOSS, whole.losses[:step] + again.losses, steps_per_epoch=BATCHES)[step:]
            close(again.rates, expected)
            close(again.seconds[1 if step == 10 else 0 :], [rate / 10 for rate in expected[1 if step == 10 else 0 :]])


@cases
def averaged_weights_take_over_the_rate() -> None:
    module = Module(by(OPEN))
    fit(module, theirs.StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=2, annealing_epochs=1))
    close(module.rates[:BATCHES], module.expected(OPEN)[:BATCHES])


@cases
def a_search_for_a_first_rate_leaves_no_trace() -> None:
    class Found(Module):
        lr = 0.1

    module = Found(by(OPEN))
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of([], default_root_dir=folder)
        Tuner(trainer).lr_find(module, loader(), loader(), num_training=6, update_attr=False)
        module.rates.clear()
        trainer.fit(module, loader(), loader())
    close(module.rates, follow(OPEN, [0.0] * 20, steps_per_epoch=BATCHES))
