"""Cases of ours on what Keras 3 tests of its schedules, callbacks and optimisers, with evolr's in their place.

    python benchmarks/peers/keras_schedules.py                  # both backends, each in a process of its own
    python benchmarks/peers/keras_schedules.py --backend jax    # writes benchmarks/results/peers_keras_jax.json

The exit code is 1 if a case fails.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BACKENDS = ("torch", "jax")
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--backend", choices=BACKENDS, help="the one backend to run on; both if not given")
CHOSEN = parser.parse_args().backend
if CHOSEN is None:
    codes = [subprocess.run([sys.executable, __file__, "--backend", name], check=False).returncode for name in BACKENDS]
    sys.exit(max(codes))
os.environ["KERAS_BACKEND"] = CHOSEN
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

from benchmarks.peers.runner import Cases, refused, report
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.loop import follow
from evolr.schedule import Schedule

cases = Cases(strict=False)
schedules = keras.optimizers.schedules

ROWS, BATCH, EPOCHS = 40, 10, 4
BATCHES = ROWS // BATCH
HORIZON = {"total_steps": EPOCHS * BATCHES, "steps_per_epoch": BATCHES}
LISTENING = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)/(1 + stale_epochs) + 0.001*val_loss + 0.1*lr"))
BY_LOSS = Schedule(expression=parse("0.02*loss/loss_ema"))
OPEN = Schedule(expression=parse("0.01*(1 - progress)*(1 + epoch)"))
draw = np.random.default_rng(0)
INPUTS = draw.normal(size=(ROWS, 3)).astype("float32")
LABELS = (INPUTS @ np.array([[1.0], [-2.0], [0.5]]) + 0.1).astype("float32")


@dataclass(frozen=True)
class Pair:
    """Keras' schedule and the formula of the same one."""

    theirs: Any
    formula: str
    end: int = 30

    @property
    def ours(self) -> Any:
        return ExpressionSchedule(
            Schedule(expression=parse(self.formula)), total_steps=self.end, steps_per_epoch=self.end
        )


PAIRS = {
    "exponential": Pair(schedules.ExponentialDecay(0.05, 10, 0.96), "0.05*0.96**(step/10)"),
    "exponential stairs": Pair(schedules.ExponentialDecay(0.1, 3, 0.9, staircase=True), "0.1*0.9**(step // 3)"),
    "steps at boundaries": Pair(
        schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001]),
        "0.1 if step <= 10 else 0.01 if step <= 20 else 0.001",
    ),
    "a line": Pair(schedules.PolynomialDecay(0.05, 10, 0.01), "0.01 + 0.04*(1 - min(step, 10)/10)"),
    "a root": Pair(schedules.PolynomialDecay(0.05, 10, 0.0, 0.5), "0.05*sqrt(1 - min(step, 10)/10)"),
    "a line with cycles": Pair(
        schedules.PolynomialDecay(0.05, 10, 0.0, 1.0, cycle=True), "0.05*(1 - step/(10*max(1, ceil(step/10))))"
    ),
    "inverse time": Pair(schedules.InverseTimeDecay(0.1, 10, 0.5), "0.1/(1 + 0.5*step/10)"),
    "inverse time in stairs": Pair(
        schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=True), "0.1/(1 + 0.5*(step // 10))"
    ),
    "cosine": Pair(schedules.CosineDecay(1.0, 25), "(1 + cos(pi*min(step, 25)/25))/2"),
    "cosine with a floor": Pair(schedules.CosineDecay(1.0, 25, 0.1), "0.1 + 0.9*(1 + cos(pi*min(step, 25)/25))/2"),
    "cosine after a warm-up": Pair(
        schedules.CosineDecay(0.0, 20, 0.0, warmup_target=2.0, warmup_steps=5),
        "2*step/5 if step < 5 else 1 + cos(pi*min(step - 5, 20)/20)",
    ),
    "cosine with restarts": Pair(
        schedules.CosineDecayRestarts(1.0, 6, 1.0, 0.5), "0.5**(step // 6)*(1 + cos(pi*(step % 6)/6))/2"
    ),
    "cosine with longer restarts": Pair(
        schedules.CosineDecayRestarts(1.0, 5, 2.0, 1.0),
        "(1 + cos(pi*(step - 5*(2**floor(log(step/5 + 1)/log(2)) - 1))/(5*2**floor(log(step/5 + 1)/log(2)))))/2",
    ),
}


def number(value: Any) -> float:
    return float(keras.ops.convert_to_numpy(keras.ops.stop_gradient(keras.ops.convert_to_tensor(value))))


def close(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-7)


def error(model: Any, part: slice) -> float:
    """The mean squared error on some of the rows, which is the loss that the models are compiled with."""
    return number(keras.ops.mean((model(INPUTS[part]) - keras.ops.convert_to_tensor(LABELS[part])) ** 2))


@dataclass
class Fit:
    """What a training did, step by step."""

    model: Any
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    logged: list[dict[str, Any]] = field(default_factory=list)

    def expected(self, one: Schedule) -> list[float]:
        return follow(one, self.losses, self.val_losses, steps_per_epoch=BATCHES)


class Recorder(keras.callbacks.Callback):
    """Stands last among the callbacks."""

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit

    def on_train_batch_begin(self, batch: int, **_: Any) -> None:
        if CHOSEN == "jax":
            self.model.jax_state_sync()
        self.fit.rates.append(number(self.model.optimizer.learning_rate))
        part = slice(batch * BATCH, (batch + 1) * BATCH)
        self.fit.losses.append(error(self.model, part))

    def on_epoch_end(self, _epoch: int, logs: Any = None) -> None:
        self.fit.logged.append(dict(logs or {}))
        self.fit.val_losses.append((logs or {}).get("val_loss", 0.0))


def network() -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def begin(optimiser: Any = None, **more: Any) -> Fit:
    model = network()
    model.compile(keras.optimizers.SGD(0.01) if optimiser is None else optimiser, "mse", **more)
    fit = Fit(model)
    fit.val_losses.append(error(model, slice(ROWS)))
    return fit


def feedback(fit: Fit, one: Schedule = LISTENING, **more: Any) -> ExpressionCallback:
    first = error(fit.model, slice(BATCH))
    return ExpressionCallback(one, **(HORIZON | {"loss": first, "val_loss": fit.val_losses[0]} | more))


def go(fit: Fit, *callbacks: Any, epochs: int = EPOCHS, **more: Any) -> Fit:
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "validation_data": (INPUTS, LABELS)} | more
    fit.model.fit(INPUTS, LABELS, epochs=epochs, callbacks=[*callbacks, Recorder(fit)], **options)
    return fit


def weights(model: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(one) for one in model.weights]


# --- schedules that read no loss ----------------------------------------------------------------------------------------


@cases.of_each(PAIRS)
def the_rates_are_those_of_keras_at_every_step(pair: Pair) -> None:
    ours = pair.ours
    close([number(ours(step)) for step in range(pair.end)], [number(pair.theirs(step)) for step in range(pair.end)])


STEPS = {
    "a number": 7,
    "an integer tensor": keras.ops.convert_to_tensor(7, "int32"),
    "a float tensor": keras.ops.convert_to_tensor(7.0, "float32"),
    "a variable": keras.Variable(7, dtype="int32", trainable=False),
}


@cases.of_each(STEPS)
def a_step_may_be(step: Any) -> None:
    close(number(PAIRS["cosine"].ours(step)), number(PAIRS["cosine"].theirs(7)))


@cases
def beyond_its_end_the_last_rate_stays() -> None:
    ours = PAIRS["cosine"].ours
    assert number(ours(1_000)) == number(ours(29))


OPTIMISERS = ("SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Adagrad", "Lion", "Adafactor", "Ftrl", "Lamb")


@cases.of_each({name: getattr(keras.optimizers, name) for name in OPTIMISERS})
def an_optimiser_moves_as_with_the_schedule_of_keras(make: Callable[[Any], Any]) -> None:
    ends = [weights(go(begin(make(one))).model) for one in (PAIRS["exponential"].ours, PAIRS["exponential"].theirs)]
    for one, other in zip(*ends, strict=True):
        close(one, other, 1e-4)


@cases
def the_optimiser_shows_the_rate_of_each_step() -> None:
    fit = go(begin(keras.optimizers.SGD(ExpressionSchedule(OPEN, **HORIZON))))
    close(fit.rates, fit.expected(OPEN))


@cases
def a_configuration_goes_through_json_and_back() -> None:
    ours = ExpressionSchedule(OPEN, **HORIZON)
    config = json.loads(json.dumps(schedules.serialize(ours)))
    back = schedules.deserialize(config)
    assert [number(back(step)) for step in range(16)] == [number(ours(step)) for step in range(16)]
    assert back.get_config() == ours.get_config()


@cases
def an_optimiser_with_it_goes_through_its_configuration() -> None:
    optimiser = keras.optimizers.Adam(ExpressionSchedule(OPEN, **HORIZON))
    back = keras.optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(optimiser))))
    assert number(back.learning_rate) == number(optimiser.learning_rate)


@cases
def an_optimiser_with_it_is_copied() -> None:
    optimiser = keras.optimizers.SGD(ExpressionSchedule(OPEN, **HORIZON))
    back = copy.deepcopy(optimiser)
    assert number(back.learning_rate) == number(optimiser.learning_rate)


@cases
def a_saved_model_goes_on_where_it_was() -> None:
    whole = go(begin(keras.optimizers.SGD(ExpressionSchedule(OPEN, **HORIZON))))
    half = go(begin(keras.optimizers.SGD(ExpressionSchedule(OPEN, **HORIZON))), epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        half.model.save(f"{folder}/model.keras")
        half.model = keras.models.load_model(f"{folder}/model.keras")
    go(half, initial_epoch=2)
    assert half.rates == whole.rates


@cases
def a_rate_that_is_set_by_hand_is_refused_by_keras_as_for_its_own_schedules() -> None:
    optimiser = keras.optimizers.SGD(ExpressionSchedule(OPEN, **HORIZON))
    with refused(TypeError, "LearningRateSchedule"):
        optimiser.learning_rate = 0.1


@cases
def time_under_accumulated_gradients_is_counted_in_optimiser_steps() -> None:
    steps = {"total_steps": 8, "steps_per_epoch": 2}
    optimiser = keras.optimizers.SGD(ExpressionSchedule(OPEN, **steps), gradient_accumulation_steps=2)
    fit = go(begin(optimiser))
    rates = follow(OPEN, [0.0] * 8, steps_per_epoch=2)
    close(fit.rates, [rate for rate in rates for _ in range(2)])


@cases
def a_schedule_that_reads_the_loss_is_refused_by_name() -> None:
    with refused(ScheduleError, "loss"):
        ExpressionSchedule(LISTENING, **HORIZON)


# --- the callback that listens ------------------------------------------------------------------------------------------


@cases.of_each({"with a validation": {}, "without one": {"validation_data": None}})
def the_rates_are_those_of_the_reference(options: dict[str, Any]) -> None:
    fit = begin()
    one = LISTENING if options == {} else BY_LOSS
    go(fit, feedback(fit, one), **options)
    close(fit.rates, fit.expected(one))


OTHERS = {
    "eager": {"run_eagerly": True},
    "compiled where the backend compiles": {"jit_compile": CHOSEN == "jax"},
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
            if CHOSEN == "jax":
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


if CHOSEN == "torch":
    cases.does_not_apply("several steps an execution", "Keras refuses them on the torch backend")
else:
    cases(several_steps_an_execution_are_refused)


@cases
def a_missing_first_loss_is_named() -> None:
    with refused(ScheduleError, "loss=…"):
        ExpressionCallback(LISTENING, **HORIZON)


cases.does_not_apply("verbose messages of LearningRateScheduler", "evolr's callback has none; the rate is in the logs")
cases.does_not_apply(
    "PiecewiseConstantDecay of boundaries and values that do not fit", "checks of Keras' own arguments"
)
cases.does_not_apply(
    "clipping, averaging of weights, constraints, names of an optimiser", "no learning rate is in them"
)
cases.does_not_apply("the state of BackupAndRestore, its folder and frequency", "Keras' own, beside the rates above")

if __name__ == "__main__":
    sys.exit(report(f"keras_{CHOSEN}", cases.run(), ["keras", CHOSEN, "numpy"]) > 0)
