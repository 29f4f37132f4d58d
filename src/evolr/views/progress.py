"""Progress on stderr: live in a terminal, one plain line a generation elsewhere, nothing when quiet."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any, cast, get_args

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from evolr.errors import ConfigError, count, printable, shown
from evolr.problems import Metric
from evolr.study.results import GenerationReport, Outlook, generation_text
from evolr.study.watching import NO_CHAMPION, Display, ShowProgress, Watcher
from evolr.views.tables import duration

_A_FEW_SECONDS = 5.0


def display(progress: ShowProgress) -> Display:
    """How progress is shown here. Raises ConfigError for what says nothing of that."""
    if isinstance(progress, str) and progress in get_args(Display):
        return progress
    if progress is not None and not isinstance(cast("Any", progress), bool):
        raise ConfigError(f"progress must be True, False, None, 'live', 'plain' or 'none', got {shown(progress)}")
    if progress is False:
        return "none"
    console = Console(stderr=True)
    if console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None):
        return "live"
    return "plain" if progress else "none"


@contextmanager
def searching(how: Display, metric: Metric) -> Generator[Watcher]:
    """Shows a search by what it is told of it."""
    console = _console()
    search = _Search(how, metric, console)
    with _live(how, console, search.shown):
        yield search


class _Search(Watcher):
    """A search on a console: what it will cost, a line a generation, and in a terminal a bar with the time left."""

    def __init__(self, how: Display, metric: Metric, console: Console) -> None:
        self._how, self._metric, self._console = how, metric, console
        self._bar, self._best = _bar(console), Text(overflow="ellipsis", no_wrap=True)
        self._task = self._bar.add_task("getting ready", total=None)
        self._scores = ""  # of the latest generation
        self._generations: int | None = None  # without the race
        self._is_costed = self._is_timed = False  # whether what it costs has been said, and how long it takes

    @property
    def shown(self) -> RenderableType:
        return Group(self._bar, self._best)

    def begins(self, outlook: Outlook) -> None:
        self._generations = outlook.bred
        if not self._is_costed:
            self._say(*_cost_lines(outlook))
            self._is_costed = True
        elif outlook.racing:
            heat = "the race" if outlook.racing == outlook.finalists else "its next heat"
            self._say(f"{heat}: {count(outlook.racing, 'finalist')}, {outlook.due:,} trainings on fresh seeds")
        self._draw(outlook)

    def progressed(self, outlook: Outlook) -> None:
        if outlook.seconds_left and not self._is_timed:
            has_race = outlook.racing or (
                outlook.race_trainings and outlook.expected - outlook.trainings > outlook.due * outlook.part
            )
            self._say(_left_text(outlook.seconds_left) + (", the race included" if has_race else ""))
            self._is_timed = True
        self._draw(outlook)

    def finished(self, report: GenerationReport) -> None:
        line, champion = _generation_line(report, self._generations, self._metric), _champion_line(report, self._metric)
        if self._how == "plain":
            self._say(f"{line}  {champion}")
        self._scores, self._is_timed = _scores_text(report, self._metric), True
        self._best.plain = champion

    def _say(self, *lines: str) -> None:
        if self._how != "none":
            _say(self._console, *lines)

    def _draw(self, outlook: Outlook) -> None:
        stage = f"race of {outlook.racing}" if outlook.racing else generation_text(outlook.generation, outlook.bred)
        left = _left_text(outlook.seconds_left)
        text = "  ".join(part for part in (stage, self._scores, left) if part)
        self._bar.update(self._task, description=text, completed=outlook.trainings, total=outlook.expected)


@contextmanager
def comparing(how: Display) -> Generator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """The callbacks of a comparison: of how many trainings there will be, and of those just done."""
    console = _console()
    bar = _bar(console)
    task = bar.add_task("comparing", total=None)

    def on_total(count: int) -> None:
        bar.update(task, total=count)
        if how == "plain":
            _say(console, f"comparing: {count} trainings")

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
    first: tuple[float, int] | None = (
        None  # when the first trainings had landed, and how many: before, there was loading and compiling
    )

    def on_total(count: int) -> None:
        nonlocal total
        total = count
        bar.update(task, total=count)
        if how != "none":
            cost = "" if pace is None else f", about {duration(pace * count)} at the pace of the search"
            _say(console, f"{doing}: {count:,} trainings at most{cost}")

    def on_done(trained: int, remembered: int) -> None:
        nonlocal done, known, told, first
        done, known = done + trained, known + remembered
        left, now = 0.0, time.perf_counter()
        if first is not None and done > first[1]:
            left = (now - first[0]) / (done - first[1]) * (total - done - known)
        elif trained and first is None:
            first = now, done
        line = f"{done + known} of at most {total} trainings" + (f"  {_left_text(left)}" if left else "")
        bar.update(task, completed=done + known, description=line)
        if how == "plain" and done + known >= told:
            _say(console, line)
            told = done + known + total // 10

    with _live(how, console, bar):
        yield on_total, on_done
    if how == "plain":
        _say(console, f"{done} trainings, {known} remembered  {duration(time.perf_counter() - start)}")


class _Stderr:
    """stderr, of which the first failure is the last: with nobody who reads, a full disk, a closed file. What it shows is progress, for
    which no search ends.
    """

    def __init__(self) -> None:
        self._stream: Any = sys.stderr  # None of a program without a console, on Windows
        self._is_silent = self._stream is None

    def write(self, text: str) -> int:
        self._tried("write", text)
        return len(text)

    def flush(self) -> None:
        self._tried("flush")

    def _tried(self, what: str, *arguments: str) -> None:
        if not self._is_silent:
            try:
                getattr(self._stream, what)(*arguments)
            except (OSError, ValueError):  # the latter of a closed file, and of what its encoding cannot say
                self._is_silent = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _console() -> Console:
    return Console(file=cast("Any", _Stderr()), highlight=False, soft_wrap=True)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(printable(line)))  # never a str, which rich takes for markup


def _bar(console: Console) -> Progress:
    spinner = SpinnerColumn("line" if console.options.ascii_only else "dots")
    return Progress(spinner, BarColumn(bar_width=15), TextColumn("{task.description}", markup=False), console=console)


def _live(how: Display, console: Console, shown: RenderableType) -> AbstractContextManager[object]:
    return Live(shown, console=console, transient=True) if how == "live" else nullcontext()


def _cost_lines(outlook: Outlook) -> list[str]:
    """What a search will cost, before its first training."""
    if outlook.racing:
        return [f"the race: {outlook.due:,} trainings of {count(outlook.racing, 'finalist')} are due"]
    done = f", {outlook.trainings:,} of them done" if outlook.trainings else ""
    generation = generation_text(outlook.generation, outlook.bred)
    in_all = f"{outlook.expected:,} in all"
    in_all = f"at most {in_all}, as the time allows" if outlook.is_at_most else f"{in_all}, about"
    of_a_part = f" of {count(outlook.epochs, 'epoch')}, which count in parts" if outlook.part < 1 else ""
    lines = [f"{generation}: {outlook.due:,} trainings{of_a_part}; {in_all}{done}"]
    if outlook.expected - outlook.trainings < int(outlook.due * outlook.part):
        lines.append("the budget ends the search in this generation")
    elif outlook.race_trainings:
        most = "at most " if outlook.is_at_most else ""
        finalists = f"{most}{count(outlook.finalists, 'finalist')} on fresh seeds"
        lines.append(f"at the end: a race of {finalists}, {most}{outlook.race_trainings:,} of these trainings")
    elif outlook.finalists:
        lines.append("the time ends this call before the race of the finalists; the study can go on")
    return lines


def _left_text(seconds: float | None) -> str:
    if not seconds:
        return ""
    return "a few seconds left" if seconds < _A_FEW_SECONDS else f"about {duration(seconds)} left"


def _scores_text(report: GenerationReport, metric: Metric) -> str:
    sign = 1 if metric.higher_is_better else -1
    best, median = (_score_text(metric, sign * fitness) for fitness in (report.best, report.median))
    return f"best {best}  median {median}"


def _generation_line(report: GenerationReport, generations: int | None, metric: Metric) -> str:
    """generations: of the search without its race, where that is known."""
    stage = "race" if report.is_race else generation_text(report.generation, generations or report.generations)
    parts = (stage, _scores_text(report, metric), _rate_text(report), _left_text(report.seconds_left))
    return "  ".join(part for part in parts if part)


def _rate_text(report: GenerationReport) -> str:
    """How fast it trains; of trainings of many seconds, how long one takes, with all that train at once."""
    if not (report.trainings and report.training_seconds):
        return ""
    seconds = report.training_seconds / report.trainings
    return f"{duration(seconds)} a training" if seconds >= _A_FEW_SECONDS else f"{1 / seconds:.1f} trainings/s"


def _champion_line(report: GenerationReport, metric: Metric) -> str:
    if not report.has_champion:
        return NO_CHAMPION
    return f"champion {metric.text(report.champion.score)}  {report.champion.individual.expression}"


def _score_text(metric: Metric, score: float) -> str:
    return "diverged" if math.isinf(score) else metric.text(score)
