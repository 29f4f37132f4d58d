"""Text ↔ expression, exact in both directions.

Two notations are read, freely mixed, and each can be written:

- the original form, fully bracketed, with the operator's name between its arguments:
  `((epoch mul -0.5) sub 1.0)`;
- ordinary notation, with the usual signs and precedence: `0.5*(1 + cos(3.14*progress))`.

Every primitive may also be written as a call, `mul(epoch, 2)`. Constants are written by their shortest
round trip, so expression → text → expression is exact, and text that was written here comes back as it was.

Reading is operator-precedence parsing with an explicit stack (Dijkstra's shunting yard), so no input can
exhaust Python's; the input is bounded by the limits below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from evolr.errors import ExpressionError, shortened, unknown_name
from evolr.expression.primitives import PRIMITIVES
from evolr.expression.signals import SIGNALS
from evolr.expression.tree import Expression, Token, arity

MAX_CHARACTERS: Final = 20_000
MAX_NODES: Final = 1_000
MAX_NESTING: Final = 200

_PRECEDENCE: Final = {"add": 1, "sub": 1, "mul": 2, "div": 2}
_SIGN_PRECEDENCE: Final = 3  # of a minus before an operand
_ATOM_PRECEDENCE: Final = 4
_BY_SIGN: Final = {p.infix: p.name for p in PRIMITIVES.values() if p.infix}
_NAMED_CONSTANTS: Final = {"pi": math.pi}

_NUMBER, _NAME = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", r"[A-Za-z_]\w*"
_OPERAND: Final = re.compile(
    rf"\s*(?:(?P<number>{_NUMBER})|(?P<call>{_NAME})\s*\(|(?P<name>{_NAME})|(?P<mark>[-(])|(?P<other>\S))"
)
_OPERATOR: Final = re.compile(rf"\s*(?:(?P<operator>[-+*/]|{_NAME})|(?P<mark>[),])|(?P<other>\S))")


def parse(text: str, constants: Mapping[str, float] | None = None) -> Expression:
    """The expression that a text says, in either notation.

    constants: values of names that the text may use beside the signals.

    >>> parse("((epoch mul -0.5) sub 1.0)").tokens
    ('sub', 'mul', 'epoch', -0.5, 1.0)
    >>> str(parse("0.5 * (1 + cos(pi*progress))"))
    '0.5*(1 + cos(3.141592653589793*progress))'

    Raises ExpressionError, with the column, for anything that is not a formula of this language, and for one
    beyond MAX_CHARACTERS, MAX_NODES or MAX_NESTING.
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"a formula may have {MAX_CHARACTERS:,} characters at most, got {len(text):,}")
    return _Reading(text, {**_NAMED_CONSTANTS, **(constants or {})}).expression()


def original_text(expression: Expression) -> str:
    """The formula in the original form.

    >>> original_text(parse("sin(2*epoch) - 1"))
    '(sin((2.0 mul epoch)) sub 1.0)'
    """

    def call(name: str, arguments: list[str]) -> str:
        return f"({arguments[0]} {name} {arguments[1]})" if PRIMITIVES[name].infix else _call(name, arguments)

    parts: list[str] = []
    for token in reversed(expression.tokens):
        count = arity(token)
        if count:
            parts.append(call(str(token), [parts.pop() for _ in range(count)]))
        else:
            parts.append(token if isinstance(token, str) else repr(token))
    return parts.pop()


def ordinary_text(expression: Expression) -> str:
    """The formula in ordinary notation, with the brackets that its exact tree needs and no others.

    >>> ordinary_text(parse("((epoch mul -0.5) sub (1.0 sub loss))"))
    'epoch*-0.5 - (1 - loss)'
    """
    parts: list[tuple[str, int]] = []  # text, precedence of its root
    for token in reversed(expression.tokens):
        arguments = [parts.pop() for _ in range(arity(token))]
        if not isinstance(token, str):
            parts.append((_constant_text(token), _ATOM_PRECEDENCE))
        elif token in _PRECEDENCE:
            mine = _PRECEDENCE[token]
            (left, left_precedence), (right, right_precedence) = arguments
            left = f"({left})" if left_precedence < mine else left
            right = f"({right})" if right_precedence <= mine else right
            sign = PRIMITIVES[token].infix
            parts.append((f"{left} {sign} {right}" if mine == 1 else f"{left}{sign}{right}", mine))
        else:
            parts.append((_call(token, [text for text, _ in arguments]) if arguments else token, _ATOM_PRECEDENCE))
    return parts.pop()[0]


def _constant_text(value: float) -> str:
    return repr(value).removesuffix(".0")


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})"


@dataclass(slots=True)
class _Pending:
    """What waits on the stack for its last argument: an operator, a sign, a bracket or a call."""

    kind: Literal["operator", "sign", "bracket", "call"]
    name: str
    column: int
    arguments: int = 1  # of a call: begun so far

    @property
    def precedence(self) -> int:
        return _PRECEDENCE.get(self.name, _SIGN_PRECEDENCE)


class _Reading:
    """One reading of one text: nodes made, operands waiting for an operator, operators waiting for an operand."""

    def __init__(self, text: str, constants: Mapping[str, float]) -> None:
        self.text = text
        self.constants = constants
        self.nodes: list[tuple[Token, list[int]]] = []  # a token and the numbers of its argument nodes
        self.operands: list[int] = []
        self.pending: list[_Pending] = []
        self.nesting = 0

    def expression(self) -> Expression:
        position, want_operand = 0, True
        while match := (_OPERAND if want_operand else _OPERATOR).match(self.text, position):
            group = match.lastgroup or ""
            position, column, lexeme = match.end(), match.start(group) + 1, match.group(group)
            take = self._take_operand if want_operand else self._take_operator
            want_operand = take(group, lexeme, column)
        if want_operand:
            raise self._error("expected a number, a signal or a function, got the end", len(self.text) + 1)
        self._reduce(0)
        if self.pending:
            raise self._error("this bracket is never closed", self.pending[-1].column)
        return Expression(self._prefix())

    def _error(self, problem: str, column: int) -> ExpressionError:
        return ExpressionError(problem, self.text, column)

    def _take_operand(self, group: str, lexeme: str, column: int) -> bool:
        """Takes a lexeme where an operand starts; answers whether an operand is still wanted."""
        if group == "number":
            value = float(lexeme)
            if not math.isfinite(value):
                raise self._error(f"constants must be finite, got {shortened(lexeme)}", column)
            self._node(value, 0, column)
        elif group == "name":
            self._node(self._leaf(lexeme, column), 0, column)
        elif group == "call":
            if lexeme not in PRIMITIVES:
                raise self._error(unknown_name("function", lexeme, PRIMITIVES), column)
            self._open(_Pending("call", lexeme, column))
            return True
        elif lexeme == "(":
            self._open(_Pending("bracket", lexeme, column))
            return True
        elif lexeme == "-":
            self._wait(_Pending("sign", "sign", column))
            return True
        else:
            raise self._error(f"expected a number, a signal or a function, got {shortened(lexeme)!r}", column)
        return False

    def _take_operator(self, group: str, lexeme: str, column: int) -> bool:
        """Takes a lexeme after an operand; answers whether an operand is wanted next."""
        name = _BY_SIGN.get(lexeme, lexeme)
        if name in _PRECEDENCE:
            self._reduce(_PRECEDENCE[name])
            self._wait(_Pending("operator", name, column))
            return True
        if lexeme == ",":
            self._reduce(0)
            if not self.pending or self.pending[-1].kind != "call":
                raise self._error("a comma belongs between the arguments of a function", column)
            self.pending[-1].arguments += 1
            return True
        if lexeme == ")":
            self._close(column)
            return False
        if lexeme in ("^", "*"):
            raise self._error(f"unknown operator {lexeme!r}; write a power as a product", column)
        if group == "operator" and lexeme not in SIGNALS and lexeme not in PRIMITIVES:
            raise self._error(unknown_name("operator", lexeme, [*_BY_SIGN, *_PRECEDENCE]), column)
        raise self._error(f"expected an operator or the end, got {shortened(lexeme)!r}", column)

    def _leaf(self, name: str, column: int) -> Token:
        if name in SIGNALS:
            return name
        if name in self.constants:
            return float(self.constants[name])
        if name in PRIMITIVES:
            count = PRIMITIVES[name].arity
            raise self._error(f"{name!r} is a function of {count}: write {_call(name, ['…'] * count)}", column)
        if name.lower() in ("nan", "inf", "infinity"):
            raise self._error(f"constants must be finite, got {name}", column)
        raise self._error(unknown_name("name", name, [*SIGNALS, *PRIMITIVES, *self.constants]), column)

    def _open(self, opening: _Pending) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self._error(f"brackets may be nested {MAX_NESTING} deep at most", opening.column)
        self._wait(opening)

    def _close(self, column: int) -> None:
        self._reduce(0)
        if not self.pending:
            raise self._error("this bracket was never opened", column)
        self.nesting -= 1
        opening = self.pending.pop()
        if opening.kind == "call":
            expected = PRIMITIVES[opening.name].arity
            if opening.arguments != expected:
                problem = f"{opening.name!r} takes {expected} argument(s), got {opening.arguments}"
                raise self._error(problem, opening.column)
            self._node(opening.name, expected, opening.column)

    def _wait(self, pending: _Pending) -> None:
        """Puts it on the stack. A text can hold more waiting signs than nodes, so these are bounded too."""
        if len(self.pending) >= MAX_NODES:
            raise self._error(f"a formula may have {MAX_NODES:,} nodes at most", pending.column)
        self.pending.append(pending)

    def _reduce(self, precedence: int) -> None:
        """Gives the waiting operators that bind at least as tightly as `precedence` their operands."""
        while self.pending and self.pending[-1].kind in ("operator", "sign"):
            if self.pending[-1].precedence < precedence:
                return
            operator = self.pending.pop()
            if operator.kind == "operator":
                self._node(operator.name, 2, operator.column)
            elif isinstance(constant := self.nodes[self.operands[-1]][0], float):
                self.nodes[self.operands[-1]] = (-constant, [])
            else:
                operand = self.operands.pop()
                self._node(-1.0, 0, operator.column)
                self.operands.append(operand)
                self._node("mul", 2, operator.column)

    def _node(self, token: Token, count: int, column: int) -> None:
        """Makes a node of a token and the `count` latest operands; it is an operand itself."""
        if len(self.nodes) >= MAX_NODES:
            raise self._error(f"a formula may have {MAX_NODES:,} nodes at most", column)
        arguments = self.operands[len(self.operands) - count :]
        del self.operands[len(self.operands) - count :]
        self.operands.append(len(self.nodes))
        self.nodes.append((token, arguments))

    def _prefix(self) -> tuple[Token, ...]:
        tokens: list[Token] = []
        pending = [self.operands[-1]]
        while pending:
            token, arguments = self.nodes[pending.pop()]
            tokens.append(token)
            pending.extend(reversed(arguments))
        return tuple(tokens)
