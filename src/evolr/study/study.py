"""The study: a search that remembers everything, and goes on from what it remembers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from evolr.config import Config
from evolr.errors import EvolrError, StudyError
from evolr.execution.executor import Executor
from evolr.execution.local import Local
from evolr.schedule import Schedule
from evolr.search.archive import KnownEvaluations, champion, hall_of_fame
from evolr.search.evaluation import is_race, race_population
from evolr.search.individual import Evaluation, Individual
from evolr.search.method import Method, method_of
from evolr.study.agreement import agreed
from evolr.study.database import DATABASE, Database
from evolr.study.generation import CurrentGeneration
from evolr.study.lock import WriterLock
from evolr.study.records import TOLD, Records, holder
from evolr.study.results import GenerationReport, Limits, SearchResult
from evolr.study.run_directory import RunDirectory
from evolr.training.task import Outcome, Trial

_HOPELESS: Final = 12  # failures with which a study begins that tell of a fault in the problem, not in a schedule


class _StopError(Exception):
    """Raised between chunks of a generation, to leave it for now. The argument says why."""


class Study:
    """A study in a directory: created with a configuration, or opened where it exists.

    >>> from tempfile import mkdtemp
    >>> from evolr.config import resolve
    >>> study = Study(Path(mkdtemp()) / "mine", resolve("original", settings={"search.generations": 2}))
    >>> for individual in study.ask():
    ...     study.tell(individual, 1 / individual.expression.size)  # train under it, then tell what it scored
    >>> len(study.history())
    20

    Raises StudyError where the directory holds no study and no configuration is given, or a configuration other than
    the stored one; StudyLockedError where another process writes it. `search.generations` alone may grow.

    The right to write is taken at once and given back by `close`, or by the end of the process. To look at a study
    that another process writes, use `evolr show` and `evolr runs`, or its files.
    """

    def __init__(self, directory: Path | str, config: Config | None = None) -> None:
        self.directory = Path(directory)
        self._files = RunDirectory.prepare(self.directory, may_begin=config is not None)
        self._lock = WriterLock(self.directory, holder(self.directory))
        self._database: Database | None = None
        try:
            path = self.directory / DATABASE
            if config is None or path.is_file():
                self._database = Database.open(path, write=True)
            else:
                self._database = Database.create(path, lambda database: Records(database).create(config))
            self._records = Records(self._database)
            self.config = agreed(self._records, config, self.directory)
            self._records.begin_session()
            self._load()
        except BaseException:
            self._release()
            raise

    # --- from outside -----------------------------------------------------------------------------------------------

    def ask(self) -> list[Individual]:
        """The individuals of the current generation whose score is wanted; none when the search is over.

        What was asked and not told is asked again, by another process too. Formulas that are known, by their text or
        their values, are not asked.
        """
        self._require_open()
        while not self.is_finished:
            if wanted := self._now.wanted():
                return wanted
            self._finish_generation()
        return []

    def tell(self, individual: Individual, score: float) -> None:
        """Records the score of an individual, in the problem's own metric.

        A score that is not finite is recorded as that of a diverged training, the worst. The same score told again
        changes nothing. Raises StudyError for another score, and for an individual that was not asked.
        """
        self._require_open()
        try:
            value = float(score)
        except (TypeError, ValueError) as error:
            raise StudyError(f"a score is a number, got {score!r}") from error
        place = individual.place
        if not math.isfinite(value):
            value = math.nan
        known = self._told_before(individual)
        if known is not None:
            if known == value or (math.isnan(known) and math.isnan(value)):
                return
            raise StudyError(f"individual {place} has the score {known} already, was told {score}")
        if self._current is None or not self._current.has_to_train(individual):
            raise StudyError(f"individual {place} ({individual.expression}) was not asked")
        nothing = np.empty(0, np.float32)
        outcome = Outcome(value, None, nothing, nothing, nothing, nothing)
        self._records.add_outcomes([(place, 0, outcome)], TOLD, self.config.training.epochs)
        self._current.add([(place, TOLD, 0, value)])
        if not self._current.missing():
            self._finish_generation()

    def run(
        self,
        limits: Limits | None = None,
        *,
        executor: Executor | None = None,
        should_stop: Callable[[], str | None] = lambda: None,
        on_trained: Callable[[int], None] | None = None,
        on_generation: Callable[[GenerationReport], None] | None = None,
    ) -> SearchResult:
        """Trains and breeds until the last generation, a limit, or until `should_stop` gives a reason to stop.

        executor: what trains; this machine, on all its devices, where None. should_stop: asked whenever trainings have finished.
        on_trained: called with the number of networks just trained. on_generation: called after each generation.

        Raises StudyError where every training of the first generation fails, or each of the first 12.
        """
        self._require_open()
        start = time.perf_counter()
        limits = limits or Limits()
        executor = executor or local_executor(self.config)
        before = self._records.trainings() - executor.trainings
        first, first_trainings, first_seconds = self._generation, executor.trainings, executor.seconds

        def reason() -> str | None:
            if limits.seconds is not None and time.perf_counter() - start >= limits.seconds:
                return f"the time is up: {limits.seconds:g} s"
            if limits.trainings is not None and before + executor.trainings >= limits.trainings:
                return f"{before + executor.trainings} trainings are done, {limits.trainings} were wanted"
            if limits.target is not None and (best := self._winner):
                metric = self.config.problem.metric
                if best.fitness >= metric.fitness(limits.target):
                    return f"the target is reached: {metric.name} {metric.text(best.score)}"
            return should_stop()

        stopped_by = None
        try:
            while not self.is_finished:
                if why := reason():
                    raise _StopError(why)
                while self._now.missing():  # of the race, heat after heat
                    self._train(executor, reason, on_trained)
                self._finish_generation()
                if on_generation and self._best is not None:
                    on_generation(
                        self._report(
                            self._best,
                            done=self._generation - first,
                            trainings=executor.trainings - first_trainings,
                            training_seconds=executor.seconds - first_seconds,
                            seconds=time.perf_counter() - start,
                        )
                    )
        except _StopError as stop:
            stopped_by = str(stop)
        self._write_files()
        best = self._best_so_far
        return SearchResult(
            schedule=self.champion,
            champion=best,
            is_raced=best is not None and self._is_raced(best),
            hall_of_fame=self.front,
            history=self.history(),
            stopped_by=stopped_by,
            trainings=self._records.trainings(),
            seconds=time.perf_counter() - start,
            training_seconds=executor.seconds - first_seconds,
        )

    @property
    def is_finished(self) -> bool:
        """Whether all generations have been evaluated."""
        return self._generation >= self.config.search.generations_in_all

    @property
    def champion(self) -> Schedule | None:
        """The fittest schedule so far; None where nothing was trained yet, and where every training diverged.

        Of the finished generations; while there is none with a training that finished, of the trials there are.
        """
        best = self._best_so_far
        return None if best is None else self.config.search.schedule(best.individual.expression)

    @property
    def _winner(self) -> Evaluation | None:
        """The fittest individual of the finished generations, unless it diverged too."""
        return self._best if self._best is not None and self._best.fitness > -math.inf else None

    @property
    def _best_so_far(self) -> Evaluation | None:
        """The winner, or, while there is none, the fittest by the trials of the unfinished generation."""
        return self._winner or (champion(found) if (found := self._evaluated_so_far()) else None)

    def _evaluated_so_far(self) -> list[Evaluation]:
        return [] if self._current is None else self._current.evaluated_so_far()

    def _is_raced(self, evaluation: Evaluation) -> bool:
        return is_race(self.config, evaluation.individual.place.generation)

    @property
    def front(self) -> list[Evaluation]:
        """The fittest of each size that is fitter than everything smaller; of what `champion` is the best of."""
        return list(self._front) if self._winner is not None else hall_of_fame(self._evaluated_so_far())

    def promising(self, count: int) -> list[Evaluation]:
        """The most promising individuals of the finished generations, the best first; those that would race now."""
        return self._method.finalists(count)

    def history(self) -> list[Evaluation]:
        """The evaluations of all finished generations, in order."""
        return list(self._history)

    def frame(self) -> Any:
        """The history as a pandas DataFrame, with the columns of history.csv. Raises StudyError without pandas."""
        try:
            import pandas as pd  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise StudyError("a DataFrame needs pandas: pip install pandas") from error
        return pd.DataFrame(self._files.history_rows(self._history))

    def close(self) -> None:
        """Writes the files and gives back the right to write. Closing twice is closing once."""
        try:
            if self._database is not None:
                self._write_files()
                self._records.end_session()
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        with suppress(EvolrError):  # the error on its way is the one to tell of
            self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._lock.release()

    def _require_open(self) -> None:
        if self._database is None:
            raise StudyError(f"the study in {self.directory} is closed; open it again to go on")

    @property
    def _now(self) -> CurrentGeneration:
        """The current generation of a study that is not finished."""
        assert self._current is not None
        return self._current

    def _load(self) -> None:
        """Reads what is known: finished generations, the current one, what was told of it."""
        self._files.save_config(self.config)
        self._is_dirty = True  # whether the derived files lag behind
        self._history: list[Evaluation] = []
        self._last: list[Evaluation] = []
        self._best: Evaluation | None = None
        self._front: list[Evaluation] = []
        self._method: Method = method_of(self.config.search, self.config.seed)
        self._trained = KnownEvaluations(self.config.search.own_signals)
        self._current: CurrentGeneration | None = None  # None when all are finished
        self._generation = 0
        for number in self._records.generations():
            population = self._records.population(number)
            evaluations = self._records.evaluations(population)
            if not is_race(self.config, number):
                self._method.recall(population)
            if not evaluations:
                scores = self._records.scores(number)
                self._current = CurrentGeneration(self.config, number, population, self._known(), scores)
                break
            for evaluation in evaluations:
                if evaluation.source == "trained":
                    self._trained.add(evaluation)
            if not is_race(self.config, number):
                self._method.learn(evaluations)
            self._extend(evaluations)
        if self._current is None and not self.is_finished:
            self._begin_generation()

    def _known(self) -> KnownEvaluations:
        return self._trained if self._method.reuses_scores else KnownEvaluations(self.config.search.own_signals)

    def _extend(self, evaluations: list[Evaluation]) -> None:
        """Takes up the evaluations of a finished generation."""
        if is_race(self.config, self._generation) and any(math.isfinite(e.fitness) for e in evaluations):
            self._best, self._front = None, []  # its word is the last: it judges on another pool, with more runs
        self._history += evaluations
        self._last = evaluations
        self._best = champion(evaluations if self._best is None else [self._best, *evaluations])
        self._front = hall_of_fame([*self._front, *evaluations])
        self._generation += 1

    def _begin_generation(self) -> None:
        if is_race(self.config, self._generation):
            finalists = self._method.finalists(self.config.search.finalists)
            population = race_population(finalists, self._generation)
        else:
            population = self._method.population()
        self._current = CurrentGeneration(self.config, self._generation, population, self._known(), {})
        self._records.add_population(self.config, population)

    def _told_before(self, individual: Individual) -> float | None:
        """The score that an individual has been told, in this generation or an earlier one; None where it has none."""
        if self._current is not None and self._current.has_to_train(individual):
            return self._current.told(individual)
        evaluated = (e for e in self._history if e.individual == individual and e.source == "trained")
        return next((e.score for e in evaluated), None)

    def _train(
        self, executor: Executor, reason: Callable[[], str | None], on_trained: Callable[[int], None] | None
    ) -> None:
        """Trains what the current generation lacks; stores outcomes as they come. Raises _StopError in between."""
        config, current = self.config, self._now
        missing = current.missing()
        work = [
            (run.individual.place, run.seed, Trial(config.search.schedule(run.individual.expression), run.seed))
            for run in missing
        ]
        pool = missing[0].pool

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            rows = [(work[number][0], work[number][1], outcome) for number, outcome in outcomes.items()]
            self._records.add_outcomes(rows, pool, config.training.epochs)
            current.add((place, pool, seed, outcome.score) for place, seed, outcome in rows)
            if on_trained:
                on_trained(len(outcomes))
            if any(outcome.failure for outcome in outcomes.values()):
                self._refuse_failure(_HOPELESS)
            if why := reason():
                raise _StopError(why)

        try:
            executor.run([trial for *_, trial in work], config.training.epochs, pool, on_outcomes=landed)
        except _StopError:
            if current.missing():
                raise  # otherwise the generation is whole, and is finished first
        self._refuse_failure(1)

    def _refuse_failure(self, enough: int) -> None:
        """Raises StudyError where so many trainings of the study's first generation have failed and none has not.

        Its failures are forgotten then, so that going on tries them again.
        """
        current = self._now
        failures = self._records.failures(current.number)
        if len(failures) < enough or self._records.any_trained():
            return
        self._records.forget_failures(current.number)
        current.replace_scores(self._records.scores(current.number))
        how_many = "every training" if enough == 1 else f"each of the first {len(failures)} trainings"
        raise StudyError(f"{how_many} of generation {current.number + 1} failed; the first with: {failures[0]}")

    def _finish_generation(self) -> None:
        """Evaluates the current generation, whose trials are all there, and begins the next one.

        Where a write fails, the study closes: what it holds in memory is ahead of what is stored.
        """
        try:
            evaluations = self._now.evaluate()
            if not self._now.is_race:
                self._method.learn(evaluations)
            best, front = self._best, self._front
            self._extend(evaluations)
            self._records.finish_generation(evaluations, self._front)
            self._is_dirty = True
            self._write_news(best, front)
            self._current = None
            if not self.is_finished:
                self._begin_generation()
        except BaseException:
            self._release()
            raise

    def _write_news(self, best: Evaluation | None, front: list[Evaluation]) -> None:
        """Writes the champion's files where they are not those of `best`, and the front's where it is not `front`."""
        if self._winner is not None and self._winner != best:
            self._files.save_champion(self.config, self._winner, is_raced=self._is_raced(self._winner))
        if self._front != front:
            self._files.save_front(self._front)

    def _write_files(self) -> None:
        """Writes all that is derived from the records, where it lags behind.

        While there is no winner yet, the best by the trials there are is written in its place; nothing of that is recorded.
        """
        if self._is_dirty and self._history:
            self._write_news(None, [])
            self._files.save_history(self._history)
            self._is_dirty = False
        if self._winner is None and (best := self._best_so_far) is not None:
            self._files.save_champion(self.config, best, is_raced=False)
            self._files.save_front(self.front)
        elif self._winner is None:
            self._files.remove_champion()  # of an earlier sitting: its other trials have diverged since

    def _report(
        self, best: Evaluation, *, done: int, trainings: int, training_seconds: float, seconds: float
    ) -> GenerationReport:
        fitness = [e.fitness for e in self._last]
        return GenerationReport(
            generation=self._generation - 1,
            generations=self.config.search.generations_in_all,
            generations_done=done,
            best=max(fitness),
            median=float(np.median(fitness)),
            champion=best,
            trainings=trainings,
            training_seconds=training_seconds,
            seconds=seconds,
        )


def local_executor(config: Config, device_count: int | None = None) -> Local:
    """What trains the trials of a search on this machine."""
    return Local(config.problem, config.training.optimizer, device_count=device_count)
