"""The generation that a study is at: its individuals, the scores that they have, and the runs that they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evolr.config import Config
from evolr.search.archive import KnownEvaluations
from evolr.search.evaluation import Run, Scores, evaluate, evaluate_race, is_race, runs_of, runs_of_race, to_train
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study.records import TOLD


class CurrentGeneration:
    """A population under evaluation; it is evaluated when it lacks nothing.

    scores: of its runs so far, by place, pool and seed.
    """

    def __init__(
        self, config: Config, number: int, population: Sequence[Individual], known: KnownEvaluations, scores: Scores
    ) -> None:
        self.number = number
        self.population = list(population)
        self.is_race = is_race(config, number)
        self._config = config
        # A structure's points are judged by their own generation's seeds: an old score would be luck kept for good.
        self._known = known = known if config.search.method == "generational" else KnownEvaluations()
        self._scores = dict(scores)
        trained = self.population if self.is_race else to_train(self.population, known)
        self._fresh = {individual.place: individual for individual in trained}

    def missing(self) -> list[Run]:
        """The runs that it lacks; of the race, those of its current heat. All of them are judged on one pool."""
        if self.is_race:
            runs = runs_of_race(self._config, self.population, self._race_scores())
        else:
            runs = runs_of(self._config, self.number, list(self._fresh.values()))
        return [
            run
            for run in runs
            if (run.individual.place, run.pool, run.seed) not in self._scores and self.told(run.individual) is None
        ]

    def wanted(self) -> list[Individual]:
        """What lacks a score, of its formulas that are not known."""
        return list(dict.fromkeys(run.individual for run in self.missing()))

    def add(self, scores: Iterable[tuple[Place, str, int, float]]) -> None:
        self._scores |= {(place, pool, seed): score for place, pool, seed, score in scores}

    def replace_scores(self, scores: Scores) -> None:
        self._scores = dict(scores)

    def has_to_train(self, individual: Individual) -> bool:
        """Whether it is an individual of this generation whose score is not known from before."""
        return self._fresh.get(individual.place) == individual

    def told(self, individual: Individual) -> float | None:
        """The score that an individual has been told; None where it has none."""
        return self._scores.get((individual.place, TOLD, 0))

    def evaluate(self) -> list[Evaluation]:
        """The evaluations of the population, in its order; adds those that were trained to what is known."""
        if self.is_race:
            return evaluate_race(self._config, self.population, self._race_scores())
        scores: dict[Place, list[float]] = {}
        for (place, pool, _), score in sorted(self._scores.items(), key=lambda item: item[0][2]):
            if pool == TOLD or (place, TOLD, 0) not in self._scores:
                scores.setdefault(place, []).append(score)
        return evaluate(self._config, self.population, self._known, scores)

    def _race_scores(self) -> Scores:
        """The scores of the race; one that was told from outside stands for all runs of its finalist."""
        scores = dict(self._scores)
        told = {place: score for (place, pool, _), score in self._scores.items() if pool == TOLD}
        while told:
            runs = runs_of_race(self._config, self.population, scores)
            added = {
                (individual.place, pool, seed): told[individual.place]
                for individual, pool, seed in runs
                if individual.place in told and (individual.place, pool, seed) not in scores
            }
            if not added:
                break
            scores |= added
        return scores
