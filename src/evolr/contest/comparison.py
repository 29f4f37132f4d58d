"""The comparison of a schedule with the published baselines, as the first experiment made it.

The baselines are constant, step decay and cosine at one base learning rate, untuned; what such a comparison
shows is no proof against tuned ones. All schedules train from the same initial weights with the same batch
order, seed by seed, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from evolr.config import Comparison, problem_name
from evolr.contest.contender import Contender, contender
from evolr.contest.statistics import CONFIDENCE, corrected
from evolr.execution.local import Local
from evolr.problems import Metric, Problem
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import PUBLISHED_BASELINES
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial

CHAMPION = "evolved"
"""The name of the schedule under comparison."""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A comparison: the champion first, then the baselines."""

    problem: Problem
    optimizer: Optimizer
    settings: Comparison
    seeds: list[int]
    contenders: list[Contender]

    @property
    def metric(self) -> Metric:
        return self.problem.metric

    def document(self) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        return {
            "problem": problem_name(self.problem),
            "optimizer": self.optimizer.name,
            "metric": self.metric.name,
            "higher_is_better": self.metric.higher_is_better,
            "pool": "monitor",
            "epochs": self.settings.epochs,
            "base_lr": self.settings.base_lr,
            "seeds": self.seeds,
            "confidence": CONFIDENCE,
            "contenders": [c.document() for c in self.contenders],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a training run: schedule, seed, score, and the epoch of its divergence."""
        return [
            {"schedule": c.name, "seed": seed, "score": outcome.score, "diverged_at": outcome.diverged_at}
            for c in self.contenders
            for seed, outcome in zip(self.seeds, c.outcomes, strict=True)
        ]


def compare(
    champion: Schedule,
    problem: Problem,
    optimizer: Optimizer,
    settings: Comparison,
    seed: int,
    *,
    device_count: int | None = None,
    on_trained: Callable[[int], None] | None = None,
) -> ComparisonResult:
    """Trains a schedule and the published baselines on fresh seeds; scored on the monitor pool.

    seed: the study's; the seeds of the trainings are drawn from it, apart from those of the search.
    """
    schedules = {CHAMPION: champion}
    schedules |= {name: family(settings.base_lr) for name, family in PUBLISHED_BASELINES.items()}
    seeds = [seed_from(seed, k, "comparison") for k in range(settings.seeds)]
    local = Local(problem, optimizer, device_count=device_count)
    trials = [Trial(schedule, s) for schedule in schedules.values() for s in seeds]
    outcomes = local.run(
        trials, settings.epochs, "monitor", on_outcomes=lambda landed: on_trained(len(landed)) if on_trained else None
    )
    contenders: list[Contender] = []
    for number, (name, schedule) in enumerate(schedules.items()):
        own = outcomes[number * len(seeds) : (number + 1) * len(seeds)]
        contenders.append(contender(name, schedule, own, contenders[0] if contenders else None, problem.metric))
    pairs = corrected([c.pairs for c in contenders if c.pairs is not None])
    contenders[1:] = [replace(c, pairs=own) for c, own in zip(contenders[1:], pairs, strict=True)]
    return ComparisonResult(problem, optimizer, settings, seeds, contenders)


def trainings(settings: Comparison) -> int:
    """The number of training runs of a comparison."""
    return (1 + len(PUBLISHED_BASELINES)) * settings.seeds
