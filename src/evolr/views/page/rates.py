"""The learning rates of a run's champion over a training: a band over trainings where they are known, else one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.errors import count
from evolr.study.curves import CURVES
from evolr.views.curve import clock_curve
from evolr.views.page.records import Run
from evolr.views.pictures import ends

BAND: Final = (10, 90)
"""Per cent of the trainings, between which a band lies."""

_WIDE, _BEYOND = 2.0, 1e6  # greatest ÷ least of a band, from which on it is said to be wide, and up to which how wide
_MOST_PLACES: Final = 300  # of a drawn line


@dataclass(frozen=True, slots=True)
class Rates:
    """Learning rates along a training. epochs, middle: (n,), ascending, finite; low, high: (n,) of a band, None without one.
    note: whose they are, and what they assume, in words; total: epochs of the whole training.
    """

    epochs: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None
    total: float
    note: str

    @property
    def whose(self) -> str:
        """The note's first words, to begin a sentence with."""
        return self.note.split(";")[0].split(":")[0]


def champion_rates(run: Run) -> Rates | None:
    """The learning rates of the champion; None without one.

    An open-loop one has one curve, the same in every training. Of another, the best that is recorded: each step of the explanation's
    trainings, the means of the contest's, or of the search's own; and where nothing is, a curve over assumed losses.
    """
    champion, shown = run.champion, run.shown
    if champion is None or shown is None:
        return None
    if not champion.expression.is_open_loop:
        found = _explained(run) or _proven(run) or _searched(run)
        if found is not None:
            return found
    config = run.summary.config
    drawn = shown.curve
    if champion.expression.is_open_loop:
        drawn = clock_curve(champion, config.comparison.epochs, config.problem.steps_per_epoch)
    total = drawn.total_steps / drawn.steps_per_epoch
    note = "; ".join(part for part in (shown.note, drawn.note) if part)
    if champion.expression.is_open_loop:
        note = "the same in every training, since it reads the clock alone"
    at = np.unique(np.linspace(0, len(drawn.rates) - 1, min(len(drawn.rates), _MOST_PLACES)).round().astype(int))
    return Rates(drawn.epochs[at], np.asarray(drawn.rates, np.float64)[at], None, None, total, note)


def _explained(run: Run) -> Rates | None:
    explanation = run.explanation
    if explanation is None or explanation.schedule != run.champion:
        return None
    rates = np.asarray(explanation.learning_rates, np.float64)
    at = (np.arange(rates.shape[1]) + 0.5) / max(rates.shape[1], 1) * explanation.epochs
    return _band(rates, at, explanation.epochs, "its explanation")


def _proven(run: Run) -> Rates | None:
    contest = run.contest
    if contest is None or not run.is_of_champion:
        return None
    return _of_means(contest.champion.result.curves("learning_rate"), contest.settings.epochs, "the contest")


def _searched(run: Run) -> Rates | None:
    if run.recorded is None:
        return None
    rates = run.recorded[:, CURVES.index("learning_rate")].astype(np.float64)
    return _of_means(rates, run.summary.champion_epochs, "the search")


def _of_means(rates: NDArray[np.float64], epochs: int, where: str) -> Rates | None:
    """The band of means over equal parts of a training, each drawn in the middle of its part."""
    parts = rates.shape[1]
    middles = ends(rates, epochs) - 0.5 * epochs / max(parts, 1)
    return _band(rates, middles, epochs, f"{where}, by the means of {count(parts, 'part')}")


def _band(rates: NDArray[np.float64], at: NDArray[np.float64], total: float, where: str) -> Rates | None:
    """The band of rates (trainings, n) at these epochs; None where no training knows them."""
    known = np.flatnonzero(np.isfinite(rates).any(axis=0))
    if not len(known):
        return None
    known = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), _MOST_PLACES)).round().astype(int))]
    rates, at = rates[:, known], at[known]
    trainings = int(np.isfinite(rates).any(axis=1).sum())
    low, middle, high = quantiles(rates)
    if trainings < 2:
        return Rates(at, middle, None, None, total, f"in one training of {where}")
    note = f"in the median of {trainings} trainings of {where}; the band reaches from {BAND[0]} to {BAND[1]} % of them"
    return Rates(at, middle, low, high, total, note + _width(low, high))


def _width(low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    """How wide a band is, if it is wide."""
    widest = float((high / np.maximum(low, 1e-300)).max())
    if widest < _WIDE:
        return ""
    if widest > _BEYOND:
        return ", which lie far apart"
    return f", which are up to a factor of {widest:{'.2g' if widest < 10 else '.0f'}} apart"


def quantiles(curves: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Low, median and high of curves (trainings, n) at each place; every place is known of one training at least."""
    low, middle, high = np.nanpercentile(np.asarray(curves, np.float64), (BAND[0], 50, BAND[1]), axis=0)
    return low, middle, high
