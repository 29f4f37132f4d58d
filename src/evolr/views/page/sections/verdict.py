"""The verdict of the contest: its sentences, its table, and how far apart the contenders are."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from evolr.contest.results import ContestResult, Entry
from evolr.contest.statistics import CONFIDENCE
from evolr.contest.verdict import verdict as sentences_of
from evolr.errors import count
from evolr.simplification import simplified
from evolr.views.contest import contest_table
from evolr.views.page.drawing import (
    INK,
    SERIES,
    SOFT,
    Interval,
    difference,
    drawing,
    edge_of,
    interval,
    intervals,
    plain_symlog,
    titled,
)
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
    sortable,
)
from evolr.views.page.records import Run
from evolr.views.page.sections.reproduction import command_of
from evolr.views.tables import MINUS

_HINTS = {
    MINUS: "the evolved schedule's score minus the contender's, paired by seed",
    "p (Holm)": "Wilcoxon's signed-rank test, two-sided, corrected for all contenders",
    "optimism": "by how much the search thought better of it than the final did",
    "P(better)": "the share of seeds at which the evolved schedule is better, ties half",
    "d": "Cohen's d of the paired differences, positive where the evolved schedule is better",
}


def verdict(run: Run) -> Section:
    """What was proven; where nothing was, how to prove it."""
    contest = run.contest
    if contest is None:
        return Section("verdict", "The verdict", _no_contest(run))
    first, *others = sentences_of(contest)
    claim, _, rest = first.partition("; ")
    parts: list[Part] = [Sentences((claim,), is_lead=True)]
    if said := [sentence for sentence in (rest, *others) if sentence]:
        parts.append(Sentences(tuple(said)))
    if not run.is_of_champion:
        proven = simplified(contest.champion.result.schedule).text
        parts.append(
            Sentences(
                (
                    f"The contest was about another schedule than the champion above, {proven}: {_why_another(run, contest)}",
                )
            )
        )
    parts += [_table(contest), Pictures((_scores(contest), _differences(contest)))]
    return Section(
        "verdict", "The verdict" if not contest.settings.is_quick else "The verdict of a rehearsal", tuple(parts)
    )


def _why_another(run: Run, contest: ContestResult) -> str:
    if any(f.candidate.schedule == run.champion for f in contest.champion.finalists):
        return "in the contest's race it overtook the champion"
    return "the search has gone on since"


def _no_contest(run: Run) -> tuple[Part, ...]:
    said = "No contest yet: it is not known whether this champion is better than a tuned standard schedule"
    if run.champion is None:
        return (Sentences(("No contest yet, for want of a champion",)),)
    command = command_of(run, "prove")
    return (Sentences((said,)), *([Code("Hold a contest", command)] if command else []))


def _table(contest: ContestResult) -> Table:
    """The contest's table, with what each column is sorted by."""
    shown = contest_table(contest)
    columns = tuple(
        Column(header, is_number=place > 0, hint=_HINTS.get(header, "")) for place, header in enumerate(shown.headers)
    )
    rows: list[Row] = []
    for entry, cells, is_bold in zip(contest.ranked, shown.rows, shown.bold, strict=True):
        rows.append(Row(sortable(cells, _values(entry, contest)), is_bold))
    caption = f"{shown.title}; {CONFIDENCE:.0%} intervals"
    return Table(caption, columns, tuple(rows))


def _values(entry: Entry, contest: ContestResult) -> list[float | None]:
    own, pairs = entry.result, entry.result.pairs
    numbers = [None, own.mean]
    if pairs is None:
        numbers += [0.0, None, contest.optimism(entry), None, None]
    else:
        numbers += [pairs.difference, pairs.p_value, contest.optimism(entry), pairs.improvement, pairs.effect_size]
    return numbers


def _differences(contest: ContestResult) -> Picture:
    metric, others = contest.config.problem.metric, contest.others
    rows = [difference(entry.name, entry.result.pairs, metric.scale) for entry in others]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0.0, color=INK, linewidth=1)
        intervals(axes, rows)
        shown = [abs(row.middle) for row in rows if row.middle]
        if len(shown) > 3 and max(shown) > 20 * float(np.percentile(shown, 25)):
            axes.set_xscale("symlog", linthresh=max(1e-9, float(np.percentile(shown, 25))))
            plain_symlog(axes)
        titled(axes, "Evolved minus contender", xlabel=metric.unit_of_differences or metric.name)

    better = "right" if metric.higher_is_better else "left"
    label = f"Paired differences between the evolved schedule and {count(len(others), 'contender')}, with intervals"
    caption = (
        f"Paired differences with their {CONFIDENCE:.0%} intervals, the best contender first. Where the evolved schedule is better, "
        f"they lie to the {better} of 0; coloured are those that the test tells from 0"
    )
    return Picture(drawing("differences", label, 0.75 + 0.21 * max(len(rows), 2), draw), caption)


def _scores(contest: ContestResult) -> Picture:
    metric, ranked = contest.config.problem.metric, contest.ranked
    rows: list[Interval] = []
    for entry in ranked:
        own, is_champion = entry.result, entry is contest.champion
        mean = None if math.isnan(own.mean) else own.mean
        colour = SERIES[0] if is_champion else SOFT
        rows.append(interval(entry.name, (own.low, mean, own.high), metric.scale, colour, is_bold=is_champion))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        is_higher = metric.higher_is_better
        intervals(axes, rows, edge=edge_of(rows, higher_is_better=is_higher), higher_is_better=is_higher)
        titled(axes, f"Final {metric.name}", xlabel=metric.unit)

    label = f"Final {metric.name} of each contender with its interval; the best is {ranked[0].name}"
    caption = f"Final {metric.name} with {CONFIDENCE:.0%} intervals, the best first; of contenders far behind the number alone"
    return Picture(drawing("scores", label, 0.75 + 0.21 * max(len(rows), 2), draw), caption)
