"""A schedule in Lightning: evolr.torch's scheduler in `configure_optimizers`, and a callback that tells it the losses.

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        scheduler = ExpressionLR(optimizer, champion, **horizon(self.trainer), loss=2.3, val_loss=2.3)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

The callback is for a schedule that reads the losses:

    trainer = lightning.Trainer(callbacks=[TellLosses("val_loss")])
"""

from __future__ import annotations

import math
from typing import Any

from evolr.errors import MissingExtraError, ScheduleError
from evolr.telling import check_logged, expressions_in, tell_validation
from evolr.torch import ExpressionLR

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import GradientAccumulationScheduler
except ImportError as error:
    raise MissingExtraError("evolr.lightning", "lightning") from error


def horizon(trainer: Trainer) -> dict[str, int]:
    """The total_steps and steps_per_epoch of a trainer's training; to be asked in configure_optimizers.

    Raises ScheduleError where the trainer has no end: give it max_epochs or max_steps; and where a callback changes how
    many batches a step accumulates.
    """
    callbacks: list[Any] = getattr(trainer, "callbacks", [])
    schedulings = [c.scheduling for c in callbacks if isinstance(c, GradientAccumulationScheduler)]
    if any(scheduling != {0: 1} for scheduling in schedulings):
        raise ScheduleError(
            "a GradientAccumulationScheduler changes how many steps an epoch has, which Lightning counts in no "
            "horizon: give the Trainer accumulate_grad_batches instead, or the schedule the total_steps= and "
            "steps_per_epoch= that you have counted"
        )
    trainer.fit_loop.setup_data()  # so that the number of batches is known
    has_end = trainer.max_epochs != -1 or trainer.max_steps != -1
    total_steps, batches = trainer.estimated_stepping_batches if has_end else math.inf, trainer.num_training_batches
    if not (math.isfinite(total_steps) and total_steps > 0):
        raise ScheduleError("a schedule needs the training's end: give the Trainer max_epochs or max_steps")
    steps = -(-batches // trainer.accumulate_grad_batches) if math.isfinite(batches) else total_steps
    return {"total_steps": int(total_steps), "steps_per_epoch": max(int(steps), 1)}


class TellLosses(Callback):
    """Tells every ExpressionLR of a trainer the training loss of each optimiser step, and what each validation logs.

    val_loss, val_score: the names under which the module logs its validation loss, and its metric if a schedule reads
        it.
    The loss is what `training_step` returns; where gradients are accumulated, its mean over the batches of a step.
    Where it returns None, to skip a batch, the loss before is told again. In a distributed training each process tells
    its own, and ExpressionLR takes the mean, of a loss that is logged with `sync_dist`, too.

    Raises ScheduleError where the trainer has no ExpressionLR, where one is not stepped each step
    (`"interval": "step"`), and where a validation does not log what a schedule reads.
    """

    def __init__(self, val_loss: str = "val_loss", val_score: str | None = None) -> None:
        self._names = {"val_loss": val_loss, "val_score": val_score}
        self._losses: list[Any] = []  # of the batches since the latest optimiser step
        self._latest: Any = math.nan
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks that there is somebody to tell."""
        self._losses, self._steps = [], trainer.global_step
        told = [config for config in trainer.lr_scheduler_configs if expressions_in(config.scheduler)]
        if not told:
            raise ScheduleError("TellLosses found no ExpressionLR: return one from configure_optimizers")
        if any(config.interval != "step" or config.frequency != 1 for config in told):
            raise ScheduleError('ExpressionLR decides on each optimiser step: give its lr_scheduler "interval": "step"')

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Lets the schedules of an optimiser see the gradients before they are clipped."""
        for scheduler in _schedulers(trainer):
            if scheduler.optimizer is getattr(optimizer, "optimizer", optimizer):
                scheduler.see_gradients()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tells the loss of the step that was just taken."""
        if not pl_module.automatic_optimization:
            raise ScheduleError("TellLosses needs automatic optimisation; without it call the scheduler's step(loss=…)")
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None:  # Lightning has divided it by the number of batches that a step accumulates
            self._losses.append(loss * trainer.accumulate_grad_batches)
        if trainer.global_step > self._steps:
            self._latest = sum(self._losses) / len(self._losses) if self._losses else self._latest
            for scheduler in _schedulers(trainer):
                scheduler.observe(loss=self._latest)
            self._losses, self._steps = [], trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells what the validation has logged."""
        if not trainer.sanity_checking:
            schedulers = _schedulers(trainer)
            check_logged(schedulers, trainer.callback_metrics, self._names, "the module")
            tell_validation(schedulers, trainer.callback_metrics, self._names)


def _schedulers(trainer: Trainer) -> list[ExpressionLR]:
    return [scheduler for config in trainer.lr_scheduler_configs for scheduler in expressions_in(config.scheduler)]
