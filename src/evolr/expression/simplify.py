"""Formulas for people: simplified text and LaTeX, through sympy.

For display only. sympy knows no protected division and no clipped exponential: parts without a signal are computed by
the reference before sympy sees them, and of the rest what it returns is equal where the protections do not act. It is
never read back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from evolr.expression.primitives import DIV_THRESHOLD, PRIMITIVES
from evolr.expression.signals import SIGNALS
from evolr.expression.tree import Expression, arity

_DIGITS: Final = 9  # significant, in a displayed constant
_MAX_SIMPLIFIED: Final = 30  # nodes; beyond it sympy's simplify may take minutes, so terms are only collected


def simplified(expression: Expression) -> str:
    """The formula in sympy's simplest form, constants to 9 significant digits.

    >>> from evolr.expression import parse
    >>> simplified(parse("(((epoch mul -0.001537) mul -0.75568) sub -0.001537)"))
    '0.00116148016*epoch + 0.001537'
    """
    import sympy

    return str(sympy.sstr(_simplest(expression), full_prec=False))


def latex(expression: Expression) -> str:
    """The simplified formula in LaTeX, signals upright."""
    import sympy

    names = {sympy.Symbol(name, real=True): rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}" for name in SIGNALS}
    return str(sympy.latex(_simplest(expression), symbol_names=names, full_prec=False))


def _simplest(expression: Expression) -> Any:
    import sympy

    exact = _to_sympy(expression)
    simple = sympy.simplify(exact) if expression.size <= _MAX_SIMPLIFIED else exact
    if simple.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        return exact  # a protection acts here, which sympy cannot say
    expanded = sympy.expand(simple)
    if sympy.count_ops(expanded) <= sympy.count_ops(simple):
        simple = expanded
    return simple.xreplace({number: sympy.Float(number, _DIGITS) for number in simple.atoms(sympy.Float)})


def _to_sympy(expression: Expression) -> Any:
    """The expression in sympy's terms, left as it is written but for what is constant."""
    import sympy

    functions: dict[str, Callable[..., Any]] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "sin": sympy.sin,
        "cos": sympy.cos,
        "exp": sympy.exp,
        "log": lambda a: sympy.log(sympy.Abs(a)),
        "quotient": lambda a, b: a / b,
        "mod": lambda a, b: a - b * sympy.floor(a / b),
        "pow": lambda a, b: a**b,
        "less": lambda a, b: sympy.Piecewise((1, a < b), (0, True)),
        "equal": lambda a, b: sympy.Piecewise((1, sympy.Eq(a, b)), (0, True)),
        "floor": sympy.floor,
        "round": lambda a: sympy.floor(a + sympy.Rational(1, 2)),
        "min": sympy.Min,
        "max": sympy.Max,
        "where": lambda a, b, c: sympy.Piecewise((b, a > 0), (c, True)),
        "abs": sympy.Abs,
        "sign": sympy.sign,
        "sqrt": sympy.sqrt,
        "tanh": sympy.tanh,
        "floor_v1": sympy.floor,
        "sqrt_v1": lambda a: sympy.sqrt(sympy.Abs(a)),
        "pow_v1": lambda a, b: sympy.Abs(a) ** b,
    }
    assert functions.keys() == PRIMITIVES.keys()
    stack: list[Any] = []
    for token in reversed(expression.tokens):
        if not isinstance(token, str):
            stack.append(sympy.Float(token))
        elif token in SIGNALS:
            stack.append(sympy.Symbol(token, real=True))
        else:
            arguments = [stack.pop() for _ in range(arity(token))]
            value = _constant_value(token, arguments)
            stack.append(functions[token](*arguments) if value is None else sympy.Float(value))
    return stack.pop()


def _constant_value(name: str, arguments: Sequence[Any]) -> float | None:
    """The reference's value of a function of numbers, or of a division by one that is protected; else None."""
    if name == "div" and arguments[1].is_number and abs(arguments[1]) < DIV_THRESHOLD:
        return 1.0
    if not all(argument.is_number for argument in arguments):
        return None
    with np.errstate(all="ignore"):
        value = float(PRIMITIVES[name].reference(*(np.float64(argument) for argument in arguments)))
    return value if np.isfinite(value) else None
