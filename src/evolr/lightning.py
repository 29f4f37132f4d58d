"""A schedule in Lightning: evolr.torch's scheduler in `configure_optimizers`, and a callback that tells it the losses.

def configure_optimizers(self):
    optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
    steps = self.trainer.estimated_stepping_batches
    scheduler = ExpressionLR(
        optimizer,
        champion,
        total_steps=steps,
        steps_per_epoch=steps // self.trainer.max_epochs,
        loss=2.3,
        val_loss=2.3,
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

trainer = lightning.Trainer(callbacks=[TellLosses("val_loss")])  # for a schedule that reads them
"""

from __future__ import annotations

from typing import Any

from evolr.errors import MissingExtraError, ScheduleError
from evolr.torch import ExpressionLR

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise MissingExtraError("evolr.lightning", "lightning") from error


class TellLosses(Callback):
    """Tells every ExpressionLR of a trainer the training loss of each optimiser step, and each validation loss.

    val_loss: the name under which the module logs its validation loss.
    The loss is what `training_step` returns; where gradients are accumulated, its mean over the batches of a step.

    Raises ScheduleError where the trainer has no ExpressionLR, where one is not stepped each step
    (`"interval": "step"`), and where a validation logs no such loss although a schedule reads it.
    """

    def __init__(self, val_loss: str = "val_loss") -> None:
        self._val_loss = val_loss
        self._sum = 0.0
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks that there is somebody to tell."""
        self._steps = trainer.global_step
        told = [config for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, ExpressionLR)]
        if not told:
            raise ScheduleError("TellLosses found no ExpressionLR: return one from configure_optimizers")
        if any(config.interval != "step" or config.frequency != 1 for config in told):
            raise ScheduleError('ExpressionLR decides on each optimiser step: give its lr_scheduler "interval": "step"')

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tells the loss of the step that was just taken."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is None:
            raise ScheduleError("TellLosses needs the loss: training_step must return it, with automatic optimisation")
        self._sum += float(loss)  # Lightning has divided it by the number of batches that a step accumulates
        if trainer.global_step > self._steps:
            for scheduler in _schedulers(trainer):
                scheduler.observe(loss=self._sum)
            self._sum, self._steps = 0.0, trainer.global_step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells the validation loss."""
        if trainer.sanity_checking:
            return
        loss = trainer.callback_metrics.get(self._val_loss)
        for scheduler in _schedulers(trainer):
            if loss is not None:
                scheduler.observe(val_loss=loss)
            elif scheduler.reads_validation:
                raise ScheduleError(
                    f"the schedule reads the validation loss, and the module logs no {self._val_loss!r}; it logs "
                    f"{', '.join(trainer.callback_metrics) or 'nothing'}"
                )


def _schedulers(trainer: Trainer) -> list[ExpressionLR]:
    return [c.scheduler for c in trainer.lr_scheduler_configs if isinstance(c.scheduler, ExpressionLR)]
