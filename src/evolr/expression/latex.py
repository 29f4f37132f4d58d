r"""Formulas in LaTeX: the same tree as in text, signals upright, quotients as fractions.

What is set is what the formula means: log is that of a magnitude, less and equal are 1 or 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from evolr.expression.notation import ATOM, POWER, PRODUCT, SIGN, SUM
from evolr.expression.tree import Expression, Token
from evolr.signals.own import signal_of


class _Part(NamedTuple):
    """A part of a formula. binding: how tightly its root binds. arguments: of a min or max, for a longer one to take over."""

    text: str
    binding: int
    name: str = ""
    arguments: tuple[str, ...] = ()

    def within(self, binding: int) -> str:
        return _bracketed(self.text) if self.binding < binding else self.text


def latex(expression: Expression) -> str:
    r"""The formula in LaTeX.

    >>> from evolr.expression import parse
    >>> latex(parse("0.1*min(1, progress/0.3)"))
    '0.1 \\min\\left(1, \\frac{\\mathrm{progress}}{0.3}\\right)'
    """
    return expression.fold(_leaf, lambda name, arguments: _RULES[name](*arguments)).text


def _leaf(token: Token) -> _Part:
    if isinstance(token, str):
        return _Part(rf"\mathrm{{{signal_of(token).replace('_', chr(92) + '_')}}}", ATOM)
    if token == math.pi:
        return _Part(r"\pi", ATOM)
    text = repr(token).removesuffix(".0")
    digits, _, exponent = text.partition("e")
    if exponent:
        power = f"10^{{{int(exponent)}}}"
        text = {"1": power, "-1": f"-{power}"}.get(digits, rf"{digits} \cdot {power}")
    return _Part(text, SIGN if token < 0 else PRODUCT if exponent else ATOM)


def _bracketed(text: str) -> str:
    return rf"\left({text}\right)"


def _second(part: _Part) -> str:
    """An operand that stands after a sign."""
    return _bracketed(part.text) if part.binding < PRODUCT or part.text.startswith("-") else part.text


def _sum(sign: str) -> Callable[[_Part, _Part], _Part]:
    return lambda a, b: _Part(f"{a.text} {sign} {_second(b)}", SUM)


def _mul(a: _Part, b: _Part) -> _Part:
    left, right = a.within(PRODUCT), _second(b)
    if left == "-1" and not right[0].isdigit():
        return _Part(f"-{right}", PRODUCT)
    return _Part(rf"{left} \cdot {right}" if right[0].isdigit() else f"{left} {right}", PRODUCT)


def _fraction(a: _Part, b: _Part) -> _Part:
    return _Part(rf"\frac{{{a.text}}}{{{b.text}}}", POWER)


def _pow(a: _Part, b: _Part) -> _Part:
    return _Part(f"{a.within(ATOM)}^{{{b.text}}}", POWER)


def _call(name: str) -> Callable[..., _Part]:
    return lambda *arguments: _Part(rf"{name}{_bracketed(', '.join(a.text for a in arguments))}", ATOM)


def _extreme(name: str) -> Callable[[_Part, _Part], _Part]:
    def of(a: _Part, b: _Part) -> _Part:
        arguments = (a.text, *(b.arguments if b.name == name else (b.text,)))
        return _Part(rf"\{name}{_bracketed(', '.join(arguments))}", ATOM, name, arguments)

    return of


def _between(left: str, right: str) -> Callable[[_Part], _Part]:
    return lambda a: _Part(rf"{left}{a.text}{right}", ATOM)


def _truth(sign: str) -> Callable[[_Part, _Part], _Part]:
    return lambda a, b: _Part(rf"\left[{a.text} {sign} {b.text}\right]", ATOM, "truth", (f"{a.text} {sign} {b.text}",))


def _where(condition: _Part, a: _Part, b: _Part) -> _Part:
    said = condition.arguments[0] if condition.name == "truth" else f"{condition.text} > 0"
    cases = rf"{a.text} & \text{{if }} {said} \\ {b.text} & \text{{otherwise}}"
    return _Part(rf"\begin{{cases}} {cases} \end{{cases}}", ATOM)


_magnitude = _between(r"\left|", r"\right|")

_RULES: Final[Mapping[str, Callable[..., _Part]]] = {
    "add": _sum("+"),
    "sub": _sum("-"),
    "mul": _mul,
    "div": _fraction,
    "quotient": _fraction,
    "mod": _call(r"\operatorname{mod}"),
    "pow": _pow,
    "pow_v1": lambda a, b: _pow(_magnitude(a), b),
    "sin": _call(r"\sin"),
    "cos": _call(r"\cos"),
    "tanh": _call(r"\tanh"),
    "exp": _call(r"\exp"),
    "log": _between(r"\log\left|", r"\right|"),
    "sqrt": _between(r"\sqrt{", "}"),
    "sqrt_v1": lambda a: _between(r"\sqrt{", "}")(_magnitude(a)),
    "abs": _magnitude,
    "sign": _call(r"\operatorname{sign}"),
    "floor": _between(r"\left\lfloor ", r" \right\rfloor"),
    "floor_v1": _between(r"\left\lfloor ", r" \right\rfloor"),
    "round": _call(r"\operatorname{round}"),
    "min": _extreme("min"),
    "max": _extreme("max"),
    "less": _truth("<"),
    "less_equal": _truth(r"\le"),
    "equal": _truth("="),
    "where": _where,
}
