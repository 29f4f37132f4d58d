"""The reading of one formula: operator-precedence parsing with an explicit stack (Dijkstra's shunting yard)."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from evolr.errors import ExpressionError, shortened, unknown_name
from evolr.expression.nodes import MAX_NESTING, MAX_NODES, Nodes
from evolr.expression.notation import (
    ADVICE,
    ALIASES,
    CHOICE,
    COMPARISON,
    NOT,
    POWER,
    PRECEDENCE,
    PREFIXED,
    PREFIXES,
    SIGN,
    SIGNS,
    SUGAR,
)
from evolr.expression.primitives import PRIMITIVES, UPGRADES
from evolr.expression.tree import Expression
from evolr.signals import SIGNALS
from evolr.signals.own import MARK, fault_of, is_own, signal_of

MAX_CHARACTERS: Final = 20_000

_DIGITS, _NAME = r"[0-9](?:_?[0-9])*", r"[^\W\d]\w*"
_NUMBER: Final = rf"(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?"
_OPERAND: Final = re.compile(
    rf"\s*(?:(?P<number>{_NUMBER})|(?P<call>(?:{_NAME}\.)*{_NAME})\s*\(|(?P<name>{MARK}{_NAME}|(?:{_NAME}\.)*{_NAME})"
    r"|(?P<mark>[-+−(])|(?P<other>\S))"
)
_OPERATOR: Final = re.compile(
    rf"\s*(?:(?P<operator>\*\*|//|<=|>=|==|!=|[-+*/%^<>−·×÷≤≥≠]|{_NAME})|(?P<mark>[),])|(?P<other>&&|\|\||\S))"
)
_WRITE: Final[Mapping[str, str]] = {
    "=": "write == for a comparison",
    "&": "write `and` between comparisons",
    "&&": "write `and` between comparisons",
    "|": "write `or` between comparisons",
    "||": "write `or` between comparisons",
    "!": "write `not` before a comparison",
    "?": "write `a if condition else b`",
    ":": "write the formula alone, as what stands after `lambda …:` or `return`",
    ";": "a formula is one expression",
    "[": "lists are not in the language; write a sum, or `a if condition else b`",
    "{": "dictionaries are not in the language; write `a if condition else b`",
    "@": "write * for a product, and @name for a signal of your own",
    "#": "leave comments out",
    "–": "write - for a minus",
    "—": "write - for a minus",
}
"""The advice for a sign that is none of the language's."""

_CONDITION: Final = "epoch >= 5"
_THOUSAND: Final = "write a thousand as 1000 or 1_000"


@dataclass(slots=True)
class _Pending:
    """What waits on the stack for its last argument."""

    kind: Literal["operator", "sign", "not", "bracket", "call", "if", "else"]
    name: str
    column: int
    binding: int
    arguments: int = 1  # of a call: begun so far
    is_prefixed: bool = False  # of a call: written with the name of its module


class Reading:
    """One reading of one text: nodes made, operands waiting for an operator, operators waiting for an operand."""

    def __init__(self, text: str, constants: Mapping[str, float], language: int) -> None:
        self.text = text
        self.constants = constants
        self.renamed = UPGRADES.get(language, {})
        self.nodes = Nodes(self._error)
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
        self._reduce(CHOICE)
        if self.pending:
            waiting = self.pending[-1]
            problem = "this `if` has no `else`" if waiting.kind == "if" else "this bracket is never closed"
            raise self._error(problem, waiting.column)
        return Expression(self.nodes.tokens(self.operands[-1]))

    def _error(self, problem: str, column: int) -> ExpressionError:
        return ExpressionError(problem, self.text, column)

    # --- operands ---------------------------------------------------------------------------------------------------------

    def _take_operand(self, group: str, lexeme: str, column: int) -> bool:
        """Takes a lexeme where an operand starts; answers whether an operand is still wanted."""
        if group == "number":
            value = float(lexeme)
            if not math.isfinite(value):
                raise self._error(f"constants must be finite, got {shortened(lexeme)}", column)
            if re.fullmatch(r"0[0-9_]+", lexeme):  # the rest of 1,000 between the arguments of a function
                raise self._error(f"a number has no 0 before it, got {shortened(lexeme)}; {_THOUSAND}", column)
            self.operands.append(self.nodes.make(value, (), column))
            return False
        if lexeme == "not" and group in ("name", "call"):
            self._wait(_Pending("not", "not", column, NOT))
            if group == "call":
                self._open(_Pending("bracket", "(", column, 0))
        elif group == "name":
            if is_own(lexeme):
                self._own_signal(lexeme, column)
            else:
                self._leaf(lexeme, column)
            return False
        elif group == "call":
            name, is_prefixed = self._function(lexeme, column)
            self._open(_Pending("call", name, column, 0, is_prefixed=is_prefixed))
        elif lexeme == "(":
            self._open(_Pending("bracket", lexeme, column, 0))
        elif lexeme in ("-", "−"):
            self._wait(_Pending("sign", "-", column, SIGN))
        elif lexeme != "+":  # which changes nothing
            advice = f"; {_WRITE[lexeme]}" if lexeme in _WRITE else ""
            raise self._error(f"expected a number, a signal or a function, got {shortened(lexeme)!r}{advice}", column)
        return True

    def _leaf(self, written: str, column: int) -> None:
        name = self._without_prefix(written, column)
        is_given_by_name = re.match(r"\s*=(?!=)", self.text[column - 1 + len(written) :])
        if is_given_by_name and self.pending and self.pending[-1].kind == "call":
            raise self._error(f"arguments have no names: write the value of {shortened(name)!r} alone", column)
        if name in SIGNALS and name != written:
            raise self._error(f"{name!r} is a signal: write it without a prefix", column)
        if name in SIGNALS:
            self.operands.append(self.nodes.make(name, (), column))
        elif name in self.constants:
            self.operands.append(self.nodes.make(float(self.constants[name]), (), column))
        elif name in PRIMITIVES or name in SUGAR or name in ALIASES:
            count = _arity(ALIASES.get(name, name))
            raise self._error(f"{name!r} is a function of {count}: write {name}({', '.join(['…'] * count)})", column)
        elif name.lower() in ("nan", "inf", "infinity"):
            raise self._error(f"constants must be finite, got {name}", column)
        elif name in ("True", "False"):
            raise self._error(f"write {int(name == 'True')} for {name}", column)
        elif name in ("if", "else", "and", "or"):
            raise self._error(f"expected a number, a signal or a function before {name!r}", column)
        elif name in ("lambda", "return", "def"):
            raise self._error(f"write the formula alone, without {name!r}", column)
        elif name in ADVICE:
            raise self._error(f"unknown name {name!r}; did you mean {ADVICE[name]!r}?", column)
        else:
            raise self._error(self._unknown(name), column)

    def _own_signal(self, written: str, column: int) -> None:
        if fault := fault_of(signal_of(written)):
            raise self._error(fault, column)
        self.operands.append(self.nodes.make(written, (), column))

    def _unknown(self, name: str) -> str:
        """The message for a name that stands for nothing: the nearest known one, or else the signals."""
        near = difflib.get_close_matches(name[:80], [*SIGNALS, *PRIMITIVES, *SUGAR, *self.constants], n=1)
        advice = (
            f"did you mean {near[0]!r}?"
            if near
            else f"the signals are {', '.join(SIGNALS)}; write one of your own as {MARK}name"
        )
        return f"unknown name {shortened(name)!r}; {advice}"

    def _function(self, written: str, column: int) -> tuple[str, bool]:
        """The function that a name in a call stands for, and whether its module stands before it."""
        name = self._without_prefix(written, column)
        if written == "math.remainder":
            raise self._error("math.remainder goes to the nearest multiple: write a - b*round(a/b), or a % b", column)
        is_prefixed = "." in written
        name = (PREFIXED.get(name) if is_prefixed else None) or ALIASES.get(name, name)
        name = self.renamed.get(name, name)
        if name in PRIMITIVES or name in SUGAR:
            return name, is_prefixed
        if name in ("if", "else", "and", "or"):
            raise self._error(f"expected a number, a signal or a function before {name!r}", column)
        if name in SIGNALS or name in self.constants:
            raise self._error(f"{name!r} is no function; write a product with *", column)
        if name == "interp":
            raise self._error("lists are not in the language: write np.interp as a sum or a min of lines", column)
        raise self._error(unknown_name("function", name, [*PRIMITIVES, *SUGAR, *ALIASES]), column)

    def _without_prefix(self, written: str, column: int) -> str:
        """A name without the module that it is written with."""
        prefix, _, name = written.rpartition(".")
        if prefix and prefix not in PREFIXES:
            raise self._error(
                f"unknown prefix {shortened(prefix)!r}; functions may be written with {', '.join(PREFIXES[:3])} or none",
                column,
            )
        return name

    # --- operators --------------------------------------------------------------------------------------------------------

    def _take_operator(self, group: str, lexeme: str, column: int) -> bool:
        """Takes a lexeme after an operand; answers whether an operand is wanted next."""
        if lexeme in SIGNS and group == "operator":
            name = self.renamed.get(lexeme) or SIGNS[lexeme]
            if name not in PRECEDENCE:
                raise self._error(f"{lexeme!r} stands before its argument: write {name}(…)", column)
            self._binary(name, lexeme, column)
            return True
        if lexeme == "if":
            self._reduce(CHOICE + 1)
            if self.pending and self.pending[-1].kind == "if":
                raise self._error("this `if` stands in the condition of another: write brackets around it", column)
            self._wait(_Pending("if", "if", column, CHOICE))
            return True
        if lexeme == "else":
            self._reduce(CHOICE)
            if not self.pending or self.pending[-1].kind != "if":
                raise self._error("this `else` has no `if` before it: write `a if condition else b`", column)
            self.pending[-1].kind = "else"
            return True
        if lexeme == ",":
            self._reduce(CHOICE)
            is_thousand = re.search(
                r"(?<![\w.])[1-9][0-9]{0,2},[0-9]{3}(?![\w.])", self.text[max(0, column - 5) : column + 4]
            )
            if not self.pending or self.pending[-1].kind != "call":
                advice = f"; {_THOUSAND}" if is_thousand else ""
                raise self._error(f"a comma belongs between the arguments of a function{advice}", column)
            if is_thousand:
                raise self._error(f"{_THOUSAND}, or a space after the comma between two arguments", column)
            self.pending[-1].arguments += 1
            return True
        if lexeme == ")":
            self._close(column)
            return False
        raise self._no_operator(group, lexeme, column)

    def _no_operator(self, group: str, lexeme: str, column: int) -> ExpressionError:
        if lexeme == "=" and self.text[: column - 1].strip() == "lr":
            return self._error("write the formula alone, as what stands after `lr =`", column)
        if lexeme in _WRITE:
            return self._error(f"unknown operator {lexeme!r}; {_WRITE[lexeme]}", column)
        if lexeme == "not":
            return self._error("`not` stands before a comparison: write `a and not b`", column)
        known = [*SIGNALS, *PRIMITIVES, *SUGAR, *ALIASES, *self.constants]
        if group == "operator" and lexeme not in known:
            return self._error(unknown_name("operator", lexeme, SIGNS), column)
        if group == "operator" or lexeme == "(":
            return self._error(
                f"expected an operator or the end, got {shortened(lexeme)!r}; write a product with *", column
            )
        return self._error(f"expected an operator or the end, got {shortened(lexeme)!r}", column)

    def _binary(self, name: str, lexeme: str, column: int) -> None:
        binding = PRECEDENCE[name]
        self._reduce(binding + 1 if binding in (POWER, COMPARISON) else binding)
        if binding == COMPARISON and self.pending and self.pending[-1].binding == COMPARISON:
            raise self._error(
                f"comparisons cannot be chained: write `0 < a and a < 1` for `0 < a < 1`, got another {lexeme!r}",
                column,
            )
        self._wait(_Pending("operator", name, column, binding))

    # --- brackets ---------------------------------------------------------------------------------------------------------

    def _open(self, opening: _Pending) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self._error(f"brackets may be nested {MAX_NESTING} deep at most", opening.column)
        self._wait(opening)

    def _close(self, column: int) -> None:
        self._reduce(CHOICE)
        if not self.pending:
            raise self._error("this bracket was never opened", column)
        opening = self.pending.pop()
        if opening.kind == "if":
            raise self._error("this `if` has no `else`", opening.column)
        self.nesting -= 1
        if opening.kind == "call":
            arguments = tuple(self.operands[-opening.arguments :])
            del self.operands[-opening.arguments :]
            self.operands.append(self._called(opening, arguments))

    def _called(self, call: _Pending, arguments: tuple[int, ...]) -> int:
        """The node of a call that is closed."""
        name, count, column = call.name, len(arguments), call.column
        is_many = name in ("min", "max")
        expected = _arity(name)
        if count < expected if is_many else count != expected:
            least = "at least " if is_many else ""
            raise self._error(f"{name!r} takes {least}{expected} argument(s), got {count}", column)
        if is_many:
            *first, latest = arguments
            for argument in reversed(first):
                latest = self.nodes.make(name, (argument, latest), column)
            return latest
        if name in SUGAR:
            return self.nodes.written(SUGAR[name].pattern, arguments, column)
        if name == "where" and call.is_prefixed:  # np.where: true is what is not 0
            condition, first, second = arguments
            return self.nodes.choice(condition, first, second, column)
        return self.nodes.make(name, arguments, column)

    # --- the stack --------------------------------------------------------------------------------------------------------

    def _wait(self, pending: _Pending) -> None:
        """Puts it on the stack. A text can hold more waiting signs than nodes, so these are bounded too."""
        if len(self.pending) >= MAX_NODES:
            raise self._error(f"a formula may have {MAX_NODES:,} nodes at most", pending.column)
        self.pending.append(pending)

    def _reduce(self, binding: int) -> None:
        """Gives the waiting operators that bind at least as tightly as `binding` their operands."""
        while self.pending and self.pending[-1].kind in ("operator", "sign", "not", "else"):
            waiting = self.pending[-1]
            if waiting.binding < binding:
                return
            self.pending.pop()
            last = self.operands.pop()
            if waiting.kind == "operator":
                made = self._operated(waiting.name, self.operands.pop(), last, waiting.column)
            elif waiting.kind == "else":
                condition, first = self.operands.pop(), self.operands.pop()
                made = self.nodes.choice(condition, first, last, waiting.column)
            elif waiting.kind == "not":
                made = self.nodes.negation(last, waiting.column)
            else:
                made = self.nodes.negative(last, waiting.column)
            self.operands.append(made)

    def _operated(self, name: str, left: int, right: int, column: int) -> int:
        """The node of an operator and its two operands."""
        make = self.nodes.make
        match name:
            case "//":
                ratio = make(self.renamed.get("/", "quotient"), (left, right), column)
                return make(self.renamed.get("floor", "floor"), (ratio,), column)
            case ">":
                return make("less", (right, left), column)
            case ">=":
                return make("less_equal", (right, left), column)
            case "!=":
                return self.nodes.opposite(make("equal", (left, right), column), column)
            case "and" | "or":
                self._require_truth(name, left, column)
                self._require_truth(name, right, column)
                return make("min" if name == "and" else "max", (left, right), column)
            case _:
                return make(name, (left, right), column)

    def _require_truth(self, word: str, node: int, column: int) -> None:
        if not self.nodes.is_truth(node):
            raise self._error(f"`{word}` takes comparisons, such as `{_CONDITION}`", column)


def _arity(name: str) -> int:
    """How many arguments a function takes, whether it is a primitive or written with others."""
    return SUGAR[name].arity if name in SUGAR else PRIMITIVES[name].arity
