"""The picture of a contest on a suite: its performance profile."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from evolr.contest.profile import share_within, shortfalls
from evolr.contest.results import ContestResult
from evolr.views.contest_picture import looks
from evolr.views.pictures import finish, label, png

_POINTS = 400
_SHOWN = (
    75  # per cent of all distances from the best, which the picture shows; the rest are those of the worst contenders
)


def profile_picture(result: ContestResult) -> bytes:
    """The PNG of a contest's performance profile: over τ, the share of tasks on which a contender is within τ of the best.

    The evolved schedule and the best of the others have colours, those of the contest's picture, and names; the rest is grey.
    """
    metric, behind = result.config.problem.metric, shortfalls(result)
    finite = behind[np.isfinite(behind)]
    most = float(np.percentile(finite, _SHOWN)) if finite.size else 0.0
    distances = np.linspace(0.0, most or 1.0, _POINTS)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    look = looks(result)
    own = {entry.name: row for entry, row in zip(result.entries, behind, strict=True)}
    grey: dict[str, Any] = {"color": "lightgrey", "linewidth": 0.8, "zorder": 1}
    for name in (
        *look,
        *(name for name in own if name not in look),
    ):  # so that the legend's order is that of their means
        style: dict[str, Any] = {**look[name], "label": label(name)} if name in look else grey
        axes.plot(metric.scale * distances, share_within(own[name], distances), drawstyle="steps-post", **style)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlim(0.0, metric.scale * distances[-1])
    title = f"{result.title}, {result.settings.epochs} epochs; {len(result.seeds)} tasks"
    unit = metric.unit_of_differences or metric.name
    finish(axes, title, "share of tasks within τ of the best", xlabel=f"τ, {unit}")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    return png(figure)
