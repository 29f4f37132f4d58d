"""The primitives of the language in JAX: the back end of compiled training steps.

Each name of the table has its function here, with the meaning of the NumPy reference in expression/primitives.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp

from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, POLE, POW_RANGE, ROUNDING_FLOAT32

Scalar = jax.Array


def unfolded(constant: int, count: Scalar) -> Scalar:
    """A whole number that a compiler takes for one that it does not know; count: any that is never negative.

    It turns a division by a constant into a product with its reciprocal, which rounds twice: 700/700 is then below 1.
    """
    return jnp.where(count < 0, 0, constant)


def _divided(a: Scalar, b: Scalar) -> Scalar:
    """The quotient, rounded once, whether or not b is a constant; see `unfolded`."""
    return a / jnp.where(jnp.isnan(a), a, b)


def _div(a: Scalar, b: Scalar) -> Scalar:
    return jnp.where(jnp.abs(b) < DIV_THRESHOLD, 1.0, a / b)


def _quotient(a: Scalar, b: Scalar) -> Scalar:
    at_zero = jnp.where(a == 0, 1.0, jnp.sign(a) * POLE)
    return jnp.where(b == 0, at_zero, _divided(a, jnp.where(b == 0, 1.0, b)))


def _exp(a: Scalar) -> Scalar:
    return jnp.exp(jnp.clip(a, -EXP_LIMIT, EXP_LIMIT))


def _log(a: Scalar) -> Scalar:
    return jnp.log(jnp.maximum(jnp.abs(a), LOG_FLOOR))


def _floor(a: Scalar) -> Scalar:
    near = jnp.rint(a)
    return jnp.where(jnp.abs(a - near) <= ROUNDING_FLOAT32 * jnp.maximum(1.0, jnp.abs(a)), near, jnp.floor(a))


def _mod(a: Scalar, b: Scalar) -> Scalar:
    divisor = jnp.where(b == 0, 1.0, b)
    ratio = _divided(a, divisor)
    near = jnp.rint(ratio)
    is_whole = jnp.abs(ratio - near) <= ROUNDING_FLOAT32 * jnp.maximum(1.0, jnp.abs(ratio))
    is_small = (near == 0) & (ratio >= 0)
    return jnp.where((b == 0) | (is_whole & ~is_small), 0.0, jnp.mod(a, divisor))


def _is_near(a: Scalar, b: Scalar) -> Scalar:
    gap = jnp.abs(a - b)
    return (a == b) | (jnp.isfinite(gap) & (gap <= ROUNDING_FLOAT32 * jnp.maximum(jnp.abs(a), jnp.abs(b))))


def _less(a: Scalar, b: Scalar) -> Scalar:
    return jnp.where((a < b) & ~_is_near(a, b), 1.0, 0.0)


def _less_equal(a: Scalar, b: Scalar) -> Scalar:
    return jnp.where((a < b) | _is_near(a, b), 1.0, 0.0)


def _equal(a: Scalar, b: Scalar) -> Scalar:
    return jnp.where(_is_near(a, b), 1.0, 0.0)


def _where(condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    return jnp.where(condition > 0, a, b)


def _sqrt(a: Scalar) -> Scalar:
    return jnp.sqrt(jnp.maximum(a, 0.0))


def _pow(a: Scalar, b: Scalar) -> Scalar:
    power = jnp.where((a == 0) & (b < 0), POLE, jnp.power(a, b))
    return jnp.where((a < 0) & jnp.isfinite(b) & (b != jnp.floor(b)), 0.0, power)


def _sqrt_v1(a: Scalar) -> Scalar:
    return jnp.sqrt(jnp.abs(a))


def _pow_v1(a: Scalar, b: Scalar) -> Scalar:
    return jnp.clip(jnp.power(jnp.maximum(jnp.abs(a), LOG_FLOOR), b), *POW_RANGE)


FUNCTIONS: Final[dict[str, Callable[..., Scalar]]] = {
    "add": jnp.add,
    "sub": jnp.subtract,
    "mul": jnp.multiply,
    "div": _div,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "exp": _exp,
    "log": _log,
    "quotient": _quotient,
    "mod": _mod,
    "pow": _pow,
    "less": _less,
    "less_equal": _less_equal,
    "equal": _equal,
    "floor": _floor,
    "round": jnp.rint,
    "min": jnp.minimum,
    "max": jnp.maximum,
    "where": _where,
    "abs": jnp.abs,
    "sign": jnp.sign,
    "sqrt": _sqrt,
    "tanh": jnp.tanh,
    "floor_v1": jnp.floor,
    "sqrt_v1": _sqrt_v1,
    "pow_v1": _pow_v1,
}
