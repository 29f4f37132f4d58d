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
    return Expression(tuple(values[names[place]] if place in names else token for place, token in enumerate(tokens)))


@cache
def _skeleton(formula: str, constants: tuple[str, ...]) -> tuple[tuple[Token, ...], Mapping[int, str]]:
    """The tokens of a formula, and at which places there are constants, by name: read with a value for each that is its alone."""
    marks = {name: 1e-9 * (1 + number / 7919) for number, name in enumerate(constants)}
    tokens = parse(formula, marks).tokens
    names = {value: name for name, value in marks.items()}
    return tokens, {place: names[token] for place, token in enumerate(tokens) if token in names}
