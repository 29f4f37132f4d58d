"""Cases of ours on what Optax tests of its schedules: evolr's in their place, in jit, scan, vmap, wrappers and optimisers.

    python benchmarks/peers/optax_schedules.py    # writes benchmarks/results/peers_optax.json

Those of the transformation that listens to the loss stand in optax_feedback.py and optax_plateaus.py. The exit code is 1 if one fails.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 " + os.environ.get("XLA_FLAGS", "")
sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import optax_feedback, optax_plateaus
from benchmarks.peers.runner import Cases, refused, report
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.optax import schedule
from evolr.schedule import Schedule

cases = Cases()


@dataclass(frozen=True)
class Pair:
    """Optax's schedule, and the formula of the same one; both are looked at up to `end` and beyond."""

    theirs: optax.Schedule
    formula: str
    end: int = 40

    @property
    def ours(self) -> optax.Schedule:
        return schedule(Schedule(expression=parse(self.formula)), total_steps=self.end, steps_per_epoch=1)


WARM = "min(1, step/5)"
DECAYED = "(1 + cos(pi*max(0, min(1, (step - 5)/25))))/2"
PAIRS = {
    "constant": Pair(optax.constant_schedule(0.3), "0.3"),
    "linear": Pair(optax.linear_schedule(10.0, 20.0, 10), "10 + min(step, 10)"),
    "linear that begins late": Pair(optax.linear_schedule(1.0, 0.0, 10, 4), "1 - min(10, max(0, step - 4))/10"),
    "quadratic": Pair(optax.polynomial_schedule(25.0, 10.0, 2, 10), "10 + 15*(1 - min(step, 10)/10)**2"),
    "root": Pair(optax.polynomial_schedule(1.0, 0.1, 0.5, 20), "0.1 + 0.9*sqrt(1 - min(step, 20)/20)"),
    "stairs up and down": Pair(
        optax.piecewise_constant_schedule(0.1, {3: 2.0, 6: 0.25}), "0.1*(2 if step >= 3 else 1)*0.25**(step >= 6)"
    ),
    "exponential": Pair(optax.exponential_decay(1.0, 5, 0.8), "0.8**(step/5)"),
    "exponential stairs": Pair(optax.exponential_decay(1.0, 5, 0.8, staircase=True), "0.8**(step // 5)"),
    "exponential that begins late": Pair(optax.exponential_decay(1.0, 5, 0.8, 6), "0.8**(max(0, step - 6)/5)"),
    "exponential with an end": Pair(
        optax.exponential_decay(1.0, 3, 0.5, staircase=True, end_value=0.2), "max(0.2, 0.5**(step // 3))"
    ),
    "exponential that grows to an end": Pair(
        optax.exponential_decay(0.1, 4, 1.5, end_value=0.9), "min(0.9, 0.1*1.5**(step/4))"
    ),
    "cosine": Pair(optax.cosine_decay_schedule(0.7, 30), "0.35*(1 + cos(pi*min(1, step/30)))"),
    "cosine with a floor": Pair(
        optax.cosine_decay_schedule(0.7, 30, 0.1), "0.7*(0.1 + 0.9*(1 + cos(pi*min(1, step/30)))/2)"
    ),
    "cosine with an exponent": Pair(
        optax.cosine_decay_schedule(0.7, 30, exponent=2.0), "0.7*((1 + cos(pi*min(1, step/30)))/2)**2"
    ),
    "warm-up and cosine": Pair(
        optax.warmup_cosine_decay_schedule(0.1, 1.0, 5, 30, 0.01),
        f"0.1 + 0.9*{WARM} if step < 5 else 0.01 + 0.99*{DECAYED}",
    ),
    "warm-up and exponential": Pair(
        optax.warmup_exponential_decay_schedule(0.0, 1.0, 5, 10, 0.5), f"{WARM}*0.5**(max(0, step - 5)/10)"
    ),
    "warm-up": Pair(optax.warmup_constant_schedule(0.0, 0.2, 5), f"0.2*{WARM}"),
    "cosine with restarts": Pair(
        optax.sgdr_schedule(
            [
                {"init_value": 0.0, "peak_value": peak, "decay_steps": 20, "warmup_steps": 5, "end_value": 0.0}
                for peak in (1.0, 0.5)
            ]
        ),
        "(1 if step < 20 else 0.5)*(min(1, (step % 20)/5) if step % 20 < 5"
        " else (1 + cos(pi*(step % 20 - 5)/15))/2) if step < 40 else 0",
        end=41,
    ),
    "lines through points": Pair(
        optax.piecewise_interpolate_schedule("linear", 5.0, {10: 1.5, 20: 0.5}),
        "5 + 2.5*min(1, step/10) - 3.75*min(1, max(0, (step - 10)/10))",
    ),
    "cosines through points": Pair(
        optax.piecewise_interpolate_schedule("cosine", 2.0, {10: 0.5}), "1 + (1 + cos(pi*min(1, step/10)))/2"
    ),
    "one cycle of lines": Pair(
        optax.linear_onecycle_schedule(30, 1.0, 0.3, 0.8, 10.0, 100.0),
        "0.1 + 0.9*min(1, step/9) - 0.9*min(1, max(0, (step - 9)/15)) - 0.099*min(1, max(0, (step - 24)/6))",
    ),
    "one cycle of cosines": Pair(
        optax.cosine_onecycle_schedule(30, 1.0, 0.3, 10.0, 100.0),
        "0.1 + 0.45*(1 - cos(pi*min(1, step/9))) - 0.4995*(1 - cos(pi*min(1, max(0, (step - 9)/21))))",
    ),
}
PARAMETERS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
OPTIMISERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    name: getattr(optax, name)
    for name in (
        *("sgd", "adam", "adamw", "adamax", "adamaxw", "nadam", "nadamw", "radam", "amsgrad", "adabelief", "adagrad"),
        *("adadelta", "adan", "lamb", "lars", "lion", "novograd", "optimistic_gradient_descent"),
        *("rmsprop", "yogi", "fromage", "sign_sgd", "adafactor"),
    )
}


def close(one: Any, other: Any, tolerance: float = 2e-6) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), one, other)


def trained(optimiser: optax.GradientTransformation, steps: int = 12) -> tuple[Any, Any]:
    """The parameters and the state after some steps downhill, by jit."""

    @jax.jit
    def step(parameters: Any, state: Any) -> tuple[Any, Any]:
        gradients = jax.grad(lambda p: sum(jnp.sum((leaf - 0.5) ** 2) for leaf in jax.tree.leaves(p)))(parameters)
        updates, state = optimiser.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state

    parameters, state = PARAMETERS, optimiser.init(PARAMETERS)
    for _ in range(steps):
        parameters, state = step(parameters, state)
    return parameters, state


COSINE = PAIRS["cosine"]


@cases.of_each(PAIRS)
def the_rates_are_those_of_optax_at_every_count(pair: Pair) -> None:
    ours = jax.jit(pair.ours)
    close([ours(count) for count in range(pair.end)], [pair.theirs(count) for count in range(pair.end)])


@cases.of_each(OPTIMISERS)
def an_optimiser_moves_as_with_the_schedule_of_optax(make: Callable[[Any], optax.GradientTransformation]) -> None:
    close(trained(make(COSINE.ours))[0], trained(make(COSINE.theirs))[0], 1e-4)


@cases
def beyond_the_end_the_last_rate_stays() -> None:
    last = float(COSINE.ours(39))
    assert [float(COSINE.ours(count)) for count in (40, 1_000, 2**31 - 1)] == [last] * 3


@cases
def below_zero_the_first_rate_stands() -> None:
    assert float(COSINE.ours(-3)) == float(COSINE.ours(0))


COUNTS = {
    "a Python int": 7,
    "a Python float": 7.0,
    "NumPy's int64": np.int64(7),
    "NumPy's array": np.array(7),
    "int32": jnp.int32(7),
    "uint32": jnp.uint32(7),
    "int8": jnp.int8(7),
    "float32": jnp.float32(7),
}


@cases.of_each(COUNTS)
def a_count_may_be(count: Any) -> None:
    close(COSINE.ours(count), COSINE.theirs(7))
    close(jax.jit(COSINE.ours)(count), COSINE.theirs(7))


@cases
def a_whole_array_of_counts_has_an_array_of_rates() -> None:
    counts = jnp.arange(40)
    close(COSINE.ours(counts), COSINE.theirs(counts))
    close(jax.vmap(COSINE.ours)(counts), COSINE.theirs(counts))


@cases
def a_scan_over_counts_has_the_same_rates() -> None:
    _, rates = jax.lax.scan(lambda count, _: (count + 1, COSINE.ours(count)), jnp.int32(0), None, 40)
    close(rates, COSINE.theirs(jnp.arange(40)))


@cases
def a_count_that_is_an_array_is_left_as_it_is() -> None:
    count = np.array(3)
    COSINE.ours(count)
    assert count == 3


@cases
def the_rate_is_a_float32_scalar_in_64_bits_too() -> None:
    assert (COSINE.ours(3).shape, COSINE.ours(3).dtype) == ((), jnp.float32)
    with jax.enable_x64(True):
        close(COSINE.ours(jnp.int64(3)), COSINE.theirs(3))


@cases
def a_million_steps_are_as_exact_at_their_end() -> None:
    ours = schedule(Schedule(expression=parse("1 - progress")), total_steps=1_000_000)
    np.testing.assert_allclose(float(ours(999_999)), 1e-6, rtol=1e-5)


@cases
def schedules_join_with_those_of_optax() -> None:
    theirs = optax.join_schedules([optax.linear_schedule(0.0, 0.7, 5), COSINE.theirs], [5])
    ours = optax.join_schedules([optax.linear_schedule(0.0, 0.7, 5), COSINE.ours], [5])
    close([ours(count) for count in range(44)], [theirs(count) for count in range(44)])


@cases
def scale_by_schedule_takes_it() -> None:
    close(trained(optax.scale_by_schedule(COSINE.ours))[0], trained(optax.scale_by_schedule(COSINE.theirs))[0])


@cases
def injected_hyperparameters_hold_the_rate_of_the_latest_step() -> None:
    _, state = trained(optax.inject_hyperparams(optax.adam)(learning_rate=COSINE.ours), 12)
    close(state.hyperparams["learning_rate"], COSINE.theirs(11))


@cases
def the_first_update_of_injected_hyperparameters_is_of_count_zero() -> None:
    optimiser = optax.inject_hyperparams(optax.scale)(step_size=PAIRS["linear"].ours)
    updates, _ = optimiser.update(PARAMETERS, optimiser.init(PARAMETERS))
    close(updates, jax.tree.map(lambda leaf: 10.0 * leaf, PARAMETERS))


@cases.of_each({"float32": jnp.float32, "bfloat16": jnp.bfloat16})
def injected_hyperparameters_have_the_type_that_a_line_of_optax_has(dtype: Any) -> None:
    types = []
    for one in (PAIRS["linear"].theirs, PAIRS["linear"].ours):
        optimiser = optax.inject_hyperparams(optax.sgd, hyperparam_dtype=dtype)(learning_rate=one)
        state = optimiser.init(PARAMETERS)
        _, later = optimiser.update(PARAMETERS, state)
        types.append([at.hyperparams["learning_rate"].dtype for at in (state, later)])
    assert types[0] == types[1]


@cases
def a_schedule_wraps_as_a_stateful_one() -> None:
    wrapped = optax.schedules.WrappedSchedule(COSINE.ours)
    state = wrapped.init()
    for count in range(8):
        close(wrapped(state), COSINE.theirs(count))
        state = wrapped.update(state, loss=jnp.float32(1.0))


@cases.of_each({"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16})
def parameters_and_state_keep_their_types_and_shapes(dtype: Any) -> None:
    parameters = jax.tree.map(lambda leaf: leaf.astype(dtype), PARAMETERS)
    optimiser = optax.adam(COSINE.ours)
    state = optimiser.init(parameters)
    updates, later = jax.jit(optimiser.update)(parameters, state, parameters)
    shapes = [jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), tree) for tree in (state, later)]
    assert shapes[0] == shapes[1]
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(updates))


@cases
def gradients_may_be_accumulated_around_it() -> None:
    close(*(trained(optax.MultiSteps(optax.sgd(pair), 3), 13)[0] for pair in (COSINE.ours, COSINE.theirs)), 1e-4)


@cases
def schedule_free_training_takes_it() -> None:
    close(*(trained(optax.contrib.schedule_free_sgd(pair))[0] for pair in (COSINE.ours, COSINE.theirs)), 1e-4)


@cases
def a_schedule_that_reads_the_training_is_refused_by_name() -> None:
    with refused(ScheduleError, "loss"):
        schedule(Schedule(expression=parse("0.1*loss")), total_steps=10)


@cases.of_each({"none": 0, "less than none": -1, "half a step": 1.5})
def a_horizon_of_no_whole_steps_is_refused(steps: Any) -> None:
    with refused(ScheduleError, "total_steps"):
        schedule(Schedule(expression=parse("0.1")), total_steps=steps)


ARGUMENTS = "checks of the arguments of Optax's own schedules; evolr has a formula"
cases.does_not_apply("schedules of no steps, of a decay rate of 0, of an unknown interpolation", ARGUMENTS)
cases.does_not_apply(
    "static arguments, random keys and further hyperparameters of inject_hyperparams", "no learning rate is in them"
)

if __name__ == "__main__":
    outcomes = [*cases.run(), *optax_feedback.cases.run(), *optax_plateaus.cases.run()]
    sys.exit(report("optax", outcomes, ["optax", "jax", "numpy"]) > 0)
