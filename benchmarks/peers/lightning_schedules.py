"""Cases of ours on what Lightning tests of schedulers in its Trainer, with evolr's in their place.

    python benchmarks/peers/lightning_schedules.py    # writes benchmarks/results/peers_lightning.json

The exit code is 1 if a case fails.
"""

from __future__ import annotations

import csv
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, SequentialLR
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import lightning
    from lightning.pytorch import callbacks as theirs
    from lightning.pytorch.loggers import CSVLogger
    from lightning.pytorch.tuner import Tuner

import numpy as np

from benchmarks.peers.runner import Cases, refused, report
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.lightning import TellLosses, horizon
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

for noisy in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(noisy).setLevel(logging.ERROR)

cases = Cases(strict=False)
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


def close(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-9)


# --- the rates ----------------------------------------------------------------------------------------------------------


@cases.of_each({"reading nothing": OPEN, "reading the loss": BY_LOSS, "reading both losses": LISTENING})
def a_training_has_the_rates_of_the_reference(one: Schedule) -> None:
    module = Module(by(one))
    fit(module, *([] if one is OPEN else [TellLosses()]))
    close(module.rates, module.expected(one))


OPTIONS: dict[str, dict[str, Any]] = {
    "clipped by norm": {"gradient_clip_val": 0.1},
    "clipped by value": {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"},
    "ended by max_steps": {"max_epochs": -1, "max_steps": 20},
    "without a sanity check": {"num_sanity_val_steps": 0},
    "with a whole sanity check": {"num_sanity_val_steps": -1},
    "in bfloat16": {"precision": "bf16-mixed"},
    "in double precision": {"precision": "64-true"},
    "with deterministic algorithms": {"deterministic": True},
    "with anomalies detected": {"detect_anomaly": True},
    "in inference mode for validation": {"inference_mode": True},
}


@cases.of_each(OPTIONS)
def a_training_has_the_same_rates(options: dict[str, Any]) -> None:
    module = Module(by(LISTENING))
    fit(module, TellLosses(), **options)
    # The first losses are measured in float32.
    close(module.rates, module.expected(LISTENING), 2e-2 if "bf16-mixed" in options.values() else 1e-5)


@cases
def accumulated_gradients_are_one_step_with_the_mean_loss() -> None:
    module = Module(by(BY_LOSS))
    with torch.no_grad():
        module.first["loss"] = sum(module.loss(DATA[4 * k : 4 * k + 4]).item() for k in range(2)) / 2
    fit(module, TellLosses(), accumulate_grad_batches=2, limit_train_batches=4)
    close(module.rates, module.expected(BY_LOSS, 2, 2))


@cases
def an_odd_batch_at_an_epochs_end_is_a_step_of_its_own() -> None:
    module = Module(by(OPEN))
    fit(module, accumulate_grad_batches=2)
    close(module.rates, follow(OPEN, [0.0] * 12, steps_per_epoch=3))


@cases
def fewer_batches_than_there_are_make_a_shorter_horizon() -> None:
    module = Module(by(LISTENING))
    fit(module, TellLosses(), limit_train_batches=3)
    close(module.rates, module.expected(LISTENING, steps_per_epoch=3))


@cases
def a_validation_twice_an_epoch_is_told_twice_and_counted_once() -> None:
    one = Schedule(expression=parse("0.01/(1 + stale_epochs) + 0*loss"))
    module = Module(by(one))
    fit(module, TellLosses(), val_check_interval=0.5, limit_train_batches=4)
    assert len(module.rates) == 16
    close(module.rates, [0.01] * 16)


@cases
def a_validation_every_second_epoch_is_enough() -> None:
    module = Module(by(LISTENING))
    fit(module, TellLosses(), check_val_every_n_epoch=2)
    module.val_losses = [module.val_losses[k] for k in (0, 0, 1, 1, 2)]
    shown = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress) + 0.001*val_loss"))
    other = Module(by(shown))
    fit(other, TellLosses(), check_val_every_n_epoch=2)
    other.val_losses = [other.val_losses[k] for k in (0, 0, 1, 1, 2)]
    close(other.rates, other.expected(shown))
    assert len(module.rates) == 20


@cases
def a_fast_development_run_has_one_step() -> None:
    module = Module(by(LISTENING))
    fit(module, TellLosses(), fast_dev_run=True)
    assert len(module.rates) == 1


@cases
def an_endless_loader_needs_max_steps_alone() -> None:
    module = Module(by(BY_LOSS))
    fit(module, TellLosses(), data=Endless(), max_epochs=-1, max_steps=12, limit_val_batches=0)
    close(module.rates, follow(BY_LOSS, module.losses, steps_per_epoch=12))


@cases
def a_training_without_an_end_is_refused() -> None:
    with refused(ScheduleError, "max_epochs or max_steps"):
        fit(Module(by(OPEN)), max_epochs=-1)


@cases
def once_an_epoch_is_an_interval_too() -> None:
    def make(module: Any, optimizer: Any) -> Any:
        scheduler = ExpressionLR(optimizer, OPEN, **horizon(module.trainer), interval="epoch")
        return {"scheduler": scheduler, "interval": "epoch"}

    module = Module(make)
    fit(module)
    close(module.rates, np.repeat(follow(OPEN, [0.0] * 20, steps_per_epoch=BATCHES)[::BATCHES], BATCHES))


# --- with other schedulers ----------------------------------------------------------------------------------------------


@cases
def after_a_warm_up_in_a_sequence_it_takes_over() -> None:
    def make(module: Any, optimizer: Any) -> Any:
        ours = ExpressionLR(optimizer, BY_LOSS, total_steps=15, steps_per_epoch=5, **module.first)
        sequence = SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=5), ours], [5])
        return {"scheduler": sequence, "interval": "step"}

    module = Module(make)
    fit(module, TellLosses())
    close(module.rates[:5], [0.1 * (0.1 + 0.9 * step / 5) for step in range(5)])
    assert all(0 < rate < 0.1 for rate in module.rates[5:])
    assert len(set(module.rates[5:])) == 15


@cases.of_each({"first": True, "last": False})
def in_a_chain_the_rates_are_multiplied(is_first: bool) -> None:
    def make(module: Any, optimizer: Any) -> Any:
        def ours() -> Any:
            return ExpressionLR(optimizer, BY_LOSS, **horizon(module.trainer), **module.first)

        def warm_up() -> Any:
            return LinearLR(optimizer, 0.1, total_iters=5)

        parts = [ours(), warm_up()] if is_first else [warm_up(), ours()]
        return {"scheduler": ChainedScheduler(parts), "interval": "step"}

    module = Module(make)
    fit(module, TellLosses())
    warmed = [min(1.0, 0.1 + 0.9 * step / 5) for step in range(20)]
    close(module.rates, [rate * part for rate, part in zip(module.expected(BY_LOSS), warmed, strict=True)])


@cases
def the_lightning_way_of_reduce_on_plateau_is_refused_or_heeded() -> None:
    module = Module(by(LISTENING, reduce_on_plateau=True, monitor="val_loss", interval="epoch"))
    with refused(Exception, "step"):
        fit(module)


@cases.of_each({"every epoch": {"interval": "epoch"}, "every second step": {"frequency": 2}})
def a_listener_that_is_not_stepped_each_step_is_refused(config: dict[str, Any]) -> None:
    with refused(ScheduleError, '"interval": "step"'):
        fit(Module(by(BY_LOSS, **config)), TellLosses())


@cases
def a_callback_with_nobody_to_tell_is_refused() -> None:
    def make(_module: Any, optimizer: Any) -> Any:
        return LinearLR(optimizer)

    with refused(ScheduleError, "no ExpressionLR"):
        fit(Module(make), TellLosses())


@cases
def a_validation_loss_of_another_name_is_named() -> None:
    with refused(ScheduleError, "logs no 'loss/val'"):
        fit(Module(by(LISTENING)), TellLosses("loss/val"))


# --- what training_step returns, and who steps --------------------------------------------------------------------------


class Returning(Module):
    """Its training_step returns what `shape` makes of the loss."""

    def __init__(self, make: Callable[[Any, Any], Any], shape: Callable[[Any, int], Any]) -> None:
        super().__init__(make)
        self.shape = shape

    def training_step(self, batch: Any, number: int) -> Any:
        return self.shape(super().training_step(batch, number), number)


@cases
def a_dictionary_with_the_loss_is_heard() -> None:
    module = Returning(by(LISTENING), lambda loss, _: {"loss": loss, "more": 1})
    fit(module, TellLosses())
    close(module.rates, module.expected(LISTENING))


@cases
def a_batch_that_is_skipped_breaks_nothing() -> None:
    module = Returning(by(BY_LOSS), lambda loss, number: None if number == 2 else loss)
    fit(module, TellLosses())
    assert all(rate > 0 for rate in module.rates)


class Manual(Module):
    """Manual optimisation, which steps and tells by itself."""

    def __init__(self) -> None:
        super().__init__(by(BY_LOSS))
        self.automatic_optimization = False

    def training_step(self, batch: Any, number: int) -> Any:
        optimizer = self.optimizers()
        loss = super().training_step(batch, number)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        self.lr_schedulers().step(loss=loss.detach())
        return loss


@cases
def manual_optimisation_steps_and_tells_by_itself() -> None:
    module = Manual()
    fit(module)
    close(module.rates, module.expected(BY_LOSS))


@cases
def a_callback_in_manual_optimisation_is_refused() -> None:
    with refused(ScheduleError, "automatic optimisation"):
        fit(Manual(), TellLosses())


class Stepping(Module):
    """Overrides the hook that steps the scheduler."""

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        assert metric is None
        scheduler.step()


@cases
def the_hook_that_steps_may_be_overridden() -> None:
    module = Stepping(by(LISTENING))
    fit(module, TellLosses())
    close(module.rates, module.expected(LISTENING))


# --- callbacks of Lightning ---------------------------------------------------------------------------------------------


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


cases.does_not_apply("several optimisers under automatic optimisation", "Lightning refuses them")
cases.does_not_apply("a scheduler's monitor that is missing", "Lightning's own, of ReduceLROnPlateau alone")
cases.does_not_apply("names of schedulers in LearningRateMonitor, momenta, weight decay", "no learning rate is in them")
cases.does_not_apply("accelerators and strategies of many devices", "the tests of evolr run two processes of their own")

if __name__ == "__main__":
    sys.exit(report("lightning", cases.run(), ["lightning", "torch"]) > 0)
