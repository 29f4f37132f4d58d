"""The primitives of the expression language: one table of names, arities and exact meanings.

Every primitive is total: it has a value wherever its inputs are finite. The functions here, in NumPy
float64, are the reference; a back end maps every name of the table to its own function and is held to the
reference by tests/contracts/primitives.py.

The order of the table numbers the opcodes of packed programs. It only ever grows at its end, and
LANGUAGE_VERSION counts every change of meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

LANGUAGE_VERSION: Final = 1

DIV_THRESHOLD: Final = 1e-6  # a divisor nearer to 0 than this gives 1
LOG_FLOOR: Final = 1e-12  # the least magnitude that log looks at
EXP_LIMIT: Final = 80.0  # exp looks at no argument beyond ±80: e^80 still fits float32
POW_RANGE: Final = (math.exp(-EXP_LIMIT), math.exp(EXP_LIMIT))  # the values of pow are clipped to it

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A function of the language.

    `infix` is its sign in ordinary notation, None for one that is written as a call.
    """

    name: str
    arity: int
    meaning: str
    reference: Callable[..., Array]
    infix: str | None = None


def _div(a: Array, b: Array) -> Array:
    small = np.abs(b) < DIV_THRESHOLD
    return np.where(small, 1.0, a / np.where(small, 1.0, b))


def _exp(a: Array) -> Array:
    return np.exp(np.clip(a, -EXP_LIMIT, EXP_LIMIT))


def _log(a: Array) -> Array:
    return np.log(np.maximum(np.abs(a), LOG_FLOOR))


def _where(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition > 0, a, b)


def _sqrt(a: Array) -> Array:
    return np.sqrt(np.abs(a))


def _pow(a: Array, b: Array) -> Array:
    return np.clip(np.power(np.maximum(np.abs(a), LOG_FLOOR), b), *POW_RANGE)


_TABLE = (
    Primitive("add", 2, "a + b", np.add, "+"),
    Primitive("sub", 2, "a − b", np.subtract, "-"),
    Primitive("mul", 2, "a · b", np.multiply, "*"),
    Primitive("div", 2, f"1 where |b| < {DIV_THRESHOLD:g}, else a / b", _div, "/"),
    Primitive("sin", 1, "sine of a in radians", np.sin),
    Primitive("cos", 1, "cosine of a in radians", np.cos),
    Primitive("exp", 1, f"e to the power of a, a clipped to ±{EXP_LIMIT:g}", _exp),
    Primitive("log", 1, f"natural logarithm of max(|a|, {LOG_FLOOR:g})", _log),
    Primitive("floor", 1, "the greatest integer that is not above a", np.floor),
    Primitive("min", 2, "the lesser of a and b", np.minimum),
    Primitive("max", 2, "the greater of a and b", np.maximum),
    Primitive("where", 3, "b where a > 0, else c", _where),
    Primitive("sqrt", 1, "square root of |a|", _sqrt),
    Primitive("pow", 2, f"max(|a|, {LOG_FLOOR:g}) to the power of b, clipped to e^±{EXP_LIMIT:g}", _pow),
)

PRIMITIVES: Final = MappingProxyType({p.name: p for p in _TABLE})

ORIGINAL_SET: Final = ("add", "sub", "mul", "div", "sin", "cos", "exp", "log")
"""The functions of the first experiment; never to grow."""

EXTENDED_SET: Final = tuple(PRIMITIVES)
"""All functions: what the standard schedules need beyond the original set, too."""
