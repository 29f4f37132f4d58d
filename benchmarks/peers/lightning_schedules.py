"""Cases of ours on what Lightning tests of schedulers in its Trainer, with evolr's in their place.

    python benchmarks/peers/lightning_schedules.py    # writes benchmarks/results/peers_lightning.json

The exit code is 1 if a case fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, SequentialLR

from benchmarks.peers import lightning_callbacks
from benchmarks.peers.lightning_module import BATCHES, BY_LOSS, DATA, LISTENING, OPEN, Endless, Module, by, fit
from benchmarks.peers.runner import Cases, close, refused, report
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.lightning import TellLosses, horizon
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

cases = Cases(strict=False)


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


cases.does_not_apply("several optimisers under automatic optimisation", "Lightning refuses them")
cases.does_not_apply("a scheduler's monitor that is missing", "Lightning's own, of ReduceLROnPlateau alone")
cases.does_not_apply("names of schedulers in LearningRateMonitor, momenta, weight decay", "no learning rate is in them")
cases.does_not_apply("accelerators and strategies of many devices", "the tests of evolr run two processes of their own")

if __name__ == "__main__":
    sys.exit(report("lightning", cases.run() + lightning_callbacks.cases.run(), ["lightning", "torch"]) > 0)
