"""What a notebook shows of a thing that is the last line of a cell: its formula, its curve, the few figures that matter.

Whatever comes from a user or a file is escaped. Nothing raises here: where something cannot be shown, the answer is None, and a
notebook shows the text that it has anyway; the reason is in the log, at level DEBUG.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, ParamSpec

import numpy as np

from evolr.config import Config
from evolr.contest.comparison import ComparisonResult
from evolr.contest.explanation import Explanation
from evolr.contest.results import ContestResult
from evolr.contest.tune import Tuned
from evolr.contest.verdict import verdict as contest_verdict
from evolr.discovered import GalleryEntry
from evolr.errors import count
from evolr.legible import html
from evolr.named import EPOCHS, STEPS_PER_EPOCH
from evolr.schedule import Schedule
from evolr.simplification import simplified
from evolr.study.results import SearchResult
from evolr.study.summary import recorded_trainings, standing_text, summarise
from evolr.views.contest import contest_table
from evolr.views.curve import Curve, assumed_curve, champion_curve, recorded_curve
from evolr.views.gallery import NOT_JUDGED, gallery_table
from evolr.views.inline_curve import inline_curve
from evolr.views.tables import (
    comparison_table,
    duration,
    explanation_table,
    front_table,
    moment,
    trainings_and_failures,
    verdict,
)
from evolr.views.terminal_table import TerminalTable

_log = logging.getLogger(__name__)

_Given = ParamSpec("_Given")


def _or_none(make: Callable[_Given, str]) -> Callable[_Given, str | None]:
    @functools.wraps(make)
    def made(*args: _Given.args, **kwargs: _Given.kwargs) -> str | None:
        try:
            return make(*args, **kwargs)
        except Exception:  # a notebook's cell has its result, however it can be shown
            _log.debug("cannot be shown as HTML", exc_info=True)
            return None

    return made


@_or_none
def schedule_html(schedule: Schedule) -> str:
    """A schedule over a made-up horizon."""
    return _card("Schedule", *_schedule(schedule, EPOCHS, STEPS_PER_EPOCH), _facts(_of_schedule(schedule)))


@_or_none
def search_html(result: SearchResult) -> str:
    """What a search has found so far."""
    config, best = result.config, result.champion
    metric = config.problem.metric
    facts = [
        ("standing", standing_text(config, is_raced=result.is_raced, is_done=result.stopped_by is None)),
        ("stopped", result.stopped_by or ""),
        ("took", f"{duration(result.seconds)}; {result.trainings_text} in the study"),
        ("saved", str(result.directory)),
    ]
    if best is None or result.schedule is None:
        why = "every training diverged or failed" if result.trainings else "nothing was trained"
        return _card("Search: no champion", _sentence(f"{why} so far"), _facts(facts))
    front = [(e.individual.expression.size, e.score, e.individual.expression) for e in result.hall_of_fame]
    return _card(
        f"Search: {metric.name} {metric.text(best.score)}",
        *_champion(result.schedule, config, result.directory),
        _facts(facts),
        _folded("best of each size", front_table(front, metric)),
    )


@_or_none
def study_html(directory: Path) -> str:
    """A study as far as it is, read from its directory."""
    summary = summarise(directory)
    config = summary.config
    metric = config.problem.metric
    facts = [
        ("generations", summary.generations_text),
        ("trainings", trainings_and_failures(summary)),
        ("last failure", summary.last_failure_text),
        ("standing", summary.standing if summary.front else ""),
        ("trained by", config.problem.identity or f"{config.problem.name}, {config.training.optimizer.text}"),
        ("last activity", moment(summary.active_at)),
    ]
    title, champion = f"Study {directory}", summary.champion
    if champion is None or summary.best is None:
        return _card(title, _sentence(f"it {summary.why_no_champion}"), _facts(facts))
    return _card(
        f"{title}: {metric.name} {metric.text(summary.best)}",
        *_champion(champion, config, directory),
        _facts(facts),
        _folded("best of each size", front_table(summary.front, metric)),
    )


@_or_none
def contest_html(result: ContestResult) -> str:
    """The verdict of a contest, what was proven, and the contenders."""
    champion = result.champion.result.schedule
    name = "Rehearsal" if result.settings.is_quick else "Contest"
    return _card(
        name,
        *map(_sentence, contest_verdict(result)),
        *_formula(champion),
        _table(contest_table(result)),
    )


@_or_none
def comparison_html(result: ComparisonResult) -> str:
    """The verdict of a comparison, its schedule, and the contenders."""
    champion = result.contenders[0].schedule
    parts = (_sentence(verdict(result)), *_formula(champion), _table(comparison_table(result)))
    return _card(f"Comparison: {result.title}" if result.title else "Comparison", *parts)


@_or_none
def explanation_html(explanation: Explanation) -> str:
    """A champion, and what freezing each of its signals changes."""
    return _card("Explanation", *_formula(explanation.schedule), _table(explanation_table(explanation)))


@_or_none
def tuned_html(tuned: Tuned) -> str:
    """A tuned family: its schedule and constants."""
    constants = ", ".join(f"{name} {value:.4g}" for name, value in tuned.constants.items())
    score = "diverged" if np.isnan(tuned.score) else f"{tuned.score:.4g}, as the tuning saw it"
    facts = [("constants", constants), ("score", score), ("candidates", str(len(tuned.candidates)))]
    return _card(f"Tuned: {tuned.family.name}", *_schedule(tuned.schedule, EPOCHS, STEPS_PER_EPOCH), _facts(facts))


@_or_none
def entry_html(entry: GalleryEntry) -> str:
    """An entry of the gallery."""
    schedule, known = entry.schedule(), entry.curve
    if known is None:
        parts = _schedule(schedule, entry.found_on.epochs, STEPS_PER_EPOCH)
    else:
        drawn = recorded_curve(np.array(known.median), len(known.median), STEPS_PER_EPOCH)
        parts = [*_formula(schedule), _drawing(drawn, f"as in {known.trainings} trainings on {entry.found_on.place}")]
    facts = [
        ("optimiser", entry.optimizer_text),
        ("found on", entry.found_on.place),
        ("what it does", entry.words),
        ("wins", entry.wins),
        ("loses", entry.loses),
        ("contest", NOT_JUDGED if entry.contest is None else entry.contest.text),
    ]
    return _card(f"{entry.name}: {entry.title}", *parts, _facts(facts))


@_or_none
def gallery_html(entries: Iterable[GalleryEntry]) -> str:
    """One row an entry."""
    return _card("Gallery", _table(gallery_table(entries)))


# --- a schedule --------------------------------------------------------------------------------------------------------


def _formula(schedule: Schedule) -> list[str]:
    """The learning rate in short: set, and as the text that `evolr.load` reads."""
    short = simplified(schedule)
    set_ = short.mathml and f'<div style="overflow: auto hidden; padding: .4em 0; font-size: 115%">{short.mathml}</div>'
    written = f'<div style="margin: .5em 0"><code>{html(short.text)}</code></div>'
    return [set_, written, *(_sentence(f"the short form {sentence}") for sentence in short.remarks)]


def _schedule(schedule: Schedule, epochs: int, steps_per_epoch: int) -> list[str]:
    """A schedule that nobody has trained under, as far as it is known here."""
    return [*_formula(schedule), _drawing(*assumed_curve(schedule, epochs, steps_per_epoch))]


def _champion(schedule: Schedule, config: Config, directory: Path) -> list[str]:
    """A study's champion, with the learning rates that it took, where it reads the training and they are recorded."""
    recorded = None
    if not schedule.expression.is_open_loop and summarise(directory).champion == schedule:
        recorded = recorded_trainings(directory)
    return [*_formula(schedule), _drawing(*champion_curve(schedule, config, recorded))]


def _of_schedule(schedule: Schedule) -> list[tuple[str, str]]:
    expression = schedule.expression
    return [
        ("bounds", schedule.bounds_text),
        ("plateau", schedule.plateau.text if schedule.plateau else ""),
        ("signals", ", ".join(sorted(expression.signals)) or "none: a constant"),
        ("size", count(expression.size, "node")),
    ]


# --- the parts ---------------------------------------------------------------------------------------------------------


def _card(title: str, *parts: str) -> str:
    return f'<div style="max-width: 60em"><div><b>{html(title)}</b></div>{"".join(parts)}</div>'


def _sentence(text: str) -> str:
    return f'<div style="margin: .3em 0">{html(text[:1].upper() + text[1:])}{"" if text.endswith(".") else "."}</div>'


def _drawing(drawn: Curve, note: str) -> str:
    """A curve, and below it what it assumes."""
    notes = "; ".join(part for part in ("learning rate, log scale", note, drawn.note) if part)
    return f'<div style="max-width: 440px">{inline_curve(drawn)}</div><div style="font-size: 85%; opacity: .75">{html(notes)}</div>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values; one that is empty is left out."""
    rows = [
        f'<tr><td style="{_CELL}; opacity: .75">{html(name)}</td><td style="{_CELL}">{html(value)}</td></tr>'
        for name, value in facts
        if value
    ]
    return f'<table style="margin: .5em 0">{"".join(rows)}</table>'


def _table(table: TerminalTable) -> str:
    """A table as the terminal has it."""
    sides = ["left" if is_left else "right" for is_left in table.left]
    head = "".join(
        f'<th style="{_CELL}; text-align: {side}">{html(header)}</th>'
        for header, side in zip(table.headers, sides, strict=True)
    )
    rows: list[str] = []
    for cells, is_bold in zip(table.rows, table.bold, strict=True):
        weight = "; font-weight: bold" if is_bold else ""
        inner = "".join(
            f'<td style="{_CELL}; text-align: {side}{weight}">{html(cell)}</td>'
            for cell, side in zip(cells, sides, strict=True)
        )
        rows.append(f"<tr>{inner}</tr>")
    return (
        f'<div style="margin: .5em 0">{html(table.title)}<div style="max-height: 24em; overflow: auto"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _folded(summary: str, table: TerminalTable) -> str:
    """A table that opens by a click."""
    return f"<details><summary>{html(summary)}</summary>{_table(table)}</details>"


_CELL: Final = "text-align: left; vertical-align: top; padding: .15em .6em .15em 0"
