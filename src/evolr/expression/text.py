"""Text ↔ expression, exact in both directions.

Two notations are read, freely mixed, and each can be written:

- the original form, fully bracketed, with the operator's name between its arguments:
  `((epoch mul -0.5) sub 1.0)`;
- ordinary notation, as papers and scripts have it, with Python's precedence: `0.1**(epoch // 30)`,
  `0.01 if epoch < 5 else 0.001`, `0.5*(1 + math.cos(math.pi*progress))`. What is written here and is no primitive
  (notation.py) is read as an expression of primitives.

Every primitive may also be written as a call, `mul(epoch, 2)`. Constants are written by their shortest
round trip, so expression → text → expression is exact, and text that was written here comes back as it was.

Reading is operator-precedence parsing with an explicit stack (Dijkstra's shunting yard; reading.py), so no input can
exhaust Python's; the input is bounded by the limits below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from evolr.errors import ExpressionError, shown
from evolr.expression.notation import ATOM, COMPARISON, CONSTANTS, POWER, PRECEDENCE, SIGN, SUM
from evolr.expression.primitives import LANGUAGE_VERSION, PRIMITIVES
from evolr.expression.reading import MAX_CHARACTERS, MAX_NESTING, MAX_NODES, Reading
from evolr.expression.tree import Expression, Token

__all__ = ["MAX_CHARACTERS", "MAX_NESTING", "MAX_NODES", "ordinary_text", "original_text", "parse", "read_back"]


def parse(text: str, constants: Mapping[str, float] | None = None, *, language: int = LANGUAGE_VERSION) -> Expression:
    """The expression that a text says, in either notation.

    constants: values of names that the text may use beside the signals. language: the version of the language that the
    text was written in; a document or a study of an older one says which.

    >>> parse("((epoch mul -0.5) sub 1.0)").tokens
    ('sub', 'mul', 'epoch', -0.5, 1.0)
    >>> str(parse("0.5 * (1 + cos(pi*progress))"))
    '0.5*(1 + cos(3.141592653589793*progress))'
    >>> parse("0.1**(epoch // 30)").tokens
    ('pow', 0.1, 'floor', 'quotient', 'epoch', 30.0)

    Raises ExpressionError, with the column, for anything that is not a formula of this language, and for one
    beyond MAX_CHARACTERS, MAX_NODES or MAX_NESTING.
    """
    if not isinstance(cast("Any", text), str):
        raise ExpressionError(f"a formula is a text, got {shown(text)}")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"a formula may have {MAX_CHARACTERS:,} characters at most, got {len(text):,}")
    return Reading(text, {**CONSTANTS, **(constants or {})}, language).expression()


def read_back(text: str) -> Expression:
    """The same as `parse`, several times faster for a text that `original_text` wrote, of which a study may hold 100,000."""
    levels: list[tuple[list[str], list[Token]]] = [([], [])]  # of each open bracket: its function, its arguments
    for lexeme in _WRITTEN.findall(text[: MAX_CHARACTERS + 1]):
        names, tokens = levels[-1]
        if lexeme[-1] == "(":
            levels.append(([lexeme[:-1]] if len(lexeme) > 1 else [], []))
        elif lexeme == ")" and len(levels) > 1:
            levels.pop()
            levels[-1][1].extend((*names, *tokens))
        elif lexeme in PRIMITIVES:
            names.append(lexeme)
        else:
            tokens.append(_token(lexeme))
        if len(levels) > MAX_NESTING:
            return parse(text)  # which refuses what is beyond the limits
    try:
        expression = Expression(tuple(levels[0][1]))
    except ExpressionError:
        return parse(text)
    is_same = expression.size <= MAX_NODES and len(text) <= MAX_CHARACTERS and original_text(expression) == text
    return expression if is_same else parse(text)


def _token(lexeme: str) -> Token:
    """A constant, or what may be a signal's name."""
    try:
        return float(lexeme)
    except ValueError:
        return lexeme


def original_text(expression: Expression) -> str:
    """The formula in the original form.

    >>> original_text(parse("sin(2*epoch) - 1"))
    '(sin((2.0 mul epoch)) sub 1.0)'
    """

    def call(name: str, arguments: Sequence[str]) -> str:
        return f"({arguments[0]} {name} {arguments[1]})" if PRIMITIVES[name].is_binary else _call(name, arguments)

    return expression.fold(lambda token: token if isinstance(token, str) else repr(token), call)


def ordinary_text(expression: Expression, names: Mapping[float, str] | None = None) -> str:
    """The formula in ordinary notation, with the brackets that its exact tree needs and no others.

    names: of constants, by their values; only `pi` and `e` are read back without being told.

    >>> ordinary_text(parse("((epoch mul -0.5) sub (1.0 sub loss))"))
    'epoch*-0.5 - (1 - loss)'
    >>> ordinary_text(parse("min(1, min(progress/0.1, (1 - progress)**2))"))
    'min(1, progress/0.1, (1 - progress)**2)'
    >>> ordinary_text(parse("exp(-1*progress)"))
    'exp(-progress)'
    """
    return expression.fold(lambda token: _leaf(token, names or {}), _applied).text


_WRITTEN: Final = re.compile(r"\w*\(|\)|[^\s(),]+")
"""The lexemes of the original form: a call or a bracket opened, one closed, a name or a number."""


class _Part:
    """A part of a text, how tightly its root binds, and, of a min or max, the arguments that a longer one may take over.

    name: of a min or max; `constant` of a number.
    """

    __slots__ = ("arguments", "binding", "name", "text")

    def __init__(self, text: str, binding: int, name: str = "", arguments: tuple[str, ...] = ()) -> None:
        self.text = text
        self.binding = binding
        self.name = name
        self.arguments = arguments

    def within(self, binding: int) -> str:
        """The text, in brackets if it binds less tightly than that."""
        return f"({self.text})" if self.binding < binding else self.text


def _leaf(token: Token, names: Mapping[float, str]) -> _Part:
    text = token if isinstance(token, str) else names.get(token) or repr(token).removesuffix(".0")
    return _Part(text, SIGN if text.startswith("-") else ATOM, "" if isinstance(token, str) else "constant")


def _applied(name: str, arguments: Sequence[_Part]) -> _Part:
    sign = PRIMITIVES[name].infix
    return _infix(sign, PRECEDENCE[name], *arguments) if sign else _function(name, arguments)


def _infix(sign: str, binding: int, left: _Part, right: _Part) -> _Part:
    if binding == POWER:  # binds from the right; a sign after it belongs to the exponent
        return _Part(f"{left.within(ATOM)}{sign}{right.within(SIGN)}", binding)
    if sign == "*" and left.text == "-1" and right.name != "constant":  # −3 is one number, where −1·3 is two
        return _Part(f"-{right.within(POWER)}", SIGN)
    # A comparison takes none beside it, and a number's own sign is read with it.
    first = left.within(binding + 1 if binding == COMPARISON else binding)
    spaced = f" {sign} " if binding in (SUM, COMPARISON) or sign == "%" else sign
    return _Part(f"{first}{spaced}{right.within(binding + 1)}", binding)


def _function(name: str, arguments: Sequence[_Part]) -> _Part:
    texts = tuple(argument.text for argument in arguments)
    if name in ("min", "max"):  # min(a, min(b, c)) is min(a, b, c)
        last = arguments[-1]
        texts = (*texts[:-1], *last.arguments) if last.name == name else texts
        return _Part(_call(name, texts), ATOM, name, texts)
    return _Part(_call(name, texts), ATOM)


def _call(name: str, arguments: Sequence[str]) -> str:
    return f"{name}({', '.join(arguments)})"
