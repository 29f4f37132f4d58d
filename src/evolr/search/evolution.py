"""From one population to the next.

A population is a pure function of the configuration and the population before it: every draw comes from a
generator keyed by (study seed, generation, slot, purpose).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evolr.config import CONSTANT, GenerationalSearch, Search
from evolr.expression import Expression
from evolr.randomness import generator
from evolr.search import variation
from evolr.search.individual import Evaluation, Individual, Place
from evolr.search.selection import tournament_selection


class Generational:
    """Tree genetic programming, a population after the other; see Method for its members."""

    reuses_scores = True

    def __init__(self, search: GenerationalSearch, seed: int) -> None:
        self._search = search
        self._seed = seed
        self._last: list[Evaluation] = []
        self._best: dict[Expression, Evaluation] = {}

    def population(self) -> list[Individual]:
        if self._last:
            return next_population(self._search, self._seed, self._last)
        return initial_population(self._search, self._seed)

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        self._last = list(evaluations)
        for evaluation in evaluations:
            self._best.setdefault(evaluation.individual.expression, evaluation)

    def recall(self, population: Sequence[Individual]) -> None:
        """Nothing to do: the next population is a function of the evaluations alone."""

    def finalists(self, count: int) -> list[Evaluation]:
        """The fittest different formulas; of equals the smallest, then the earliest."""
        ranked = sorted(
            self._best.values(),
            key=lambda e: (-e.fitness, e.individual.expression.size, *e.individual.place),
        )
        return ranked[:count]


def vocabulary(search: Search) -> variation.Vocabulary:
    """What the formulas of a search are made of."""
    return variation.Vocabulary(
        functions=search.functions,
        signals=tuple(t for t in search.terminals if t != CONSTANT),
        has_constant=CONSTANT in search.terminals,
        constant_range=search.constant_range,
        transform=search.transform,
    )


def initial_population(search: Search, seed: int) -> list[Individual]:
    """The first population: the formulas that it begins with, then random ones.

    A random tree beyond max_size is drawn again, one level lower each time.
    """
    words = vocabulary(search)
    given = search.initial_expressions

    def individual(slot: int) -> Individual:
        if slot < len(given):
            return Individual(Place(0, slot), given[slot], "initial")
        rng = generator(seed, 0, slot, "initial")
        least, most = search.initial_depth
        for deepest in range(most, 0, -1):
            bounds = (min(least, deepest), deepest)
            tree = variation.ramped_half_and_half(rng, words, slot, bounds)
            if tree.size <= search.max_size:
                break
        else:
            raise AssertionError("a tree of one level has one node")
        return Individual(Place(0, slot), tree, "initial")

    return [individual(slot) for slot in range(search.population)]


def next_population(search: GenerationalSearch, seed: int, previous: Sequence[Evaluation]) -> list[Individual]:
    """The population after an evaluated one: its elites first, then children."""
    generation = previous[0].individual.place.generation + 1
    ranked = sorted(previous, key=lambda e: (-e.fitness, e.individual.expression.size, e.individual.place.slot))
    elites = [
        Individual(Place(generation, slot), e.individual.expression, "elite", (e.individual.place,))
        for slot, e in enumerate(ranked[: search.elites])
    ]
    words = vocabulary(search)
    slots = range(search.elites, search.population)
    return elites + [_child(search, words, seed, Place(generation, slot), previous) for slot in slots]


def _child(
    search: GenerationalSearch, words: variation.Vocabulary, seed: int, place: Place, previous: Sequence[Evaluation]
) -> Individual:
    rng = generator(seed, *place, "child")
    fitness = [e.fitness for e in previous]

    def selected() -> Individual:
        return previous[tournament_selection(rng, fitness, search.tournament)].individual

    operator = draw_operator(rng, search)
    parent = selected()
    parents = [parent]

    def other_parent() -> Expression:
        parents.append(selected())
        return parents[-1].expression

    tree = variation.vary(rng, operator, parent.expression, other_parent, words, depth=search.initial_depth[1])
    oversize = is_oversize(search, tree)
    expression = parent.expression if oversize else tree
    return Individual(place, expression, operator, tuple(p.place for p in parents), oversize)


def draw_operator(rng: np.random.Generator, search: Search) -> str:
    """The name of the operator that makes a child, by the configured probabilities."""
    draw = rng.random()
    for name, probability in search.operators.items():
        if draw < probability:
            return name
        draw -= probability
    return "copy"


def is_oversize(search: Search, tree: Expression) -> bool:
    """Whether a tree is beyond the limits of a search."""
    return tree.size > search.max_size or tree.depth > search.max_depth
