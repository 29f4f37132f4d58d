"""The run of a search by an executor: train what is missing, finish the generation, until the end or a reason to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from evolr.errors import StudyError
from evolr.execution.executor import Executor
from evolr.search.individual import Evaluation
from evolr.study.generation import CurrentGeneration
from evolr.study.open_study import OpenStudy
from evolr.study.records import Records
from evolr.study.results import GenerationReport, Limits, SearchResult
from evolr.training.task import Outcome, Trial

_HOPELESS: Final = 12  # failures with which a study begins that tell of a fault in the problem, not in a schedule


class _StopError(Exception):
    """Raised between chunks of a generation, to leave it for now. The argument says why."""


class _Run:
    """One call of `run`: its limits, and what has been done since it began."""

    def __init__(
        self, study: OpenStudy, executor: Executor, limits: Limits, should_stop: Callable[[], str | None]
    ) -> None:
        self._study = study
        self._executor = executor
        self._limits = limits
        self._should_stop = should_stop
        self._start = time.perf_counter()
        self._before = study.records.trainings() - executor.trainings
        self._first = study.state.generation, executor.trainings, executor.seconds

    @property
    def seconds(self) -> float:
        """Wall time since it began."""
        return time.perf_counter() - self._start

    @property
    def training_seconds(self) -> float:
        """The part of it that the executor has spent."""
        return self._executor.seconds - self._first[2]

    def reason(self) -> str | None:
        """Why to stop now; None where nothing says so."""
        limits, trained = self._limits, self._before + self._executor.trainings
        if limits.seconds is not None and self.seconds >= limits.seconds:
            return f"the time is up: {limits.seconds:g} s"
        if limits.trainings is not None and trained >= limits.trainings:
            return f"{trained} trainings are done, {limits.trainings} were wanted"
        if limits.target is not None and (best := self._study.state.winner):
            metric = self._study.config.problem.metric
            if best.fitness >= metric.fitness(limits.target):
                return f"the target is reached: {metric.name} {metric.text(best.score)}"
        return self._should_stop()

    def report(self, best: Evaluation) -> GenerationReport:
        """What there is to tell after a generation. best: of the study so far."""
        state = self._study.state
        fitness = [evaluation.fitness for evaluation in state.latest]
        return GenerationReport(
            generation=state.generation - 1,
            generations=state.config.search.generations_in_all,
            generations_done=state.generation - self._first[0],
            best=max(fitness),
            median=float(np.median(fitness)),
            champion=best,
            trainings=self._executor.trainings - self._first[1],
            training_seconds=self.training_seconds,
            seconds=self.seconds,
        )

    def result(self, stopped_by: str | None) -> SearchResult:
        state, best = self._study.state, self._study.state.best_so_far
        return SearchResult(
            schedule=state.schedule,
            champion=best,
            is_raced=best is not None and state.is_raced(best),
            hall_of_fame=state.front,
            history=list(state.history),
            stopped_by=stopped_by,
            trainings=self._study.records.trainings(),
            seconds=self.seconds,
            training_seconds=self.training_seconds,
        )


def run(
    study: OpenStudy,
    executor: Executor,
    limits: Limits,
    *,
    should_stop: Callable[[], str | None],
    on_trained: Callable[[int], None] | None,
    on_generation: Callable[[GenerationReport], None] | None,
) -> SearchResult:
    """See Study.run."""
    study.require_open()
    now = _Run(study, executor, limits, should_stop)
    state, stopped_by = study.state, None
    try:
        while (current := state.current) is not None:
            if why := now.reason():
                raise _StopError(why)
            while current.missing():  # of the race, heat after heat
                _train(study, current, executor, now.reason, on_trained)
            study.finish_generation(current)
            if on_generation and state.best is not None:
                on_generation(now.report(state.best))
    except _StopError as stop:
        stopped_by = str(stop)
    study.files.write()
    return now.result(stopped_by)


def _train(
    study: OpenStudy,
    current: CurrentGeneration,
    executor: Executor,
    reason: Callable[[], str | None],
    on_trained: Callable[[int], None] | None,
) -> None:
    """Trains what the current generation lacks; stores outcomes as they come. Raises _StopError in between."""
    search = study.config.search
    missing = current.missing()
    pool = missing[0].pool

    def landed(outcomes: Mapping[int, Outcome]) -> None:
        rows = [(missing[number].individual.place, missing[number].seed, o) for number, o in outcomes.items()]
        study.add_outcomes(current, rows, pool)
        if on_trained:
            on_trained(len(outcomes))
        if any(outcome.failure for outcome in outcomes.values()):
            _refuse_failures(current, study.records, _HOPELESS)
        if why := reason():
            raise _StopError(why)

    try:
        trials = [Trial(search.schedule(run.individual.expression), run.seed) for run in missing]
        executor.run(trials, study.config.training.epochs, pool, on_outcomes=landed)
    except _StopError:
        if current.missing():
            raise  # otherwise the generation is whole, and is finished first
    _refuse_failures(current, study.records, 1)


def _refuse_failures(current: CurrentGeneration, records: Records, enough: int) -> None:
    """Raises StudyError where so many trainings of the study's first generation have failed and none has not.

    Its failures are forgotten then, so that going on tries them again.
    """
    failures = records.failures(current.number)
    if len(failures) < enough or records.any_trained():
        return
    records.forget_failures(current.number)
    current.replace_scores(records.scores(current.number))
    how_many = "every training" if enough == 1 else f"each of the first {len(failures)} trainings"
    raise StudyError(f"{how_many} of generation {current.number + 1} failed; the first with: {failures[0]}")
