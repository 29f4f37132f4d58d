"""A schedule that may read the training, as Keras' Callback: it sets the optimiser's learning rate before each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

import keras

from evolr.errors import ScheduleError
from evolr.keras.observed import GRADIENT, ObservedOptimizer, observed_in
from evolr.keras.optimizer import OptimizerRates
from evolr.loop import Loop, Rule, signals_of, warn
from evolr.signals.memory import observed
from evolr.signals.signal import USER_SOURCE
from evolr.signals.table import observation_named, signal_named

_SETTING: Final[WeakKeyDictionary[Any, ref[ExpressionCallback]]] = WeakKeyDictionary()
"""The callback that began last with an optimiser: of two in one `fit`, the second."""


class ExpressionCallback(keras.callbacks.Callback):
    """Sets the learning rate of each step by a schedule that may read the training; the optimiser's own is a number.

    schedule: an `evolr.Schedule`. total_steps, steps_per_epoch: the optimiser steps of the training and of an epoch:
        epochs · batches and batches, each divided by the optimiser's gradient_accumulation_steps.
    first: what is told of the untrained network, by name: its loss on the first batch, its val_loss and val_score in
        validation; needed if the schedule reads them.
    score: the name of the metric that is `val_score`, as `fit` logs it: "val_accuracy", say.

    A schedule that reads the network needs `ObservedOptimizer(optimizer, schedule.signals)` as the model's optimiser.
    The first gradient sets the learning rate of the very first step.

    Time is the optimiser's own count of steps: a step that a LossScaleOptimizer skips is none. A batch's loss is the
    difference that it made to Keras' running mean over the epoch, exact to about 1e-7 of the mean times the number of
    batches; that of a step is the mean over its batches.

    A training that goes on (`initial_epoch`, BackupAndRestore) goes on in time. The memory of the training before is in
    what Keras saves of an ObservedOptimizer; for another one give a new callback the state of the old one:
    `callback.load_state_dict(state)`.

    What others make of the learning rate (ReduceLROnPlateau, say) is kept as a factor. In a MultiOptimizer, the
    schedule says the greatest learning rate, and the others keep their ratio to it.

    Raises ScheduleError for a horizon below 1 or a missing loss; when training begins, if steps_per_execution is not 1,
    the optimiser has a schedule of its own, or the schedule reads the network and nobody observes it; at the first
    batch, if another ExpressionCallback is in the same `fit`.
    """

    def __init__(
        self,
        schedule: Rule,
        *,
        total_steps: int,
        steps_per_epoch: int | None = None,
        score: str | None = None,
        **first: Any,
    ) -> None:
        super().__init__()
        signals = signals_of(schedule)
        read = observed(signals)
        if own := sorted(name for name in read if observation_named(name).source == USER_SOURCE):
            raise ScheduleError(
                f"the schedule reads {', '.join(own)}, a signal of your own, which Keras' callbacks have nobody "
                "to tell: use evolr.Loop in a training loop of your own, or a schedule without it"
            )
        self._measured = frozenset(name for name in read if observation_named(name).is_measured)
        self.loop = Loop(
            schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, measures=self._measured, **first
        )
        self._names = {name: name for name in read if observation_named(name).is_of_validation}
        if "val_score" in self._names:
            if score is None:
                raise ScheduleError(
                    'the schedule reads the score of validations: give score="val_accuracy", or whatever fit logs it as'
                )
            self._names["val_score"] = score
        self._total_steps = total_steps
        self._awaits_gradient = GRADIENT in self._measured  # the first one
        rows = [signal_named(name) for name in signals]
        self._of_gradient = frozenset(row.of for row in rows if row.begins_with == GRADIENT)
        self._is_restored = False  # by hand
        self._rates: OptimizerRates | None = None
        self._factors: list[float] = []  # of a state that was loaded, until there is an optimiser
        self._losses: list[float] = []  # of the batches of the step that is not complete
        self._first_step = 0  # the optimiser's count at the loop's position 0
        self._has_begun = False
        self._epoch = 0
        self._seen = (0.0, 0.0)  # total and count of Keras' running mean
        self._batches_before = 0  # the optimiser's count when the epoch began

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that there is a callback after each step, and that the learning rate is one to be set."""
        if _model(self).steps_per_execution != 1:
            raise ScheduleError(
                "a schedule decides on each optimiser step: compile the model with steps_per_execution=1, "
                f"got {_model(self).steps_per_execution}"
            )
        self._has_begun = False
        _SETTING[self._optimizer_rates().optimizer] = ref(self)
        observer = self._observer()
        if observer is not None:
            observer.keep_state_of(self.state_dict)

    def on_train_end(self, logs: Any = None) -> None:
        """Nobody is to be asked for a learning rate any more."""
        if (observer := self._observer()) is not None:
            observer.ask(None)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras' running mean begins anew. A training that goes on from an `initial_epoch` is there in time."""
        self._seen, self._epoch = (0.0, 0.0), epoch
        if not self._has_begun:
            self._begin(epoch)
        self._sync()
        self._batches_before = self._optimizer_rates().count()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the learning rate of the coming step."""
        self._sync()
        if self._has_begun and self._optimizer_rates().was_set_back():  # a callback has loaded weights of before
            self._has_begun = False
        if not self._has_begun:
            self._begin(self._epoch)
        self._note_mean()
        setting = _SETTING.get(self._optimizer_rates().optimizer)
        if setting is not None and setting() not in (self, None):
            raise ScheduleError(
                "two ExpressionCallbacks set the learning rate of one optimiser, which would multiply them: give fit "
                'one of them; for a product of two formulas, write one, "A * B"'
            )
        self._optimizer_rates().write(self.loop.learning_rate)
        if (observer := self._observer()) is not None:
            observer.ask(self._rates_at_first if self._awaits_gradient else None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes up the batch's loss, and the step if the batch was its last one."""
        self._sync()
        if not self._has_begun:
            self._begin(0)
        rates, loss = self._optimizer_rates(), self._batch_loss(logs)
        if not rates.has_moved():
            return  # a LossScaleOptimizer has skipped it
        if loss is not None:
            self._losses.append(loss)
        position = rates.steps - self._first_step
        if position > self.loop.position:
            observer = self._observer()
            told = {} if observer is None else observer.latest()
            if self._awaits_gradient:
                rates.take_up(self._rate_at_first(told[GRADIENT]))
                self._awaits_gradient = False
            self.loop.move_to(position)
            if self._losses:
                told["loss"] = sum(self._losses) / len(self._losses)
            self.loop.observe(**told)
            self._losses = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Takes up the validation loss, if `fit` has validated, and logs the learning rate of the latest step."""
        rates = self._optimizer_rates()
        if rates.batches == self._batches_before:
            warn(
                "model.optimizer took no step in a whole epoch, so time stands still for its schedule. Look whether "
                "train_step applies gradients by another optimiser, or a LossScaleOptimizer skips each batch"
            )
        if logs is not None:
            logs.update(rates.logs())
            if told := {name: logs[logged] for name, logged in self._names.items() if logged in logs}:
                self.loop.observe(**told)
            missing = sorted(logged for logged in self._names.values() if logged not in logs)
            if missing and (validated := sorted(name for name in logs if name.startswith("val_"))):
                raise ScheduleError(
                    f"the schedule reads {', '.join(missing)} of each validation, and fit logs {', '.join(validated)}"
                )

    def state_dict(self) -> dict[str, Any]:
        """All that a new callback needs to go on from here: numbers, and lists of numbers, by name."""
        factors = self._factors if self._rates is None else self._rates.factors
        return {
            **self.loop.state_dict(),
            "awaits_gradient": self._awaits_gradient,
            "factors": list(factors),
            "batch_losses": list(self._losses),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where the callback was that this was saved of. Raises ScheduleError if it is no such state."""
        if missing := [name for name in ("factors", "batch_losses") if name not in state]:
            raise ScheduleError(f"not the state of an ExpressionCallback: it lacks {', '.join(missing)}")
        self.loop.load_state_dict({name: value for name, value in state.items() if not isinstance(value, list)})
        self._losses, self._factors, self._rates = list(state["batch_losses"]), list(state["factors"]), None
        self._awaits_gradient = bool(state.get("awaits_gradient", self._awaits_gradient))
        self._is_restored = True

    def _observer(self) -> ObservedOptimizer | None:
        """What shows the network, and is saved with the schedule's memory; None if there is none and none is needed."""
        observer = observed_in(_model(self).optimizer)
        if not self._measured <= set(() if observer is None else observer.shown):
            raise ScheduleError(
                f"the schedule reads {', '.join(sorted(self._measured))} of the network: compile the model with "
                "ObservedOptimizer(optimizer, schedule.signals), around a MultiOptimizer, inside a LossScaleOptimizer"
            )
        return observer

    def _rates_at_first(self, grad_norm: float) -> list[float]:
        """The learning rates of a step, by the norm of its own gradient, the first that there is.

        JAX calls it in the middle of a step, when the model has no state: so the model is not asked for its optimiser.
        """
        rate = self._rate_at_first(grad_norm)
        return [rate] if self._rates is None else self._rates.of(rate)

    def _rate_at_first(self, grad_norm: float) -> float:
        """What begins with the first gradient begins with it; of a training that goes on without its memory too."""
        return self.loop.observe(**dict.fromkeys(self._of_gradient | {GRADIENT}, grad_norm))

    def _optimizer_rates(self) -> OptimizerRates:
        """The learning rates of the optimiser that the model has now."""
        optimizer = _model(self).optimizer
        if self._rates is None:
            self._rates = OptimizerRates(optimizer, self._factors)
        elif self._rates.optimizer is not optimizer:
            self._rates = OptimizerRates(optimizer, [])
            self._first_step = self._rates.steps - self.loop.position  # within a fit, time goes on
        return self._rates

    def _begin(self, epoch: int) -> None:
        """Finds the place in time of a `fit` that begins with an epoch.

        A new callback is where the optimiser says, by its count, that the training is, if it goes on; else at 0. One
        that has seen steps goes on from there, but back to where the optimiser is if that was set back, as
        BackupAndRestore does. What was saved with an ObservedOptimizer says more than its count.
        """
        self._sync()
        observer = self._observer()
        state = None if observer is None else observer.taken_state()
        if state is not None and epoch > 0 and not self._is_restored:
            self._go_on_from(state)
        self._is_restored = False
        rates, position = self._optimizer_rates(), self.loop.position
        if rates.has_moved():
            rates.forget()
        steps = rates.steps
        if observer is not None and position == 0:
            self.loop.observe(**observer.at_first())
        batches = (self.params or {}).get("steps")
        if position == 0 and epoch > 0:
            taken = epoch * batches // rates.accumulation if batches else epoch * self.loop.steps_per_epoch
            self.loop.begin_at(steps or taken)
        elif rates.has_written and steps - self._first_step < position:
            self.loop.begin_at(max(steps - self._first_step, 0))
            self._losses = []
        self._first_step = steps - self.loop.position
        if observer is not None and (self.loop.position == 0 or rates.batches == 0):
            observer.begin()
        if batches:
            self._check_horizon(batches, (self.params or {}).get("epochs"), rates.accumulation)
        self._has_begun = True

    def _go_on_from(self, state: dict[str, Any]) -> None:
        """Takes up what was saved with the optimiser, if it is of a schedule that remembers the same."""
        try:
            self.load_state_dict(state)
        except ScheduleError as error:
            warn(f"the optimiser was saved with the memory of another schedule, and this one begins without: {error}")

    def _check_horizon(self, batches: int, epochs: int | None, accumulation: int) -> None:
        """Warns of a horizon that counts batches if the optimiser takes a step after several of them."""
        is_total = epochs is not None and self._total_steps == epochs * batches
        if accumulation > 1 and (is_total or self.loop.steps_per_epoch == batches > 1):
            total = "" if epochs is None else f"total_steps={epochs * batches // accumulation}, "
            warn(
                f"the optimiser takes a step after {accumulation} batches, and total_steps={self._total_steps}, "
                f"steps_per_epoch={self.loop.steps_per_epoch} count batches; for this fit, optimiser steps are "
                f"{total}steps_per_epoch={max(batches // accumulation, 1)}"
            )

    def _mean(self) -> Any:
        """Keras' running mean of the loss; None if there is none."""
        return next((metric for metric in _model(self).metrics if metric.name == "loss"), None)

    def _note_mean(self) -> None:
        """The running mean before a batch: a callback may have evaluated the model since the one before."""
        if self.loop.reads_loss and (mean := self._mean()) is not None:
            self._seen = (float(mean.total), float(mean.count))

    def _batch_loss(self, logs: Any) -> float | None:
        """The loss of the latest batch, by Keras' running mean; None if there is none and the schedule reads none."""
        mean = self._mean()
        if mean is None:
            if self.loop.reads_loss:
                raise ScheduleError(
                    "the schedule reads the training loss, and the model has no metric of the name 'loss' to take "
                    "it from: name the mean of its loss so, or tell an evolr.Loop of your own"
                )
            return None
        total, count = float(mean.total), float(mean.count)
        logged = (logs or {}).get("loss")
        if self.loop.reads_loss and logged is not None and count > 0 and not _is_near(total / count, float(logged)):
            raise ScheduleError(
                "the schedule reads the training loss, and a callback before this one has evaluated the model within "
                "the batch, so that Keras' running mean is no longer that of the training: put ExpressionCallback first"
            )
        if count <= self._seen[1]:  # it was set back in between, as train_on_batch does
            self._seen = (0.0, 0.0)
        (total_before, count_before), self._seen = self._seen, (total, count)
        return (total - total_before) / (count - count_before) if count > count_before else None

    def _sync(self) -> None:
        """On the JAX backend a training keeps its state outside the model; this puts it back."""
        if keras.backend.backend() == "jax":
            _model(self).jax_state_sync()


def _is_near(one: float, other: float) -> bool:
    return not (math.isfinite(one) and math.isfinite(other)) or math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-6)


def _model(callback: keras.callbacks.Callback) -> Any:
    """The model that a callback is of, once it has one."""
    return callback.model
