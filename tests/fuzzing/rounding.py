"""How far a formula's value may be from the reference where each of its parts is rounded: a running error bound.

Back ends round differently: another library's sine, float32. A difference is a fault where it is beyond the bound. The
bound is infinite where a rounding can take a step, a branch or a protection to its other side, and beyond the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from evolr.expression import PRIMITIVES, Expression
from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, ROUNDING, ROUNDING_FLOAT32
from evolr.expression.scalar import FUNCTIONS

_INFINITE: Final = math.inf


@dataclass(frozen=True, slots=True)
class Precision:
    """unit: the relative error of one rounding. tolerance: what floor and less take for one number.

    least, greatest: the magnitudes within which values are looked at. rounded: to this precision.
    """

    unit: float
    tolerance: float
    least: float
    greatest: float
    rounded: Callable[[float], float]


DOUBLE: Final = Precision(2.0**-52, ROUNDING, 1e-290, 1e290, lambda value: value)
SINGLE: Final = Precision(2.0**-23, ROUNDING_FLOAT32, 1e-33, 1e33, lambda value: float(np.float32(value)))

_Pair = tuple[float, float]  # a value, and how far another back end's may be from it


def bounded(expression: Expression, signals: Mapping[str, float], precision: Precision) -> _Pair:
    """The value by the scalar back end, and the bound of another back end's distance from it.

    signals: exact in that precision.
    """
    stack: list[_Pair] = []
    for token in reversed(expression.tokens):
        if not isinstance(token, str):
            error = abs(precision.rounded(token) - token) if abs(token) < precision.greatest else _INFINITE
            stack.append(_within(token, error, precision))
        elif token in FUNCTIONS:
            arguments = [stack.pop() for _ in range(PRIMITIVES[token].arity)]
            value = FUNCTIONS[token](*(argument[0] for argument in arguments))
            stack.append(_within(value, _error(token, value, arguments, precision), precision))
        else:
            stack.append(_within(float(signals[token]), 0.0, precision))
    return stack.pop()


def _within(value: float, error: float, precision: Precision) -> _Pair:
    inside = value == 0 or precision.least <= abs(value) <= precision.greatest
    return value, error if inside and math.isfinite(error) else _INFINITE


def _error(name: str, value: float, arguments: list[_Pair], precision: Precision) -> float:
    """The bound of a primitive's value; a value that is not finite has none."""
    if name == "where":
        (condition, error), *branches = arguments
        if condition - error > 0:
            return branches[0][1]
        return branches[1][1] if condition + error <= 0 else _INFINITE
    if not math.isfinite(value) or any(math.isinf(error) for _, error in arguments):
        return _INFINITE
    if name in ("add", "sub", "mul", "sqrt", "sqrt_v1") and all(error == 0 for _, error in arguments):
        return abs(precision.rounded(value) - value)  # as IEEE 754 has it, in every back end
    return _ERRORS[name](value, *arguments, precision)


def _sum(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    return a[1] + b[1] + precision.unit * abs(value)


def _product(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    return abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1] + precision.unit * abs(value)


def _ratio(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    if b == (0.0, 0.0):
        is_sure = a[1] == 0 or abs(a[0]) > a[1]
        return precision.unit * abs(value) if is_sure else _INFINITE
    if abs(b[0]) <= b[1]:
        return _INFINITE
    return (a[1] + abs(value) * b[1]) / (abs(b[0]) - b[1]) + precision.unit * abs(value)


def _div(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    if abs(abs(b[0]) - DIV_THRESHOLD) <= b[1] + precision.unit * DIV_THRESHOLD:
        return _INFINITE
    return 0.0 if abs(b[0]) < DIV_THRESHOLD else _ratio(value, a, b, precision)


def _wave(_: float, a: _Pair, precision: Precision) -> float:
    return a[1] + 8 * precision.unit * max(1.0, abs(a[0]) if precision is SINGLE else 1.0)


def _exp(value: float, a: _Pair, precision: Precision) -> float:
    return value * (math.expm1(a[1]) + 8 * precision.unit * (1 + min(abs(a[0]), EXP_LIMIT))) if a[1] < 1 else _INFINITE


def _log(value: float, a: _Pair, precision: Precision) -> float:
    magnitude, error = abs(a[0]), a[1] + precision.unit * LOG_FLOOR
    if magnitude + error <= LOG_FLOOR:
        return 8 * precision.unit * abs(value)
    if magnitude - error <= LOG_FLOOR:
        return _INFINITE
    return a[1] / (magnitude - a[1]) + 8 * precision.unit * (1 + abs(value))


def _is_whole(value: float, error: float, precision: Precision) -> bool | None:
    """Whether both back ends take it for a whole number; None if they may differ."""
    gap, scale = abs(value - round(value)), max(1.0, abs(value))
    if gap <= ROUNDING * scale / 2 and gap + error <= precision.tolerance * scale / 2:
        return True
    return None if gap - error <= 2 * precision.tolerance * scale else False


def _floor(value: float, a: _Pair, precision: Precision) -> float:
    return _INFINITE if _is_whole(*a, precision) is None else precision.unit * abs(value)


def _mod(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    if b == (0.0, 0.0):
        return 0.0
    if abs(b[0]) <= b[1]:
        return _INFINITE
    ratio = a[0] / b[0]
    error = _ratio(ratio, a, b, precision)
    if not math.isfinite(ratio + error):
        return _INFINITE
    is_whole = _is_whole(ratio, error, precision)
    if is_whole is None:
        return _INFINITE
    if is_whole and round(ratio) == 0:
        return a[1] if ratio > error or a == (0.0, 0.0) else _INFINITE
    if is_whole:
        return 0.0
    return a[1] + abs(math.floor(ratio)) * b[1] + precision.unit * (abs(a[0]) + abs(b[0]))


def _pow(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    if a == (0.0, 0.0):
        return precision.unit * abs(value) if abs(b[0]) > b[1] or b == (0.0, 0.0) else _INFINITE
    if abs(a[0]) <= a[1]:
        return _INFINITE
    if a[0] < 0 and b[1] > 0:
        return 0.0 if abs(b[0] - round(b[0])) > b[1] and value == 0 else _INFINITE
    if a[0] < 0 and b[0] != math.floor(b[0]):
        return 0.0
    return _power(value, (abs(a[0]), a[1]), b, precision)


def _power(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    """Of a positive base."""
    slope = abs(math.log(a[0]))
    relative = abs(b[0]) * a[1] / (a[0] - a[1]) + slope * b[1] + precision.unit * 8 * (1 + abs(b[0]) * slope)
    return abs(value) * math.expm1(relative) if relative < 1 else _INFINITE


def _pow_v1(value: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    magnitude, error = abs(a[0]), a[1] + precision.unit * LOG_FLOOR
    if abs(magnitude - LOG_FLOOR) <= error:
        return _INFINITE
    base = (magnitude, a[1]) if magnitude > LOG_FLOOR else (LOG_FLOOR, precision.unit * LOG_FLOOR)
    return _power(value, base, b, precision)


def _near(_: float, a: _Pair, b: _Pair, precision: Precision) -> float:
    """Of less and equal: 0 where both back ends see the same, whether one number or two."""
    gap, error, scale = abs(a[0] - b[0]), a[1] + b[1], max(abs(a[0]), abs(b[0]))
    if gap == error == 0:
        return 0.0
    if gap <= ROUNDING * scale / 2 and gap + error <= precision.tolerance * scale / 2:
        return 0.0
    return 0.0 if gap - error > 2 * precision.tolerance * (scale + error) else _INFINITE


def _round(value: float, a: _Pair, precision: Precision) -> float:
    gap = abs(a[0] - 0.5 - round(a[0] - 0.5))
    return precision.unit * abs(value) if a[1] == 0 or gap > a[1] else _INFINITE


def _floor_v1(value: float, a: _Pair, precision: Precision) -> float:
    return precision.unit * abs(value) if a[1] == 0 or abs(a[0] - round(a[0])) > a[1] else _INFINITE


def _sign(_: float, a: _Pair, __: Precision) -> float:
    return 0.0 if a[1] == 0 or abs(a[0]) > a[1] else _INFINITE


def _root(value: float, a: _Pair, precision: Precision) -> float:
    if a[0] > a[1]:
        return a[1] / (2 * math.sqrt(a[0] - a[1])) + precision.unit * value
    return 0.0 if a[0] + a[1] <= 0 else math.sqrt(a[0] + a[1]) if a[0] > -a[1] else _INFINITE


_ERRORS: Final[Mapping[str, Callable[..., float]]] = {
    "add": _sum,
    "sub": _sum,
    "mul": _product,
    "div": _div,
    "quotient": _ratio,
    "sin": _wave,
    "cos": _wave,
    "exp": _exp,
    "log": _log,
    "mod": _mod,
    "pow": _pow,
    "pow_v1": _pow_v1,
    "less": _near,
    "less_equal": _near,
    "equal": _near,
    "floor": _floor,
    "floor_v1": _floor_v1,
    "round": _round,
    "sign": _sign,
    "min": lambda _, a, b, __: max(a[1], b[1]),
    "max": lambda _, a, b, __: max(a[1], b[1]),
    "abs": lambda _, a, __: a[1],
    "tanh": lambda _, a, precision: a[1] + 8 * precision.unit,
    "sqrt": _root,
    "sqrt_v1": lambda value, a, precision: _root(value, (abs(a[0]), a[1]), precision),
}
"""Of each primitive: (value, arguments…, precision) → the bound."""
