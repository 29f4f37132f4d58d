"""Cases of ours on what Optax tests of reduce_on_plateau: a schedule of plateaus has the same scales."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from benchmarks.peers.runner import Cases, close
from evolr.expression import parse
from evolr.optax import scale_by_expression
from evolr.schedule import Plateau, Schedule

cases = Cases()

# By the name of what happens: the values, and the settings of both, of which ours waits for one more than its patience.
PLATEAUS: dict[str, tuple[list[float], dict[str, Any]]] = {
    "it is reduced when patience has run out": ([1.0] * 16, {"patience": 5}),
    "a better value begins the count anew": ([1.0] * 4 + [0.5] * 12, {"patience": 5}),
    "nothing is counted during a cooldown": ([1.0] * 30, {"patience": 5, "cooldown": 5}),
    "it ends at the least scale": ([1.0] * 30, {"patience": 2, "min_scale": 0.01}),
    "values that fall are no plateau": ([1.0 * 0.9**k for k in range(30)], {"patience": 2}),
    "improvements below the threshold are none": ([1.0 - 1e-6 * k for k in range(12)], {"patience": 4}),
    "a threshold may be absolute": ([1.0 - 0.01 * k for k in range(12)], {"patience": 4, "rtol": 0.0, "atol": 0.05}),
}


@cases.of_each(PLATEAUS)
def a_plateau_is_what_it_is_to_optax(case: tuple[list[float], dict[str, Any]]) -> None:
    values, given = case
    settings = {"factor": 0.1, "rtol": 1e-4, "atol": 0.0, "cooldown": 0, "min_scale": 0.0} | given
    theirs = optax.contrib.reduce_on_plateau(**settings, accumulation_size=1)
    rule = Plateau(
        patience=settings["patience"] - 1,
        threshold=settings["rtol"] or settings["atol"],
        threshold_mode="rel" if settings["rtol"] else "abs",
        cooldown=settings["cooldown"],
    )
    formula = f"max({settings['min_scale']}, 0.1**plateaus)"
    mine = scale_by_expression(
        Schedule(expression=parse(formula), plateau=rule), total_steps=100, steps_per_epoch=1, flip_sign=False
    )
    one, other = theirs.init(jnp.ones(1)), mine.init(jnp.ones(1))
    _, other = mine.update(jnp.ones(1), other, val_loss=values[0])  # step 0 has no validation before it
    scales, found = [], []
    for value in values:
        _, one = theirs.update(jnp.ones(1), one, value=value)
        _, other = mine.update(jnp.ones(1), other, val_loss=value)
        scales.append(float(one.scale))
        found.append(float(optax.tree.get(other, "learning_rate")))
    close(found, scales, 1e-5)


cases.does_not_apply(
    "reduce_on_plateau with accumulation_size above 1", "the mean of several values is the caller's, who tells val_loss"
)
cases.does_not_apply(
    "reduce_on_plateau from a state that is made by hand", "fields of Optax's own state; evolr's is made by init alone"
)
