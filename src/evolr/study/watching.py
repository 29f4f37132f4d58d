"""Who is told of a search while it runs: a user's callbacks, the logger, a bar."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Literal

from evolr.errors import ConfigError, count, printable, shown
from evolr.execution.training_function import not_run_by_a_call
from evolr.problems import Metric
from evolr.study.results import GenerationReport, Outlook, SearchResult, TrialReport, generation_text

_log: Final = logging.getLogger("evolr")


class Watcher:
    """Is told what happens in a search, in this order; does nothing of itself. What it raises ends the search and is raised.

    begins: a generation is about to be trained, or a heat of the race. trained: a training has landed and is stored; progressed: what
    lies ahead, once for all that landed together. finished: a generation is at its end; of the race, when all heats are. ended: the
    search, at its end or at a limit.
    """

    def begins(self, outlook: Outlook) -> None: ...

    def trained(self, report: TrialReport) -> None: ...

    def progressed(self, outlook: Outlook) -> None: ...

    def finished(self, report: GenerationReport) -> None: ...

    def ended(self, result: SearchResult) -> None: ...


Display = Literal["live", "plain", "none"]
"""How progress is shown: a bar, lines, or not at all."""

ShowProgress = bool | Display | None
"""Whether progress is shown on stderr: None, if that is a terminal or a notebook; True, by plain lines if it is neither; and how,
by its name."""


ShouldStop = Callable[[], str | bool | None]
"""Asked while a search runs: why it is to stop, or True; None or False to go on."""


NO_CHAMPION: Final = "no champion yet: every training diverged or failed"


class Watchers(Watcher):
    """Several, told one after the other."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def begins(self, outlook: Outlook) -> None:
        for each in self._watchers:
            each.begins(outlook)

    def trained(self, report: TrialReport) -> None:
        for each in self._watchers:
            each.trained(report)

    def progressed(self, outlook: Outlook) -> None:
        for each in self._watchers:
            each.progressed(outlook)

    def finished(self, report: GenerationReport) -> None:
        for each in self._watchers:
            each.finished(report)

    def ended(self, result: SearchResult) -> None:
        for each in self._watchers:
            each.ended(result)


@contextmanager
def bar(progress: ShowProgress | Watcher, metric: Metric) -> Generator[Watcher]:
    """The bar that is asked for, shown meanwhile; one that is shown already is itself."""
    if isinstance(progress, Watcher):
        yield progress
        return
    if progress is False:
        yield Watcher()
        return
    from evolr.views.progress import display, searching  # here alone: it shows what a study tells, with rich

    with searching(display(progress), metric) as shown:
        yield shown


def require_functions(**given: object) -> None:
    """Raises ConfigError for what is to be called while a search runs and cannot be; None is no callback. By the name of its argument."""
    for name, function in given.items():
        if not callable(function) and not (function is None and name.startswith("on_")):
            raise ConfigError(f"{name} must be a function, got {shown(function)}")
        if kind := not_run_by_a_call(function):
            raise ConfigError(f"{name} must be an ordinary function, got {kind}, of which a call runs nothing")


class Callbacks(Watcher):
    """A user's functions; see Study.run."""

    def __init__(
        self,
        on_trial: Callable[[TrialReport], object] | None,
        on_generation: Callable[[GenerationReport], object] | None,
    ) -> None:
        self._on_trial, self._on_generation = on_trial, on_generation

    def trained(self, report: TrialReport) -> None:
        if self._on_trial:
            self._on_trial(report)

    def finished(self, report: GenerationReport) -> None:
        if self._on_generation:
            self._on_generation(report)


class Log(Watcher):
    """The logger `evolr`: a line a generation, heat and end at INFO, a line a training at DEBUG. It has no handler of evolr's."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._generations = 0  # without the race, as the bar counts them

    def begins(self, outlook: Outlook) -> None:
        self._generations = outlook.bred
        if outlook.racing:
            _log.info("race: a heat of %s, %s", count(outlook.racing, "finalist"), count(outlook.due, "training"))
        else:
            stage = generation_text(outlook.generation, self._generations)
            _log.info("%s: %s", stage, count(outlook.due, "training"))

    def trained(self, report: TrialReport) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            what = f"failed, {printable(report.failure)}" if report.failure else self._metric.text(report.score)
            formula = report.schedule.expression
            _log.debug("training %s: %s, seed %d: %s", f"{report.trainings:,}", formula, report.seed, what)

    def finished(self, report: GenerationReport) -> None:
        champion = f"champion {self._metric.text(report.champion.score)}, {report.champion.individual.expression}"
        found = champion if report.has_champion else NO_CHAMPION
        if report.is_race:
            _log.info("the race is over: %s", found)
        else:
            _log.info("%s: %s", generation_text(report.generation, self._generations), found)

    def ended(self, result: SearchResult) -> None:
        why = printable(result.stopped_by or "all is done")
        _log.info("the search ended after %s: %s", count(result.trainings, "training"), why)
