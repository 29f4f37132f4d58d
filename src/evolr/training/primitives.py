"""The primitives of the language in JAX: the back end of compiled training steps.

Each name of the table has its function here, with the meaning of the NumPy reference in expression/primitives.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp

from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, POW_RANGE

Scalar = jax.Array


def _div(a: Scalar, b: Scalar) -> Scalar:
    return jnp.where(jnp.abs(b) < DIV_THRESHOLD, 1.0, a / b)


def _exp(a: Scalar) -> Scalar:
    return jnp.exp(jnp.clip(a, -EXP_LIMIT, EXP_LIMIT))


def _log(a: Scalar) -> Scalar:
    return jnp.log(jnp.maximum(jnp.abs(a), LOG_FLOOR))


def _where(condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    return jnp.where(condition > 0, a, b)


def _sqrt(a: Scalar) -> Scalar:
    return jnp.sqrt(jnp.abs(a))


def _pow(a: Scalar, b: Scalar) -> Scalar:
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
    "floor": jnp.floor,
    "min": jnp.minimum,
    "max": jnp.maximum,
    "where": _where,
    "sqrt": _sqrt,
    "pow": _pow,
}
