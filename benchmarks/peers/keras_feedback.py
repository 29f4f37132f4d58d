"""Cases of ours on what Keras tests of its callbacks, for the one that listens to the loss."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.peers.keras_fit import (
    BACKEND,
    BATCH,
    BATCHES,
    BY_LOSS,
    EPOCHS,
    HORIZON,
    INPUTS,
    LABELS,
    LISTENING,
    OPTIMISERS,
    ROWS,
    Recorder,
    begin,
    error,
    feedback,
    go,
)
from benchmarks.peers.runner import Cases, close, refused
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback
from evolr.loop import follow
from evolr.schedule import Schedule

cases = Cases(strict=False)
schedules = keras.optimizers.schedules


@cases.of_each({"with a validation": {}, "without one": {"validation_data": None}})
def the_rates_are_those_of_the_reference(options: dict[str, Any]) -> None:
    fit = begin()
    one = LISTENING if options == {} else BY_LOSS
    go(fit, feedback(fit, one), **options)
    close(fit.rates, fit.expected(one))


OTHERS = {
    "eager": {"run_eagerly": True},
    "compiled where the backend compiles": {"jit_compile": BACKEND == "jax"},
    "with a metric": {"metrics": ["mae"]},
    "with weighted metrics": {"weighted_metrics": ["mae"]},
}


@cases.of_each(OTHERS)
def however_a_model_is_compiled_the_rates_are_the_same(options: dict[str, Any]) -> None:
    fit = begin(**options)
    go(fit, feedback(fit))
    close(fit.rates, fit.expected(LISTENING))


@cases.of_each({name: getattr(keras.optimizers, name) for name in OPTIMISERS})
def with_each_optimiser_the_rates_are_the_same(make: Callable[[Any], Any]) -> None:
    fit = begin(make(0.01))
    go(fit, feedback(fit))
    close(fit.rates, fit.expected(LISTENING))


@cases
def the_history_has_the_rate_of_each_epochs_last_step() -> None:
    fit = begin()
    go(fit, feedback(fit))
    close([log["learning_rate"] for log in fit.logged], fit.rates[BATCHES - 1 :: BATCHES])


@cases
def a_csv_log_has_the_rate() -> None:
    fit = begin()
    with tempfile.TemporaryDirectory() as folder:
        go(fit, feedback(fit), keras.callbacks.CSVLogger(f"{folder}/log.csv"))
        lines = Path(folder, "log.csv").read_text(encoding="utf-8").splitlines()
    assert "learning_rate" in lines[0]
    assert len(lines) == EPOCHS + 1


@cases
def an_optimiser_that_has_a_schedule_already_is_refused() -> None:
    fit = begin(keras.optimizers.SGD(schedules.CosineDecay(0.1, 10)))
    with refused(Exception, "chedule"):
        go(fit, feedback(fit))


@cases
def a_reduction_on_plateau_beside_it_is_kept_or_refused() -> None:
    fit = begin()
    reduction = keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=100.0)
    try:
        go(fit, feedback(fit, BY_LOSS), reduction)
    except ScheduleError:
        return
    close(fit.rates[-1], fit.expected(BY_LOSS)[-1] / 4)


@cases
def a_training_that_is_stopped_early_ends_well() -> None:
    fit = begin()
    go(fit, feedback(fit, BY_LOSS), keras.callbacks.EarlyStopping(patience=1, min_delta=100.0))
    assert len(fit.rates) == 2 * BATCHES
    close(fit.rates, fit.expected(BY_LOSS))


@cases
def a_new_callback_goes_on_from_an_initial_epoch() -> None:
    one = Schedule(expression=parse("0.01*(1 - progress)*(2 + epoch) + 0*loss"))
    fit = begin()
    go(fit, feedback(fit, one), epochs=2)
    go(fit, feedback(fit, one), initial_epoch=2)
    close(fit.rates, fit.expected(one))


@cases
def the_same_callback_goes_on_in_a_second_fit() -> None:
    fit = begin()
    same = feedback(fit)
    go(fit, same, epochs=2)
    go(fit, same, initial_epoch=2)
    close(fit.rates, fit.expected(LISTENING))


@cases
def a_training_that_was_killed_goes_on_from_its_backup() -> None:
    one = Schedule(expression=parse("0.01*(1 - progress)*(2 + epoch) + 0*loss"))

    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, _logs: Any = None) -> None:
            if epoch == 1:
                raise RuntimeError("killed")

    with tempfile.TemporaryDirectory() as folder:
        fit = begin()
        with refused(RuntimeError, "killed"):
            go(fit, keras.callbacks.BackupAndRestore(folder), feedback(fit, one), Killed())
        again = begin()
        go(again, keras.callbacks.BackupAndRestore(folder), feedback(again, one))
    close(again.rates[-BATCHES:], follow(one, [1.0] * 16, steps_per_epoch=BATCHES)[-BATCHES:])


@cases
def a_loss_under_accumulated_gradients_is_the_mean_of_a_step() -> None:
    fit = begin(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    first = error(fit.model, slice(2 * BATCH))
    go(fit, feedback(fit, BY_LOSS, total_steps=8, steps_per_epoch=2, loss=first))
    means = np.reshape(fit.losses, (-1, 2)).mean(1).tolist()
    close(fit.rates[1::2], follow(BY_LOSS, means, steps_per_epoch=2))


@cases
def a_batch_that_is_smaller_counts_as_a_step_with_its_own_mean() -> None:
    fit = begin()
    first = error(fit.model, slice(16))
    losses: list[float] = []

    class Seen(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, **_: Any) -> None:
            if BACKEND == "jax":
                self.model.jax_state_sync()
            part = slice(batch * 16, min((batch + 1) * 16, ROWS))
            losses.append(error(self.model, part))

    told = ExpressionCallback(BY_LOSS, total_steps=12, steps_per_epoch=3, loss=first)
    go(fit, told, Seen(), batch_size=16)
    close(fit.rates, follow(BY_LOSS, losses, steps_per_epoch=3))


@cases
def a_loop_of_train_on_batch_with_the_callbacks_of_keras_works() -> None:
    fit = begin()
    told = feedback(fit, BY_LOSS)
    listing = keras.callbacks.CallbackList([told, Recorder(fit)], model=fit.model)
    listing.on_train_begin()
    for epoch in range(2):
        listing.on_epoch_begin(epoch)
        for batch in range(BATCHES):
            listing.on_train_batch_begin(batch)
            part = slice(batch * BATCH, (batch + 1) * BATCH)
            fit.model.train_on_batch(INPUTS[part], LABELS[part])
            listing.on_train_batch_end(batch)
        listing.on_epoch_end(epoch)
    listing.on_train_end()
    close(fit.rates, fit.expected(BY_LOSS))


def several_steps_an_execution_are_refused() -> None:
    fit = begin(steps_per_execution=2)
    with refused(ScheduleError, "steps_per_execution=1"):
        go(fit, feedback(fit))


if BACKEND == "torch":
    cases.does_not_apply("several steps an execution", "Keras refuses them on the torch backend")
else:
    cases(several_steps_an_execution_are_refused)


@cases
def a_missing_first_loss_is_named() -> None:
    with refused(ScheduleError, "loss=…"):
        ExpressionCallback(LISTENING, **HORIZON)
