"""The contest: an evolved schedule against every standard family, tuned at equal budget, and against its rivals, the
optimisers that find their own step size.

In four stages, each contender treated alike, the evolved one included:

1. every family is tuned on the fitness pool, with the same number of trainings as the study had, and so is the one constant of
   each rival (rivals.py), which enters as its authors advise too;
2. the best candidates of each contender race on fresh seeds, judged on the selection pool; one goes forward;
3. where the evolved schedule reads a live signal, the median of its realised learning rates becomes a contender;
4. those who went forward train from fresh seeds again, judged on the test pool, which nothing else ever sees.

All of it is computed of trainings and nothing else (trainings.py), so a contest that was interrupted is simply begun
again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from evolr.config import Config
from evolr.contest.contender import Contender, contender
from evolr.contest.explanation import typical_curve
from evolr.contest.results import (
    EVOLVED,
    FROZEN,
    NO_OPTIMIZERS,
    NOT_ASKED,
    ContestResult,
    Entry,
    Evolved,
    Finalist,
    Settings,
)
from evolr.contest.rivals import TUNED, rivals_of
from evolr.contest.statistics import corrected
from evolr.contest.trainings import Request, Trainings
from evolr.contest.tuning import Candidate, FamilyTuner, RandomSearch, best_of, tune
from evolr.errors import ConfigError
from evolr.execution.executor import Executor
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.training.task import Trial

RANDOM_SEARCH: Final = RandomSearch.name
_UNKNOWN: Final = float("nan")  # the score of what no search has trained
_SOURCES: Final = {
    FROZEN: "the median learning rates of the evolved schedule",
    RANDOM_SEARCH: "random formulas of the study's language",
}


def contest_of(
    evolved: Evolved,
    config: Config,
    settings: Settings,
    own: Path,
    executor: Executor,
    *,
    on_total: Callable[[int], None] | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> ContestResult:
    """Holds the contest of a study; see Settings, and Trainings for `own`, the run directory. executor: what trains.

    on_total, on_done: called with the trainings there will be at most, once, and with those just done and those
    just looked up.
    """
    if settings.budget < (runs := config.search.seeds):
        raise ConfigError(
            f"a candidate is judged by {runs} trainings here, as in the study's search: the budget must be at least "
            f"{runs}, got {settings.budget}"
        )
    settings = msgspec.structs.replace(settings, budget=settings.budget // runs * runs)
    trainings = Trainings(executor, settings.epochs, own, on_done=on_done)
    try:
        if evolved.trained is None:
            trainings.require_subject(evolved.candidates[0].schedule.to_json())
        families = [f for f in FAMILIES.values() if f.schedule().signals <= executor.signals]
        own_optimizer = config.training.optimizer
        rivals = rivals_of(own_optimizer) if settings.has_rivals else []
        advised = {r.name: [Candidate(r.schedule, _UNKNOWN, r.constants, r.optimizer(own_optimizer))] for r in rivals}
        proposers = [
            *map(FamilyTuner, families),
            *(FamilyTuner(r.family, name=r.name + TUNED, optimizer=r.optimizer(own_optimizer)) for r in rivals),
            RandomSearch(config.search, config.seed),
        ]
        if on_total:
            on_total(_total(len(proposers), len(advised), config, settings))
        metric = config.problem.metric
        candidates = {EVOLVED: evolved.candidates, **advised, **tune(proposers, config, settings.budget, trainings)}
        raced = _race(
            {name: best_of(found, settings.finalists[0], metric) for name, found in candidates.items()},
            {proposer.name: proposer.is_shared for proposer in proposers} | dict.fromkeys(advised, True),
            settings,
            config,
            trainings,
        )
        forward = {name: finalists[0].candidate for name, finalists in raced.items()}
        forward |= _frozen(forward[EVOLVED].schedule, settings, trainings)
        looks = trainings.judged_on_test_pool(settings.told_apart) if settings.pool == "test" else 0
        seeds = [seed_from(config.seed, k, "contest final") for k in range(settings.seeds)]
        results = _final(forward, seeds, settings, config, trainings)
        sources = {EVOLVED: evolved.source, **_SOURCES, **{name: family.source for name, family in FAMILIES.items()}}
        sources |= {name: r.family.source for r in rivals for name in (r.name, r.name + TUNED)}
        entries: list[Entry] = []
        for result in results:
            found, finalists = candidates.get(result.name, []), raced.get(result.name, [])
            believed = finalists[0].candidate.score if finalists else float("nan")
            trained: int | None = len(found) * config.search.seeds
            if result.name == EVOLVED:
                trained = evolved.trained
                if evolved.epochs != settings.epochs:
                    believed = float("nan")
            elif result.name == FROZEN or result.name in advised:
                trained = None
            steps = _steps_to_reach(results[0], result, config)
            entries.append(Entry(sources[result.name], trained, found, finalists, result, believed, steps))
        left_out = [name for name, family in FAMILIES.items() if family not in families]
        return ContestResult(
            config,
            settings,
            evolved,
            seeds,
            entries,
            looks,
            trained=trainings.trained,
            remembered=trainings.remembered,
            left_out=left_out,
            title=executor.title,
            knows_pools=executor.knows_pools,
            no_rivals="" if rivals else NOT_ASKED if executor.takes_optimizers else NO_OPTIMIZERS,
        )
    finally:
        trainings.close()


def _frozen(champion: Schedule, settings: Settings, trainings: Trainings) -> dict[str, Candidate]:
    """For a champion that reads a live signal: the median of its learning rates over the seeds of a heat, as a curve.

    There is none where a training of it diverged, failed or asked for no learning rate: the median of those that did not would not be its own.
    """
    if champion.expression.is_open_loop:
        return {}
    typical = typical_curve(champion, _race_seeds(settings)[1], trainings)
    return {} if typical is None else {FROZEN: Candidate(typical, _UNKNOWN)}


def _final(
    forward: Mapping[str, Candidate], seeds: Sequence[int], settings: Settings, config: Config, trainings: Trainings
) -> list[Contender]:
    """The results of the final, the champion's first."""
    wanted = [
        Request(Trial(c.schedule, seed, c.optimizer), is_shared=False) for seed in seeds for c in forward.values()
    ]
    outcomes = trainings.outcomes(wanted, settings.pool)
    results: list[Contender] = []
    for place, (name, candidate) in enumerate(forward.items()):
        champion = results[0] if results else None
        own = outcomes[place :: len(forward)]
        metric = config.problem.metric
        results.append(contender(name, candidate.schedule, own, champion, metric, optimizer=candidate.optimizer))
    pairs = corrected([result.pairs for result in results if result.pairs is not None])
    return [results[0], *(replace(result, pairs=own) for result, own in zip(results[1:], pairs, strict=True))]


def _total(proposers: int, advised: int, config: Config, settings: Settings) -> int:
    """The trainings of a contest, at most. advised: contenders of one schedule, which is not searched for."""
    (many, few), (first, second) = settings.finalists, settings.race_seeds
    tuning = proposers * max(1, settings.budget // config.search.seeds) * config.search.seeds
    race = (proposers + 1) * (many * first + few * second)
    return tuning + race + advised * (first + second) + second + (proposers + advised + 2) * settings.seeds


def _race_seeds(settings: Settings) -> tuple[list[int], list[int]]:
    """The seeds of both heats: the same for every study, and met by no search."""
    first, second = settings.race_seeds
    seeds = [seed_from(k, "contest race") for k in range(first + second)]
    return seeds[:first], seeds[first:]


def _race(
    candidates: Mapping[str, Sequence[Candidate]],
    is_shared: Mapping[str, bool],
    settings: Settings,
    config: Config,
    trainings: Trainings,
) -> dict[str, list[Finalist]]:
    """The finalists of each contender, the best first."""
    metric = config.problem.metric
    everyone = {name: [_Runner(candidate) for candidate in own] for name, own in candidates.items()}
    running = everyone
    for seeds in _race_seeds(settings):
        lanes = [(name, runner) for name, runners in running.items() for runner in runners]
        wanted = [
            Request(Trial(runner.candidate.schedule, seed, runner.candidate.optimizer), is_shared.get(name, False))
            for seed in seeds
            for name, runner in lanes
        ]
        outcomes = trainings.outcomes(wanted, "selection")
        for place, (_, runner) in enumerate(lanes):
            runner.scores += [outcome.score for outcome in outcomes[place :: len(lanes)]]
        for runners in everyone.values():  # those who ran both heats first: they alone can go forward
            runners.sort(key=lambda runner: (-len(runner.scores), -metric.fitness(runner.mean)))
        running = {name: runners[: settings.finalists[1]] for name, runners in everyone.items()}
    return {
        name: [Finalist(runner.candidate, runner.mean, runner.scores) for runner in runners]
        for name, runners in everyone.items()
    }


@dataclass(slots=True)
class _Runner:
    """A candidate while the race is on."""

    candidate: Candidate
    scores: list[float] = field(default_factory=list[float])

    @property
    def mean(self) -> float:
        """NaN where a training diverged."""
        return float(np.mean(self.scores))


def _steps_to_reach(champion: Contender, other: Contender, config: Config) -> int | None:
    """See Entry; of the trainings that finished."""
    metric = config.problem.metric
    own, others = (c.curves("val_score")[np.isfinite(c.scores)] for c in (champion, other))
    if not (own.size and others.size):
        return None
    sign = 1.0 if metric.higher_is_better else -1.0
    reached = np.flatnonzero(sign * own.mean(axis=0) >= sign * others.mean(axis=0)[-1])
    return int(reached[0] + 1) * config.problem.steps_per_epoch if len(reached) else None
