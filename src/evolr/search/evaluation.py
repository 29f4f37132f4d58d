"""The evaluation policy: which trials a population needs, and what their outcomes say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from evolr.config import AnySearch, Config
from evolr.problems import Pool
from evolr.randomness import seed_from
from evolr.search.archive import KnownEvaluations
from evolr.search.individual import Evaluation, Individual, Place

_HEAT_FACTOR: Final = 3  # a heat keeps one in so many, and multiplies the seeds by it
_LAST_HEAT: Final = 3  # finalists at most that end the race
LEAST_FINALISTS: Final = 2  # of a race that a budget has made smaller


def seeds_of(config: Config, generation: int) -> list[int]:
    """The seeds of the trials of a generation: they are its own, so that all its individuals meet the same luck."""
    return [seed_from(config.seed, generation, k, "trial") for k in range(config.search.seeds_at(generation))]


def to_train(population: Sequence[Individual], known: KnownEvaluations) -> list[Individual]:
    """The individuals of a population that have to be trained: the first of each formula that is not known."""
    seen = KnownEvaluations(known.own)
    fresh: list[Individual] = []
    for individual in population:
        if known.find(individual) is None and seen.find(individual) is None:
            fresh.append(individual)
            seen.add(Evaluation(individual, np.nan, np.nan))
    return fresh


def evaluate(
    config: Config, population: Sequence[Individual], known: KnownEvaluations, scores: Mapping[Place, Sequence[float]]
) -> list[Evaluation]:
    """The evaluation of each individual, in order, from the scores of the trained ones; adds those to `known`."""
    metric = config.problem.metric
    for individual in to_train(population, known):
        score = float(np.mean(scores[individual.place]))  # NaN where one is
        known.add(Evaluation(individual, metric.fitness(score), score))
    return [_found(known, individual) for individual in population]


def _found(known: KnownEvaluations, individual: Individual) -> Evaluation:
    evaluation = known.find(individual)
    assert evaluation is not None
    if evaluation.known_from == individual.place:
        return Evaluation(individual, evaluation.fitness, evaluation.score)
    return evaluation


class Run(NamedTuple):
    """A training that a population needs."""

    individual: Individual
    pool: Pool
    seed: int


Scores = Mapping[tuple[Place, str, int], float]
"""The scores of runs, by place, pool and seed."""


def is_race(config: Config, generation: int) -> bool:
    """Whether a generation is the race of the finalists, which comes after the last one that is bred."""
    return generation >= config.search.race_generation


def race_population(finalists: Sequence[Evaluation], generation: int) -> list[Individual]:
    """The finalists as a population of their own."""
    return [
        Individual(Place(generation, slot), e.individual.expression, "finalist", (e.individual.place,))
        for slot, e in enumerate(finalists)
    ]


def runs_of(config: Config, generation: int, fresh: Sequence[Individual]) -> list[Run]:
    """The runs of a generation that is bred; `fresh` are its individuals that have to be trained."""
    seeds = seeds_of(config, generation)
    return [Run(individual, "fitness", seed) for individual in fresh for seed in seeds]


def runs_of_race(config: Config, finalists: Sequence[Individual], scores: Scores) -> list[Run]:
    """The runs of the race's current heat; those of the last one where the race is over."""
    return _heats(config, finalists, scores)[-1]


def evaluate_race(config: Config, finalists: Sequence[Individual], scores: Scores) -> list[Evaluation]:
    """The evaluation of each finalist by the mean of its runs.

    Who went out in a heat ranks below all who stayed: its score is lowered to just below theirs where its luck in fewer
    runs was better.
    """
    metric = config.problem.metric
    sign = 1.0 if metric.higher_is_better else -1.0
    evaluations: dict[Place, Evaluation] = {}
    ceiling = math.inf
    for heat in reversed(_heats(config, finalists, scores)):
        runs: dict[Individual, list[float]] = {}
        for individual, pool, seed in heat:
            if individual.place not in evaluations:
                runs.setdefault(individual, []).append(scores[individual.place, pool, seed])
        means = {individual: metric.fitness(float(np.mean(own))) for individual, own in runs.items()}
        is_last = not evaluations
        for individual in sorted(means, key=lambda i: -means[i]):
            fitness = means[individual]
            if not is_last and math.isfinite(fitness):
                fitness = min(fitness, math.nextafter(ceiling, -math.inf))
            if math.isfinite(fitness):
                ceiling = min(ceiling, fitness)
            score = sign * fitness if math.isfinite(fitness) else math.nan
            evaluations[individual.place] = Evaluation(individual, fitness, score)
    return [evaluations[individual.place] for individual in finalists]


def race_trainings(search: AnySearch, finalists: int) -> int:
    """The trainings of a race of so many finalists, in all of its heats."""
    running, seeds = finalists, search.race_seeds
    trainings, heats = running * seeds, 1
    while not _is_last(search, running, heats):
        running = _kept(running)
        trainings += running * seeds * (_HEAT_FACTOR - 1)
        seeds *= _HEAT_FACTOR
        heats += 1
    return trainings


def heats_done(config: Config, finalists: Sequence[Individual], scores: Scores) -> int:
    """The heats of a race that is not over of which every run is there."""
    return len(_heats(config, finalists, scores)) - 1


def trainings_ahead(config: Config, generation: int, first: int) -> float:
    """The trainings of a search from a generation on, about, its race included, shorter ones counted by their part. first: the individuals of
    the first generation.
    """
    search = config.search
    if generation > search.race_generation:
        return 0
    bred = range(generation, search.race_generation)
    trained = sum(config.part_at(n) * search.seeds_at(n) * search.individuals_at(n, first) for n in bred)
    return trained + race_trainings(search, search.finalists)


def finalists_within(search: AnySearch, trainings: float) -> int:
    """The most finalists whose race takes at most so many trainings; 0 if that is not even a race of two."""
    least = min(LEAST_FINALISTS, search.finalists)
    fitting = (n for n in range(search.finalists, least - 1, -1) if race_trainings(search, n) <= trainings)
    return next(fitting, 0)


def _is_last(search: AnySearch, running: int, heats: int) -> bool:
    """Whether the heat of so many finalists, the one of this number from 1 on, ends the race."""
    return running <= _LAST_HEAT or heats == search.race_heats


def _kept(running: int) -> int:
    """How many of the finalists in a heat go on to the next."""
    return -(-running // _HEAT_FACTOR)


def _heats(config: Config, finalists: Sequence[Individual], scores: Scores) -> list[list[Run]]:
    """The heats so far, each with all runs of those in it: successive halving by three (Jamieson and Talwalkar 2016)."""
    metric = config.problem.metric
    running, count = list(finalists), config.search.race_seeds
    heats: list[list[Run]] = []
    while True:
        seeds = [seed_from(config.seed, k, "race") for k in range(count)]
        heats.append([Run(individual, "selection", seed) for individual in running for seed in seeds])
        is_last = _is_last(config.search, len(running), len(heats))
        if is_last or any((i.place, pool, seed) not in scores for i, pool, seed in heats[-1]):
            return heats
        mean = {i: float(np.mean([scores[i.place, "selection", seed] for seed in seeds])) for i in running}
        ranked = sorted(running, key=lambda i: (-metric.fitness(mean[i]), i.expression.size, i.place))
        running, count = ranked[: _kept(len(running))], count * _HEAT_FACTOR
