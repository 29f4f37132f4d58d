"""Bayesian optimisation over formulas, for searches of a few dozen to a few hundred trainings.

Where trainings are few, each has to tell of more formulas than its own. A Gaussian process over what schedules do
(landscape.py) does that: a learning rate that is too high for a cosine is too high for a trapezoid. A generation is a few
points: of some hundred candidates, which are made of the best formulas so far, those whose expected improvement is
greatest (Jones, Schonlau and Welch 1998), the second as if the first had scored what is expected of it, and so on. A
formula may be tried again, if that is where most is to be learnt: what is best is what the process expects, not the
luckiest training.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolr.config import BayesianSearch
from evolr.errors import ConfigError
from evolr.expression import Expression
from evolr.randomness import generator
from evolr.search import constants, variation
from evolr.search.behaviour import behaviour
from evolr.search.evolution import draw_operator, is_oversize, vocabulary
from evolr.search.individual import Evaluation, Individual, Place
from evolr.search.landscape import Landscape
from evolr.search.method import not_made_so
from evolr.search.standard_structures import in_terms
from evolr.standard import FAMILIES, Family, FreeConstant

_FIRST: Final = (
    "WSD (linear)",
    "WSD (1 − sqrt)",
    "warm-up + cosine",
    "one-cycle",
    "warm-up + linear",
    "generalised cosine",
)
"""The families that the first points are of, in turn: those that stood best in contests."""

_LEAST_LEVEL: Final = 0.1  # of the first points, in units of reference_lr; the greatest is max_lr
_TRIED_AGAIN: Final = 3  # of the best, that are candidates as they are
_AROUND: Final = 1.0  # decades around the level of the formula that a search begins with; at least so many below max_lr
_PARENTS: Final = 6  # that candidates are made of: the best by what is expected
_NEAR: Final = 0.45  # the part of candidates whose constants are near a parent's
_SCALED: Final = 0.15  # that are a parent with another scale
_FAMILY: Final = 0.25  # that are of another family, at the level of a parent; the rest are children by the operators
_SCALE_SPREAD: Final = 0.5  # decades
_LEVEL_SPREAD: Final = 0.3  # decades
_LEAST_WIDTH: Final = 0.06  # of what is drawn near a parent, of the width that a family's constant has a priori
_ATTEMPTS: Final = 30  # at a random formula within the limits

_NOWHERE: Final = Place(0, 0)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """A formula, what it does, and how it came about: of a family with these constants, where it is one."""

    expression: Expression
    behaviour: Array
    family: Family | None = None
    values: dict[str, float] = field(default_factory=dict[str, float])
    operator: str = "initial"
    parents: tuple[Place, ...] = ()
    place: Place = _NOWHERE


class _Candidate(NamedTuple):
    """A point with its learning rate times 10^decades, whose formula is made when it is chosen."""

    point: _Point
    operator: str = "copy"
    decades: float = 0.0
    parents: tuple[Place, ...] = ()

    @property
    def behaviour(self) -> Array:
        does = self.point.behaviour.copy()
        does[0] += self.decades
        return does


class Bayesian:
    """See the module, and Method for its members."""

    reuses_scores = False  # a formula that is tried again is trained again

    def __init__(self, search: BayesianSearch, seed: int) -> None:
        self._search = search
        self._seed = seed
        self._words = vocabulary(search)
        self._generation = 0
        self._asked: list[_Point] = []
        self._points: list[_Point] = []  # all that were evaluated
        self._fitness: list[float] = []
        self._families = [family for family in FAMILIES.values() if in_terms(search, family) is not None]
        self._best_families = [f for f in self._families if f.name in _FIRST] or self._families

    def population(self) -> list[Individual]:
        points = self._next() if self._generation else self._first()
        self._asked = [replace(point, place=Place(self._generation, slot)) for slot, point in enumerate(points)]
        return [Individual(p.place, p.expression, p.operator, p.parents) for p in self._asked]

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        self._points += self._asked
        self._fitness += [evaluation.fitness for evaluation in evaluations]
        self._generation += 1

    def recall(self, population: Sequence[Individual]) -> None:
        made = self.population()
        is_beginning = self._generation == 0 and [i.operator for i in made] != [i.operator for i in population]
        if is_beginning or [i.place for i in made] != [i.place for i in population]:
            raise not_made_so(self._generation)
        # Where its arithmetic differed in the last bits, on another processor say, what was made then is what counts.
        self._asked = [
            point
            if point.expression == individual.expression
            else replace(
                self._point(individual.expression),
                operator=individual.operator,
                parents=individual.parents,
                place=individual.place,
            )
            for point, individual in zip(self._asked, population, strict=True)
        ]

    def finalists(self, count: int) -> list[Evaluation]:
        """The formulas of which most is expected, whatever luck their own trainings had."""
        expected = self._landscape().mean(self._behaviours())
        different: dict[Expression, Evaluation] = {}
        for number in np.argsort(-expected, kind="stable").tolist():
            point = self._points[number]
            individual = Individual(point.place, point.expression, "finalist", (point.place,))
            different.setdefault(point.expression, Evaluation(individual, float(expected[number]), math.nan))
        return list(different.values())[:count]

    # --- the parts ------------------------------------------------------------------------------------------------------

    def _point(
        self, expression: Expression, family: Family | None = None, values: dict[str, float] | None = None
    ) -> _Point:
        does = behaviour(self._search.schedule(expression), self._search.own_signals)
        return _Point(expression, does, family, values or {})

    def _of_family(self, family: Family, given: Mapping[str, float]) -> _Point | None:
        values = {constant.name: given.get(constant.name, constant.default) for constant in family.constants}
        expression = in_terms(self._search, family, **values)
        return None if expression is None else self._point(expression, family, values)

    def _behaviours(self) -> Array:
        return np.array([point.behaviour for point in self._points])

    def _landscape(self) -> Landscape:
        generations = np.array([point.place.generation for point in self._points])
        return Landscape(self._behaviours(), np.array(self._fitness), generations)

    def _first(self) -> list[_Point]:
        """The formulas that the search begins with, so many as there is room for; then the families that stand best, with their
        default constants.

        The families are at levels from far too low to far too high, or around the given formula's: a tenth to ten times it.
        """
        count, given = self._search.first, [self._point(formula) for formula in self._search.initial_expressions]
        given, rest = given[:count], max(0, count - len(given))
        if given:
            level = float(given[0].behaviour[0])
            least, most = level - _AROUND, level + _AROUND
        else:
            most = math.log10(self._search.max_lr)
            least = min(math.log10(_LEAST_LEVEL * self._search.reference_lr), most - _AROUND)
        levels = [least + (number + 0.5) / rest * (most - least) for number in range(rest)]
        if not self._best_families:
            return given + [self._random(number, level) for number, level in enumerate(levels)]
        families = [self._best_families[number % len(self._best_families)] for number in range(rest)]
        made = [
            self._of_family(family, {_scale(family).name: 10**level})
            for family, level in zip(families, levels, strict=True)
        ]
        return given + [point for point in made if point is not None]

    def _random(self, number: int, level: float) -> _Point:
        """A random formula at a level, where the language can say no family."""
        least, most = self._search.initial_depth
        for attempt in range(_ATTEMPTS):
            rng = generator(self._seed, 0, number, attempt, "structure")
            deepest = max(1, most - attempt // 3)
            tree = variation.ramped_half_and_half(rng, self._words, number, (min(least, deepest), deepest))
            scaled = self._scaled(tree, 0.0)
            if tree.signals and not is_oversize(self._search, scaled):
                return self._point(self._scaled(tree, level - float(self._point(scaled).behaviour[0])))
        raise ConfigError(
            "no formula with a signal comes about within search.max_size, search.max_depth and the language: raise the "
            "limits, or give more functions and terminals"
        )

    def _next(self) -> list[_Point]:
        """Of the candidates those from which most improvement is expected, one after another."""
        landscape, rng = self._landscape(), generator(self._seed, self._generation, "candidates")
        expected = landscape.mean(self._behaviours())
        parents: dict[Expression, _Point] = {}
        for number in np.argsort(-expected, kind="stable").tolist():
            parents.setdefault(self._points[number].expression, self._points[number])
        best = list(parents.values())[:_PARENTS]
        drawn = (self._candidate(rng, best) for _ in range(self._search.candidates))
        candidates = [_Candidate(again) for again in best[:_TRIED_AGAIN]]
        candidates += [_Candidate(given, "initial") for given in self._untried(parents)]
        candidates += [c for c in drawn if c is not None and self._fits(c.point)]
        does = np.array([candidate.behaviour for candidate in candidates])
        chosen = landscape.most_improving(does, float(expected.max()), self._search.population)
        return [self._made(candidates[number]) for number in chosen]

    def _untried(self, tried: Container[Expression]) -> list[_Point]:
        """The formulas that the search begins with which had no room in the first generation, and were not worth it since."""
        untried = self._search.initial_expressions[self._search.first :]
        return [self._point(formula) for formula in untried if formula not in tried]

    def _fits(self, point: _Point) -> bool:
        """Whether it stays within the limits at another scale; a formula that was given may be as large as they are."""
        return point.family is not None or not is_oversize(self._search, self._scaled(point.expression, 0.0))

    def _candidate(self, rng: np.random.Generator, best: list[_Point]) -> _Candidate | None:
        parent = best[min(rng.integers(len(best), size=2))]  # they are sorted: a tournament of two
        draw, width = rng.random(), _LEAST_WIDTH ** rng.random()
        if draw < _SCALED:
            return _Candidate(parent, "scaled", float(rng.normal(0, _SCALE_SPREAD)), (parent.place,))
        if draw < _SCALED + _NEAR:
            decades = float(rng.normal(0, _SCALE_SPREAD * width))
            near = self._near(rng, parent, width)
            return None if near is None else _Candidate(near, "near", decades, (parent.place,))
        if draw < _SCALED + _NEAR + _FAMILY and self._families:
            family, operator = self._families[rng.integers(len(self._families))], "family"
            values = {c.name: _moved(rng, c, c.default, width) for c in family.constants if not c.is_scale}
            made = self._of_family(family, values)
        else:
            operator = draw_operator(rng, self._search)
            made = self._child(rng, operator, parent, best)
        if made is None:
            return None
        gap = float(parent.behaviour[0] - made.behaviour[0])
        return _Candidate(made, operator, gap + float(rng.normal(0, _LEVEL_SPREAD)), (parent.place,))

    def _near(self, rng: np.random.Generator, parent: _Point, width: float) -> _Point | None:
        """The parent with all constants but its scale moved a little."""
        if parent.family is not None:
            values = {
                c.name: parent.values[c.name] if c.is_scale else _moved(rng, c, parent.values[c.name], width)
                for c in parent.family.constants
            }
            return self._of_family(parent.family, values)
        before = constants.values(parent.expression)
        moved = before + width * rng.normal(size=len(before)) * (0.5 * np.abs(before) + 0.05)
        return self._point(constants.with_values(parent.expression, moved))

    def _child(self, rng: np.random.Generator, operator: str, parent: _Point, best: list[_Point]) -> _Point | None:
        father = best[rng.integers(len(best))]
        tree = variation.vary(
            rng, operator, parent.expression, lambda: father.expression, self._words, depth=variation.CHILD_DEPTH
        )
        tree = self._scaled(tree, 0.0) if tree.signals else tree
        if not tree.signals or is_oversize(self._search, tree) or len(constants.places(tree)) > constants.MOST:
            return None
        return self._point(tree)

    def _made(self, candidate: _Candidate) -> _Point:
        """The point that a candidate is, with its learning rate multiplied by the power of ten that it has."""
        point, decades = candidate.point, candidate.decades
        if candidate.operator in ("copy", "initial"):
            made = point
        elif point.family is not None:
            name = _scale(point.family).name
            made = self._of_family(point.family, {**point.values, name: point.values[name] * 10**decades})
            assert made is not None  # it could be said at another scale
        else:
            made = self._point(self._scaled(point.expression, decades))
        return replace(made, operator=candidate.operator, parents=candidate.parents)

    def _scaled(self, expression: Expression, decades: float) -> Expression:
        """The formula with its learning rate multiplied by a power of ten."""
        tokens, is_log = expression.tokens, self._search.transform == "log"
        outer, change = ("add", decades * math.log(10)) if is_log else ("mul", 10**decades)
        if tokens[0] == outer and isinstance(tokens[1], float):
            return Expression((outer, tokens[1] + change if is_log else tokens[1] * change, *tokens[2:]))
        return Expression((outer, change, *tokens))


def _scale(family: Family) -> FreeConstant:
    return next(constant for constant in family.constants if constant.is_scale)


def _moved(rng: np.random.Generator, constant: FreeConstant, value: float, width: float) -> float:
    """A value near another, in a constant's range. width: of the standard deviation, of a quarter of the range."""
    draw = width * float(rng.normal()) / 4
    if constant.scale == "log":
        moved = value * (constant.high / constant.low) ** draw
    else:
        moved = value + draw * (constant.high - constant.low)
    moved = min(max(moved, constant.low), constant.high)
    return float(round(moved)) if constant.scale == "integer" else moved
