"""A schedule in Keras 3, on any of its backends: a LearningRateSchedule, or a callback that listens to the loss.

    optimizer = keras.optimizers.Adam(ExpressionSchedule(champion, total_steps=3000))

A schedule that reads the training hears it as a callback:

    feedback = ExpressionCallback(champion, total_steps=3000, steps_per_epoch=100, loss=2.3, val_loss=2.3)
    model.fit(x, y, validation_data=(x_val, y_val), epochs=30, callbacks=[feedback])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evolr.errors import MissingExtraError, ScheduleError
from evolr.loop import Loop, Rule, open_loop_rates
from evolr.schedule import Schedule

try:
    import keras
except ImportError as error:
    raise MissingExtraError("evolr.keras", "keras") from error


class RatesSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rates of an open-loop rule, one an optimiser step; from total_steps on, that of the last step.

    Exact: computed in float64 and stored in float32.
    Raises ScheduleError where the rule reads the training: `ExpressionCallback` is for that.
    """

    def __init__(self, rule: Rule, *, total_steps: int, steps_per_epoch: int | None = None) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.steps_per_epoch = 1 if steps_per_epoch is None else steps_per_epoch
        self._rates = np.array(open_loop_rates(rule, total_steps, steps_per_epoch), np.float32)

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, a whole number or a tensor of one."""
        at = keras.ops.minimum(keras.ops.cast(step, "int32"), self.total_steps - 1)
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


class ExpressionCallback(keras.callbacks.Callback):
    """Sets the learning rate of each step by a schedule that may read the training; the optimiser's own is a number.

    schedule: an `evolr.Schedule`. total_steps, steps_per_epoch: as `fit` will take them, epochs · batches and batches.
        Where `fit` has an `initial_epoch`, a new callback begins there; for the memory of the training before, give its
        loop that of its callback: `loop.load_state_dict(before.loop.state_dict())`.
    loss, val_loss: of the untrained network, on the first batch and in validation; needed where the schedule reads
        them.

    A batch's loss is the difference that it made to Keras' running mean over the epoch, exact to about 1e-7 of the
    mean times the number of batches. Raises ScheduleError for a horizon below 1 or a missing loss; when training
    begins, where steps_per_execution is not 1.
    """

    def __init__(
        self,
        schedule: Rule,
        *,
        total_steps: int,
        steps_per_epoch: int | None = None,
        loss: Any = None,
        val_loss: Any = None,
    ) -> None:
        super().__init__()
        self.loop = Loop(
            schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, loss=loss, val_loss=val_loss
        )
        self._seen = (0.0, 0.0)
        self._rate = self.loop.learning_rate

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that there is a callback after each step."""
        if _model(self).steps_per_execution != 1:
            raise ScheduleError(
                "a schedule decides on each optimiser step: compile the model with steps_per_execution=1, "
                f"got {_model(self).steps_per_execution}"
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras' running mean begins anew. A training that goes on from an `initial_epoch` is there in time."""
        self._seen = (0.0, 0.0)
        if self.loop.position == 0 < epoch:
            self.loop.begin_at(epoch * self.loop.steps_per_epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the learning rate of the coming step."""
        self._sync()
        self._rate = self.loop.learning_rate
        _model(self).optimizer.learning_rate = self._rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes up the batch's loss."""
        self._sync()
        self.loop.step(loss=self._batch_loss())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Takes up the validation loss, where `fit` has validated, and logs the learning rate of the latest step."""
        if logs is not None:
            logs["learning_rate"] = self._rate
            if "val_loss" in logs:
                self.loop.observe(val_loss=logs["val_loss"])

    def _batch_loss(self) -> float | None:
        """The loss of the latest batch, by Keras' running mean; None if there is none and the schedule reads none."""
        mean = next((metric for metric in _model(self).metrics if metric.name == "loss"), None)
        if mean is None:
            if self.loop.reads_loss:
                raise ScheduleError(
                    "the schedule reads the training loss, and the model has no metric of the name 'loss' to take "
                    "it from: name the mean of its loss so, or tell an evolr.Loop of your own"
                )
            return None
        total, count = float(mean.total), float(mean.count)
        if count <= self._seen[1]:  # it was set back in between, as train_on_batch does
            self._seen = (0.0, 0.0)
        (total_before, count_before), self._seen = self._seen, (total, count)
        return (total - total_before) / (count - count_before) if count > count_before else None

    def _sync(self) -> None:
        """On the JAX backend a training keeps its state outside the model; this puts it back."""
        if keras.backend.backend() == "jax":
            _model(self).jax_state_sync()


def _model(callback: keras.callbacks.Callback) -> Any:
    """The model that a callback is of, once it has one."""
    return callback.model
