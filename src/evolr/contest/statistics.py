"""The statistics of paired scores: intervals, differences, tests, and what may be said by them.

Scores of two schedules are paired by seed. A training that diverged has no score; in every test of ranks it is worse than any that
finished. A schedule is better or worse than another where Wilcoxon's signed-rank test says so at 0.05, two-sided, after
Holm's correction for all the tests of the comparison; else the two are not distinguishable.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from evolr.problems import Metric

CONFIDENCE: Final = 0.95
SIGNIFICANCE: Final = 0.05
LEAST_PAIRS: Final = 6  # below it, the two-sided test could not reach 0.05 whatever the scores
_RESAMPLES = 10_000
_ROUNDING: Final = 1e-9  # relative: a spread below it is none

Relation = Literal["better than", "worse than", "not distinguishable from", "untested against"]
"""What a champion is to a contender."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The champion's scores against a contender's, seed by seed.

    difference, low, high: mean of champion − contender, in the metric's own direction, where both finished, with its
        bootstrap interval; None where there is nothing to compute it of.
    direction: 1 where the champion is better, by the ranks that the test sums and by the mean as well; -1 where it is
        worse; 0 where the two do not agree, so that nothing may be said.
    improvement: the probability of improvement: the share of seeds at which the champion is better; a tie counts half.
    effect_size: Cohen's d of the paired differences, positive where the champion is better; None without a spread.
    p_value: of Wilcoxon's signed-rank test, two-sided; None below 6 pairs.
    """

    difference: float | None
    low: float | None
    high: float | None
    direction: int
    improvement: float
    effect_size: float | None
    p_value: float | None

    @property
    def relation(self) -> Relation:
        """What the champion is to the contender; for corrected pairs."""
        if self.p_value is None:
            return "untested against"
        if self.p_value >= SIGNIFICANCE or self.direction == 0:
            return "not distinguishable from"
        return "better than" if self.direction > 0 else "worse than"

    def document(self) -> dict[str, Any]:
        """As JSON takes it; the difference says in its name which way it is taken."""
        return {
            "champion_minus_contender": self.difference,
            "interval": [self.low, self.high],
            "direction": self.direction,
            "improvement": self.improvement,
            "effect_size": self.effect_size,
            "p_value": self.p_value,
        }


def paired(champion: NDArray[np.float64], contender: NDArray[np.float64], metric: Metric) -> Pairs:
    """The pairs of the champion's scores and a contender's, (seeds,) each, NaN where diverged; not corrected for other
    tests.
    """
    differences = champion - contender
    mean, low, high = mean_interval(differences)
    won = gains(champion, contender, metric)
    finite = differences[np.isfinite(differences)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    if spread <= _ROUNDING * np.abs(finite).max(initial=0.0):
        spread = 0.0  # differences that are alike up to rounding have none
    toward = 1.0 if metric.higher_is_better else -1.0
    return Pairs(
        difference=None if np.isnan(mean) else mean,
        low=low,
        high=high,
        direction=_direction(won),
        improvement=float(np.mean((won > 0) + 0.5 * (won == 0))),
        effect_size=toward * mean / spread if spread else None,
        p_value=signed_rank_test(won),
    )


def corrected(all_pairs: Sequence[Pairs]) -> list[Pairs]:
    """The pairs with their p-values corrected for their number."""
    p_values = holm([pairs.p_value for pairs in all_pairs])
    return [replace(pairs, p_value=p) for pairs, p in zip(all_pairs, p_values, strict=True)]


def gains(champion: NDArray[np.float64], contender: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """By how much the champion is better than a contender, pair by pair, for a test of ranks.

    A training that diverged is worse than any that finished, by more than any finished pair differs; two of them are equal.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    won = sign * (champion - contender)
    beyond = 2.0 * max([1.0, *np.abs(won[np.isfinite(won)])])
    mine, theirs = np.isnan(champion), np.isnan(contender)
    won[mine & theirs] = 0.0
    won[mine & ~theirs] = -beyond
    won[~mine & theirs] = beyond
    return won


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
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


def signed_rank_test(won: NDArray[np.float64]) -> float | None:
    """The two-sided p-value of Wilcoxon's test, 1 where no pair differs; None below 6 pairs."""
    from scipy.stats import wilcoxon

    if len(won) < LEAST_PAIRS:
        return None
    if not won.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties: scipy then says that it approximates
        result: Any = wilcoxon(won)
    return float(result.pvalue)


def _direction(won: NDArray[np.float64]) -> int:
    """See Pairs. A count of the seeds won would not do: many narrow wins may stand against a few that are lost widely."""
    from scipy.stats import rankdata

    ranks = float((np.sign(won) * rankdata(np.abs(won))).sum())
    return int(np.sign(ranks)) if np.sign(ranks) == np.sign(won.mean()) else 0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected for their number (Holm 1979); None stays None and does not count."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted
