"""The scale of a kind's scores: what an untrained network scores, and what a schedule tuned for the kind alone does.

The reference schedule is the linear decay rate · (1 − progress), which has one constant and needs no warm-up on small
networks; its rate is the best of half-decades from 1e-4 to 10 by the mean over tasks, the same ones for every rate.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from evolr.errors import ConfigError, ProblemError
from evolr.expression import parse
from evolr.problems.problem import Pool, Problem
from evolr.randomness import seed_from
from evolr.ranges import EPOCHS, SEEDS
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer, OptimizerName
from evolr.training.task import Trial

RATES: Final = tuple(float(f"{10 ** (k / 2):.2g}") for k in range(-8, 3))
"""The peaks of the linear decay that are tried."""

_POOL: Final[Pool] = "fitness"
_DIGITS: Final = 3  # of a constant: enough for a unit, and the same on every machine


def scale_of(name: str, problem: Problem, *, epochs: int, optimizer: OptimizerName, tasks: int) -> tuple[float, float]:
    """Floor and reference of a kind, in its own metric; see Kind.

    name: the kind's. epochs, optimizer: of the trainings. tasks: over which means are taken.
    Raises ConfigError for numbers out of range; ProblemError where no rate trains all tasks to a better score than none.
    """
    from evolr.training.trainer import Trainer

    tasks, epochs = SEEDS.of("tasks", tasks), EPOCHS.of("epochs", epochs)
    if optimizer not in problem.optimizers:
        known = ", ".join(problem.optimizers)
        raise ConfigError(f"the problem of the kind {name!r} trains by {known}, got the optimizer {optimizer!r}")
    (maker,) = problem.kinds(_POOL).values()
    trainer = Trainer(maker.task(_POOL), Optimizer(name=optimizer))
    seeds = [seed_from(name, k, "reference") for k in range(tasks)]

    def mean(rate: float, epochs: int) -> float:
        schedule = Schedule(expression=parse(f"{rate!r}*(1 - progress)"))
        outcomes = trainer.train([Trial(schedule, seed) for seed in seeds], epochs)
        return float(np.mean([outcome.score for outcome in outcomes]))

    floor = mean(0.0, 1)
    reference = max((mean(rate, epochs) for rate in RATES), key=problem.metric.fitness)
    if not problem.metric.fitness(reference) > problem.metric.fitness(floor) > -math.inf:
        raise ProblemError(
            f"the kind {name!r} has no scale: untrained, its {problem.metric.name} is {floor:.4g}, and the best of linear decays from "
            f"{RATES[0]:g} … {RATES[-1]:g} reaches {reference:.4g} in {epochs} epochs of {optimizer}; train longer, or give "
            "Kind(problem, floor=…, reference=…)"
        )
    return _rounded(floor), _rounded(reference)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
