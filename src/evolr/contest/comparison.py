"""The comparison of a schedule with the published baselines, as the first experiment made it.

The baselines are constant, step decay and cosine at one base learning rate, untuned; what such a comparison
shows is no proof against tuned ones. All schedules train from the same initial weights with the same batch
order, seed by seed, so their differences are paired.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolr.config import Comparison, problem_name
from evolr.execution.local import Local
from evolr.expression import ordinary_text
from evolr.problems import AnyProblem, Metric
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import PUBLISHED_BASELINES
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial

CHAMPION = "evolved"
"""The name of the schedule under comparison."""

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
_RESAMPLES = 10_000
_LEAST_PAIRS = 6


@dataclass(frozen=True, slots=True)
class Contender:
    """A schedule's part in a comparison; s seeds, e epochs.

    scores: (s,) final scores, NaN where diverged. mean, low, high: of the runs that finished, with the bootstrap
    interval. difference, difference_low, difference_high: of the paired differences, contender − champion, in the
    metric's own direction, where both finished. better: by how many seeds the contender is better than the champion,
    less those by which it is worse; a diverged run is worse than any that finished. p_value: Wilcoxon's signed-rank
    test of the pairs, two-sided, Holm-corrected over the baselines. What needs more seeds or another contender is None.
    """

    name: str
    schedule: Schedule
    outcomes: list[Outcome]
    scores: NDArray[np.float64]
    mean: float
    low: float | None
    high: float | None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    better: int = 0
    p_value: float | None = None

    @property
    def diverged(self) -> int:
        return int(np.isnan(self.scores).sum())

    def curves(self, name: str) -> NDArray[np.float64]:
        """(s, e): the curves `train_loss`, `val_score` or `learning_rate` of the outcomes."""
        return np.array([getattr(outcome, name) for outcome in self.outcomes], np.float64)


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A comparison: the champion first, then the baselines."""

    problem: AnyProblem
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
            "contenders": [_contender_document(c) for c in self.contenders],
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
    problem: AnyProblem,
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
    local = Local(problem, optimizer, "monitor", device_count=device_count)
    trials = [Trial(schedule, s) for schedule in schedules.values() for s in seeds]
    outcomes = local.run(
        trials, settings.epochs, on_outcomes=lambda landed: on_trained(len(landed)) if on_trained else None
    )
    contenders: list[Contender] = []
    for number, (name, schedule) in enumerate(schedules.items()):
        own = outcomes[number * len(seeds) : (number + 1) * len(seeds)]
        contenders.append(_contender(name, schedule, own, contenders[0] if contenders else None, problem.metric))
    return ComparisonResult(problem, optimizer, settings, seeds, _holm(contenders))


def trainings(settings: Comparison) -> int:
    """The number of training runs of a comparison."""
    return (1 + len(PUBLISHED_BASELINES)) * settings.seeds


def _contender(
    name: str, schedule: Schedule, outcomes: list[Outcome], champion: Contender | None, metric: Metric
) -> Contender:
    scores = np.array([outcome.score for outcome in outcomes])
    mean, low, high = _mean_interval(scores)
    if champion is None:
        return Contender(name, schedule, outcomes, scores, mean, low, high)
    differences = scores - champion.scores
    paired = _mean_interval(differences)
    gains = _gains(scores, champion.scores, metric)
    return Contender(
        name,
        schedule,
        outcomes,
        scores,
        mean,
        low,
        high,
        difference=None if np.isnan(paired[0]) else paired[0],
        difference_low=paired[1],
        difference_high=paired[2],
        better=int(np.sign(gains).sum()),
        p_value=_wilcoxon(gains),
    )


def _gains(scores: NDArray[np.float64], champion_scores: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """By how much a contender is better than the champion, pair by pair, for a test of ranks.

    A diverged run is worse than any that finished, by more than any finished pair differs; two of them are equal.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    gains = sign * (scores - champion_scores)
    beyond = 2.0 * max([1.0, *np.abs(gains[np.isfinite(gains)])])
    mine, theirs = np.isnan(scores), np.isnan(champion_scores)
    gains[mine & theirs] = 0.0
    gains[mine & ~theirs] = -beyond
    gains[~mine & theirs] = beyond
    return gains


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Mean and percentile bootstrap interval of the finite values; no interval of fewer than two."""
    from scipy.stats import bootstrap

    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return (float(finite[0]) if len(finite) else float("nan")), None, None
    interval = bootstrap(
        (finite,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(finite.mean()), float(interval.low), float(interval.high)


def _wilcoxon(gains: NDArray[np.float64]) -> float | None:
    """The two-sided p-value, 1 where no pair differs; None below 6 pairs, where it could not reach 0.05 two-sided."""
    from scipy.stats import wilcoxon

    if len(gains) < _LEAST_PAIRS:
        return None
    if not gains.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties: scipy then says that it approximates
        result: Any = wilcoxon(gains)
    return float(result.pvalue)


def _holm(contenders: list[Contender]) -> list[Contender]:
    """The contenders with their p-values corrected for the number of tests (Holm 1979)."""
    tested = sorted((c for c in contenders if c.p_value is not None), key=lambda c: c.p_value or 0.0)
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, contender in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * (contender.p_value or 0.0)))
        corrected[contender.name] = highest
    return [replace(c, p_value=corrected.get(c.name)) for c in contenders]


def _contender_document(contender: Contender) -> dict[str, Any]:
    def number(value: float | None) -> float | None:
        return None if value is None or not np.isfinite(value) else value

    def curve(values: NDArray[np.float64]) -> list[list[float | None]]:
        return [[number(float(v)) for v in row] for row in values]

    return {
        "name": contender.name,
        "expression": ordinary_text(contender.schedule.expression),
        "transform": contender.schedule.transform,
        "mean": number(contender.mean),
        "interval": [number(contender.low), number(contender.high)],
        "difference": number(contender.difference),
        "difference_interval": [number(contender.difference_low), number(contender.difference_high)],
        "p_value": number(contender.p_value),
        "seeds_better_less_worse": contender.better,
        "diverged": contender.diverged,
        "scores": [number(float(score)) for score in contender.scores],
        **{name: curve(contender.curves(name)) for name in ("train_loss", "val_loss", "val_score", "learning_rate")},
    }
