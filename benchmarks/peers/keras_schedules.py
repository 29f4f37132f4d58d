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
from dataclasses import dataclass
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

from benchmarks.peers import keras_feedback
from benchmarks.peers.keras_fit import HORIZON, LISTENING, OPEN, OPTIMISERS, begin, go, number, weights
from benchmarks.peers.runner import Cases, close, refused, report
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionSchedule
from evolr.loop import follow
from evolr.schedule import Schedule

cases = Cases(strict=False)
schedules = keras.optimizers.schedules


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


cases.does_not_apply("verbose messages of LearningRateScheduler", "evolr's callback has none; the rate is in the logs")
cases.does_not_apply(
    "PiecewiseConstantDecay of boundaries and values that do not fit", "checks of Keras' own arguments"
)
cases.does_not_apply(
    "clipping, averaging of weights, constraints, names of an optimiser", "no learning rate is in them"
)
cases.does_not_apply("the state of BackupAndRestore, its folder and frequency", "Keras' own, beside the rates above")

if __name__ == "__main__":
    sys.exit(report(f"keras_{CHOSEN}", cases.run() + keras_feedback.cases.run(), ["keras", CHOSEN, "numpy"]) > 0)
