"""The learning curves of the champion and of its best rivals, and under which learning rates they were learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evolr.contest.contender import Contender
from evolr.errors import count, printable
from evolr.problems import Metric
from evolr.study.curves import CURVES
from evolr.views.page.drawing import SERIES, STYLES, drawing, log_axis, titled
from evolr.views.page.parts import Picture, Pictures, Section, Sentences
from evolr.views.page.rates import quantiles
from evolr.views.page.records import Run
from evolr.views.pictures import ends, in_legend

_RIVALS = 3  # the best ones, beside the champion


class _Kind(NamedTuple):
    """A kind of curve. scale: of its values; is_log: whether they are shown on a log axis."""

    title: str
    scale: float = 1.0
    is_log: bool = True


class _Learner(NamedTuple):
    """Who learns. curves: (trainings, places) by name; finds_step: whether its optimiser finds its own step size, of which its
    learning rate is a factor.
    """

    name: str
    curves: Mapping[str, NDArray[np.float64]]
    finds_step: bool = False


def learning(run: Run) -> Section:
    """The curves of the contest; where there is none, those of the comparison with untuned baselines, or of the champion alone."""
    title, contest, comparison = "Learning curves", run.contest, run.comparison
    if contest is not None:
        shown = _learners([contest.champion.result, *(entry.result for entry in contest.others[:_RIVALS])])
        epochs, name = contest.settings.epochs, "contest"
        whose = f"The evolved schedule and the {len(shown) - 1} best of the other contenders, in the contest's final"
    elif comparison is not None:
        shown = _learners(comparison.contenders[: _RIVALS + 1])
        epochs, name = comparison.settings.epochs, "comparison"
        is_earlier = comparison.contenders[0].schedule != run.champion
        evolved = "An earlier champion, since the search has gone on," if is_earlier else "The evolved schedule"
        whose = f"{evolved} and baselines that are not tuned"
    elif run.recorded is not None:
        of_champion = zip(CURVES, run.recorded.transpose(1, 0, 2).astype(np.float64), strict=True)
        shown = [_Learner("champion", dict(of_champion))]
        epochs, name = run.summary.champion_epochs, "search"
        trainings = f"{count(len(run.recorded), 'training')} of {count(epochs, 'epoch')}"
        whose = f"The champion alone, in its {trainings} in the search; a contest has its rivals beside it"
    else:
        return Section(title=title, name="learning", parts=(Sentences(("No training of the champion is recorded",)),))
    parts = _pictures(shown, run.metric, epochs, name)
    if not parts:
        nothing = "The trainings recorded no losses or scores over their epochs, so there are no curves"
        return Section("learning", title, (Sentences((nothing,)),))
    how = "Lines are medians over the trainings, the band reaches from 10 to 90 % of the champion's"
    return Section("learning", title, (Pictures(parts), Sentences((whose, how), is_note=True)))


def _learners(contenders: Sequence[Contender]) -> list[_Learner]:
    return [
        _Learner(one.name, {name: one.curves(name) for name in CURVES}, finds_step=one.optimizer is not None)
        for one in contenders
    ]


def _pictures(shown: Sequence[_Learner], metric: Metric, epochs: int, name: str) -> tuple[Picture, ...]:
    """Of the validation score, the training loss and the learning rates, those that are known."""
    kinds = {
        "val_score": _Kind(_validation(metric), metric.scale, is_log=not metric.higher_is_better),
        "train_loss": _Kind("Training loss"),
        "learning_rate": _Kind("Learning rate, log scale"),
    }
    parts: list[Picture] = []
    for curve, kind in kinds.items():
        known = [
            (place, learner)
            for place, learner in enumerate(shown)
            if np.isfinite(learner.curves[curve]).any() and not (curve == "learning_rate" and learner.finds_step)
        ]
        if not known:
            continue
        label = f"{kind.title}, of {', '.join(learner.name for _, learner in known)}"
        draw = partial(_draw, known, curve, epochs, kind)
        parts.append(Picture(drawing(f"{name}-{curve.replace('_', '-')}", label, 2.7, draw), ""))
    return tuple(parts)


def _validation(metric: Metric) -> str:
    unit = "" if metric.unit == metric.name else f", {metric.unit}"
    return f"Validation {metric.name}{unit}"


def _draw(known: Sequence[tuple[int, _Learner]], curve: str, epochs: int, kind: _Kind, figure: Figure) -> None:
    """One curve of learners, each with its place among those that are shown, which its colour says."""
    axes = figure.add_subplot()
    for place, learner in known:
        _line(axes, learner.name, kind.scale * learner.curves[curve], epochs, place)
    titled(axes, kind.title)
    if kind.is_log:
        log_axis(axes)
    if len(known) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _line(axes: Axes, name: str, curves: NDArray[np.float64], epochs: int, place: int) -> None:
    """A median, and of the first a band; a place that no training reached is left out."""
    reached = np.flatnonzero(np.isfinite(curves).any(axis=0))
    low, middle, high = quantiles(curves[:, reached])
    at = ends(curves, epochs)[reached]
    style: dict[str, Any] = {
        "color": SERIES[place],
        "linestyle": STYLES[place],
        "linewidth": 2.2 if place == 0 else 1.5,
    }
    axes.plot(
        at, middle, label=in_legend(printable(name)), marker="o" if len(at) == 1 else "", zorder=4 - place, **style
    )
    if place == 0 and len(curves) > 1:
        axes.fill_between(at, low, high, color=SERIES[0], alpha=0.2, linewidth=0)
