"""What a family is: a formula whose constants have names, ranges and scales; with values it is a Schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from evolr.errors import ScheduleError, unknown_name
from evolr.expression import Expression, Token, parse
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau

Scale = Literal["linear", "log", "integer"]


@dataclass(frozen=True, slots=True)
class FreeConstant:
    """A constant of a family: where a tuner looks for it, and what the family's users take by default.

    is_scale: whether the learning rate is in proportion to it.
    """

    name: str
    low: float
    high: float
    default: float
    scale: Scale = "linear"
    is_scale: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of schedule.

    formula: in ordinary notation, with the constants by name. source: whose it is. derived: further constants that the
    formula uses, computed from the free ones and the fixed ones. fixed: constants that may be given and are not tuned,
    with their defaults. plateau: what it takes for a plateau, by the constants.
    """

    name: str
    formula: str
    constants: tuple[FreeConstant, ...]
    source: str
    derived: Callable[[Mapping[str, float]], Mapping[str, float]] | None = None
    fixed: tuple[tuple[str, float], ...] = ()
    plateau: Callable[[Mapping[str, float]], Plateau] | None = None

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        """Where a tuner begins: at the defaults."""
        return ({constant.name: constant.default for constant in self.constants},)

    def schedule(self, **values: float) -> Schedule:
        """The schedule with these values of the constants; the defaults for those that are not given.

        >>> from evolr.standard import FAMILIES
        >>> FAMILIES["cosine"].schedule(base=0.02).expression.tokens
        ('mul', 0.01, 'add', 1.0, 'cos', 'mul', 3.141592653589793, 'progress')

        Raises ScheduleError for a name that is none of the family's.
        """
        defaults = {constant.name: constant.default for constant in self.constants} | dict(self.fixed)
        for name in values:
            if name not in defaults:
                raise ScheduleError(unknown_name(f"constant of {self.name}", name, defaults))
        given = defaults | values
        derived = {} if self.derived is None else self.derived(given)
        plateau = None if self.plateau is None else self.plateau(given)
        return folded(_filled(self.formula, {**given, **derived}), plateau)


def folded(expression: Expression, plateau: Plateau | None = None) -> Schedule:
    """The schedule of an expression, what is constant in it computed."""
    return Schedule(expression=expression.folded(), plateau=plateau)


def _filled(formula: str, values: Mapping[str, float]) -> Expression:
    """The formula with these values of its constants, as `parse` gives it; read once, since a tuner asks for thousands."""
    tokens, names = _skeleton(formula, tuple(values))
    filled = list(tokens)
    for place, (name, is_negative) in names.items():
        filled[place] = -values[name] if is_negative else values[name]
    return Expression(tuple(filled))


@cache
def _skeleton(formula: str, constants: tuple[str, ...]) -> tuple[tuple[Token, ...], Mapping[int, tuple[str, bool]]]:
    """The tokens of a formula, and at which places there are constants: the name, and whether it is the negative of it.

    They are where two readings with other values differ: no number of the formula's own can be taken for one of them.
    """
    marks = {float(number): name for number, name in enumerate(constants, 1)}
    tokens = parse(formula, {name: mark for mark, name in marks.items()}).tokens
    others = parse(formula, {name: -mark for mark, name in marks.items()}).tokens
    pairs = enumerate(zip(tokens, others, strict=True))
    found = {place: float(one) for place, (one, other) in pairs if one != other}
    return tokens, {place: (marks[abs(mark)], mark < 0) for place, mark in found.items()}
