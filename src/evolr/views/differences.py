"""The part of a picture that shows paired differences: evolved minus another, with intervals, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from evolr.contest.statistics import Pairs
from evolr.problems import Metric
from evolr.views.pictures import BETTER, LEVEL, WORSE

_REACH: Final = 4.0  # times the median distance from 0: what is farther is a number at the edge
_FEWEST: Final = 5  # lines that a part has room for, so that one alone does not fill it
_LOOKS: Final = {"better than": BETTER, "worse than": WORSE}


def draw_differences(
    axes: Axes, all_pairs: Sequence[Pairs | None], metric: Metric, meanings: tuple[str, str, str]
) -> None:
    """Draws them from the bottom to the top, in the metric's unit; None leaves its line empty.

    meanings: what it means if the evolved one is better, if they are not told apart, and if it is worse.
    """
    axes.axvline(0.0, color="black", linewidth=1)
    known = {
        place: (pairs, metric.scale * np.array([pairs.difference, pairs.low, pairs.high]))
        for place, pairs in enumerate(all_pairs)
        if pairs is not None and None not in (pairs.difference, pairs.low, pairs.high)
    }
    reach = _reach([abs(middle) for _, (middle, _, _) in known.values()])
    for place, (pairs, (middle, low, high)) in known.items():
        colour = _LOOKS.get(pairs.relation, LEVEL)
        if abs(middle) <= reach:
            axes.plot(np.clip([low, high], -reach, reach), [place, place], "-", color=colour, linewidth=2.5)
            axes.plot(middle, place, "o", color=colour, markersize=5)
        elif middle > 0:
            axes.annotate(f"{middle:.3g} ▸", (reach, place), va="center", ha="right", fontsize=9, color=colour)
        else:
            axes.annotate(f"◂ {middle:.3g}", (-reach, place), va="center", ha="left", fontsize=9, color=colour)
    shown = np.clip([0.0, *(end for _, ends in known.values() for end in ends)], -reach, reach)
    margin = 0.05 * float(np.ptp(shown)) or 1.0
    axes.set_xlim(shown.min() - margin, shown.max() + margin)
    axes.set_ylim(-0.6, max(len(all_pairs), _FEWEST) - 0.4)
    for meaning, colour in zip(meanings, (BETTER, LEVEL, WORSE), strict=True):
        axes.plot([], [], "o-", color=colour, label=meaning)


def _reach(sizes: Sequence[float]) -> float:
    """How far from 0 lines are drawn; infinitely far for a few of them."""
    return (_REACH * float(np.median(sizes)) or np.inf) if len(sizes) > 3 else np.inf
