"""A schedule in Hugging Face's Trainer: evolr.torch's scheduler, and a callback that tells it the losses.

    trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=held_out)
    trainer.lr_scheduler = ExpressionLR(trainer.create_optimizer(), champion, **horizon(trainer), loss=2.3, val_loss=2.3)
    trainer.add_callback(ExpressionCallback(trainer))
    trainer.train()

The callback is for a schedule that reads the losses.
"""

from __future__ import annotations

import math
from typing import Any

from evolr.errors import MissingExtraError, ScheduleError
from evolr.loop import warn
from evolr.telling import check_logged, expressions_in, tell_validation
from evolr.torch import ExpressionLR

try:
    from torch.random import fork_rng
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise MissingExtraError("evolr.huggingface", "transformers") from error


def horizon(trainer: Trainer) -> dict[str, int]:
    """The total_steps and steps_per_epoch of a trainer's training, in optimiser steps, as Trainer counts them.

    Raises ScheduleError for data without a length and no max_steps.
    """
    arguments = trainer.args
    with fork_rng(devices=[]):  # a loader draws a seed; that of the training is to be what it would be
        loader = trainer.get_train_dataloader()
    try:
        batches = len(loader)
    except TypeError:
        if arguments.max_steps <= 0:
            raise ScheduleError("the training data have no length: give the TrainingArguments max_steps") from None
        return {"total_steps": arguments.max_steps, "steps_per_epoch": arguments.max_steps}
    steps = max(-(-batches // arguments.gradient_accumulation_steps), 1)
    total = arguments.max_steps if arguments.max_steps > 0 else math.ceil(arguments.num_train_epochs * steps)
    return {"total_steps": total, "steps_per_epoch": steps}


class ExpressionCallback(TrainerCallback):
    """Tells a trainer's ExpressionLR the training loss of each optimiser step, and what each evaluation logs.

    trainer: whose `training_step` is listened to from now on, and whose gradients are seen before it clips them; add the
        callback to it.
    val_loss, val_score: the names under which an evaluation logs its loss, and its metric if a schedule reads it, as
        `eval_accuracy`.
    The loss of a step is the sum of what `training_step` returns for its batches, which Trainer has divided so that it
    is their mean; it is the number that Trainer logs, step by step. In a distributed training each process tells its
    own, and ExpressionLR takes the mean.

    Raises ScheduleError where the trainer has no ExpressionLR, and where an evaluation does not log what a schedule
    reads. Warns where the scheduler was made for another number of steps than Trainer takes.
    """

    def __init__(self, trainer: Trainer, val_loss: str = "eval_loss", val_score: str | None = None) -> None:
        self._trainer = trainer
        self._names = {"val_loss": val_loss, "val_score": val_score}
        self._loss: Any = None  # of the batches since the latest optimiser step
        self._logged: set[str] = set()  # by the evaluations since
        self._ever_logged: set[str] = set()  # by all of the training
        self._evaluations = 0  # steps before which there were some
        self._training_step = trainer.training_step
        trainer.training_step = self._listen
        self._unscale_gradients = trainer.accelerator.unscale_gradients
        trainer.accelerator.unscale_gradients = self._see

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Checks that there is somebody to tell, and that both count the same steps."""
        self._loss, self._logged, self._ever_logged, self._evaluations = None, set(), set(), 0
        scheduler = self._trainer.lr_scheduler
        if not expressions_in(scheduler):
            raise ScheduleError(
                "ExpressionCallback found no ExpressionLR: give the Trainer optimizers=(optimizer, scheduler), or set "
                "trainer.lr_scheduler before train()"
            )
        if isinstance(scheduler, ExpressionLR) and scheduler.horizon["total_steps"] != state.max_steps:
            warn(
                f"the scheduler was made for total_steps={scheduler.horizon['total_steps']}, and Trainer takes "
                f"{state.max_steps} optimiser steps: make it with **horizon(trainer)"
            )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Checks that what a schedule reads was logged, by an evaluation that goes by that name, or by the second of any.

        There may be several of them, one a data set, and at other steps one of the training's own examples.
        """
        if self._logged:
            self._ever_logged |= self._logged
            self._evaluations += 1
            kinds = {name.partition("_")[0] for name in self._names.values() if name is not None}
            if self._evaluations > 1 or any(name.partition("_")[0] in kinds for name in self._logged):
                check_logged(
                    expressions_in(self._trainer.lr_scheduler), self._ever_logged, self._names, "the evaluation"
                )
            self._logged = set()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tells the loss of the step that was just taken."""
        for scheduler in expressions_in(self._trainer.lr_scheduler):
            scheduler.observe(loss=self._loss)
        self._loss = None

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tells what an evaluation within the training has logged."""
        metrics: dict[str, Any] = kwargs["metrics"]
        if self._trainer.is_in_train:
            self._logged |= metrics.keys()
            tell_validation(expressions_in(self._trainer.lr_scheduler), metrics, self._names)

    def _listen(self, *arguments: Any, **named: Any) -> Any:
        loss = self._training_step(*arguments, **named)
        self._loss = loss if self._loss is None else self._loss + loss
        return loss

    def _see(self, *arguments: Any, **named: Any) -> None:
        """Lets the schedule see the gradients, which accelerate unscales just before it clips them."""
        self._unscale_gradients(*arguments, **named)
        for scheduler in expressions_in(self._trainer.lr_scheduler):
            scheduler.see_gradients()
