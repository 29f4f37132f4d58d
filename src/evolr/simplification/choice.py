"""The simplified form of a schedule: its learning rate as a short formula that evolr reads back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.errors import ExpressionError
from evolr.expression import Expression, Token, ordinary_text
from evolr.expression.latex import latex
from evolr.expression.mathml import mathml
from evolr.schedule import Schedule
from evolr.simplification.differences import (
    EXACT,
    MATTERS,
    SHOWN,
    Place,
    differing,
    places,
    rates,
    sentence,
)
from evolr.simplification.numbers import DIGITS, is_short, token_rounded
from evolr.simplification.rules import Rules
from evolr.simplification.writing import expression_of

_DIGITS: Final = (DIGITS, 7, 9, 12, 17)
_MOST_NODES, _DEEPEST = (
    200,
    60,
)  # of a formula that is simplified, not only rounded; so its time is bounded by what is to be done
_MOST_WORK: Final = (
    12_000  # nodes that are evaluated at every place to find the digits of single constants; beyond, all have the same
)
_PRICE_OF_DIFFERENCE: Final = 1.1  # how much shorter a form must be that differs at some points
_MOST_DIFFERING: Final = 0.1  # of the points of the bank
_MOST_SET: Final = 80  # nodes of a formula that is set as one, and not only written
_NAMES: Final = {math.pi: "pi"}
_AS_WRITTEN: Final = (
    f"is the formula as it is written: those of more than {_MOST_NODES} nodes or {_DEEPEST} levels are not simplified"
)


@dataclass(frozen=True, slots=True)
class Simplified:
    """A learning rate in short.

    schedule: linear, with the bounds of the schedule that it stands for. differs: a sentence for each kind of point at
    which its learning rate is another one than that schedule's, beyond the rounding of its constants. is_simplified: whether
    the formula was short enough for more than rounding.
    """

    schedule: Schedule
    differs: tuple[str, ...]
    is_simplified: bool = True

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of it, each to follow the words «the short form»."""
        if self.is_simplified:
            return self.differs
        return (_AS_WRITTEN, *self.differs)

    @property
    def expression(self) -> Expression:
        """The learning rate, before the bounds."""
        return self.schedule.expression

    @property
    def text(self) -> str:
        """The learning rate in ordinary notation, which `parse` reads back."""
        return ordinary_text(self.expression, _NAMES)

    @property
    def latex(self) -> str:
        """The learning rate in LaTeX, signals upright."""
        return latex(self.expression)

    @property
    def mathml(self) -> str:
        """The learning rate as a `math` element; empty if it is too long to be read as one."""
        return mathml(self.expression) if self.expression.size <= _MOST_SET else ""


@lru_cache(maxsize=64)
def simplified(schedule: Schedule) -> Simplified:
    """The learning rate of a schedule as a short formula, its constants to 5 significant digits.

    A constant has more digits if 5 would change a learning rate of the signal bank by more than a thousandth.

    >>> from evolr.expression import parse
    >>> simplified(Schedule(expression=parse("log(min(1, progress/0.3125))"), transform="log")).text
    '0.001*min(1, 3.2*progress)'
    """
    where = places(schedule)
    own = [rates(schedule, place) for place in where]
    candidates = [_candidate(schedule, expression, where, own) for expression in _expressions(schedule)]
    best = min(candidates, key=lambda candidate: (candidate.cost, len(candidate.differing[0])))
    differs: list[str] = []
    for place, before, after, at in zip(where, own, best.rates, best.differing, strict=True):
        unsaid = np.setdiff1d(at, best.differing[0]) if place.case else at
        if len(unsaid):
            differs.append(sentence(schedule, place, before, after, unsaid))
    return Simplified(best.schedule, tuple(differs), _is_short_enough(_written(schedule)))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One way to write a learning rate, rounded.

    rates: by place. differing: the points of each place at which it is another learning rate; matters: whether by more
    than a millionth of the greatest, on the bank or in the training whose every step is looked at.
    """

    schedule: Schedule
    rates: list[NDArray[np.float64]]
    differing: list[NDArray[np.intp]]
    matters: bool

    @property
    def cost(self) -> float:
        """The length of its text, more if it is another learning rate somewhere."""
        share = max(len(at) / len(all_) for at, all_ in zip(self.differing[:2], self.rates[:2], strict=True))
        if share > _MOST_DIFFERING:
            return math.inf
        price = _PRICE_OF_DIFFERENCE if self.matters else 1.0
        tie = 0.1 * sum(len(at) > 0 for at in self.differing)
        return len(ordinary_text(self.schedule.expression, _NAMES)) * price + tie


def _candidate(
    schedule: Schedule, expression: Expression, where: list[Place], own: list[NDArray[np.float64]]
) -> _Candidate:
    linear = _linear(schedule, expression)
    exact = [rates(linear, place) for place in where]
    short = _linear(schedule, _rounded(linear, where, exact))
    differing_at = [
        differing(before, after, EXACT, place.negligible)
        for before, after, place in zip(own, exact, where, strict=True)
    ]
    matters = any(
        len(differing(before, after, EXACT, MATTERS)) for before, after in zip(own[:2], exact[:2], strict=True)
    )
    return _Candidate(short, [rates(short, place) for place in where], differing_at, matters)


def _linear(schedule: Schedule, expression: Expression) -> Schedule:
    """The schedule whose learning rate is the value of an expression, within the same bounds."""
    return Schedule(expression=expression, min_lr=schedule.min_lr, max_lr=schedule.max_lr)


def _expressions(schedule: Schedule) -> Iterator[Expression]:
    """The learning rate, simplified by each set of rules, and at last as it is written."""
    written = _written(schedule)
    if _is_short_enough(written):
        for is_bold, is_flat in product((True, False), repeat=2):
            try:
                yield expression_of(Rules(is_bold=is_bold, is_flat=is_flat).form(written))
            except (ArithmeticError, ExpressionError):
                continue  # a number beyond floats: the other rules, or none, write it
    yield written.folded()


def _written(schedule: Schedule) -> Expression:
    """The learning rate as the schedule has it, its transform written out."""
    if schedule.transform == "log":
        return Expression(("mul", schedule.reference_lr, "exp", *schedule.expression.tokens))
    return schedule.expression


def _is_short_enough(written: Expression) -> bool:
    return written.size <= _MOST_NODES and written.depth <= _DEEPEST


def _rounded(schedule: Schedule, where: list[Place], exact: list[NDArray[np.float64]]) -> Expression:
    """The schedule's expression with as few digits as keep its learning rates. exact: these, by place."""
    expression = schedule.expression
    held = [(place, own) for place, own in zip(where, exact, strict=True) if math.isfinite(place.rounding)]

    def is_near(tokens: Sequence[Token]) -> bool:
        tried = _linear(schedule, Expression(tuple(tokens)))
        return not any(len(differing(own, rates(tried, place), SHOWN, place.rounding)) for place, own in held)

    ways = ([token_rounded(token, digits) for token in expression.tokens] for digits in _DIGITS)
    needed, tokens = next(((n, way) for n, way in enumerate(ways) if is_near(way)), (0, list(expression.tokens)))
    long = [place for place, token in enumerate(tokens) if not isinstance(token, str) and not is_short(token)]
    if len(long) * needed * expression.size > _MOST_WORK:
        return Expression(tuple(tokens))
    for place in long if needed else []:  # few constants need that many
        for digits in _DIGITS[:needed]:
            tried = [*tokens]
            tried[place] = token_rounded(expression.tokens[place], digits)
            if is_near(tried):
                tokens = tried
                break
    return Expression(tuple(tokens))
