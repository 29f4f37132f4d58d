"""The front: the best formula of each size, and its knee."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from evolr.search.archive import knee
from evolr.simplification import simplified
from evolr.study.summary import Summary
from evolr.views.page.drawing import BAD, SERIES, drawing, titled
from evolr.views.page.parts import Cell, Column, Part, Picture, Pictures, Row, Section, Sentences, Table
from evolr.views.page.records import Run


def front(run: Run) -> Section | None:
    """The front; None without one."""
    rows, metric = run.summary.front, run.metric
    if not rows:
        return None
    place = _knee(run.summary)
    drawn = [(size, metric.scale * score) for size, score, _ in rows if math.isfinite(score)]
    parts: list[Part] = []
    if len(drawn) > 1:
        parts.append(Pictures((_picture(run, drawn, None if place is None else rows[place][0]),)))
    return Section("front", "Size and score", (*parts, *front_parts(run.summary)))


def _knee(summary: Summary) -> int | None:
    """The place of the knee; None where there are too few formulas for one."""
    rows, metric = summary.front, summary.config.problem.metric
    if len(rows) < 3:
        return None
    return knee([size for size, _, _ in rows], [metric.fitness(score) for _, score, _ in rows])


def front_parts(summary: Summary) -> list[Part]:
    """The table of a front, and what its knee is."""
    metric, search, place = summary.config.problem.metric, summary.config.search, _knee(summary)
    columns = (
        Column("nodes"),
        Column(metric.name),
        Column("", is_number=False),
        Column("learning rate, in short", is_number=False),
    )
    table = Table(
        "The best formula of each size that is better than everything smaller; the last one is the champion",
        columns,
        tuple(
            Row(
                (
                    Cell(str(size), size),
                    Cell(metric.text(score), None if math.isnan(score) else score),
                    Cell("knee" if number == place else ""),
                    Cell(simplified(search.schedule(expression)).text, is_code=True),
                ),
                number == place,
            )
            for number, (size, score, expression) in enumerate(summary.front)
        ),
    )
    knee_is = Sentences(("Beyond the knee a larger formula is hardly better",), is_note=True)
    return [table] if place is None else [table, knee_is]


def _picture(run: Run, drawn: list[tuple[int, float]], at_knee: int | None) -> Picture:
    metric = run.metric
    sizes, scores = (np.array(values, float) for values in zip(*drawn, strict=True))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.step(sizes, scores, where="post", color=SERIES[0], linewidth=1.4)
        axes.plot(sizes, scores, "o", color=SERIES[0], markersize=4.5)
        if at_knee is not None and at_knee in sizes:
            score = scores[sizes == at_knee][0]
            axes.plot(at_knee, score, "o", color=BAD, markersize=9, label=f"knee: {at_knee} nodes")
            axes.legend()
        titled(axes, f"Best {metric.name} of each size", metric.unit, xlabel="nodes of the formula")

    label = f"Best {metric.name} by size: {scores[0]:.4g} with {sizes[0]:g} nodes, {scores[-1]:.4g} with {sizes[-1]:g}"
    return Picture(drawing("front", label, 2.4, draw), "")
