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

from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, POLE, PRIMITIVES, ROUNDING
from evolr.expression.tree import Expression
from evolr.signals.own import signal_of


def _div(a: float, b: float) -> float:
    return 1.0 if abs(b) < DIV_THRESHOLD else a / b


def _quotient(a: float, b: float) -> float:
    if b == 0:
        return math.copysign(POLE, a) if a < 0 or a > 0 else 1.0 if a == 0 else a
    return a / b


def _sin(a: float) -> float:
    return math.sin(a) if math.isfinite(a) else math.nan


def _cos(a: float) -> float:
    return math.cos(a) if math.isfinite(a) else math.nan


def _exp(a: float) -> float:
    return math.exp(min(max(a, -EXP_LIMIT), EXP_LIMIT))


def _log(a: float) -> float:
    return math.log(max(abs(a), LOG_FLOOR))


def _floor(a: float) -> float:
    if not math.isfinite(a):
        return a
    near = float(round(a))
    return near if abs(a - near) <= ROUNDING * max(1.0, abs(a)) else float(math.floor(a))


def _mod(a: float, b: float) -> float:
    if b == 0:
        return 0.0
    ratio = a / b
    if math.isfinite(ratio):
        near = round(ratio)
        is_whole = abs(ratio - near) <= ROUNDING * max(1.0, abs(ratio))
        if is_whole and not (near == 0 and ratio >= 0):
            return 0.0
    return a % b


def _round(a: float) -> float:
    return float(round(a)) if math.isfinite(a) else a


def _abs(a: float) -> float:
    return abs(a)


def _sign(a: float) -> float:
    return math.copysign(1.0, a) if a < 0 or a > 0 else a


def _tanh(a: float) -> float:
    return math.tanh(a)


def _is_near(a: float, b: float) -> bool:
    gap = abs(a - b)
    return a == b or (math.isfinite(gap) and gap <= ROUNDING * max(abs(a), abs(b)))


def _less(a: float, b: float) -> float:
    return 1.0 if a < b and not _is_near(a, b) else 0.0


def _less_equal(a: float, b: float) -> float:
    return 1.0 if a < b or _is_near(a, b) else 0.0


def _equal(a: float, b: float) -> float:
    return 1.0 if _is_near(a, b) else 0.0


def _min(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else min(a, b)


def _max(a: float, b: float) -> float:
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


def _where(condition: float, a: float, b: float) -> float:
    return a if condition > 0 else b


def _sqrt(a: float) -> float:
    return math.sqrt(max(a, 0.0)) if not math.isnan(a) else a


def _pow(a: float, b: float) -> float:
    if a == 0 and b < 0:
        return POLE
    if a < 0 and math.isfinite(b) and b != math.floor(b):
        return 0.0
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf


def _floor_v1(a: float) -> float:
    return float(math.floor(a)) if math.isfinite(a) else a


def _sqrt_v1(a: float) -> float:
    return math.sqrt(abs(a))


def _pow_v1(a: float, b: float) -> float:
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
    "quotient": _quotient,
    "mod": _mod,
    "pow": _pow,
    "less": _less,
    "less_equal": _less_equal,
    "equal": _equal,
    "floor": _floor,
    "round": _round,
    "min": _min,
    "max": _max,
    "where": _where,
    "abs": _abs,
    "sign": _sign,
    "sqrt": _sqrt,
    "tanh": _tanh,
    "floor_v1": _floor_v1,
    "sqrt_v1": _sqrt_v1,
    "pow_v1": _pow_v1,
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
            stack.append(signals[signal_of(token)])
    return stack.pop()
