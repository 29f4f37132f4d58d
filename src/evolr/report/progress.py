"""Progress on stderr: live in a terminal, one plain line a generation elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from evolr.problems import Metric
from evolr.report.tables import duration
from evolr.study.evolve import GenerationReport

Display = Literal["live", "plain", "none"]

_FORMULA_WIDTH = 60
_PLAIN_WIDTH = 120


def output() -> Console:
    """The console for results, on stdout; wide where it is no terminal, so that a log has whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)


def display(quiet: bool) -> Display:
    """How progress is shown here."""
    return "none" if quiet else "live" if Console(stderr=True).is_terminal else "plain"


@contextmanager
def searching(
    how: Display, metric: Metric
) -> Generator[tuple[Callable[[int], None], Callable[[GenerationReport], None]]]:
    """The callbacks of a search: of networks trained, and of each generation."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with _bar(console, how == "live") as bar:
        task = bar.add_task("loading and compiling", total=None, networks="")
        trained = 0

        def on_trained(count: int) -> None:
            nonlocal trained
            trained += count
            bar.update(task, networks=f"{trained} networks trained")

        def on_generation(report: GenerationReport) -> None:
            done, total = report.generation + 1, report.generations
            line = _generation_line(report, metric)
            if how == "plain":
                console.print(line, markup=False)
            bar.update(task, description=line, completed=done, total=total)

        yield on_trained, on_generation


@contextmanager
def comparing(how: Display, total: int) -> Generator[Callable[[int], None]]:
    """The callback of a comparison: of networks trained."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if how == "plain":
        console.print(f"comparing: {total} trainings")
    with _bar(console, how == "live") as bar:
        task = bar.add_task("comparing", total=total, networks="")
        yield lambda count: bar.update(task, advance=count)


def _bar(console: Console, is_live: bool) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[networks]}", markup=False),
        console=console,
        transient=True,
        disable=not is_live,
    )


def _generation_line(report: GenerationReport, metric: Metric) -> str:
    done, total = report.generation + 1, report.generations
    sign = 1 if metric.higher_is_better else -1
    best, median = (_fitness_text(metric, sign * fitness) for fitness in (report.best, report.median))
    formula = str(report.champion.individual.expression)
    if len(formula) > _FORMULA_WIDTH:
        formula = formula[: _FORMULA_WIDTH - 1] + "…"
    rate = report.trainings / report.training_seconds if report.training_seconds else 0.0
    left = duration(report.seconds / done * (total - done))
    return (
        f"generation {done}/{total}  best {best}  median {median}  champion {metric.text(report.champion.score)} "
        f"{formula}  {rate:.1f} networks/s  {left} left"
    )


def _fitness_text(metric: Metric, score: float) -> str:
    return "diverged" if score in (float("inf"), float("-inf")) else metric.text(score)
