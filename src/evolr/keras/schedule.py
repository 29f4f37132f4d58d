"""A schedule that reads no training, as Keras' LearningRateSchedule: a curve over the optimiser's steps."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from evolr.loop import Rule, open_loop_rates
from evolr.schedule import Schedule


class RatesSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rates of an open-loop rule, one an optimiser step; from total_steps on, that of the last step.

    Exact: computed in float64 and stored in float32. Where the optimiser accumulates gradients, a step is an update of
    the weights, not a batch.
    Raises ScheduleError where the rule reads the training: `ExpressionCallback` is for that.
    """

    def __init__(self, rule: Rule, *, total_steps: int, steps_per_epoch: int | None = None) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.steps_per_epoch = 1 if steps_per_epoch is None else steps_per_epoch
        self._rates = np.array(open_loop_rates(rule, total_steps, steps_per_epoch), np.float32)

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, a whole number or a tensor of one; or by an optimiser's own counter."""
        at = keras.ops.floor_divide(keras.ops.cast(step, "int32"), _batches_a_step(step))
        at = keras.ops.minimum(at, self.total_steps - 1)
        return keras.ops.take(self._rates, at)

    def get_config(self) -> dict[str, Any]:
        """What a saved model keeps of it."""
        return {"total_steps": self.total_steps, "steps_per_epoch": self.steps_per_epoch}


@keras.saving.register_keras_serializable("evolr")
class ExpressionSchedule(RatesSchedule):
    """The learning rate of each step by an open-loop schedule; it is saved with a model and loads with it.

    schedule: an `evolr.Schedule`. total_steps: optimiser steps of the whole training. steps_per_epoch: of an epoch; 1 if
        None, with a warning where the schedule reads the epoch.
    Raises ScheduleError where the schedule reads the training: `ExpressionCallback` is for that.
    """

    def __init__(self, schedule: Schedule, *, total_steps: int, steps_per_epoch: int | None = None) -> None:
        super().__init__(schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        self.schedule = schedule

    def get_config(self) -> dict[str, Any]:
        """What a saved model keeps of it: the horizon and the schedule's document."""
        return {**super().get_config(), "schedule": self.schedule.to_json().decode()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ExpressionSchedule:
        """The schedule that a saved model kept."""
        horizon = {name: config[name] for name in ("total_steps", "steps_per_epoch")}
        return cls(Schedule.from_json(config["schedule"]), **horizon)


def _batches_a_step(count: Any) -> int:
    """How many of a count make an optimiser step: 1, but of an optimiser's own counter those that it accumulates.

    That one counts batches, and Keras gives it to a schedule without saying whose it is. So the optimiser is looked for
    among the callers; once in a compiled training, where this runs while it is traced.
    """
    frame = inspect.currentframe() if isinstance(count, keras.Variable) else None
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.optimizers.Optimizer) and getattr(caller, "_iterations", None) is count:
            return int(caller.gradient_accumulation_steps or 1)
        frame = frame.f_back
    return 1
