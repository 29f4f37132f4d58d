"""The evaluation policy: which trials a population needs, and what their outcomes say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evolr.config import Config
from evolr.randomness import seed_from
from evolr.search.archive import KnownEvaluations
from evolr.search.individual import Evaluation, Individual
from evolr.training.task import Outcome, Trial

RunTrials = Callable[[list[Trial]], list[Outcome]]


def evaluate(
    config: Config, population: Sequence[Individual], known: KnownEvaluations, run: RunTrials
) -> list[Evaluation]:
    """The evaluation of each individual, in order; new formulas are trained, known ones are not.

    The seeds of the trials belong to the generation, so that all its individuals meet the same luck. Adds the
    new evaluations to `known`.
    """
    fresh = _without_duplicates(population, known)
    generation = population[0].place.generation
    seeds = [seed_from(config.seed, generation, k, "trial") for k in range(config.search.seeds)]
    schedules = [config.search.schedule(individual.expression) for individual in fresh]
    outcomes = run([Trial(schedule, seed) for schedule in schedules for seed in seeds])
    metric = config.problem.metric
    for number, individual in enumerate(fresh):
        scores = [outcome.score for outcome in outcomes[number * len(seeds) : (number + 1) * len(seeds)]]
        score = float(np.mean(scores))  # NaN where one is
        known.add(Evaluation(individual, metric.fitness(score), score))
    return [_found(known, individual) for individual in population]


def _without_duplicates(population: Sequence[Individual], known: KnownEvaluations) -> list[Individual]:
    """The individuals to train: the first of each formula that is neither known nor seen before."""
    seen = KnownEvaluations()
    fresh: list[Individual] = []
    for individual in population:
        if known.find(individual) is None and seen.find(individual) is None:
            fresh.append(individual)
            seen.add(Evaluation(individual, np.nan, np.nan))
    return fresh


def _found(known: KnownEvaluations, individual: Individual) -> Evaluation:
    evaluation = known.find(individual)
    assert evaluation is not None
    if evaluation.known_from == individual.place:
        return Evaluation(individual, evaluation.fitness, evaluation.score)
    return evaluation
