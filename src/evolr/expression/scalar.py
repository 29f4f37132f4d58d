"""The value of a formula at one point, in Python's own floats: the language's back end for training loops.

Each primitive has its function here, with the meaning of the NumPy reference in primitives.py and `math` alone, so that
the exporter can hand them over as they stand. Where Python raises on what floats can say (an overflow, the sine of
infinity), these return what the reference returns.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Final

from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, PRIMITIVES
from evolr.expression.tree import Expression


def _div(a: float, b: float) -> float:
    return 1.0 if abs(b) < DIV_THRESHOLD else a / b


def _sin(a: float) -> float:
    return math.sin(a) if math.isfinite(a) else math.nan


def _cos(a: float) -> float:
    return math.cos(a) if math.isfinite(a) else math.nan


def _exp(a: float) -> float:
    return math.exp(min(max(a, -EXP_LIMIT), EXP_LIMIT))


def _log(a: float) -> float:
    return math.log(max(abs(a), LOG_FLOOR))


def _floor(a: float) -> float:
    return float(math.floor(a)) if math.isfinite(a) else a


def _min(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)


def _max(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _where(condition: float, a: float, b: float) -> float:
    return a if condition > 0 else b


def _sqrt(a: float) -> float:
    return math.sqrt(abs(a))


def _pow(a: float, b: float) -> float:
    try:
        power = max(abs(a), LOG_FLOOR) ** b
    except OverflowError:
        power = math.inf
    return min(max(power, math.exp(-EXP_LIMIT)), math.exp(EXP_LIMIT))


FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _div,
    "sin": _sin,
    "cos": _cos,
    "exp": _exp,
    "log": _log,
    "floor": _floor,
    "min": _min,
    "max": _max,
    "where": _where,
    "sqrt": _sqrt,
    "pow": _pow,
}


def value(expression: Expression, signals: Mapping[str, float]) -> float:
    """The value of a formula where its signals have these values; may be non-finite, never raises on floats."""
    stack: list[float] = []
    for token in reversed(expression.tokens):
        if not isinstance(token, str):
            stack.append(token)
        elif token in FUNCTIONS:
            stack.append(FUNCTIONS[token](*(stack.pop() for _ in range(PRIMITIVES[token].arity))))
        else:
            stack.append(signals[token])
    return stack.pop()
