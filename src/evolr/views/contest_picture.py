"""The picture of a contest: scores with intervals, paired differences, learning rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evolr.contest.results import ContestResult, Entry
from evolr.views.differences import draw_differences
from evolr.views.pictures import COLOURS, EVOLVED, OTHER, axis_of, ends, finish, label, log_if_positive, png

_BEST_CURVES = 5  # contenders whose learning rates are drawn, beside the champion's


def contest_picture(result: ContestResult) -> bytes:
    """The PNG of a contest: left, scores, sorted; middle, paired differences; right, learning rates of the best."""
    metric = result.config.problem.metric
    ranked = result.ranked[::-1]
    figure = Figure(figsize=(17, max(4.5, 1.2 + 0.3 * len(ranked))), layout="constrained")
    has_rates = any(np.isfinite(entry.result.curves("learning_rate")).any() for entry in ranked)
    scores, differences, *rates = figure.subplots(1, 2 + has_rates, width_ratios=(1.25, 0.9, 1.2)[: 2 + has_rates])
    _scores(scores, ranked, result, metric.scale)
    judged = f"{result.settings.pool} pool" if result.knows_pools else "fresh seeds"
    finish(scores, f"Final {metric.name}, {judged}", "", xlabel=axis_of(metric))
    draw_differences(
        differences,
        [entry.result.pairs for entry in ranked],
        metric,
        ("evolved better", "not told apart", "evolved worse"),
    )
    differences.set_yticks(range(len(ranked)), [])
    differences.legend(frameon=False, fontsize=9, loc="best")
    finish(differences, "Evolved minus contender", "", xlabel=axis_of(metric, of="differences"))
    for axes in rates:  # none where no function's training has asked its schedule
        _rates(axes, result)
        finish(axes, "Learning rate, mean of each epoch", "median over seeds, log scale")
        axes.legend(frameon=False, fontsize=9)
        log_if_positive(axes)
    seeds = len(result.seeds)
    title = f"{result.title}, {result.settings.epochs} epochs"
    rehearsal = "   (a rehearsal, no proof)" if result.settings.is_quick else ""
    figure.suptitle(label(f"{title}; {seeds} seeds; bars: 95 % bootstrap intervals{rehearsal}"), fontsize=12)
    return png(figure)


def _colour(entry: Entry, result: ContestResult) -> str:
    return EVOLVED if entry is result.champion else OTHER


def _scores(axes: Axes, ranked: list[Entry], result: ContestResult, scale: float) -> None:
    rng = np.random.default_rng(0)
    for place, entry in enumerate(ranked):
        own, colour = entry.result, _colour(entry, result)
        jitter = place + rng.uniform(-0.22, 0.22, len(own.scores))
        axes.plot(scale * own.scores, jitter, ".", color=colour, alpha=0.25, markersize=4)
        if own.low is not None and own.high is not None:
            axes.plot([scale * own.low, scale * own.high], [place, place], "-", color=colour, linewidth=2.5)
        axes.plot(scale * own.mean, place, "o", color=colour, markersize=5)
    axes.set_yticks(range(len(ranked)), [label(entry.name) for entry in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    for text, entry in zip(axes.get_yticklabels(), ranked, strict=True):
        text.set_fontweight("bold" if entry is result.champion else "normal")
    centre = np.array([scale * e.result.mean for e in ranked if np.isfinite(e.result.mean)])
    if len(centre) > 3:  # the field in view, whatever the last one did: what is left of it is marked
        low, high = np.percentile(centre, 25), centre.max()
        left = min(low, scale * result.champion.result.mean) - 0.35 * (high - low) - 0.5 * (scale == 100)
        if np.isfinite(left) and centre.min() < left:
            axes.set_xlim(left=left)
            for place, entry in enumerate(ranked):
                if scale * entry.result.mean < left:
                    axes.annotate(f"◂ {scale * entry.result.mean:.3g}", (left, place), va="center", fontsize=9)


def looks(result: ContestResult) -> dict[str, dict[str, Any]]:
    """How the lines of the champion and of the best others look, by name; told apart by colour and by style."""
    styles = ("-", "--", "-.", ":", (0, (5, 1)))
    others = [colour for colour in COLOURS if colour != EVOLVED]
    found: dict[str, dict[str, Any]] = {
        result.champion.name: {"color": EVOLVED, "linestyle": "-", "linewidth": 2.6, "zorder": 4}
    }
    for number, entry in enumerate(result.others[:_BEST_CURVES]):
        look = {"color": others[number % 5], "linestyle": styles[number % 5], "linewidth": 1.5, "zorder": 3}
        found[entry.name] = look
    return found


def _rates(axes: Axes, result: ContestResult) -> None:
    look = looks(result)
    for entry in [result.champion, *result.others[:_BEST_CURVES]]:
        if entry.optimizer is not None:  # a rival's is a factor of its own step size
            continue
        rates = entry.result.curves("learning_rate")
        if not np.isfinite(rates).any():
            continue
        seen = np.ma.masked_invalid(rates)
        epochs = ends(rates, result.settings.epochs)
        axes.plot(epochs, np.ma.median(seen, axis=0), label=label(entry.name), **look[entry.name])
        if entry is result.champion and len(rates) > 1:
            reached = np.isfinite(rates).any(axis=0)  # epochs that a run finished
            low, high = np.nanpercentile(np.where(np.isfinite(rates), rates, np.nan)[:, reached], (10, 90), axis=0)
            axes.fill_between(epochs[reached], low, high, color=EVOLVED, alpha=0.15, linewidth=0)
