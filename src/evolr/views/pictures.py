"""Pictures: the comparison, and the curve of a schedule. Drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from evolr.contest.comparison import ComparisonResult
from evolr.contest.explanation import Explanation
from evolr.errors import printable, shortened
from evolr.problems import Metric
from evolr.search.archive import knee
from evolr.views.curve import Curve

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, told apart by colour-blind readers; line styles tell them apart in print."""

_STYLES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_QUANTILES: Final = (10, 90)  # per cent, of the band over seeds


def comparison_picture(result: ComparisonResult) -> bytes:
    """The PNG of a comparison: training loss, validation score and learning rate over epochs.

    Lines are means over the seeds, bands reach from their 10 % to their 90 % quantile.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    loss, score, rate = (figure.add_subplot(1, 3, n) for n in (1, 2, 3))
    for number, contender in enumerate(result.contenders):
        look: dict[str, Any] = {"color": COLOURS[number], "linestyle": _STYLES[number]}
        look |= {"linewidth": 2.4 if number == 0 else 1.8, "zorder": 4 if number == 0 else 3}
        lost = f" (of {len(contender.scores)}: {contender.lost})" if contender.lost else ""
        name = label(contender.name + lost)
        for axes, curve, scale in (
            (loss, "train_loss", 1.0),
            (score, "val_score", result.metric.scale),
            (rate, "learning_rate", 1.0),
        ):
            _band(axes, contender.curves(curve) * scale, result.settings.epochs, name, look)
    finish(loss, "Training loss", "mean over the epoch's batches")
    finish(score, f"Validation {result.metric.name}", result.metric.unit)
    finish(rate, "Learning rate", "mean over the epoch's steps, log scale")
    if result.metric.scale == 1.0:
        log_if_positive(score)
        log_if_positive(loss)
    log_if_positive(rate)
    seeds = len(result.seeds)
    band = f", bands: {_QUANTILES[0]}–{_QUANTILES[1]} % of them" if seeds > 1 else ""
    title = f"{result.title}, {result.settings.epochs} epochs"
    figure.suptitle(label(f"{title}; lines: mean of {seeds} seed{'s' if seeds > 1 else ''}{band}"), fontsize=12)
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=11)
    return png(figure)


def schedule_picture(title: str, curve: Curve) -> bytes:
    """The PNG of a learning-rate curve; see schedule_figure."""
    return png(schedule_figure(title, curve))


def schedule_figure(title: str, curve: Curve) -> Figure:
    """A learning-rate curve on a log axis over epochs; over steps where an epoch has one."""
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    _rates(figure.add_subplot(), title, curve)
    return figure


def run_picture(curve: Curve, title: str, front: Sequence[tuple[int, float]], metric: Metric) -> bytes:
    """The PNG of a run: its champion's learning-rate curve, and the front of sizes and scores with its knee."""
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    rates, sizes = figure.subplots(1, 2)
    _rates(rates, shortened(title, 60), curve)
    shown = [(size, metric.scale * score) for size, score in front if np.isfinite(score)]
    if shown:
        x, y = zip(*shown, strict=True)
        sizes.step(x, y, where="post", color=COLOURS[0], linewidth=1.5)
        sizes.plot(x, y, "o", color=COLOURS[0])
        place = knee(x, [metric.fitness(score) for score in y])
        sizes.plot(x[place], y[place], "o", color=COLOURS[1], markersize=11, label=f"knee: {x[place]} nodes")
        sizes.legend(frameon=False, loc="lower right" if metric.higher_is_better else "upper right")
    finish(sizes, "Best of each size", metric.unit, xlabel="nodes of the formula")
    return png(figure)


def explanation_picture(explanation: Explanation) -> bytes:
    """The PNG of an explanation: learning rates of every step over the seeds, and what each frozen signal costs."""
    metric = explanation.config.problem.metric
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    rates, effects = figure.subplots(1, 2, width_ratios=(1.4, 1))
    seen = np.ma.masked_invalid(explanation.learning_rates)
    epochs = np.arange(seen.shape[1]) / seen.shape[1] * explanation.epochs
    if len(seen) > 1:
        low, high = np.nanpercentile(explanation.learning_rates, _QUANTILES, axis=0)
        rates.fill_between(epochs, low, high, color=COLOURS[1], alpha=0.25, linewidth=0, label="10–90 % of the seeds")
    rates.plot(epochs, np.ma.median(seen, axis=0), color=COLOURS[1], linewidth=2, label="median")
    finish(rates, f"Learning rate: {shortened(explanation.simplified, 60)}", "each step, log scale")
    log_if_positive(rates)
    rates.legend(frameon=False)
    names = list(map(label, explanation.frozen))
    for place, (_, frozen) in enumerate(explanation.frozen.values()):
        pairs = frozen.pairs
        if pairs is None or pairs.difference is None or pairs.low is None or pairs.high is None:
            continue
        matters = pairs.relation in ("better than", "worse than")
        colour = COLOURS[1] if matters else "grey"
        effects.plot(
            [metric.scale * pairs.low, metric.scale * pairs.high], [place, place], "-", color=colour, linewidth=2.5
        )
        effects.plot(metric.scale * pairs.difference, place, "o", color=colour)
    effects.axvline(0.0, color="black", linewidth=1)
    effects.set_yticks(range(len(names)), names)
    effects.set_ylim(-0.6, max(len(names), 1) - 0.4)
    finish(
        effects,
        "Evolved minus itself with a signal frozen (grey: not distinguishable)",
        "",
        xlabel=metric.unit_of_differences or metric.name,
    )
    return png(figure)


def _rates(axes: Axes, title: str, curve: Curve) -> None:
    """The learning rates of a curve, and which of its steps are drawn, where not all are."""
    axes.plot(curve.epochs, curve.rates, color=COLOURS[0], linewidth=2)
    whole = f"{title}\n{curve.note}" if curve.note else title
    finish(axes, whole, "learning rate, log scale", xlabel="epoch" if curve.steps_per_epoch > 1 else "step")
    log_if_positive(axes)


def ends(curves: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """The ends of a curve's places, in epochs, of a training of so many: 1, 2, … where each epoch is one."""
    places = curves.shape[1]
    return np.arange(1, places + 1) * epochs / places


def _band(axes: Axes, curves: NDArray[np.float64], epochs: int, name: str, look: dict[str, Any]) -> None:
    """The mean over the seeds and a band around it; a place that no seed reached is left out."""
    reached = np.flatnonzero(np.isfinite(curves).any(axis=0))
    if not len(reached):
        axes.plot([], [], label=name, **look)
        return
    at, curves = ends(curves, epochs)[reached], curves[:, reached]
    axes.plot(at, np.ma.masked_invalid(curves).mean(axis=0), label=name, **look)
    if len(curves) > 1:
        low, high = (np.nanpercentile(curves, q, axis=0) for q in _QUANTILES)
        axes.fill_between(at, low, high, color=look["color"], alpha=0.15, linewidth=0)


def label(text: str) -> str:
    """A text of one line or more as matplotlib draws it: a dollar sign in it begins no mathematics."""
    return "\n".join(map(printable, text.split("\n"))).replace("$", r"\$")


def finish(axes: Axes, title: str, unit: str, xlabel: str = "epoch") -> None:
    """The title, the units and the grid of a part of a picture."""
    axes.set_title(label(title), fontsize=12)
    axes.set_xlabel(label(xlabel))
    axes.set_ylabel(label(unit))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if xlabel == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_if_positive(axes: Axes) -> None:
    """A log axis that shows its lines and bands, if something on it is positive; what is not stays off it."""
    drawn = [np.asarray(line.get_ydata(), float) for line in axes.get_lines()]
    drawn += [np.asarray(path.vertices, float)[:, 1] for band in axes.collections for path in band.get_paths()]
    heights = [float(y) for values in drawn for y in values if y > 0]
    if heights:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(max(min(heights) / 1.5, max(heights) * 1e-6), max(heights) * 1.5)


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, dpi=120)
    return buffer.getvalue()
