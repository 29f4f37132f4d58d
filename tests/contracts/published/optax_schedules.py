"""optax.schedules. Optax computes in the precision of its input; here it is asked in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jax
import numpy as np
import optax

from tests.contracts.published.case import TOTAL_STEPS, Published, Rates


def _rates(make: Callable[[], optax.Schedule]) -> Callable[[], Rates]:
    def rates() -> Rates:
        with jax.enable_x64(True):
            schedule = make()
            asked = jax.vmap(lambda step: jax.numpy.asarray(schedule(step), jax.numpy.float64))
            return np.asarray(asked(jax.numpy.arange(TOTAL_STEPS, dtype=jax.numpy.float64)))

    return rates


def _joined() -> optax.Schedule:
    parts = [
        optax.linear_schedule(0.0, 3e-4, 50),
        optax.constant_schedule(3e-4),
        optax.linear_schedule(3e-4, 0.0, 200),
    ]
    return optax.join_schedules(parts, [50, 800])


def _restarts() -> optax.Schedule:
    cycles = [
        {"init_value": 0.0, "peak_value": peak, "warmup_steps": 20, "decay_steps": length, "end_value": 0.01}
        for peak, length in ((0.1, 200), (0.08, 300), (0.06, 500))
    ]
    return optax.sgdr_schedule(cycles)


_ONE_CYCLE: Final = {"peak": 0.1, "first": 0.1 / 25}

CASES: Final = (
    Published(
        "exponential_decay", "optax, documentation", "init_value * (decay_rate ** (step / transition_steps))",
        _rates(lambda: optax.exponential_decay(0.1, 100, 0.9)),
        {"init_value": 0.1, "decay_rate": 0.9, "transition_steps": 100},
    ),
    Published(
        "exponential_decay, staircase", "optax exponential_decay(staircase=True)", "0.1*0.5**(step // 100)",
        _rates(lambda: optax.exponential_decay(0.1, 100, 0.5, staircase=True)),
    ),
    Published(
        "exponential_decay, late and ended", "optax exponential_decay(transition_begin=50, end_value=0.03)",
        "max(0.03, 0.1 if step <= 50 else 0.1*0.9**((step - 50)/100))",
        _rates(lambda: optax.exponential_decay(0.1, 50 + 50, 0.9, transition_begin=50, end_value=0.03)),
    ),
    Published(
        "exponential_decay, rising", "optax exponential_decay(1e-6, 100, 3, end_value=1), a range test",
        "jnp.minimum(1e-6*jnp.power(3, step/100), 1)",
        _rates(lambda: optax.exponential_decay(1e-6, 100, 3.0, end_value=1.0)),
    ),
    Published(
        "cosine_decay_schedule", "optax, documentation",
        "0.05*((1 - alpha)*(0.5*(1 + cos(pi*min(step, 800)/800)))**exponent + alpha)",
        _rates(lambda: optax.cosine_decay_schedule(0.05, 800, alpha=0.1)), {"alpha": 0.1, "exponent": 1.0},
    ),
    Published(
        "cosine_decay_schedule, exponent", "optax cosine_decay_schedule(alpha=0.01, exponent=1.7)",
        "0.05*((1 - alpha)*(0.5*(1 + cos(pi*min(step, 800)/800)))**exponent + alpha)",
        _rates(lambda: optax.cosine_decay_schedule(0.05, 800, alpha=0.01, exponent=1.7)),
        {"alpha": 0.01, "exponent": 1.7},
    ),
    Published(
        "warmup_cosine_decay_schedule", "optax",
        "1e-5 + (1e-3 - 1e-5)*step/100 if step < 100 "
        "else 1e-3*((1 - 0.05)*0.5*(1 + cos(pi*(step - 100)/(1000 - 100))) + 0.05)",
        _rates(lambda: optax.warmup_cosine_decay_schedule(1e-5, 1e-3, 100, 1000, end_value=5e-5)),
    ),
    Published(
        "warmup_exponential_decay_schedule", "optax",
        "0.01*step/100 if step < 100 else 0.01*0.7**((step - 100)/150)",
        _rates(lambda: optax.warmup_exponential_decay_schedule(0.0, 0.01, 100, 150, 0.7)),
    ),
    Published(
        "warmup_constant_schedule", "optax", "min(0.01, 1e-4 + (0.01 - 1e-4)*step/300)",
        _rates(lambda: optax.warmup_constant_schedule(1e-4, 0.01, 300)),
    ),
    Published(
        "polynomial_schedule", "optax, documentation: transition_begin, power 2",
        "(1.0 - 0.01)*(1 - clip(step - 50, 0, 700)/700)**2 + 0.01",
        _rates(lambda: optax.polynomial_schedule(1.0, 0.01, 2, 700, transition_begin=50)),
    ),
    Published(
        "linear_schedule", "optax", "0.1 + np.clip(step, 0, 900)/900*(0.001 - 0.1)",
        _rates(lambda: optax.linear_schedule(0.1, 0.001, 900)),
    ),
    Published(
        "piecewise_constant_schedule", "optax, documentation",
        "1.0*(0.1 if step >= 300 else 1)*(0.01 if step >= 600 else 1)",
        _rates(lambda: optax.piecewise_constant_schedule(1.0, {300: 0.1, 600: 0.01})),
    ),
    Published(
        "piecewise_interpolate_schedule, linear", "optax",
        "1.0 + (0.1 - 1.0)*step/400 if step < 400 else 0.1 + (0.001 - 0.1)*(step - 400)/400 if step < 800 else 0.001",
        _rates(lambda: optax.piecewise_interpolate_schedule("linear", 1.0, {400: 0.1, 800: 0.01})),
    ),
    Published(
        "piecewise_interpolate_schedule, cosine", "optax",
        "0.5 + (0.1 - 0.5)/2*(cos(pi*step/200) + 1) if step < 200 "
        "else 0.05 + (0.5 - 0.05)/2*(cos(pi*(step - 200)/700) + 1) if step < 900 else 0.05",
        _rates(lambda: optax.piecewise_interpolate_schedule("cosine", 0.1, {200: 5.0, 900: 0.1})),
    ),
    Published(
        "linear_onecycle_schedule", "optax; Smith and Topin 2018 (super-convergence)",
        "first + (peak - first)*step/300 if step < 300 else peak + (first - peak)*(step - 300)/550 if step < 850 "
        "else first + (first/1e4 - first)*(step - 850)/150",
        _rates(lambda: optax.linear_onecycle_schedule(TOTAL_STEPS, 0.1)), _ONE_CYCLE,
    ),
    Published(
        "cosine_onecycle_schedule", "optax; fast.ai's fit_one_cycle",
        "peak + (first - peak)/2*(cos(pi*progress/0.3) + 1) if progress < 0.3 "
        "else peak/(25*1e4) + (peak - peak/(25*1e4))/2*(cos(pi*(progress - 0.3)/0.7) + 1)",
        _rates(lambda: optax.cosine_onecycle_schedule(TOTAL_STEPS, 0.1)), _ONE_CYCLE,
    ),
    Published(
        "sgdr_schedule", "optax; Loshchilov and Hutter 2017, with warm-ups and falling peaks",
        "0.1*step/20 if step < 20 else 0.01 + 0.09*0.5*(1 + cos(pi*(step - 20)/180)) if step < 200 "
        "else 0.08*(step - 200)/20 if step < 220 else 0.01 + 0.07*0.5*(1 + cos(pi*(step - 220)/280)) if step < 500 "
        "else 0.06*(step - 500)/20 if step < 520 else 0.01 + 0.05*0.5*(1 + cos(pi*(step - 520)/480))",
        _rates(_restarts),
    ),
    Published(
        "join_schedules", "optax join_schedules: linear, constant, linear",
        "3e-4*min(step/50, 1, (1000 - step)/200)", _rates(_joined),
    ),
)  # fmt: skip
