"""The comparison of a schedule with the published baselines, as the first experiment made it.

The baselines are constant, step decay and cosine at one base learning rate, untuned; what such a comparison
shows is no proof against tuned ones. All schedules train from the same initial weights with the same batch
order, seed by seed, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from evolr.config import Comparison, Config, problem_name
from evolr.contest.contender import Contender, contender
from evolr.contest.statistics import CONFIDENCE, corrected
from evolr.errors import StudyError
from evolr.problems import Metric, Problem
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import PUBLISHED_BASELINES
from evolr.study.trained_by import executor_for, require_told
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
    config: Config,
    trained_by: object = None,
    *,
    settings: Comparison | None = None,
    on_trained: Callable[[int], None] | None = None,
    **options: Any,
) -> ComparisonResult:
    """Trains a schedule and the published baselines on fresh seeds; scored on the monitor pool.

    A baseline that reads what a function does not tell, the epoch of step decay, is left out.

        evolr.compare(schedule, evolr.resolve("memetic"))
        evolr.compare(result.schedule, config, train)

    config: says the problem, the optimiser and the seed from which those of the trainings are drawn, apart from a search's.
    trained_by: the JaxProblem or the function of a study, where its configuration names one. settings: the configuration's
    comparison where None. on_trained: called with the number of networks just trained. options: as of `prove`.
    A training that fails counts as one that diverged, the worst. Raises StudyError where all of them fail; other errors as
    of `prove`.
    """
    settings = settings or config.comparison
    baselines = {name: family(settings.base_lr) for name, family in PUBLISHED_BASELINES.items()}
    seeds = [seed_from(config.seed, k, "comparison") for k in range(settings.seeds)]
    with closing(executor_for(config, trained_by, options)) as executor:
        require_told("the schedule", champion.signals, executor)
        told = {name: schedule for name, schedule in baselines.items() if schedule.signals <= executor.signals}
        schedules = {CHAMPION: champion, **told}
        trials = [Trial(schedule, s) for schedule in schedules.values() for s in seeds]
        executor.prepare("monitor")
        outcomes = executor.run(
            trials,
            settings.epochs,
            "monitor",
            on_outcomes=lambda landed: on_trained(len(landed)) if on_trained else None,
        )
    if all(outcome.failure for outcome in outcomes):
        raise StudyError(f"all {len(outcomes)} trainings failed, the first by: {outcomes[0].failure}")
    metric = config.problem.metric
    contenders: list[Contender] = []
    for number, (name, schedule) in enumerate(schedules.items()):
        own = outcomes[number * len(seeds) : (number + 1) * len(seeds)]
        contenders.append(contender(name, schedule, own, contenders[0] if contenders else None, metric))
    pairs = corrected([c.pairs for c in contenders if c.pairs is not None])
    contenders[1:] = [replace(c, pairs=own) for c, own in zip(contenders[1:], pairs, strict=True)]
    return ComparisonResult(config.problem, config.training.optimizer, settings, seeds, contenders)


def trainings(settings: Comparison) -> int:
    """The number of training runs of a comparison."""
    return (1 + len(PUBLISHED_BASELINES)) * settings.seeds
