"""A form as an expression again, written as briefly as its numbers allow.

A number may stand before a bracket or within it, 3·(1 − x) or 3 − 3·x: what has the fewest characters is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from evolr.expression import Expression, Token
from evolr.simplification.forms import BRACKET, Call, Form, Product
from evolr.simplification.numbers import tidied, total_length, written

Tokens = tuple[Token, ...]

_BRACKETS, _BRACKETS_OF_ALL, _NUMBER = 4, 7, 4
"""What counts, in characters: a pair of brackets, one around the whole formula, and that there is a number."""

_MOST_FACTORS: Final = 12  # numbers that are tried to take out of a bracket: the first ones

_LATE: Final = ("exp", "log", "sin", "cos", "tanh")  # in a product, after what they scale


def expression_of(form: Form) -> Expression:
    """The expression of a form. Raises ArithmeticError where a number leaves the range of floats."""
    tokens = _sum(form, _BRACKETS_OF_ALL)
    if not all(isinstance(token, str) or math.isfinite(token) for token in tokens):
        raise OverflowError("a number that is written is beyond the greatest float")
    return Expression(tokens)


def _sum(form: Form, brackets: int = _BRACKETS) -> Tokens:
    """brackets: what a pair around the sum counts."""
    if form.number is not None:
        return _number(form.number)
    if form.monomial:
        return _product(*form.monomial)
    factor = _best_factor(form.coefficients, 1.0, brackets=brackets)
    if factor != 1:
        return _product(factor, ((Call(BRACKET, (form.times(1 / factor),)), 1.0),), is_settled=True)
    parts: list[tuple[float, Callable[[float], Tokens]]] = []
    if form.constant:
        parts.append((form.constant, _number))
    parts += [(c, lambda k, product=product: _product(k, product)) for product, c in form.terms]
    parts = [*(part for part in parts if part[0] > 0), *(part for part in parts if part[0] < 0)]
    (first, write), *others = parts
    tokens = write(first)
    for coefficient, write in others:
        name = "sub" if coefficient < 0 else "add"
        tokens = (name, *tokens, *write(abs(coefficient)))
    return tokens


def _product(coefficient: float, product: Product, is_settled: bool = False) -> Tokens:
    """is_settled: the numbers before the brackets are chosen already."""
    above: list[Tokens] = []
    below: list[Tokens] = []
    for call, exponent in product:
        factor = 1.0 if is_settled else _factor_of(call, exponent, coefficient)
        coefficient *= factor**exponent
        inside = call if factor == 1 else Call(call.name, tuple(a.times(1 / factor) for a in call.arguments))
        (above if exponent > 0 else below).append(_power(_call(inside), abs(exponent)))
    coefficient = tidied(coefficient)
    if coefficient == 1 and not below and len(above) == 1:
        return above[0]
    way = written(coefficient)
    multiplier, has_pi, divisor = way[:3]
    if below and divisor != 1:
        multiplier, has_pi, divisor = coefficient, False, 1.0
    above.sort(key=lambda tokens: (tokens[0] in _LATE, len(tokens)))
    below.sort(key=len)
    numbers = [*([(multiplier,)] if multiplier != 1 else []), *([(math.pi,)] if has_pi else [])]
    if divisor != 1:
        below = [(divisor,)]
    numerator = _all("mul", [*numbers, *above]) if numbers or above else (1.0,)
    return ("quotient", *numerator, *_all("mul", below)) if below else numerator


def _factor_of(call: Call, exponent: float, outside: float) -> float:
    """The positive number to take out of a bracket, a min or a max that stands in a product."""
    if call.name == BRACKET:
        return _best_factor(call.arguments[0].coefficients, outside, exponent)
    if call.name not in ("min", "max"):
        return 1.0
    contents = [abs(argument.coefficients[0]) for argument in call.arguments if argument.coefficients]
    if (constant := call.arguments[0].number) and (outside != 1 or len(set(contents)) == 1):
        return abs(constant)  # 0.1·min(1, 3·x): what it comes to, and its shape
    if len(contents) < len(call.arguments):  # max(0, x − 1)
        return _best_factor([c for argument in call.arguments for c in argument.coefficients], outside, exponent)
    return contents[0] if len(set(contents)) == 1 else 1.0


def _best_factor(inside: Sequence[float], outside: float, exponent: float = 1.0, brackets: int = _BRACKETS) -> float:
    """The positive number to take out of numbers within brackets, the number before them being `outside`."""
    candidates = list(dict.fromkeys([1.0, *(abs(number) for number in inside)]))[:_MOST_FACTORS]
    if exponent == 1 and outside > 0:
        candidates.append(1 / outside)

    def cost(factor: float) -> int:
        before = outside * factor**exponent
        numbers = [before, *(number / factor for number in inside)]
        return (
            total_length(numbers) + _NUMBER * sum(abs(n) != 1 for n in map(tidied, numbers)) + brackets * (before != 1)
        )

    return min((tidied(factor) for factor in candidates if math.isfinite(1 / factor)), key=cost)


def _call(call: Call) -> Tokens:
    if call.name == BRACKET:
        return _sum(call.arguments[0])
    arguments = [_sum(argument) for argument in call.arguments]
    if call.name in ("min", "max"):
        *first, tokens = arguments
        for argument in reversed(first):
            tokens = (call.name, *argument, *tokens)
        return tokens
    return (call.name, *(token for argument in arguments for token in argument))


def _power(base: Tokens, exponent: float) -> Tokens:
    if exponent == 1:
        return base
    return ("sqrt", *base) if exponent == 0.5 else ("pow", *base, tidied(exponent))


def _number(value: float) -> Tokens:
    way = written(value)
    if not way.has_pi:
        return (tidied(value),)
    tokens = _all("mul", [*([(way.multiplier,)] if way.multiplier != 1 else []), (math.pi,)])
    return tokens if way.divisor == 1 else ("quotient", *tokens, way.divisor)


def _all(name: str, parts: Sequence[Tokens]) -> Tokens:
    """The parts from the left: ((a · b) · c)."""
    tokens, *others = parts
    for part in others:
        tokens = (name, *tokens, *part)
    return tokens
