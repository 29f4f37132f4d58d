"""The performance profile of a contest (Dolan and Moré 2002): on how many tasks a contender is how near the best one.

A mean over tasks may be won by a few of them. A profile counts tasks: its start is the share on which a contender is the best
there is, its rise how little it falls short on the others. AlgoPerf judges training algorithms so, by ratios of times; scores
are normalised here, and differences are taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evolr.contest.results import ContestResult


def shortfalls(result: ContestResult) -> NDArray[np.float64]:
    """(contenders, tasks): by how much a contender's score is below the best contender's on the same task, in the metric's own
    unit, 0 or more; ∞ where it has no score. Contenders in the order of `result.entries`, tasks in that of its seeds.
    """
    metric = result.config.problem.metric
    fitness = np.array([[metric.fitness(float(score)) for score in entry.result.scores] for entry in result.entries])
    best = fitness.max(axis=0)
    return np.where(np.isfinite(fitness), best - np.where(np.isfinite(fitness), fitness, 0.0), np.inf)


def share_within(shortfall: NDArray[np.float64], distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,): the share of a contender's tasks, shortfall (tasks,), on which it is within each distance of the best; distances: (d,)."""
    return (shortfall[None, :] <= distances[:, None]).mean(axis=1)
