"""Memetic genetic programming: a population of structures, each of which tunes its constants by an evolution strategy.

An individual of ordinary genetic programming is judged with the constants that it happens to have, and at one training
each, a good structure with bad constants is thrown away. Here an individual of the population is a *niche*: a structure
with a CMA-ES of its own over its constants (Hansen 2016). Every generation each niche asks for a few points, all of them
trained from the same seeds, and is judged by the better half of them over some generations, so that no single lucky
training decides; in the first generation of a suite, by the best of them. Each generation, children of good niches are tried once and the best ones become niches; one inherits
the tuned constants of its parents, is safe for some generations, and then the worst niche that is not young makes room
(age-layered, Hornby 2006). In the last generations, where there are such, the best niches alone go on, on more trainings a
point, with more points if the search says so, and without children (successive halving, Jamieson and Talwalkar 2016).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.config import MemeticSearch
from evolr.errors import ConfigError
from evolr.expression import Expression
from evolr.randomness import generator, seed_from
from evolr.search import constants, variation
from evolr.search.archive import fingerprint
from evolr.search.evolution import draw_operator, is_oversize, vocabulary
from evolr.search.individual import Evaluation, Individual, Place
from evolr.search.method import not_made_so
from evolr.search.standard_structures import product_of_powers, standard_structures

_RELATIVE_SPREAD: Final = 0.35  # of a constant's first samples, of its own size
_LEAST_SPREAD: Final = 0.05  # and at least
_SEED_SIGMA: Final = 1.0  # the first step size of a structure that begins untuned
_CHILD_SIGMA: Final = 0.6  # and of one whose constants were tuned in its parents
_MEMORY: Final = 3  # generations that a niche is judged by
_ATTEMPTS: Final = 30  # at a child that is new and within the limits


@dataclass(slots=True, eq=False)
class _Niche:
    """A structure and its search for constants.

    strategy: a cmaes.CMA over the constants divided by their scales; restarts: how often it has begun again. birth: the
    individual that it began with.
    history: of each generation, the mean fitness of the better half of its points; where each generation meets other tasks,
    above the middle niche's.
    """

    structure: Expression
    scales: NDArray[np.float64]
    strategy: Any
    birth: Place
    restarts: int = 0
    history: list[float] = field(default_factory=list[float])
    points: list[NDArray[np.float64]] = field(default_factory=list[NDArray[np.float64]])  # of the latest generation

    @property
    def age(self) -> int:
        return len(self.history)

    @property
    def fitness(self) -> float:
        return float(np.mean(self.history[-_MEMORY:])) if self.history else -math.inf

    def ask(self, count: int) -> list[Expression]:
        self.points = [self.strategy.ask() for _ in range(count)]
        return [constants.with_values(self.structure, point * self.scales) for point in self.points]

    def tell(self, fitness: Sequence[float], *, by_best: bool = False) -> None:
        """The fitness of the points of the latest `ask`; −∞ for what diverged. by_best: it is judged by the best of them alone."""
        ranked = np.sort([max(value, -1e300) for value in fitness])
        self.history.append(float(ranked[-1] if by_best else np.mean(ranked[len(ranked) // 2 :])))
        worst_first = {value: rank for rank, value in enumerate(sorted(set(fitness)))}
        if len(worst_first) == 1:
            return  # points that are all alike say nothing of where to go
        # By rank: the strategy looks at the order alone, and an infinity has no place in its arithmetic.
        self.strategy.tell([(p, -float(worst_first[f])) for p, f in zip(self.points, fitness, strict=True)])

    def recall(self, individuals: Sequence[Individual]) -> None:
        """Takes the constants of individuals that were made before for the points of the latest `ask`."""
        for number, individual in enumerate(individuals):
            if individual.expression != constants.with_values(self.structure, self.points[number] * self.scales):
                values = [individual.expression.tokens[place] for place in constants.places(self.structure)]
                self.points[number] = np.array(values, np.float64) / self.scales

    def centre(self) -> Expression:
        """The structure with the constants that the strategy has come to."""
        return constants.with_values(self.structure, self.strategy.mean * self.scales)


class Memetic:
    """See the module, and Method for its members."""

    reuses_scores = False  # an old score of a structure's point would be luck that is kept for good

    def __init__(self, search: MemeticSearch, seed: int, *, draws_tasks: bool = False) -> None:
        self._search = search
        self._seed = seed
        self._draws_tasks = draws_tasks
        self._words = vocabulary(search)
        self._generation = 0
        self._niches: list[_Niche] = []
        self._asked: list[tuple[_Niche, range]] = []  # the slots of each niche's points in the latest population
        self._children: range = range(0)
        self._past: list[_Niche] = []  # that made room, once they were old enough to be judged

    def population(self) -> list[Individual]:
        if self._generation == 0:
            structures = self._first_structures()
            self._niches = [self._niche(s, Place(0, number), _SEED_SIGMA) for number, s in enumerate(structures)]
        individuals: list[Individual] = []
        self._asked = []
        for niche in self._niches:
            start = len(individuals)
            operator, parents = ("initial", ()) if self._generation == 0 else ("cma", (niche.birth,))
            for expression in niche.ask(self._search.samples_at(self._generation)):
                individuals.append(Individual(self._place(len(individuals)), expression, operator, parents))
            self._asked.append((niche, range(start, len(individuals))))
        start = len(individuals)
        if self._generation > 0 and not self._search.is_last(self._generation):
            living = {self._values(niche.centre()) for niche in self._niches}
            individuals += [self._child(self._place(start + k), living) for k in range(self._search.children)]
        self._children = range(start, len(individuals))
        return individuals

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        # The first points lie wide, so most of a structure's say how far its constants are off. Where each was judged by
        # several tasks, the best one says what it may come to; one training's luck would not.
        by_best = self._generation == 0 and self._draws_tasks
        for niche, slots in self._asked:
            niche.tell([evaluations[slot].fitness for slot in slots], by_best=by_best)
            if niche.strategy.should_stop():  # it has come to rest
                self._begin_again(niche)
            if self._generation == 0:
                niche.birth = evaluations[max(slots, key=lambda slot: evaluations[slot].fitness)].individual.place
        if self._draws_tasks:
            self._level_tasks()
        self._niches.sort(key=lambda niche: -niche.fitness)
        children = [evaluations[slot] for slot in self._children]
        different: dict[bytes, Individual] = {}
        for evaluation in sorted(children, key=lambda e: -e.fitness):
            if len(different) < self._search.newcomers:
                different.setdefault(self._values(evaluation.individual.expression), evaluation.individual)
        self._niches += [self._niche(child.expression, child.place, _CHILD_SIGMA) for child in different.values()]
        # The worst that is not young makes room; of the first structures, half of them after one generation.
        room, old_enough = self._search.population, self._search.youth
        if self._generation == 0:
            room, old_enough = max(room, len(self._niches) // 2), 1
        while len(self._niches) > room:
            old = [niche for niche in self._niches if niche.age >= old_enough]
            if not old:
                break
            worst = min(old, key=lambda niche: niche.fitness)
            self._niches.remove(worst)
            if worst.age >= _MEMORY:
                self._past.append(worst)
        self._generation += 1
        if self._search.is_last(self._generation):
            self._keep_the_best_alone()

    def _keep_the_best_alone(self) -> None:
        """First of those that were judged by as many generations as judge a niche; younger ones where these are too few.

        A younger one that is left out is gone: it would be no finalist either.
        """
        ranked = sorted(self._niches, key=lambda niche: (niche.age < _MEMORY, -niche.fitness))
        best = ranked[: self._search.last_population]
        self._past += [niche for niche in ranked if niche not in best and niche.age >= _MEMORY]
        self._niches = best
        for niche in best:
            if niche.strategy.population_size != self._search.samples_at(self._generation):
                self._begin_again(niche)

    def _level_tasks(self) -> None:
        """Judges each niche by how far it is above the middle one of its generation.

        Niches of different ages have met different tasks, and a young one's could have been the easy ones.
        """
        latest = [niche.history[-1] for niche in self._niches if math.isfinite(niche.history[-1])]
        middle = float(np.median(latest)) if latest else 0.0
        for niche in self._niches:
            niche.history[-1] -= middle

    def recall(self, population: Sequence[Individual]) -> None:
        made = self.population()
        if [(i.place, i.parents) for i in made] != [(i.place, i.parents) for i in population] or not all(
            constants.shape(one.expression) == constants.shape(other.expression)
            for one, other in zip(made, population, strict=True)
            if one.operator in ("initial", "cma")
        ):
            raise not_made_so(self._generation)
        # Where its arithmetic differed in the last bits, on another processor say, what was made then is what counts.
        for niche, slots in self._asked:
            niche.recall([population[slot] for slot in slots])

    def finalists(self, count: int) -> list[Evaluation]:
        """The centres of the best niches, past ones too; and of each size the best, for the front of sizes."""
        everyone = [niche for niche in [*self._niches, *self._past] if niche.age > 0]
        judged = [niche for niche in everyone if niche.age >= _MEMORY] or everyone
        has_last = self._search.is_last(self._generation - 1)

        def standing(niche: _Niche) -> tuple[bool, float]:
            """Less is better. Those of the last generations were the best before, and have met other tasks since."""
            return has_last and niche not in self._niches, -niche.fitness

        ranked = sorted(judged, key=standing)
        smallest_first = sorted(ranked, key=lambda niche: niche.structure.size)
        front: list[_Niche] = []
        for niche in smallest_first:
            if not front or standing(niche) < standing(front[-1]):
                front.append(niche)
        chosen = [*ranked[: max(1, count - len(front))], *reversed(front), *ranked]
        different: dict[bytes, Evaluation] = {}
        for niche in chosen:
            centre = niche.centre()
            individual = Individual(niche.birth, centre, "finalist", (niche.birth,))
            different.setdefault(self._values(centre), Evaluation(individual, niche.fitness, math.nan))
        return sorted(list(different.values())[:count], key=lambda e: -e.fitness)

    # --- the parts ------------------------------------------------------------------------------------------------------

    def _values(self, formula: Expression) -> bytes:
        """What tells a formula from others: its values, where the signals of this search lie."""
        return fingerprint(formula, self._search.own_signals)

    def _place(self, slot: int) -> Place:
        return Place(self._generation, slot)

    def _first_structures(self) -> list[Expression]:
        """The formulas that the search begins with, a product of powers, the families that the language can say, random trees."""
        structures = self._search.initial_expressions
        if self._search.seed_powers and (product := product_of_powers(self._search)):
            structures.append(product)
        structures += standard_structures(self._search) if self._search.seed_families else []
        wanted = len(structures) + self._search.random_structures
        for number in range(_ATTEMPTS * self._search.random_structures):
            rng = generator(self._seed, 0, number, "structure")
            least, most = self._search.initial_depth
            deepest = most - number // self._search.random_structures % most  # lower, where higher ones do not fit
            tree = variation.ramped_half_and_half(rng, self._words, number, (min(least, deepest), deepest))
            if len(structures) < wanted and tree.signals and not is_oversize(self._search, constants.tunable(tree)):
                structures.append(tree)
        if not structures:
            raise ConfigError(
                "no structure with a signal comes about within search.max_size, search.max_depth and the language: raise "
                "the limits, or give more functions and terminals"
            )
        return structures

    def _niche(self, structure: Expression, birth: Place, sigma: float) -> _Niche:
        structure = constants.tunable(structure)
        values = constants.values(structure)
        scales = _RELATIVE_SPREAD * np.abs(values) + _LEAST_SPREAD
        return _Niche(structure, scales, self._strategy(values / scales, sigma, birth, 0), birth)

    def _strategy(self, mean: NDArray[np.float64], sigma: float, birth: Place, restarts: int) -> Any:
        from cmaes import CMA

        key = seed_from(self._seed, *birth, restarts, "strategy")
        samples = self._search.samples_at(self._generation)
        return CMA(mean=np.array(mean), sigma=sigma, population_size=samples, seed=key)

    def _begin_again(self, niche: _Niche) -> None:
        """Lets it look again around where it is."""
        niche.restarts += 1
        niche.strategy = self._strategy(niche.strategy.mean, _CHILD_SIGMA, niche.birth, niche.restarts)

    def _child(self, place: Place, living: Collection[bytes]) -> Individual:
        """A child of good niches that is no living one's twin; a copy of its parent if none comes about.

        living: the values of the niches' centres.
        """
        rng = generator(self._seed, *place, "child")
        grown = [niche for niche in self._niches if niche.age >= 2] or self._niches

        def parent() -> _Niche:
            return grown[min(rng.integers(len(grown), size=2))]  # they are sorted: a tournament of two

        for _ in range(_ATTEMPTS):
            mother, father = parent(), grown[rng.integers(len(grown))]
            operator = draw_operator(rng, self._search)
            tree = variation.vary(
                rng, operator, mother.centre(), father.centre, self._words, depth=variation.CHILD_DEPTH
            )
            fits = (
                not is_oversize(self._search, constants.tunable(tree)) and len(constants.places(tree)) <= constants.MOST
            )
            if tree.signals and fits and self._values(tree) not in living:
                parents = (
                    (mother.birth, father.birth) if operator in ("crossover", "product_crossover") else (mother.birth,)
                )
                return Individual(place, tree, operator, parents)
        mother = parent()
        return Individual(place, mother.centre(), "copy", (mother.birth,))
