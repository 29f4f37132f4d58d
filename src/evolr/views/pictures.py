"""Pictures: the comparison, and the curve of a schedule. Drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from evolr.contest.comparison import ComparisonResult
from evolr.errors import printable
from evolr.problems import Metric
from evolr.search.archive import knee
from evolr.views.curve import Curve

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, told apart by colour-blind readers; line styles tell them apart in print."""

OTHER, EVOLVED, BETTER, WORSE = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[3]
LEVEL: Final = "0.5"
"""One colour for each meaning, in all pictures: an evolved schedule; another one, or the front; better, worse, and not told apart from it."""

_TITLE: Final = 70  # characters in a line of a title
_TITLE_LINES: Final = 3

_STYLES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
QUANTILES: Final = (10, 90)  # per cent, of the band over seeds


def comparison_picture(result: ComparisonResult) -> bytes:
    """The PNG of a comparison: training loss, validation score and learning rate over epochs.

    Lines are means over the seeds, bands reach from their 10 % to their 90 % quantile.
    """
    figure = Figure(figsize=(15, 4.8), layout="constrained")
    loss, score, rate = (figure.add_subplot(1, 3, n) for n in (1, 2, 3))
    for number, contender in enumerate(result.contenders):
        look: dict[str, Any] = {"color": (EVOLVED, OTHER, *COLOURS[2:])[number], "linestyle": _STYLES[number]}
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
    band = f", bands: {QUANTILES[0]}–{QUANTILES[1]} % of them" if seeds > 1 else ""
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
    _rates(rates, title, curve)
    shown = [(size, metric.scale * score) for size, score in front if np.isfinite(score)]
    if shown:
        x, y = zip(*shown, strict=True)
        sizes.step(x, y, where="post", color=OTHER, linewidth=1.5)
        sizes.plot(x, y, "o", color=OTHER)
        place = knee(x, [metric.fitness(score) for score in y])
        sizes.plot(x[place], y[place], "o", color=EVOLVED, markersize=11)
        above = 14 if metric.higher_is_better else -14  # where no line is
        text = f"knee: {x[place]} nodes"
        sizes.annotate(text, (x[place], y[place]), (0, above), textcoords="offset points", ha="center", va="center")
        sizes.set_xlim(min(x) - 1, max(x) + 1)
        sizes.margins(y=0.15)
    sizes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(sizes, "Best of each size", axis_of(metric), xlabel="nodes of the formula")
    return png(figure)


def _rates(axes: Axes, title: str, curve: Curve) -> None:
    """The learning rates of a curve, and which of its steps are drawn, where not all are."""
    axes.plot(curve.epochs, curve.rates, color=EVOLVED, linewidth=2)
    whole = f"{wrapped(title)}\n{curve.note}" if curve.note else wrapped(title)
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
        low, high = (np.nanpercentile(curves, q, axis=0) for q in QUANTILES)
        axes.fill_between(at, low, high, color=look["color"], alpha=0.15, linewidth=0)


def label(text: str) -> str:
    """A text of one line or more as matplotlib draws it: a dollar sign in it begins no mathematics, and a legend has it whatever it begins with."""
    return in_legend("\n".join(map(printable, text.split("\n")))).replace("$", r"\$")


def in_legend(name: str) -> str:
    """A name that a legend shows: those that begin with an underscore are left out of it."""
    return f" {name}" if name.startswith("_") else name


def wrapped(title: str) -> str:
    """A title, each line of it in as many as it takes, and cut beyond a few."""
    lines = (wrap(printable(line), _TITLE, max_lines=_TITLE_LINES, placeholder=" …") for line in title.split("\n"))
    return "\n".join(line for of_one in lines for line in of_one)


def axis_of(metric: Metric, *, of: Literal["scores", "differences"] = "scores") -> str:
    """What an axis of scores, or of their differences, says: the metric, its unit, which way it is better."""
    unit = metric.unit if of == "scores" else metric.unit_of_differences
    named = metric.name if unit in ("", metric.name) else f"{metric.name}, {unit}"
    return f"{named} ({metric.better})"


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
    """The figure as a PNG. Its texts are texts for those, too, whose matplotlibrc gives all of them to TeX, as code."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        text.set_usetex(False)
    with mpl.rc_context({"text.usetex": False}):
        figure.savefig(buffer, dpi=120)
    return buffer.getvalue()
