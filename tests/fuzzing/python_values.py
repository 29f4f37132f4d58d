"""Formulas that Python reads too, and their values by Python's own arithmetic, walked over `ast`.

Where a protection or a tolerance of the language acts, the two differ on purpose, and the value is left out:
a division by zero, a complex power, what is not finite, exp beyond ±80, log of nearly 0, an argument of a step function
or a comparison that is within 1e-9 of where it falls, whole numbers beyond 2⁵³.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

Number = float  # an int or a bool among them, as Python computes with these

_NEAR: Final = 1e-9
_EXACT: Final = 2**53


class LeftOutError(Exception):
    """A value that is not compared: a protection or a tolerance acts, or Python has none."""


class NotPythonError(Exception):
    """A text that Python does not read, or that says more than this walk knows."""


# --- formulas -----------------------------------------------------------------------------------------------------------

_SIGNALS = ("epoch", "step", "total_steps", "total_epochs", "loss", "val_loss", "progress", "epoch_progress", "lr",
            "stale_epochs", "loss_ema", "pi", "math.pi", "math.e")  # fmt: skip
_FUNCTIONS = ("abs", "math.fabs", "math.sqrt", "math.exp", "math.log", "math.sin", "math.cos", "math.tanh", "math.floor",
              "math.ceil", "round", "int", "float", "math.trunc", "math.log2", "math.log10", "sin", "cos", "exp", "sqrt",
              "tanh", "floor", "ceil", "log")  # fmt: skip


def formula(rng: Random, depth: int) -> str:
    """A text of Python's and the language's; brackets stand where they must, or by chance."""
    if depth <= 0 or rng.random() < 0.1:
        return _leaf(rng)
    inner = depth - 1
    match rng.randrange(12):
        case 0 | 1 | 2 | 3 | 4:
            sign = rng.choice(("+", "-", "*", "/", "//", "%", "**", "+", "-", "*"))
            space = rng.choice(("", " "))
            right = str(rng.randint(-3, 4)) if sign == "**" and rng.random() < 0.7 else _part(rng, inner)
            return f"{_part(rng, inner)}{space}{sign}{space}{right}"
        case 5:
            return f"{rng.choice(('-', '+', '- ', '--', '-+'))}{_part(rng, inner)}"
        case 6 | 7:
            name, other = rng.choice(_FUNCTIONS), rng.choice(("math.pow", "pow", "math.remainder", "math.fmod"))
            argument = formula(rng, inner)
            return f"{name}({argument})" if rng.random() < 0.8 else f"{other}({argument}, {formula(rng, inner)})"
        case 8:
            count = rng.randint(2, 4)
            return f"{rng.choice(('min', 'max'))}({', '.join(formula(rng, inner) for _ in range(count))})"
        case 9 | 10:
            condition = _truth(rng, inner) if rng.random() < 0.8 else _part(rng, inner)
            return f"{_part(rng, inner)} if {condition} else {_part(rng, inner)}"
        case _:
            return f"({_truth(rng, inner)})" if rng.random() < 0.8 else _truth(rng, inner)


def _leaf(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_SIGNALS)
    return rng.choice(
        (
            str(rng.randint(0, 12)),
            repr(round(rng.uniform(0, 4), rng.randint(0, 5))),
            rng.choice(("1e-3", "0.5", "1_000", ".25", "3.", "2e0", "1E2", "0.1", "30", "7")),
        )
    )


def _part(rng: Random, depth: int) -> str:
    text = formula(rng, depth)
    return f"({text})" if rng.random() < 0.5 else text


def _truth(rng: Random, depth: int) -> str:
    kind = rng.random() if depth > 0 else 0.0
    if kind < 0.5:
        sign = rng.choice(("<", "<=", ">", ">=", "==", "!="))
        return f"{_part(rng, depth - 1)} {sign} {_part(rng, depth - 1)}"
    if kind < 0.65:
        return f"not {_truth(rng, depth - 1)}"
    if kind < 0.75:
        return f"({_truth(rng, depth - 1)})"
    return f"{_truth(rng, depth - 1)} {rng.choice(('and', 'or'))} {_truth(rng, depth - 1)}"


# --- values -------------------------------------------------------------------------------------------------------------


def tree(text: str) -> ast.expr:
    """The text as Python reads it. Raises NotPythonError for what is not an expression of Python's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of `1if`, of `(1)(2)`
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError, UnicodeError) as error:
        raise NotPythonError from error


def value(tree: ast.expr, signals: Mapping[str, Number]) -> float:
    """The value that Python gives where the signals have these values.

    Raises LeftOutError and NotPythonError.
    """
    try:
        found = _Walk(signals, 1.0).value(tree)
        # evolr writes log2 and log10 with log: where their last bits move the value, nothing can be asked.
        moved = _Walk(signals, 1.0 + 1e-14).value(tree)
    except RecursionError as error:  # hundreds of signs before a number
        raise LeftOutError from error
    if not math.isclose(found, moved, rel_tol=1e-11, abs_tol=0.0):
        raise LeftOutError
    return float(found)


class _Walk:
    """One walk. nudge: a factor of each log2 and log10."""

    def __init__(self, signals: Mapping[str, Number], nudge: float) -> None:
        self.signals = {"pi": math.pi, "e": math.e, **signals}
        self.nudge = nudge

    def value(self, node: ast.expr) -> Number:
        try:
            found = self._value(node)
        except (ArithmeticError, ValueError) as error:  # of Python's: a division by zero, a domain, an overflow
            raise LeftOutError from error
        is_inexact = isinstance(found, int) and abs(found) > _EXACT
        if is_inexact or isinstance(found, complex) or not math.isfinite(found):
            raise LeftOutError
        return found

    def _value(self, node: ast.expr) -> Number:
        match node:
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _UNARY[type(op)](self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](self.value(left), self.value(right))
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp(op=op, values=values):
                return self._and_or(isinstance(op, ast.And), values)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.Call(func=func, args=args, keywords=[]):
                return self._call(func, args)
            case _:
                return self._leaf(node)

    def _leaf(self, node: ast.expr) -> Number:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return number if abs(number) <= _EXACT else float(number)
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="math"), attr="pi" | "e" as name):
                if name in self.signals:
                    return self.signals[name]
        raise NotPythonError

    def _comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, other in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARISONS:
                raise NotPythonError
            right = self.value(other)
            if left != right and abs(left - right) <= _NEAR * max(abs(left), abs(right)):
                raise LeftOutError
            if not _COMPARISONS[type(op)](left, right):
                return False
            left = right
        return True

    def _and_or(self, is_and: bool, values: list[ast.expr]) -> Number:
        found: Number = is_and
        for each in values:
            found = self.value(each)
            if bool(found) is not is_and:
                return found
        return found

    def _call(self, func: ast.expr, args: list[ast.expr]) -> Number:
        match func:
            case ast.Name(id=name):
                function = _BUILTIN.get(name)
            case ast.Attribute(value=ast.Name(id="math"), attr=name):
                function = _MATH.get(name)
            case _:
                function = None
        if function is None or (name in ("min", "max") and len(args) < 2):
            raise NotPythonError
        arguments = [self.value(arg) for arg in args]
        try:
            found = function(*arguments)
        except TypeError as error:  # the number of arguments
            raise NotPythonError from error
        return found * self.nudge if name in ("log2", "log10") else found


def _power(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and abs(b) > 1_000:
        raise LeftOutError
    return a**b


def _clear_ratio(a: Number, b: Number) -> None:
    """Raises LeftOutError if a is nearly a multiple of b, and not exactly."""
    if isinstance(a, int) and isinstance(b, int):
        return
    ratio = a / b
    if abs(ratio - round(ratio)) <= _NEAR * max(1.0, abs(ratio)):
        raise LeftOutError


def _modulo(a: Number, b: Number) -> Number:
    _clear_ratio(a, b)
    return a % b


def _whole_quotient(a: Number, b: Number) -> Number:
    _clear_ratio(a, b)
    return a // b


def _step(function: Callable[[Number], Number], falls_at: float = 0.0) -> Callable[[Number], Number]:
    """A step function, where the argument is exactly at a step, or clearly beside it."""

    def stepped(a: Number) -> Number:
        gap = abs(a - falls_at - round(a - falls_at))
        if 0 < gap <= _NEAR * max(1.0, abs(a)):
            raise LeftOutError
        return function(a)

    return stepped


def _exp(a: Number) -> float:
    if abs(a) > 80:
        raise LeftOutError
    return math.exp(a)


def _log(function: Callable[[Number], float]) -> Callable[[Number], float]:
    def logarithm(a: Number) -> float:
        if a < 1e-12:
            raise LeftOutError
        return function(a)

    return logarithm


_UNARY: Final = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_BINARY: Final[Mapping[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: _whole_quotient,
    ast.Mod: _modulo,
    ast.Pow: _power,
}
_COMPARISONS: Final = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_MATH: Final[Mapping[str, Callable[..., Number]]] = {
    **{name: getattr(math, name) for name in ("sqrt", "sin", "cos", "tanh", "fabs", "pow", "remainder", "fmod")},
    "exp": _exp,
    **{name: _log(getattr(math, name)) for name in ("log", "log2", "log10")},
    "floor": _step(math.floor),
    "ceil": _step(math.ceil),
    "trunc": _step(math.trunc),
}
"""Python's own module. `remainder` is none of the language's: there it would be another function."""

_BUILTIN: Final[Mapping[str, Callable[..., Number]]] = {
    **{name: _MATH[name] for name in ("sqrt", "sin", "cos", "tanh", "exp", "log", "log2", "log10", "floor", "ceil")},
    "abs": abs,
    "min": min,
    "max": max,
    "pow": _power,
    "int": _step(int),
    "float": float,
    "round": _step(round, falls_at=0.5),
}
