"""Progress on stderr: live in a terminal, one plain line a generation elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from evolr.problems import Metric
from evolr.report.tables import duration
from evolr.study.results import GenerationReport

Display = Literal["live", "plain", "none"]

_PLAIN_WIDTH = 120


def output() -> Console:
    """The console for results, on stdout: as wide as its terminal, or as COLUMNS says; wide where there is neither, so that a
    log has whole lines.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return Console(width=int(columns))
    return Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)


def display(quiet: bool) -> Display:
    """How progress is shown here."""
    return "none" if quiet else "live" if Console(stderr=True).is_terminal else "plain"


@contextmanager
def searching(
    how: Display, metric: Metric
) -> Generator[tuple[Callable[[int], None], Callable[[GenerationReport], None]]]:
    """The callbacks of a search: of networks trained, and of each generation."""
    console = _console()
    bar, best = _bar(console), Text(overflow="ellipsis", no_wrap=True)
    task = bar.add_task("loading and compiling", total=None)
    trained = 0

    def on_trained(count: int) -> None:
        nonlocal trained
        trained += count
        if not bar.tasks[task].total:
            bar.update(task, description=f"first generation: {trained} networks trained")

    def on_generation(report: GenerationReport) -> None:
        line, champion = _generation_line(report, metric), _champion_line(report, metric)
        if how == "plain":
            console.print(f"{line}  {champion}", markup=False)
        bar.update(task, description=line, completed=report.generation + 1, total=report.generations)
        best.plain = champion

    with _live(how, console, Group(bar, best)):
        yield on_trained, on_generation


@contextmanager
def comparing(how: Display) -> Generator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """The callbacks of a comparison: of how many trainings there will be, and of those just done."""
    console = _console()
    bar = _bar(console)
    task = bar.add_task("comparing", total=None)

    def on_total(count: int) -> None:
        bar.update(task, total=count)
        if how == "plain":
            console.print(f"comparing: {count} trainings")

    with _live(how, console, bar):
        yield on_total, lambda count: bar.update(task, advance=count)


@contextmanager
def proving(
    how: Display, doing: str = "proving", pace: float | None = None
) -> Generator[tuple[Callable[[int], None], Callable[[int, int], None]]]:
    """The callbacks of a contest: of how many trainings there will be, and of those just done and remembered.

    pace: seconds a training, where it is known: what all of them will take is said before the first.
    """
    console = _console()
    bar = _bar(console)
    task = bar.add_task(doing, total=None)
    start, done, known, total, told = time.perf_counter(), 0, 0, 0, 1

    def on_total(count: int) -> None:
        nonlocal total
        total = count
        bar.update(task, total=count)
        if how != "none":
            cost = "" if pace is None else f", about {duration(pace * count)} at the pace of the search"
            console.print(f"{doing}: {count:,} trainings at most{cost}")

    def on_done(trained: int, remembered: int) -> None:
        nonlocal done, known, told
        done, known = done + trained, known + remembered
        left = (time.perf_counter() - start) / max(done, 1) * (total - done - known)
        line = f"{done + known} of at most {total} trainings" + (f"  {duration(left)} left" if done else "")
        bar.update(task, completed=done + known, description=line)
        if how == "plain" and done + known >= told:
            console.print(line)
            told = done + known + total // 10

    with _live(how, console, bar):
        yield on_total, on_done
    if how == "plain":
        console.print(f"{done} trainings, {known} remembered  {duration(time.perf_counter() - start)}")


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), BarColumn(bar_width=15), TextColumn("{task.description}", markup=False), console=console
    )


def _live(how: Display, console: Console, shown: RenderableType) -> AbstractContextManager[object]:
    return Live(shown, console=console, transient=True) if how == "live" else nullcontext()


def _generation_line(report: GenerationReport, metric: Metric) -> str:
    done, total = report.generation + 1, report.generations
    sign = 1 if metric.higher_is_better else -1
    best, median = (_score_text(metric, sign * fitness) for fitness in (report.best, report.median))
    rate = report.trainings / report.training_seconds if report.training_seconds else 0.0
    left = duration(report.seconds / report.generations_done * (total - done))
    return f"generation {done}/{total}  best {best}  median {median}  {rate:.1f} networks/s  {left} left"


def _champion_line(report: GenerationReport, metric: Metric) -> str:
    return f"champion {metric.text(report.champion.score)}  {report.champion.individual.expression}"


def _score_text(metric: Metric, score: float) -> str:
    return "diverged" if math.isinf(score) else metric.text(score)
