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
    return _band(rates, at, explanation.epochs, "in the median of {trainings} of its explanation: each step")


def _proven(run: Run) -> Rates | None:
    contest = run.contest
    if contest is None or not run.is_of_champion:
        return None
    rates = contest.champion.result.curves("learning_rate")
    epochs = contest.settings.epochs
    return _band(
        rates, _middles(rates, epochs), epochs, "in the median of {trainings} of the contest: the mean of each part"
    )


def _searched(run: Run) -> Rates | None:
    if run.recorded is None:
        return None
    rates = run.recorded[:, CURVES.index("learning_rate")].astype(np.float64)
    epochs = run.summary.config.training.epochs
    return _band(
        rates, _middles(rates, epochs), epochs, "in the median of {trainings} of the search: the mean of each part"
    )


def _middles(curves: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """The middles of the curves' parts, in epochs."""
    return ends(curves, epochs) - 0.5 * epochs / max(curves.shape[1], 1)


def _band(rates: NDArray[np.float64], at: NDArray[np.float64], total: float, note: str) -> Rates | None:
    """The band of rates (trainings, n) at these epochs; None where no training knows them."""
    known = np.flatnonzero(np.isfinite(rates).any(axis=0))
    if not len(known):
        return None
    if len(known) > _MOST_PLACES:
        known = known[np.unique(np.linspace(0, len(known) - 1, _MOST_PLACES).round().astype(int))]
    rates, at = rates[:, known], at[known]
    trainings = int(np.isfinite(rates).any(axis=1).sum())
    middle = np.asarray(np.nanmedian(rates, axis=0), np.float64)
    said = note.format(trainings=count(trainings, "training"))
    if trainings < 2:
        return Rates(at, middle, None, None, total, said.replace("the median of 1", "1"))
    low, high = (np.asarray(limit, np.float64) for limit in np.nanpercentile(rates, BAND, axis=0))
    band = f"{said}; the band reaches from {BAND[0]} to {BAND[1]} % of them"
    widest = float((high / np.maximum(low, 1e-300)).max())
    if widest >= _WIDE:
        band += (
            f", and where it is widest, these are a factor of {widest:.2g} apart"
            if widest < _BEYOND
            else ", and is very wide"
        )
    return Rates(at, middle, low, high, total, band)


def quantiles(curves: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Low, median and high of curves (trainings, n) at each place; every place is known of one training at least."""
    low, middle, high = np.nanpercentile(np.asarray(curves, np.float64), (BAND[0], 50, BAND[1]), axis=0)
    return low, middle, high
