"""Where a search stands: what its finished generations say, and the generation that it is at.

It knows no file and no trainer: it is told populations, scores and evaluations, by whoever replays or runs the search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evolr.config import Config
from evolr.schedule import Schedule
from evolr.search.archive import KnownEvaluations, champion, hall_of_fame
from evolr.search.evaluation import Scores, is_race, race_population
from evolr.search.individual import Evaluation, Individual
from evolr.search.method import Method, method_of
from evolr.study.generation import CurrentGeneration


class SearchState:
    """The state of a search that has just begun; `recall`, `begin` and `finish` bring it on, generation by generation.

    generation: the number of the current generation, which is how many are finished. current: it, None between two of them
    and after the last. history: the evaluations of all finished generations, in order; latest: those of the last of them.
    before_race: the winner before the race; None until that is over.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.generation = 0
        self.current: CurrentGeneration | None = None
        self.history: list[Evaluation] = []
        self.latest: list[Evaluation] = []
        self.before_race: Evaluation | None = None
        self._best: Evaluation | None = None
        self._front: list[Evaluation] = []
        self._method: Method = method_of(config.search, config.seed, draws_tasks=config.problem.draws_tasks)
        self._trained = KnownEvaluations(config.search.own_signals)

    @property
    def is_finished(self) -> bool:
        """Whether all generations have been evaluated."""
        return self.generation >= self.config.search.generations_in_all

    @property
    def is_race(self) -> bool:
        """Whether the generation to come, or the current one, is the race of the finalists."""
        return is_race(self.config, self.generation)

    def next_population(self) -> list[Individual]:
        """The population of the generation to come, made from those before it."""
        if self.is_race:
            return race_population(self._method.finalists(self.config.search.finalists), self.generation)
        return self._method.population()

    def recall(self, population: Sequence[Individual]) -> None:
        """Takes a stored population in the place of `next_population`.

        Raises StudyError where these settings could not have made it.
        """
        if not self.is_race:
            self._method.recall(population)

    def begin(self, population: Sequence[Individual], scores: Scores) -> None:
        """Makes a population the current generation. scores: of its trials so far, by place, pool and seed."""
        if self._is_longer:
            self._trained = KnownEvaluations(self.config.search.own_signals)
        known = self._trained if self._reuses_scores else KnownEvaluations(self.config.search.own_signals)
        self.current = CurrentGeneration(self.config, self.generation, population, known, scores)

    def finish(self, evaluations: Sequence[Evaluation]) -> None:
        """Takes up the evaluations of a generation, which is finished by that."""
        if self.is_race:
            self.before_race = self.winner
        is_other = self.is_race or self.config.problem.draws_tasks or self._is_longer
        if is_other and any(math.isfinite(e.fitness) for e in evaluations):
            # These scores replace earlier ones, and are not compared with them: those of a race are of another pool and of more
            # runs, those of other tasks would be the better the easier these were, and those of longer trainings the better for that.
            self._best, self._front = None, []
        if not self.is_race:
            self._method.learn(evaluations)
            if self._reuses_scores:
                for evaluation in evaluations:
                    if evaluation.source == "trained":
                        self._trained.add(evaluation)
        self.history += evaluations
        self.latest = list(evaluations)
        self._best = champion(evaluations if self._best is None else [self._best, *evaluations])
        self._front = hall_of_fame([*self._front, *evaluations], self._least)
        self.generation += 1
        self.current = None

    @property
    def _least(self) -> float:
        return self.config.problem.metric.least_fitness

    @property
    def _is_longer(self) -> bool:
        """Whether the trainings of the current generation run more epochs than those of the one before."""
        return self.config.epochs_at(self.generation) > self.config.epochs_at(max(0, self.generation - 1))

    @property
    def _reuses_scores(self) -> bool:
        """Whether a formula that is known keeps its score; never where that was of other tasks."""
        return self._method.reuses_scores and not self.config.problem.draws_tasks

    @property
    def best(self) -> Evaluation | None:
        """The fittest individual of the finished generations, diverged or not; None while none is finished.

        Where each seed is another task, of the latest generation alone: all of its individuals have met the same tasks.
        """
        return self._best

    @property
    def winner(self) -> Evaluation | None:
        """The fittest individual of the finished generations, unless it diverged too; see Metric.least_fitness."""
        return self._best if self._best is not None and self._best.fitness > self._least else None

    @property
    def best_so_far(self) -> Evaluation | None:
        """The winner, or, while there is none, the fittest by the trials of the unfinished generation."""
        found = [] if self.winner else [e for e in self._evaluated_so_far() if e.fitness > self._least]
        return self.winner or (champion(found) if found else None)

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of `best_so_far`."""
        best = self.best_so_far
        return None if best is None else self.config.search.schedule(best.individual.expression)

    @property
    def hall_of_fame(self) -> list[Evaluation]:
        """The fittest of each size of the finished generations that is fitter than everything smaller."""
        return list(self._front)

    @property
    def front(self) -> list[Evaluation]:
        """The fittest of each size that is fitter than everything smaller; of what `best_so_far` is the best of."""
        return list(self._front) if self.winner is not None else hall_of_fame(self._evaluated_so_far(), self._least)

    def finalists(self, count: int) -> list[Evaluation]:
        """The most promising individuals of the finished generations, the best first."""
        return self._method.finalists(count)

    def is_raced(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is one of the race."""
        return is_race(self.config, evaluation.individual.place.generation)

    def _evaluated_so_far(self) -> list[Evaluation]:
        return [] if self.current is None else self.current.evaluated_so_far()
