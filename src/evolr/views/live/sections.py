"""The sections of a study's live page: of a snapshot, plain parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evolr.errors import count, shortened
from evolr.expression import ordinary_text
from evolr.problems import Metric
from evolr.study.following import Snapshot
from evolr.study.summary import RecordedTrainings, Summary, failure_text
from evolr.study.trials import ListedTrial
from evolr.views.curve import Curve
from evolr.views.inline_curve import inline_curve
from evolr.views.line_chart import Line, Look, line_chart
from evolr.views.page.parts import (
    Cell,
    Column,
    Facts,
    Part,
    Picture,
    Pictures,
    Progress,
    Row,
    Section,
    Sentences,
    Table,
)
from evolr.views.page.sections.champion import formula
from evolr.views.page.sections.front import front_parts
from evolr.views.page.sections.history import comparability, in_view, is_any_in_view, score_cell, shown_scores
from evolr.views.tables import duration, moment, trainings_done

_GENERATIONS = 8  # the latest, in the table
_FORMULA = 160  # characters of a formula in a list of trainings


def now(snapshot: Snapshot) -> Section:
    """Where the study stands."""
    summary, totals = snapshot.summary, snapshot.totals
    metric = summary.config.problem.metric
    rows = [
        ("state", summary.state_text),
        ("generations", summary.generations_text),
        (f"best {metric.name}", "" if summary.best is None else metric.text(summary.best)),
    ]
    if snapshot.finished:
        latest = snapshot.finished[-1]
        name = "race" if latest.number >= summary.config.search.race_generation else f"generation {latest.number}"
        rows += [
            (f"{name}: best", score_cell(metric, latest.best).text),
            (f"{name}: median", score_cell(metric, latest.median).text),
        ]
    rows += [
        ("trainings", trainings_done(summary)),
        ("networks a second", _speed(snapshot)),
        ("time left", _time_left(snapshot)),
        ("failed", f"{totals.failed:,}" + ("" if totals.is_whole else " so far")),
        ("diverged", f"{totals.diverged:,}" + ("" if totals.is_whole else " so far")),
        ("latest result", moment(summary.active_at)),
    ]
    parts: list[Part] = [Facts(tuple(rows))]
    if summary.expected:
        done = min(summary.whole_trainings, summary.expected)
        parts.insert(0, Progress(done, summary.expected, "trainings done, of about those expected"))
    if not totals.is_whole:
        parts.append(Sentences((f"being counted: {totals.counted:,} of {totals.newest:,} trainings",), is_note=True))
    return Section("now", "Now", tuple(parts))


def said(summary: Summary) -> str:
    """What is worth being told at once: the state, and the best score."""
    metric = summary.config.problem.metric
    best = "no champion yet" if summary.best is None else f"best {metric.name} {metric.text(summary.best)}"
    return f"{summary.state_text}: {best}"


def _speed(snapshot: Snapshot) -> str:
    if snapshot.speed is None:
        return ""
    return f"{snapshot.speed:.3g}" + (", of late" if snapshot.is_measured else ", in its latest generations")


def _time_left(snapshot: Snapshot) -> str:
    if snapshot.summary.state != "running":
        return ""
    if snapshot.seconds_left is None:
        return "not known yet"
    return f"about {duration(snapshot.seconds_left)}, if no budget ends it before"


def history(snapshot: Snapshot) -> Section:
    """Best and median of each generation."""
    config, finished = snapshot.summary.config, snapshot.finished
    metric = config.problem.metric
    bred = [generation for generation in finished if generation.number < config.search.race_generation]
    parts: list[Part] = []
    if len(bred) > 1:
        at = np.array([generation.number for generation in bred], float)
        best = shown_scores(metric, [generation.best for generation in bred])
        median = shown_scores(metric, [generation.median for generation in bred])
        low, high = in_view(best, median, higher_is_better=metric.higher_is_better)
        svg = line_chart(
            [Line(at, median, "second"), Line(at, best)],
            label=f"{metric.name} over {count(len(bred), 'generation')}: the best of each, and the median",
            x_name="generation",
            y_range=(low, high),
            text=lambda value: f"{value:.4g}",
        )
        drawn = "Best (line) and median (dashed)"
        if not is_any_in_view(median, low, high):
            drawn = "Best"
        parts.append(Pictures((Picture(svg, f"{drawn} of each generation, {metric.unit}"),)))
    rows = tuple(
        Row(
            (
                Cell("race" if generation.number >= config.search.race_generation else str(generation.number)),
                score_cell(metric, generation.best),
                score_cell(metric, generation.median),
            )
        )
        for generation in finished[: -_GENERATIONS - 1 : -1]
    )
    columns = (Column("generation"), Column(f"best {metric.name}"), Column(f"median {metric.name}"))
    if rows:
        parts.append(
            Table(f"The latest of {count(len(finished), 'finished generation')}", columns, rows, is_sortable=False)
        )
    else:
        parts.append(Sentences(("no generation is finished yet",)))
    parts += comparability(config, has_race=len(bred) < len(finished))
    return Section("history", "Generation by generation", tuple(parts))


def champion(snapshot: Snapshot, drawn: Curve | None, note: str, before: Sequence[Curve]) -> Section:
    """The champion: its formula, its learning rate, those of the champions before it, as far as they were seen here, and the losses
    under it.
    """
    summary, recorded = snapshot.summary, snapshot.recorded
    schedule = summary.champion
    if schedule is None or summary.best is None:
        return Section("champion", "The champion", (Sentences((f"this study {summary.why_no_champion}",)),))
    metric, expression = summary.config.problem.metric, schedule.expression
    pictures: list[Picture] = []
    if drawn is not None:
        faint = f"; faint: {count(len(before), 'champion')} before it, since this page is watched" if before else ""
        caption = "; ".join(part for part in ("Learning rate, log scale", note, drawn.note) if part)
        pictures.append(Picture(inline_curve(drawn, before), caption + faint))
    if recorded is not None and (svg := _losses(recorded)):
        trained = count(recorded.trainings, "training")
        pictures.append(Picture(svg, f"Loss of training (line) and validation (dashed) under it, median of {trained}"))
    facts = Facts(
        (
            (metric.name, metric.text(summary.best)),
            ("standing", summary.standing),
            ("bounds", schedule.bounds_text),
            ("reads", ", ".join(sorted(expression.signals)) or "nothing: it is a constant"),
            ("size", f"{count(expression.size, 'node')}, {count(expression.depth, 'level')}"),
        )
    )
    return Section("champion", "The champion", (formula(schedule), Pictures(tuple(pictures)), facts))


def _losses(recorded: RecordedTrainings) -> str:
    """The drawing of losses over a training; empty where none are known."""
    lines = [
        over_epochs(recorded.val_loss, recorded.epochs, "second"),
        over_epochs(recorded.train_loss, recorded.epochs),
    ]
    if not any(np.isfinite(line.y).any() for line in lines):
        return ""
    label = "loss of training and of validation, over the epochs of a training"
    return line_chart(lines, label=label, x_name="epoch", x_range=(0.0, float(recorded.epochs)))


def over_epochs(values: NDArray[np.float64], epochs: int, look: Look = "main") -> Line:
    """Values of equal parts of a training, each at its end."""
    return Line(np.arange(1, len(values) + 1) * epochs / max(len(values), 1), values, look)


def front(summary: Summary) -> Section:
    """The best formula of each size."""
    parts = front_parts(summary) if summary.front else [Sentences(("no formula has a score yet",))]
    return Section("front", "Size and score", tuple(parts))


def latest(snapshot: Snapshot, address: str) -> Section:
    """The trainings that landed last."""
    metric = snapshot.summary.config.problem.metric
    if not snapshot.latest:
        return Section("latest", "Latest trainings", (Sentences(("none so far",)),))
    return Section("latest", "Latest trainings", (trials_table(snapshot.latest, metric, address, "The newest first"),))


def failures(snapshot: Snapshot, address: str) -> Section:
    """The trainings that failed, and with what."""
    if not snapshot.failures:
        return Section("failures", "Failed trainings", (Sentences(("none so far",)),))
    rows = tuple(
        Row(
            (
                trial_cell(trial, address),
                Cell(str(trial.generation)),
                Cell(str(trial.seed)),
                Cell(failure_text(trial.message)),
            )
        )
        for trial in snapshot.failures
    )
    columns = (Column("training"), Column("generation"), Column("seed"), Column("why", is_number=False))
    caption = f"The latest of {snapshot.totals.failed:,}"
    return Section("failures", "Failed trainings", (Table(caption, columns, rows, is_sortable=False),))


def trials_table(trials: Sequence[ListedTrial], metric: Metric, address: str, caption: str) -> Table:
    """One row a training."""
    columns = (
        Column("training"),
        Column("generation"),
        Column(metric.name),
        Column("formula", is_number=False),
        Column("seed"),
        Column("epochs"),
        Column("pool", is_number=False),
    )
    rows = tuple(
        Row(
            (
                trial_cell(trial, address),
                Cell(str(trial.generation)),
                Cell(outcome(trial, metric)),
                Cell(shortened(ordinary_text(trial.expression), _FORMULA), is_code=True),
                Cell(str(trial.seed)),
                Cell(str(trial.epochs)),
                Cell(trial.pool),
            )
        )
        for trial in trials
    )
    return Table(caption, columns, rows, is_sortable=False)


def trial_cell(trial: ListedTrial, address: str) -> Cell:
    """A training's number, which leads to its page."""
    return Cell(str(trial.number), link=f"{address}/trainings/{trial.number}")


def outcome(trial: ListedTrial, metric: Metric) -> str:
    """A training's score, or what became of it."""
    if trial.score is not None and math.isfinite(trial.score):
        return metric.text(trial.score)
    return "failed" if trial.status == "failed" else "diverged"
