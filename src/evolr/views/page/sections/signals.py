"""Which signals matter: what is lost where one of them is frozen."""

from __future__ import annotations

from matplotlib.figure import Figure

from evolr.contest.explanation import Explanation
from evolr.contest.statistics import CONFIDENCE
from evolr.contest.verdict import listed
from evolr.simplification import simplified
from evolr.views.page.drawing import INK, difference, drawing, intervals, titled
from evolr.views.page.parts import (
    Code,
    Column,
    Part,
    Picture,
    Pictures,
    Row,
    Section,
    Sentences,
    Table,
    bracketed,
    sortable,
)
from evolr.views.page.records import Run
from evolr.views.page.sections.reproduction import command_of
from evolr.views.tables import MINUS, explanation_table


def signals(run: Run) -> Section | None:
    """What the explanation says; without one, how to get it; None where there is nothing to freeze."""
    explanation, champion = run.explanation, run.champion
    title = "Which signals matter"
    if explanation is None:
        if champion is None or not champion.signals:
            return None
        reads = f"The champion reads {listed(sorted(champion.signals))}; what each of these is worth to it has not been measured yet"
        command = command_of(run, "explain")
        return Section("signals", title, (Sentences((reads,)), *([Code("Measure it", command)] if command else [])))
    parts: list[Part] = [Sentences((_said(explanation),), is_lead=True)]
    if explanation.schedule != champion:
        other = simplified(explanation.schedule).text
        parts.append(Sentences((f"The explanation is of an earlier champion, {other}: the search has gone on since",)))
    if explanation.frozen:
        parts += [Pictures((_picture(explanation),)), _table(explanation)]
        how = "Each signal was frozen in turn at its median, and the champion trained again so from the same seeds"
        parts.append(Sentences((how,), is_note=True))
    return Section("signals", title, tuple(parts))


def _said(explanation: Explanation) -> str:
    relations: dict[str, list[str]] = {}
    for name, (_, frozen) in explanation.frozen.items():
        relation = "untested against" if frozen.pairs is None else frozen.pairs.relation
        relations.setdefault(relation, []).append(name)
    said = [
        (relations.get("better than"), "the champion needs {}: it is worse with that frozen"),
        (relations.get("worse than"), "it is better with {} frozen"),
        (relations.get("not distinguishable from"), "freezing {} changes nothing that can be told"),
        (relations.get("untested against"), "too few trainings finished to tell of {}"),
    ]
    return (
        "; ".join(text.format(listed(names)) for names, text in said if names)
        or "The champion reads no signal: it is a constant"
    )


def _table(explanation: Explanation) -> Table:
    shown = explanation_table(explanation)
    columns = tuple(Column(header, is_number=place > 0) for place, header in enumerate(shown.headers))
    rows: list[Row] = []
    for cells, (median, frozen) in zip(shown.rows, explanation.frozen.values(), strict=True):
        pairs = frozen.pairs
        numbers = [
            None,
            float(median),
            frozen.mean,
            pairs.difference if pairs else None,
            pairs.p_value if pairs else None,
        ]
        rows.append(Row(sortable(cells, numbers)))
    return Table(f"{bracketed(shown.title)}; {MINUS}: the champion with that signal frozen", columns, tuple(rows))


def _picture(explanation: Explanation) -> Picture:
    metric = explanation.config.problem.metric
    rows = [difference(name, frozen.pairs, metric.scale) for name, (_, frozen) in explanation.frozen.items()]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0.0, color=INK, linewidth=1)
        intervals(axes, rows)
        titled(axes, "Champion minus itself with a signal frozen", xlabel=metric.unit_of_differences or metric.name)

    label = f"What freezing each of {listed(list(explanation.frozen))} changes, with intervals"
    better = "right" if metric.higher_is_better else "left"
    caption = (
        f"Differences with {CONFIDENCE:.0%} intervals; to the {better} of 0 the champion is better than without the signal. Grey: not "
        "distinguishable"
    )
    return Picture(drawing("signals", label, 0.8 + 0.25 * max(len(rows), 2), draw), caption)
