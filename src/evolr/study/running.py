"""The run of a search by an executor: train what is missing, finish the generation, until the end or a reason to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from evolr import errors
from evolr.config import AnySearch
from evolr.errors import ConfigError, StudyError, count, printable
from evolr.execution.executor import Executor
from evolr.search.individual import Evaluation
from evolr.study import outlook as ahead
from evolr.study import summary
from evolr.study.budget import Remaining, seconds_at_most, shortened
from evolr.study.generation import CurrentGeneration
from evolr.study.open_study import OpenStudy
from evolr.study.pace import Pace
from evolr.study.records import Records
from evolr.study.results import GenerationReport, Limits, Outlook, SearchResult, TrialReport
from evolr.study.state import SearchState
from evolr.study.watching import ShouldStop, Watcher
from evolr.training.task import Outcome, Trial

_OVER: Final = "the search is over"

_HOPELESS: Final = 12  # failures with which a study begins that tell of a fault in the problem, not in a schedule


class _StopError(Exception):
    """Raised between chunks of a generation, to leave it for now. The argument says why."""


class _BudgetError(_StopError):
    """The same, by a budget that is up."""


class _Run:
    """One call of `run`: its limits, and what has been done since it began."""

    def __init__(
        self,
        study: OpenStudy,
        executor: Executor,
        limits: Limits,
        should_stop: ShouldStop,
        *,
        clock: Callable[[], float],
        begun: float | None,
    ) -> None:
        self._study = study
        self._executor = executor
        self._limits = limits
        self._should_stop = should_stop
        self._clock = clock
        self._start = clock() if begun is None else begun
        trained = study.records.counts.trainings()
        # The study's first run: what limits its time limits the study's from its beginning.
        self.is_first = trained == 0
        self._before = trained - executor.trainings
        self._epochs = study.records.counts.epochs()  # of all trainings of the study
        self._first = study.state.generation, executor.trainings, executor.seconds
        self._told, self._whole_seconds = self._training_clock(), 0.0
        self._pace = Pace(None if limits.seconds is None else summary.pace_in(study.records))
        self.due = self._racing = 0  # see Outlook
        self._shortened_by: str | None = None  # which budget, if one has ended the breeding

    @property
    def seconds(self) -> float:
        """Wall time since it began."""
        return self._clock() - self._start

    @property
    def trained(self) -> int:
        """Trainings of the study in all."""
        return self._before + self._executor.trainings

    @property
    def trainings(self) -> int:
        """Trainings since it began."""
        return self._executor.trainings - self._first[1]

    @property
    def training_seconds(self) -> float:
        """The part of it that the executor has spent."""
        return self._executor.seconds - self._first[2]

    def _training_clock(self) -> float:
        """The time, without what the executor knows to have spent in getting ready."""
        return self._clock() - self._executor.preparing_seconds

    def begins(self) -> None:
        """A generation is about to be trained, or a heat of the race."""
        current = self._study.state.current
        self.due = 0 if current is None else len(current.missing())
        self._racing = len({run.individual for run in current.heat()}) if current is not None and current.is_race else 0

    @property
    def _spent(self) -> float:
        """Trainings of the study in all, shorter ones counted by their part."""
        return self._epochs / self._study.config.training.epochs

    def landed(self, current: CurrentGeneration, outcomes: Collection[Outcome]) -> None:
        """These trainings of a generation have landed."""
        self.due -= len(outcomes)
        self._epochs += current.epochs * len(outcomes)
        own = [outcome.seconds / current.part for outcome in outcomes if outcome.seconds is not None]
        self._pace.landed(self._as_if_whole(current.part), self.trainings, own)

    def finished(self, current: CurrentGeneration) -> None:
        """The trainings of a generation are all there."""
        self._pace.finished(self._as_if_whole(current.part), self.trainings)

    def _as_if_whole(self, part: float) -> float:
        """The seconds until now if all trainings had been whole ones: those since the last call count as many times as these are shorter."""
        now = self._training_clock()
        self._whole_seconds += (now - self._told) / part
        self._told = now
        return self._whole_seconds

    def shortening(self, state: SearchState) -> AnySearch | None:
        """See Shortening: the settings of a search that races now, to end within its budget."""
        stored = state.config.search
        remaining = Remaining.within(self._budget, trained=self._spent, seconds=self.seconds, pace=self._pace)
        search = shortened(state, remaining)
        if search is not None:
            finalists = count(search.finalists, "finalist")
            how = f"{state.generation} of {stored.race_generation} generations, then a race of {finalists}"
            self._shortened_by = f"{self._budget_text}: {how}"
        return search

    @property
    def _budget(self) -> Limits:
        """The limits that may end the search for good: trainings are of the study in all, and seconds of a study that this run has begun."""
        return self._limits if self.is_first else replace(self._limits, seconds=None)

    @property
    def _budget_text(self) -> str:
        seconds = None if self._budget.seconds is None else f"{self._budget.seconds:g} s"
        trainings = None if self._budget.trainings is None else f"{self._budget.trainings:,} trainings"
        return f"the budget of {' and '.join(each for each in (seconds, trainings) if each)}"

    def ended_race(self, heats: int) -> str:
        """What ended a search whose race had so many heats when its budget was up."""
        how = f"the race had {heats} of its heats when it was up"
        return f"{self._shortened_by or self._budget_text}; {how}; {_OVER}"

    def check(self, *, is_training: bool = False) -> None:
        """Raises _StopError where it is time to stop. is_training: whether trainings are under way."""
        limits, state = self._limits, self._study.state
        heat = self._pace if is_training else None
        if limits.seconds is not None and self.seconds >= seconds_at_most(limits, is_race=state.is_race, heat=heat):
            raise _BudgetError(f"the time is up: {limits.seconds:g} s{self._lacking}")
        if limits.trainings is not None and self._spent >= limits.trainings:
            raise _BudgetError(
                f"{int(self._spent):,} trainings are done, {limits.trainings:,} were wanted{self._lacking}"
            )
        if limits.target is not None and (best := state.winner):
            metric = self._study.config.problem.metric
            if best.fitness >= metric.fitness(limits.target):
                raise _StopError(f"the target is reached: {metric.name} {metric.text(best.score)}")
        if why := _reason(self._should_stop()):
            raise _StopError(why)

    @property
    def _lacking(self) -> str:
        """What a search that ends now has not come to."""
        state = self._study.state
        if state.is_finished or not state.config.search.finalists:
            return ""
        if state.is_race:
            lacking = "the race is not over"
        else:
            lacking = "too short for a race" if self.is_first else "the race is still to come"
        return f"; {lacking}, and the study can go on"

    def outlook(self) -> Outlook:
        return ahead.outlook(
            self._study.state,
            self._limits,
            due=self.due,
            racing=self._racing,
            trained=self._spent,
            seconds=self.seconds,
            pace=self._pace,
            is_first=self.is_first,
        )

    def report(self, best: Evaluation, *, is_race: bool) -> GenerationReport:
        """What there is to tell after a generation. best: of the study so far."""
        self.begins()
        state = self._study.state
        fitness = [evaluation.fitness for evaluation in state.latest]
        return GenerationReport(
            generation=state.generation - 1,
            generations=state.config.search.generations_in_all,
            generations_done=state.generation - self._first[0],
            best=max(fitness),
            median=float(np.median(fitness)),
            champion=best if state.winner is not None else replace(best, fitness=-math.inf, score=math.nan),
            trainings=self.trainings,
            training_seconds=self.training_seconds,
            seconds=self.seconds,
            is_race=is_race,
            seconds_left=self.outlook().seconds_left,
        )

    def result(self, stopped_by: str | None) -> SearchResult:
        state, best = self._study.state, self._study.state.best_so_far
        return SearchResult(
            schedule=state.schedule,
            champion=best,
            is_raced=best is not None and state.is_raced(best),
            hall_of_fame=state.front,
            history=list(state.history),
            stopped_by=stopped_by or (self._shortened_by and f"{self._shortened_by}; {_OVER}"),
            trainings=self._study.records.counts.trainings(),
            seconds=self.seconds,
            training_seconds=self.training_seconds,
            config=self._study.config,
            directory=self._study.directory,
            before_race=state.before_race,
            whole_trainings=math.ceil(self._spent),
        )


def _reason(answer: Any) -> str | None:
    """The reason to stop that `should_stop` gives, None to go on. Raises ConfigError for what is neither."""
    if isinstance(answer, bool | np.bool_):
        return "stopped by should_stop" if answer else None
    if answer is None or isinstance(answer, str):
        return answer or None
    raise ConfigError(
        f"should_stop must return why to stop, as a text or True, or None or False to go on, got {errors.shown(answer)}"
    )


def run(
    study: OpenStudy,
    executor: Executor,
    limits: Limits,
    *,
    should_stop: ShouldStop,
    watcher: Watcher,
    clock: Callable[[], float] = time.perf_counter,
    begun: float | None = None,
) -> SearchResult:
    """See Study.run. clock: seconds, from any moment on; begun: when the call began, by it."""
    with study.running():
        now = _Run(study, executor, limits, should_stop, clock=clock, begun=begun)
        stopped_by = _stopped_by(study, executor, now, watcher)
        study.files.write()
        result = now.result(stopped_by)
        watcher.ended(result)
        return result


def _stopped_by(study: OpenStudy, executor: Executor, now: _Run, watcher: Watcher) -> str | None:
    """Runs the search to its end, or to where it stops: why it did."""
    try:
        study.race_if_due(now.shortening)
        while (current := study.state.current) is not None:
            now.check()
            while current.missing():  # of the race, heat after heat
                now.begins()
                watcher.begins(now.outlook())
                _train(study, current, executor, now, watcher)
            _finish(study, current, now, watcher)
    except _BudgetError as stop:
        heats = study.end_race() if now.is_first else 0
        if heats and study.state.current is not None:
            _finish(study, study.state.current, now, watcher)
        return now.ended_race(heats) if heats else str(stop)
    except _StopError as stop:
        return str(stop)
    return None


def _finish(study: OpenStudy, current: CurrentGeneration, now: _Run, watcher: Watcher) -> None:
    """Finishes a generation whose trainings are all there."""
    now.finished(current)
    study.finish_generation(current, now.shortening)
    if study.state.best is not None:
        watcher.finished(now.report(study.state.best, is_race=current.is_race))


def _train(study: OpenStudy, current: CurrentGeneration, executor: Executor, now: _Run, watcher: Watcher) -> None:
    """Trains what the current generation lacks; stores outcomes as they come. Raises _StopError in between."""
    search = study.config.search
    missing = current.missing()
    pool = missing[0].pool
    trials = [Trial(search.schedule(run.individual.expression), run.seed) for run in missing]

    def landed(outcomes: Mapping[int, Outcome]) -> None:
        if not outcomes:  # it is asked whether to go on
            now.check(is_training=True)
            return
        rows = [(missing[number].individual.place, missing[number].seed, o) for number, o in outcomes.items()]
        study.add_outcomes(current, rows, pool)
        now.landed(current, outcomes.values())
        for trained, (number, outcome) in enumerate(outcomes.items(), start=now.trained - len(outcomes) + 1):
            place = missing[number].individual.place
            watcher.trained(
                TrialReport(
                    generation=place.generation,
                    slot=place.slot,
                    schedule=trials[number].schedule,
                    seed=trials[number].seed,
                    pool=pool,
                    score=outcome.score,
                    seconds=outcome.seconds,
                    diverged=outcome.diverged or (outcome.failure is None and bool(np.isnan(outcome.score))),
                    failure=outcome.failure,
                    trainings=trained,
                )
            )
        watcher.progressed(now.outlook())
        if any(outcome.failure for outcome in outcomes.values()):
            _refuse_failures(current, study.records, _HOPELESS)
        now.check(is_training=now.due > 0)

    try:
        executor.run(trials, current.epochs, pool, on_outcomes=landed)
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
    raise StudyError(f"{how_many} of generation {current.number} failed; the first with: {printable(failures[0])}")
