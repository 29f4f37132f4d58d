"""The primitives of the expression language: one table of names, arities and exact meanings.

Every primitive is total: it has a value wherever its inputs are finite. The functions here, in NumPy
float64, are the reference; a back end maps every name of the table to its own function and is held to the
reference by tests/contracts/primitives.py.

LANGUAGE_VERSION counts every change of meaning. A function whose meaning changed keeps its old one under another name,
`pow_v1` for the `pow` of language 1, and UPGRADES says which names a text of that language is read with. So documents
and studies of an older language go on meaning what they meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

LANGUAGE_VERSION: Final = 2

DIV_THRESHOLD: Final = 1e-6  # `div`: a divisor nearer to 0 than this gives 1
LOG_FLOOR: Final = 1e-12  # the least magnitude that log looks at
EXP_LIMIT: Final = 80.0  # exp looks at no argument beyond ±80: e^80 still fits float32
POLE: Final = math.exp(EXP_LIMIT)  # the magnitude of a number divided by 0
ROUNDING: Final = 2.0**-40  # what lies nearer than this, relatively, is one number to floor, mod, less and equal
ROUNDING_FLOAT32: Final = 2.0**-22  # the same in float32: three roundings, and one more
POW_RANGE: Final = (math.exp(-EXP_LIMIT), math.exp(EXP_LIMIT))  # the values of pow_v1 are clipped to it

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Primitive:
    """A function of the language.

    `infix` is its sign in ordinary notation, None for one that is written as a call. `is_binary` says that it may be
    written between its arguments by its name, as the original form does: `(a div b)`.
    """

    name: str
    arity: int
    meaning: str
    reference: Callable[..., Array]
    infix: str | None = None
    is_binary: bool = False


def _div(a: Array, b: Array) -> Array:
    small = np.abs(b) < DIV_THRESHOLD
    return np.where(small, 1.0, a / np.where(small, 1.0, b))


def _quotient(a: Array, b: Array) -> Array:
    at_zero = np.where(a == 0, 1.0, np.sign(a) * POLE)
    return np.where(b == 0, at_zero, a / np.where(b == 0, 1.0, b))


def _exp(a: Array) -> Array:
    return np.exp(np.clip(a, -EXP_LIMIT, EXP_LIMIT))


def _log(a: Array) -> Array:
    return np.log(np.maximum(np.abs(a), LOG_FLOOR))


def _floor(a: Array) -> Array:
    near = np.rint(a)
    return np.where(np.abs(a - near) <= ROUNDING * np.maximum(1.0, np.abs(a)), near, np.floor(a))


def _mod(a: Array, b: Array) -> Array:
    divisor = np.where(b == 0, 1.0, b)
    ratio = a / divisor
    near = np.rint(ratio)
    is_whole = np.abs(ratio - near) <= ROUNDING * np.maximum(1.0, np.abs(ratio))
    is_small = (near == 0) & (ratio >= 0)  # a itself, to the last bit
    return np.where((b == 0) | (is_whole & ~is_small), 0.0, np.mod(a, divisor))


def _where(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition > 0, a, b)


def _sqrt(a: Array) -> Array:
    return np.sqrt(np.maximum(a, 0.0))


def _pow(a: Array, b: Array) -> Array:
    power = np.where((a == 0) & (b < 0), POLE, np.power(a, b))
    return np.where((a < 0) & np.isfinite(b) & (b != np.floor(b)), 0.0, power)


def _is_near(a: Array, b: Array) -> NDArray[np.bool_]:
    gap = np.abs(a - b)
    return (a == b) | (np.isfinite(gap) & (gap <= ROUNDING * np.maximum(np.abs(a), np.abs(b))))


def _less(a: Array, b: Array) -> Array:
    return np.where((a < b) & ~_is_near(a, b), 1.0, 0.0)


def _less_equal(a: Array, b: Array) -> Array:
    return np.where((a < b) | _is_near(a, b), 1.0, 0.0)


def _equal(a: Array, b: Array) -> Array:
    return np.where(_is_near(a, b), 1.0, 0.0)


def _sqrt_v1(a: Array) -> Array:
    return np.sqrt(np.abs(a))


def _pow_v1(a: Array, b: Array) -> Array:
    return np.clip(np.power(np.maximum(np.abs(a), LOG_FLOOR), b), *POW_RANGE)


_TABLE = (
    Primitive("add", 2, "a + b", np.add, "+", is_binary=True),
    Primitive("sub", 2, "a − b", np.subtract, "-", is_binary=True),
    Primitive("mul", 2, "a · b", np.multiply, "*", is_binary=True),
    Primitive(
        "div", 2, f"the first experiment's division: 1 where |b| < {DIV_THRESHOLD:g}, else a / b", _div, is_binary=True
    ),
    Primitive("sin", 1, "sine of a in radians", np.sin),
    Primitive("cos", 1, "cosine of a in radians", np.cos),
    Primitive("exp", 1, f"e to the power of a, a clipped to ±{EXP_LIMIT:g}", _exp),
    Primitive("log", 1, f"natural logarithm of max(|a|, {LOG_FLOOR:g})", _log),
    Primitive(
        "quotient", 2, f"a / b; 1 at 0/0, and a's sign times e^{EXP_LIMIT:g} at a/0", _quotient, "/", is_binary=True
    ),
    Primitive(
        "mod", 2, "a − b · floor(a / b), as Python's %; 0 where a is a multiple of b, or b = 0", _mod, "%", is_binary=True
    ),
    Primitive(
        "pow",
        2,
        f"a to the power of b; 0 for a negative a and a b that is not whole, e^{EXP_LIMIT:g} for 0 and a negative b",
        _pow,
        "**",  # and no name between its arguments: (-2 pow 2) would be −(2²), by the precedence of signs
    ),
    Primitive("less", 2, "1 where a < b by more than rounding, else 0", _less, "<", is_binary=True),
    Primitive("less_equal", 2, "1 where a < b or a = b up to rounding, else 0", _less_equal, "<=", is_binary=True),
    Primitive("equal", 2, "1 where a = b up to rounding, else 0", _equal, "==", is_binary=True),
    Primitive("floor", 1, "the greatest integer that is not above a; a whole number up to rounding is that number", _floor),
    Primitive("round", 1, "the nearest integer, halves to the even one", np.rint),
    Primitive("min", 2, "the lesser of a and b", np.minimum),
    Primitive("max", 2, "the greater of a and b", np.maximum),
    Primitive("where", 3, "b where a > 0, else c", _where),
    Primitive("abs", 1, "the magnitude of a", np.abs),
    Primitive("sign", 1, "−1, 0 or 1, as a is below, at or above 0", np.sign),
    Primitive("sqrt", 1, "square root of a; 0 for a negative a", _sqrt),
    Primitive("tanh", 1, "hyperbolic tangent of a", np.tanh),
    Primitive("floor_v1", 1, "floor of language 1: the greatest integer that is not above a", np.floor),
    Primitive("sqrt_v1", 1, "sqrt of language 1: square root of |a|", _sqrt_v1),
    Primitive(
        "pow_v1",
        2,
        f"pow of language 1: max(|a|, {LOG_FLOOR:g}) to the power of b, clipped to e^±{EXP_LIMIT:g}",
        _pow_v1,
    ),
)  # fmt: skip

PRIMITIVES: Final = MappingProxyType({p.name: p for p in _TABLE})

ORIGINAL_SET: Final = ("add", "sub", "mul", "div", "sin", "cos", "exp", "log")
"""The functions of the first experiment; never to grow."""

UPGRADES: Final[Mapping[int, Mapping[str, str]]] = MappingProxyType(
    {1: {"/": "div", "floor": "floor_v1", "sqrt": "sqrt_v1", "pow": "pow_v1"}}
)
"""By older language: what its signs and names are called in this one, where that is another name."""

EXTENDED_SET: Final = tuple(
    name for name in PRIMITIVES if name != "div" and name not in {n for old in UPGRADES.values() for n in old.values()}
)
"""All functions of this language: what the standard schedules need beyond the original set, too."""
