"""Where the values of a part of a formula lie, for rules that hold for some values alone: √(x²) is x if x ≥ 0.

A range is (low, high), the ends included. Losses are taken to be at least 0; differences.py looks at the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from evolr.expression.primitives import EXP_LIMIT, LOG_FLOOR
from evolr.signals import SIGNALS

Range = tuple[float, float]

EVERYTHING: Final[Range] = (-math.inf, math.inf)
POSITIVE: Final[Range] = (0.0, math.inf)


def sum_of(a: Range, b: Range) -> Range:
    """The range of a sum."""
    low, high = a[0] + b[0], a[1] + b[1]
    return EVERYTHING if math.isnan(low) or math.isnan(high) else (low, high)


def product_of(a: Range, b: Range) -> Range:
    """The range of a product; 0 times a bound at infinity is 0."""
    ends = [x * y if x and y else 0.0 for x in a for y in b]
    return min(ends), max(ends)


def power_of(base: Range, exponent: float) -> Range:
    """The range of a power with a constant exponent."""
    low, high = base
    if low < 0 and exponent % 2 == 0:
        low, high = 0.0, max(-low, high)
    elif low < 0 and not (exponent > 0 and exponent % 2 == 1):
        return EVERYTHING
    ends = _power(low, exponent), _power(high, exponent)
    return min(ends), max(ends)


def range_of(name: str, arguments: Sequence[Range]) -> Range:
    """The range of a signal, or of a function whose arguments have these."""
    if name in SIGNALS:
        return SIGNALS[name].low, SIGNALS[name].high
    return _RULES[name](*arguments) if name in _RULES else EVERYTHING


def _power(base: float, exponent: float) -> float:
    if base == 0:
        return math.inf if exponent < 0 else 0.0
    try:
        return base**exponent
    except OverflowError:
        return math.copysign(math.inf, base)


def _exp(a: Range) -> Range:
    low, high = (math.exp(min(max(end, -EXP_LIMIT), EXP_LIMIT)) for end in a)
    return low, high


def _magnitude(a: Range) -> Range:
    low, high = a
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def _log(a: Range) -> Range:
    low, high = (max(end, LOG_FLOOR) for end in _magnitude(a))
    return math.log(low), math.log(high)


def _whole(a: Range) -> Range:
    """Of floor and round; a number that is whole up to rounding counts as that."""
    low, high = (math.floor(end) if math.isfinite(end) else end for end in a)
    return low, high + 1


def _quotient(a: Range, b: Range) -> Range:
    return POSITIVE if a[0] >= 0 and b[0] >= 0 else EVERYTHING


def _signs(a: Range) -> Range:
    low, high = ((end > 0) - (end < 0) for end in a)
    return low, high


def _mod(_a: Range, b: Range) -> Range:
    return (0.0, b[1]) if b[0] >= 0 else EVERYTHING


_RULES: Final[Mapping[str, Callable[..., Range]]] = {
    "bracket": lambda a: a,
    "exp": _exp,
    "log": _log,
    "sin": lambda _a: (-1.0, 1.0),
    "cos": lambda _a: (-1.0, 1.0),
    "tanh": lambda a: (math.tanh(a[0]), math.tanh(a[1])),
    "abs": _magnitude,
    "sign": _signs,
    "sqrt": lambda _a: POSITIVE,
    "sqrt_v1": lambda _a: POSITIVE,
    "floor": _whole,
    "floor_v1": _whole,
    "round": _whole,
    "min": lambda a, *rest: (min(a[0], *(r[0] for r in rest)), min(a[1], *(r[1] for r in rest))),
    "max": lambda a, *rest: (max(a[0], *(r[0] for r in rest)), max(a[1], *(r[1] for r in rest))),
    "where": lambda _condition, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "less": lambda _a, _b: (0.0, 1.0),
    "less_equal": lambda _a, _b: (0.0, 1.0),
    "equal": lambda _a, _b: (0.0, 1.0),
    "mod": _mod,
    "quotient": _quotient,
    "pow": lambda a, _b: POSITIVE if a[0] >= 0 else EVERYTHING,
    "pow_v1": lambda _a, _b: POSITIVE,
}
