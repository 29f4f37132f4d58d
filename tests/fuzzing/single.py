"""Formulas in the packed JAX interpreter, in float32, against the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np

from evolr.expression import SIGNALS, Expression, original_text
from evolr.expression.program import capacity_for, stack_depth
from evolr.schedule import Schedule
from evolr.training.interpreter import PackedSchedules, learning_rate, pack_schedules
from tests.fuzzing.checks import Finding
from tests.fuzzing.rounding import SINGLE, bounded

_BATCH = 64  # programs in one call, which are run one after another


@jax.jit
def _rates(packed: PackedSchedules, signals: jax.Array) -> jax.Array:
    """The learning rates of the programs, at the points each: (programs, points)."""
    return jax.lax.map(lambda one: jax.vmap(lambda point: learning_rate(one, point))(signals), packed)


def check_single(expressions: Sequence[Expression], at: Sequence[Mapping[str, float]]) -> tuple[int, list[Finding]]:
    """How many values were compared, and the differences that rounding does not explain.

    A value is compared where no rounding of a part can change it by more than a thousandth.
    """
    compared, found = 0, list[Finding]()
    signals = jnp.array([[point[name] for name in SIGNALS] for point in at], jnp.float32)
    ordered = sorted(expressions, key=lambda e: (*_shape(e), e.size))
    for _, group in groupby(ordered, key=_shape):
        alike = list(group)
        for start in range(0, len(alike), _BATCH):
            batch = alike[start : start + _BATCH]
            filled = [*batch, *[batch[0]] * (_BATCH - len(batch))]
            rates = np.asarray(_rates(pack_schedules([Schedule(expression=e) for e in filled]), signals))
            for expression, row in zip(batch, rates, strict=False):
                for point, rate in zip(at, row, strict=True):
                    value, error = bounded(expression, point, SINGLE)
                    if not error <= 1e-3 * abs(value) + 1e-30:
                        continue
                    compared += 1
                    expected = Schedule(expression=expression).at(**point)
                    if not abs(float(rate) - expected) <= 2 * error + SINGLE.unit * abs(expected) + SINGLE.least:
                        detail = f"at {dict(point)}: {float(rate)!r}, the reference {expected!r}, bound {error:.1e}"
                        found.append(Finding("float32 is not the reference", original_text(expression), detail))
                        break
    return compared, found


def _shape(expression: Expression) -> tuple[int, int]:
    """What the compiled interpreter's arrays depend on."""
    return capacity_for(expression.size), math.ceil(math.log2(max(32, stack_depth(expression))))
