"""The history of the search: generation by generation, the best and the median."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evolr.config import Config
from evolr.errors import count
from evolr.problems import Metric
from evolr.study.course import Generation
from evolr.views.page.drawing import SERIES, SOFT, STYLES, drawing, titled
from evolr.views.page.parts import Cell, Column, Facts, Part, Picture, Pictures, Row, Section, Sentences, Table
from evolr.views.page.records import Run
from evolr.views.page.sections.genealogy import operator_text
from evolr.views.tables import duration

Scores = NDArray[np.float64]

_FLAT: Final = 12.0  # times the spread of the best scores: beyond it, not all medians are in view
_MOST: Final = 60  # generations in the table: of more, evenly spaced ones


def history(run: Run) -> Section | None:
    """How the search went; None where nothing was made yet."""
    generations = run.course.generations
    if not generations:
        return None
    race = run.summary.config.search.race_generation
    bred = [g for g in generations if g.is_finished and g.number < race]
    parts: list[Part] = []
    if len(bred) > 1:
        parts.append(Pictures((_picture(run, bred),)))
    parts += comparability(run.summary.config, has_race=any(g.is_finished and g.number >= race for g in generations))
    parts.append(_table(run, generations, race))
    operators = [f"{operator_text(name)}: {number}" for name, number in run.course.operators.items()]
    sessions = [f"{s.started_at:%Y-%m-%d %H:%M} UTC, {duration(s.seconds)}" for s in run.course.sessions]
    parts.append(Facts((("how individuals were made", "; ".join(operators)), ("sessions", "; ".join(sessions)))))
    return Section("history", "How the search went", tuple(parts))


def comparability(config: Config, *, has_race: bool) -> list[Part]:
    """What a reader must know before comparing the scores of generations, or of the race; nothing where there is nothing to know."""
    notes: list[str] = []
    if config.problem.draws_tasks:
        notes.append(
            "Each generation meets other tasks, so that its scores are not to be compared with those of others"
        )
    if has_race:
        notes.append(
            "The best of a generation is chosen by the scores that are shown, so luck makes them better than they are; the race chooses and "
            "scores by fresh seeds, so its best is often worse than those before it"
        )
    return [Sentences(tuple(notes), is_note=True)] if notes else []


def _table(run: Run, generations: list[Generation], race: int) -> Table:
    metric = run.metric
    places = np.unique(np.linspace(0, len(generations) - 1, min(len(generations), _MOST)).round().astype(int))
    columns = (
        Column("generation"),
        Column(f"best {metric.name}"),
        Column(f"median {metric.name}"),
        Column("individuals"),
        Column("trainings"),
    )
    rows: list[Row] = []
    for place in places:
        own = generations[place]
        name = "race" if own.number >= race else str(own.number)
        rows.append(
            Row(
                (
                    Cell(name if own.is_finished else f"{name}, unfinished", own.number),
                    score_cell(metric, own.best),
                    score_cell(metric, own.median),
                    Cell(str(own.individuals), own.individuals),
                    Cell(str(own.trainings), own.trainings),
                )
            )
        )
    caption = f"{count(len(generations), 'generation')}, from 0"
    if len(places) < len(generations):
        caption += f"; {len(places)} of them, evenly spaced"
    return Table(caption, columns, tuple(rows))


def score_cell(metric: Metric, fitness: float | None) -> Cell:
    """A fitness as the score that it is of."""
    if fitness is None:
        return Cell("")
    if not math.isfinite(fitness):
        return Cell("diverged")
    score = fitness if metric.higher_is_better else -fitness
    return Cell(metric.text(score), score)


def shown_scores(metric: Metric, fitness: Sequence[float | None]) -> Scores:
    """Fitnesses as the scores that they are of, in the unit that people are shown; NaN for what diverged or is not known."""
    known = np.array([np.nan if value is None or not math.isfinite(value) else value for value in fitness], float)
    return metric.scale * (known if metric.higher_is_better else -known)


def _picture(run: Run, bred: list[Generation]) -> Picture:
    metric = run.metric
    at = np.array([g.number for g in bred], float)
    best, median = (shown_scores(metric, values) for values in ([g.best for g in bred], [g.median for g in bred]))
    low, high = in_view(best, median, higher_is_better=metric.higher_is_better)
    has_median = is_any_in_view(median, low, high)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        marker = "o" if len(at) < 12 else ""
        axes.plot(at, best, color=SERIES[0], linewidth=2, marker=marker, markersize=4, label="best of the generation")
        if has_median:
            axes.plot(at, median, color=SOFT, linestyle=STYLES[1], linewidth=1.4, label="median of the generation")
        titled(
            axes,
            f"{'Best and median' if has_median else 'Best'} {metric.name} in the search",
            metric.unit,
            xlabel="generation",
        )
        if low < high:
            axes.set_ylim(low, high)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    label = f"{metric.name} over {count(len(bred), 'generation')}: the best of each, and the median"
    return Picture(drawing("history", label, 2.6, draw), "")


def in_view(best: Scores, median: Scores, *, higher_is_better: bool) -> tuple[float, float]:
    """The least and the greatest score that are shown: all, unless medians of generations that mostly diverged would make the best
    ones a flat line.
    """
    known = np.concatenate([best, median])
    known, own = known[np.isfinite(known)], best[np.isfinite(best)]
    if not len(own):
        return 0.0, 0.0
    spread = float(np.ptp(own)) or 0.1 * abs(float(own[0])) or 1.0
    low, high = float(known.min()), float(known.max())
    if high - low > _FLAT * spread:
        low, high = (own.min() - 3 * spread, own.max()) if higher_is_better else (own.min(), own.max() + 3 * spread)
    margin = 0.06 * (high - low)
    return float(low - margin), float(high + margin)


def is_any_in_view(scores: Scores, low: float, high: float) -> bool:
    """Whether any of some scores is shown, so that a legend should name them."""
    return bool(((scores >= low) & (scores <= high)).any())
