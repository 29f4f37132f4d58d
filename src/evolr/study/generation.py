"""The generation that a study is at: its individuals, the scores that they have, and the runs that they lack."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from evolr.config import Config
from evolr.search.archive import KnownEvaluations
from evolr.search.evaluation import (
    Run,
    Scores,
    evaluate,
    evaluate_race,
    heats_done,
    is_race,
    runs_of,
    runs_of_race,
    to_train,
)
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study.records import TOLD


def evaluated_so_far(config: Config, population: Sequence[Individual], scores: Scores) -> list[Evaluation]:
    """What the trials of an unfinished generation say of it so far, in its order; for a provisional champion alone.

    scores: of its trials, by place, pool and seed. Of the individuals of which no trial has diverged, those with the most
    trials, by their mean; none where all trials diverged. What was told stands for all trials of its individual.
    """
    found: dict[Place, list[float]] = {}
    for (place, pool, _), score in sorted(scores.items(), key=lambda item: (item[0][0], item[0][2])):
        if pool == TOLD:
            found[place] = [score] * config.search.seeds_at(place.generation)
        elif (place, TOLD, 0) not in scores:
            found.setdefault(place, []).append(score)
    finished = {place: own for place, own in found.items() if all(map(math.isfinite, own))}
    most = max(map(len, finished.values()), default=0)
    metric, evaluations = config.problem.metric, list[Evaluation]()
    for individual in population:
        if len(own := finished.get(individual.place, [])) == most > 0:
            score = float(np.mean(own))
            evaluations.append(Evaluation(individual, metric.fitness(score), score))
    return evaluations


class CurrentGeneration:
    """A population under evaluation; it is evaluated when it lacks nothing.

    epochs: of its trainings; part: see Config.part_at. known: the evaluations that need no training again; those of this generation are added to them. scores: of its runs so
    far, by place, pool and seed.
    """

    def __init__(
        self, config: Config, number: int, population: Sequence[Individual], known: KnownEvaluations, scores: Scores
    ) -> None:
        self.number = number
        self.epochs, self.part = config.epochs_at(number), config.part_at(number)
        self.population = list(population)
        self.is_race = is_race(config, number)
        self._config = config
        self._known = known
        self._scores = dict(scores)
        trained = self.population if self.is_race else to_train(self.population, known)
        self._fresh = {individual.place: individual for individual in trained}

    def heat(self) -> list[Run]:
        """The runs of the race's current heat, those that are done included; of its last one if the race is over."""
        return runs_of_race(self._config, self.population, self._race_scores())

    @property
    def heats_done(self) -> int:
        """The heats of a race that is not over of which every run is there; 0 if it is no race."""
        return heats_done(self._config, self.population, self._race_scores()) if self.is_race else 0

    @property
    def race_trained(self) -> int:
        """The race's runs that are done."""
        return len(self._scores)

    def missing(self) -> list[Run]:
        """The runs that it lacks; of the race, those of its current heat. All of them are judged on one pool."""
        runs = self.heat() if self.is_race else runs_of(self._config, self.number, list(self._fresh.values()))
        return [
            run
            for run in runs
            if (run.individual.place, run.pool, run.seed) not in self._scores and self.told(run.individual) is None
        ]

    def wanted(self) -> list[Individual]:
        """What lacks a score, of its formulas that are not known."""
        return list(dict.fromkeys(run.individual for run in self.missing()))

    def add(self, scores: Iterable[tuple[Place, str, int, float]]) -> None:
        self._scores |= {(place, pool, seed): score for place, pool, seed, score in scores}

    def replace_scores(self, scores: Scores) -> None:
        self._scores = dict(scores)

    @property
    def is_untouched(self) -> bool:
        """Whether none of its trials is there yet."""
        return not self._scores

    def has_to_train(self, individual: Individual) -> bool:
        """Whether it is an individual of this generation whose score is not known from before."""
        return self._fresh.get(individual.place) == individual

    def told(self, individual: Individual) -> float | None:
        """The score that an individual has been told; None where it has none."""
        return self._scores.get((individual.place, TOLD, 0))

    def evaluated_so_far(self) -> list[Evaluation]:
        """See the function of this name; changes nothing."""
        return evaluated_so_far(self._config, self.population, self._scores)

    def evaluate(self) -> list[Evaluation]:
        """The evaluations of the population, in its order; adds those that were trained to what is known."""
        if self.is_race:
            return evaluate_race(self._config, self.population, self._race_scores())
        scores: dict[Place, list[float]] = {}
        for (place, pool, _), score in sorted(self._scores.items(), key=lambda item: item[0][2]):
            if pool == TOLD or (place, TOLD, 0) not in self._scores:
                scores.setdefault(place, []).append(score)
        return evaluate(self._config, self.population, self._known, scores)

    def _race_scores(self) -> Scores:
        """The scores of the race; one that was told from outside stands for all runs of its finalist."""
        scores = dict(self._scores)
        told = {place: score for (place, pool, _), score in self._scores.items() if pool == TOLD}
        while told:
            runs = runs_of_race(self._config, self.population, scores)
            added = {
                (individual.place, pool, seed): told[individual.place]
                for individual, pool, seed in runs
                if individual.place in told and (individual.place, pool, seed) not in scores
            }
            if not added:
                break
            scores |= added
        return scores
