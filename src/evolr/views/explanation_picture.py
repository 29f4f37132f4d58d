"""The picture of an explanation: its learning rates, and what its signals are worth."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from evolr.contest.explanation import Explanation
from evolr.views.differences import draw_differences
from evolr.views.pictures import EVOLVED, QUANTILES, axis_of, finish, label, log_if_positive, png, wrapped


def explanation_picture(explanation: Explanation) -> bytes:
    """The PNG of an explanation: learning rates of every step over the seeds, and what each frozen signal costs."""
    metric = explanation.config.problem.metric
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    rates, effects = figure.subplots(1, 2, width_ratios=(1.4, 1))
    seen = np.ma.masked_invalid(explanation.learning_rates)
    epochs = np.arange(seen.shape[1]) / seen.shape[1] * explanation.epochs
    if len(seen) > 1:
        low, high = np.nanpercentile(explanation.learning_rates, QUANTILES, axis=0)
        rates.fill_between(epochs, low, high, color=EVOLVED, alpha=0.25, linewidth=0, label="10–90 % of the seeds")
    rates.plot(epochs, np.ma.median(seen, axis=0), color=EVOLVED, linewidth=2, label="median")
    finish(rates, wrapped(f"learning rate: {explanation.simplified}"), "learning rate of each step, log scale")
    log_if_positive(rates)
    rates.legend(frameon=False)
    names = list(map(label, explanation.frozen))
    all_pairs = [frozen.pairs for _, frozen in explanation.frozen.values()]
    draw_differences(effects, all_pairs, metric, ("it helps", "not told apart", "it harms"))
    effects.legend(frameon=False, loc="upper left" if metric.higher_is_better else "upper right")
    effects.set_yticks(range(len(names)), names)
    finish(
        effects,
        "What each signal is worth: evolved minus itself without it",
        "",
        xlabel=axis_of(metric, of="differences"),
    )
    return png(figure)
