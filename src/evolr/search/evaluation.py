"""The evaluation policy: which trials a population needs, and what their outcomes say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evolr.config import Config
from evolr.randomness import seed_from
from evolr.search.archive import KnownEvaluations
from evolr.search.individual import Evaluation, Individual, Place


def seeds_of(config: Config, generation: int) -> list[int]:
    """The seeds of the trials of a generation: they are its own, so that all its individuals meet the same luck."""
    return [seed_from(config.seed, generation, k, "trial") for k in range(config.search.seeds)]


def to_train(population: Sequence[Individual], known: KnownEvaluations) -> list[Individual]:
    """The individuals of a population that have to be trained: the first of each formula that is not known."""
    seen = KnownEvaluations()
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
