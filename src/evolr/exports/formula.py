"""A formula as the lines of a function: Python on floats, or JAX on traced arrays.

Constants are written by their shortest round trip, so the code says exactly what the formula does. A part that is long,
or that the formula uses twice, gets a name and a line of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from evolr.expression import Expression, Token, arity
from evolr.expression.primitives import DIV_THRESHOLD
from evolr.signals.own import signal_of

_CHOICE, _SUM, _PRODUCT, _ATOM = 0, 1, 2, 3  # how tightly the root of a text binds
_INFIX: Final = {
    "add": ("+", _SUM),
    "sub": ("-", _SUM),
    "mul": ("*", _PRODUCT),
    "div": ("/", _PRODUCT),
    "quotient": ("/", _PRODUCT),
}
_LONG: Final = 48  # characters of a part that gets a name
_REPEATED: Final = 4  # nodes of a part that gets a name where it stands twice


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a language says the primitives.

    module: where the functions of evolr's own back end stand, each primitive's under its name with a `_` before it.
    templates: those that need no function, as a text with places for the arguments, and how tightly its root binds.
    """

    module: str
    templates: Mapping[str, tuple[str, int]]


PYTHON: Final = Dialect(
    "evolr.expression.scalar", {"where": ("{1} if {0} > 0 else {2}", _CHOICE), "abs": ("abs({0})", _ATOM)}
)
JAX: Final = Dialect(
    "evolr.training.primitives",
    {
        "sin": ("jnp.sin({0})", _ATOM),
        "cos": ("jnp.cos({0})", _ATOM),
        "floor_v1": ("jnp.floor({0})", _ATOM),
        "round": ("jnp.rint({0})", _ATOM),
        "abs": ("jnp.abs({0})", _ATOM),
        "sign": ("jnp.sign({0})", _ATOM),
        "tanh": ("jnp.tanh({0})", _ATOM),
        "min": ("jnp.minimum({0}, {1})", _ATOM),
        "max": ("jnp.maximum({0}, {1})", _ATOM),
        "where": ("jnp.where({0} > 0, {1}, {2})", _ATOM),
    },
)


@dataclass(frozen=True, slots=True)
class Code:
    """A formula as code. parts: lines `name = …`, in order. value: what gives the value. functions: that it calls."""

    parts: list[str]
    value: str
    functions: frozenset[str]


def code(expression: Expression, dialect: Dialect) -> Code:
    """The code of a formula.

    >>> from evolr.expression import parse
    >>> code(parse("0.5*(1 - progress)/loss"), PYTHON)
    Code(parts=[], value='_quotient(0.5 * (1.0 - progress), loss)', functions=frozenset({'_quotient'}))
    """
    return _Writing(expression, dialect).code()


class _Writing:
    """The writing of one formula, from the left; a formula is at most 200 levels deep (expression/text.py)."""

    def __init__(self, expression: Expression, dialect: Dialect) -> None:
        self.tokens = expression.tokens
        self.dialect = dialect
        self.trees = [self.tokens[i : expression.end(i)] for i in range(len(self.tokens))]
        self.parts: list[str] = []
        self.names: dict[tuple[Token, ...], str] = {}
        self.functions: set[str] = set()
        places: dict[tuple[Token, ...], set[tuple[tuple[Token, ...], int]]] = {}
        for parent in range(len(self.tokens)):
            for number, child in enumerate(self._children(parent)):
                places.setdefault(self.trees[child], set()).add((self.trees[parent], number))
        self.shared = {tree for tree, found in places.items() if len(tree) >= _REPEATED and len(found) > 1}

    def code(self) -> Code:
        value, _ = self._text(0)
        return Code(self.parts, value, frozenset(self.functions))

    def _children(self, place: int) -> list[int]:
        """Where the arguments of a node begin."""
        found: list[int] = []
        start = place + 1
        for _ in range(arity(self.tokens[place])):
            found.append(start)
            start += len(self.trees[start])
        return found

    def _text(self, place: int) -> tuple[str, int]:
        """The text of the part that begins at a place, and how tightly its root binds."""
        token, tree = self.tokens[place], self.trees[place]
        if not isinstance(token, str):
            return repr(token), _ATOM
        if tree in self.names:
            return self.names[tree], _ATOM
        children = self._children(place)
        if not children:
            return signal_of(token), _ATOM
        arguments = [self._text(child) for child in children]
        if token in _INFIX and not _is_protected(token, self.trees[children[-1]]):
            text, binding = _infix(token, arguments)
        else:
            text, binding = self._call(token, arguments)
        if place > 0 and (len(text) > _LONG or tree in self.shared):
            self.names[tree] = f"part_{len(self.parts) + 1}"
            self.parts.append(f"{self.names[tree]} = {text}")
            return self.names[tree], _ATOM
        return text, binding

    def _call(self, token: str, arguments: list[tuple[str, int]]) -> tuple[str, int]:
        if token in self.dialect.templates:
            template, binding = self.dialect.templates[token]
            inner = [f"({text})" if bound == binding == _CHOICE else text for text, bound in arguments]
            return template.format(*inner), binding
        function = f"_{token}"
        self.functions.add(function)
        return f"{function}({', '.join(text for text, _ in arguments)})", _ATOM


def _is_protected(operator: str, divisor: tuple[Token, ...]) -> bool:
    """Whether an operator is a division that has to look at its divisor first."""
    if operator not in ("div", "quotient"):
        return False
    least = DIV_THRESHOLD if operator == "div" else sys.float_info.min
    return not (len(divisor) == 1 and isinstance(divisor[0], float) and abs(divisor[0]) >= least)


def _infix(operator: str, arguments: list[tuple[str, int]]) -> tuple[str, int]:
    sign, mine = _INFIX[operator]
    (left, left_binding), (right, right_binding) = arguments
    left = f"({left})" if left_binding < mine else left
    right = f"({right})" if right_binding <= mine else right
    return f"{left} {sign} {right}", mine
