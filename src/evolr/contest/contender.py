"""A schedule's part in a comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.contest.record import number, schedule_document
from evolr.contest.statistics import Pairs, mean_interval, paired
from evolr.expression import ordinary_text
from evolr.problems import Metric
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome


@dataclass(frozen=True, slots=True)
class Contender:
    """A schedule's part in a comparison; s seeds, e epochs.

    scores: (s,) final scores, NaN where diverged, unless the problem scores that too. mean, low, high: of the trainings that have one, with the bootstrap
    interval, None of fewer than two. pairs: the champion against it, None for the champion itself; Holm-corrected over the contenders.
    optimizer: that it trained by, of a rival that finds its own step size; None for the study's.
    """

    name: str
    schedule: Schedule
    outcomes: list[Outcome]
    scores: NDArray[np.float64]
    mean: float
    low: float | None
    high: float | None
    pairs: Pairs | None = None
    optimizer: Optimizer | None = None

    @property
    def unscored(self) -> int:
        """Runs without a score, which are in no mean: those that failed, and those that diverged unless a suite scored them."""
        return int(np.isnan(self.scores).sum())

    @property
    def diverged(self) -> int:
        """Runs that did not finish."""
        return sum(outcome.diverged or math.isnan(outcome.score) for outcome in self.outcomes)

    @property
    def lost(self) -> str:
        """How many of its trainings did not finish, and why: `3 diverged`, `2 failed`; empty if all finished."""
        failed = sum(outcome.failure is not None for outcome in self.outcomes)
        numbers = {"diverged": self.diverged - failed, "failed": failed}
        return ", ".join(f"{number} {how}" for how, number in numbers.items() if number)

    def curves(self, name: str) -> NDArray[np.float64]:
        """(s, e): the curves `train_loss`, `val_score` or `learning_rate` of the outcomes; NaN where one has none.

        Of a function e is not the number of epochs, see Outcome.
        """
        rows = [np.asarray(getattr(outcome, name), np.float64) for outcome in self.outcomes]
        places = max(map(len, rows))
        return np.array([row if len(row) == places else np.full(places, np.nan) for row in rows])

    def document(self) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        return {
            "name": self.name,
            **({} if self.optimizer is None else {"optimizer": msgspec.to_builtins(self.optimizer)}),
            "expression": ordinary_text(self.schedule.expression),
            "schedule": schedule_document(self.schedule),
            "mean": number(self.mean),
            "interval": [number(self.low), number(self.high)],
            "pairs": None if self.pairs is None else self.pairs.document(),
            "diverged": self.diverged,
            "scores": [number(float(score)) for score in self.scores],
            "diverged_at": [outcome.diverged_at for outcome in self.outcomes],
            "failures": [outcome.failure for outcome in self.outcomes],
            **{
                name: rows_document(self.curves(name))
                for name in ("train_loss", "val_loss", "val_score", "learning_rate")
            },
        }


def contender(
    name: str,
    schedule: Schedule,
    outcomes: list[Outcome],
    champion: Contender | None,
    metric: Metric,
    *,
    optimizer: Optimizer | None = None,
) -> Contender:
    """The contender of some outcomes, its pairs not corrected yet; champion: None for the champion itself."""
    scores = np.array([outcome.score for outcome in outcomes])
    pairs = None if champion is None else paired(champion.scores, scores, metric)
    return Contender(name, schedule, outcomes, scores, *mean_interval(scores), pairs, optimizer)


def rows_document(values: NDArray[np.floating]) -> list[list[float | None]]:
    """Rows of numbers, in JSON's terms."""
    return [[number(v) for v in row] for row in values.tolist()]
