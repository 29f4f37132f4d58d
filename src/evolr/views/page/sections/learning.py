"""The learning curves of the champion and of its best rivals, and under which learning rates they were learnt."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evolr.contest.contender import Contender
from evolr.problems import Metric
from evolr.views.page.drawing import SERIES, STYLES, drawing, log_axis, titled
from evolr.views.page.parts import Code, Picture, Pictures, Section, Sentences
from evolr.views.page.rates import quantiles
from evolr.views.page.records import Run
from evolr.views.page.sections.verdict import prove_command
from evolr.views.pictures import ends

_RIVALS = 3  # the best ones, beside the champion


def learning(run: Run) -> Section:
    """The curves of the contest; where there is none, those of the comparison with untuned baselines; else what would make them."""
    contest, comparison = run.contest, run.comparison
    title = "Learning curves"
    if contest is not None:
        shown = [contest.champion.result, *(entry.result for entry in contest.others[:_RIVALS])]
        parts = _pictures(shown, contest.config.problem.metric, contest.settings.epochs, "contest")
        whose = f"The evolved schedule and the {len(shown) - 1} best of the other contenders, in the contest's final"
    elif comparison is not None:
        shown = comparison.contenders[: _RIVALS + 1]
        parts = _pictures(shown, comparison.metric, comparison.settings.epochs, "comparison")
        whose = "The evolved schedule and baselines that are not tuned"
    else:
        if run.champion is None:
            return Section("learning", title, (Sentences(("There is no champion to train yet",)),))
        missing = (
            "The search records its champion's trainings alone: a contest has learning curves of its rivals beside it"
        )
        return Section("learning", title, (Sentences((missing,)), Code("Hold one", prove_command(run))))
    if not parts:
        return Section(
            "learning", title, (Sentences(("These trainings told nothing on their way, so there are no curves",)),)
        )
    how = "Lines are medians over the seeds, the band reaches from 10 to 90 % of the champion's"
    return Section("learning", title, (Pictures(parts), Sentences((whose, how), is_note=True)))


def _pictures(shown: list[Contender], metric: Metric, epochs: int, name: str) -> tuple[Picture, ...]:
    """Of the score on the way, the training loss and the learning rates, those that are known."""
    kinds = (
        ("val_score", _on_the_way(metric), metric.scale, metric.scale == 1.0),
        ("train_loss", "Training loss", 1.0, True),
        ("learning_rate", "Learning rate, log scale", 1.0, True),
    )
    parts: list[Picture] = []
    for curve, title, scale, is_log in kinds:
        # A rival's learning rate is a factor of the step size that it finds by itself.
        known = [
            (place, contender)
            for place, contender in enumerate(shown)
            if np.isfinite(contender.curves(curve)).any() and (curve != "learning_rate" or contender.optimizer is None)
        ]
        if not known:
            continue

        draw = partial(_draw, known, curve, epochs, title, (scale, is_log))
        label = f"{title}, of {', '.join(contender.name for _, contender in known)}"
        parts.append(Picture(drawing(f"{name}-{curve.replace('_', '-')}", label, 2.7, draw), ""))
    return tuple(parts)


def _on_the_way(metric: Metric) -> str:
    unit = "" if metric.unit == metric.name else f", {metric.unit}"
    return f"{metric.name[:1].upper()}{metric.name[1:]} on the way{unit}"


def _draw(
    known: list[tuple[int, Contender]], curve: str, epochs: int, title: str, look: tuple[float, bool], figure: Figure
) -> None:
    """One curve of contenders, each with its place among those that are shown, which its colour says; look: the scale of its values, and whether its
    axis is logarithmic.
    """
    axes, (scale, is_log) = figure.add_subplot(), look
    for place, contender in known:
        _line(axes, contender, scale * contender.curves(curve), epochs, place)
    titled(axes, title)
    if is_log:
        log_axis(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _line(axes: Axes, contender: Contender, curves: np.ndarray, epochs: int, place: int) -> None:
    """A contender's median, and of the first a band; a place that no training reached is left out."""
    reached = np.flatnonzero(np.isfinite(curves).any(axis=0))
    low, middle, high = quantiles(curves[:, reached])
    at = ends(curves, epochs)[reached]
    marker = "o" if len(at) == 1 else ""
    style = {"color": SERIES[place], "linestyle": STYLES[place], "linewidth": 2.2 if place == 0 else 1.5}
    axes.plot(at, middle, label=contender.name, marker=marker, zorder=4 - place, **style)
    if place == 0 and len(curves) > 1:
        axes.fill_between(at, low, high, color=SERIES[0], alpha=0.2, linewidth=0)
