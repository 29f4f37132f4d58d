"""The contest: an evolved schedule against every standard family, tuned at equal budget.

In four stages, each contender treated alike, the evolved one included:

1. every family is tuned on the fitness pool, with the same number of training runs as the study had;
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
from typing import Any, Final

import msgspec
import numpy as np

from evolr.config import Config
from evolr.contest.contender import Contender, contender, number
from evolr.contest.statistics import CONFIDENCE, corrected
from evolr.contest.trainings import Trainings, Wanted
from evolr.contest.tuning import Candidate, FamilyTuner, RandomSearch, best_of, tune
from evolr.errors import ConfigError
from evolr.expression import ordinary_text
from evolr.problems import Pool
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, frozen
from evolr.training.task import Trial

EVOLVED: Final = "evolved"
FROZEN: Final = "evolved, frozen"
RANDOM_SEARCH: Final = RandomSearch.name
QUICK_BUDGET: Final = 32


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How strict a contest is.

    epochs: of each training. budget: training runs that each contender is tuned with. seeds: trainings of each contender
    in the final. finalists, race_seeds: how many candidates of each contender race, and on how many seeds; the first
    number of each in the first heat, the second, of the best, in the second. is_quick: a rehearsal, whose final is
    judged on the selection pool, so that the test pool stays unseen.
    """

    epochs: int
    budget: int
    seeds: int = 32
    finalists: tuple[int, int] = (16, 6)
    race_seeds: tuple[int, int] = (4, 12)
    is_quick: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "budget", "seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"the contest's {name} must be at least 1, got {getattr(self, name)}")

    @property
    def pool(self) -> Pool:
        """The pool of the final."""
        return "selection" if self.is_quick else "test"


def quick(epochs: int, budget: int) -> Settings:
    """A rehearsal of some minutes."""
    return Settings(
        epochs=epochs, budget=min(budget, QUICK_BUDGET), seeds=16, finalists=(6, 2), race_seeds=(2, 4), is_quick=True
    )


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate in the race. selection: the mean of its runs on the selection pool, of both heats or of the first."""

    candidate: Candidate
    selection: float
    runs: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of a contender.

    source: whose the family is, or how the schedule came about. trained: training runs spent on finding candidates.
    finalists: those that raced, best first; the first went to the final, whose result is `result`.
    steps_to_reach: the training steps after which the champion's mean monitor score is as good as this contender's at
    its end; None where it never is.
    """

    source: str
    trained: int
    finalists: list[Finalist]
    result: Contender
    steps_to_reach: int | None = None

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def fitness(self) -> float:
        """What the search for it believed of it: the score of its runs on the fitness pool; NaN for a frozen one."""
        return self.finalists[0].candidate.score if self.finalists else float("nan")

    @property
    def constants(self) -> Mapping[str, float]:
        return self.finalists[0].candidate.constants if self.finalists else {}


@dataclass(frozen=True, slots=True)
class ContestResult:
    """A contest: the champion's entry first, then the others'.

    trained, remembered: training runs of this contest, and those that earlier ones had done.
    """

    config: Config
    settings: Settings
    seeds: list[int]
    entries: list[Entry]
    trained: int = 0
    remembered: int = field(default=0, compare=False)

    @property
    def file_name(self) -> str:
        """What its files are called: a rehearsal's are not taken for a contest's, nor written over them."""
        return "rehearsal" if self.settings.is_quick else "contest"

    @property
    def champion(self) -> Entry:
        return self.entries[0]

    @property
    def others(self) -> list[Entry]:
        """All but the champion, the best mean first; what only diverged is last."""
        metric = self.config.problem.metric
        return sorted(self.entries[1:], key=lambda e: (-metric.fitness(e.result.mean), e.name))

    def document(self) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        config, metric = self.config, self.config.problem.metric
        return {
            "problem": msgspec.to_builtins(config.problem),
            "optimizer": msgspec.to_builtins(config.training.optimizer),
            "study_seed": config.seed,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "settings": msgspec.to_builtins(self.settings),
            "pool": self.settings.pool,
            "seeds": self.seeds,
            "confidence": CONFIDENCE,
            "contenders": [
                {
                    **entry.result.document(),
                    "source": entry.source,
                    "constants": dict(entry.constants),
                    "training_runs": entry.trained,
                    "fitness": number(entry.fitness),
                    "fitness_minus_final": number(entry.fitness - entry.result.mean),
                    "steps_to_reach": entry.steps_to_reach,
                    "finalists": [
                        {
                            "expression": ordinary_text(f.candidate.schedule.expression),
                            "constants": f.candidate.constants,
                            "fitness": number(f.candidate.score),
                            "selection": number(f.selection),
                            "runs": f.runs,
                        }
                        for f in entry.finalists
                    ],
                }
                for entry in self.entries
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a training run of the final: contender, seed, score, and the epoch of its divergence."""
        return [
            {"contender": entry.name, "seed": seed, "score": outcome.score, "diverged_at": outcome.diverged_at}
            for entry in self.entries
            for seed, outcome in zip(self.seeds, entry.result.outcomes, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Evolved:
    """What a study brings to a contest: its best schedules, and the training runs of its search."""

    candidates: list[Candidate]
    trained: int


def hold(
    evolved: Evolved,
    config: Config,
    settings: Settings,
    own: Path,
    shared: Path,
    *,
    device_count: int | None = None,
    on_total: Callable[[int], None] | None = None,
    on_done: Callable[[int], None] | None = None,
) -> ContestResult:
    """Holds the contest of a study; see Settings, and Trainings for the directories.

    on_total, on_done: called with the training runs there will be, once, and with those just done or looked up.
    """
    trainings = Trainings(config, settings.epochs, own, shared, device_count=device_count, on_done=on_done)
    try:
        proposers = [*map(FamilyTuner, FAMILIES.values()), RandomSearch(config.search, config.seed)]
        if on_total:
            on_total(_total(len(proposers), config, settings))
        metric = config.problem.metric
        candidates = {EVOLVED: evolved.candidates, **tune(proposers, config, settings.budget, trainings)}
        trained = {name: len(found) * config.search.seeds for name, found in candidates.items()}
        trained |= {EVOLVED: evolved.trained, FROZEN: 0}
        raced = _race(
            {name: best_of(found, settings.finalists[0], metric) for name, found in candidates.items()},
            {proposer.name: proposer.is_shared for proposer in proposers},
            settings,
            config,
            trainings,
        )
        forward = {name: finalists[0].candidate.schedule for name, finalists in raced.items()}
        forward |= _frozen(forward[EVOLVED], settings, trainings)
        seeds = [seed_from(config.seed, k, "contest final") for k in range(settings.seeds)]
        results = _final(forward, seeds, settings, config, trainings)
        entries = [
            Entry(
                source=_source(result.name),
                trained=trained[result.name],
                finalists=raced.get(result.name, []),
                result=result,
                steps_to_reach=_steps_to_reach(results[0], result, config),
            )
            for result in results
        ]
        return ContestResult(config, settings, seeds, entries, trainings.trained, trainings.remembered)
    finally:
        trainings.close()


def _frozen(champion: Schedule, settings: Settings, trainings: Trainings) -> dict[str, Schedule]:
    """For a champion that reads a live signal: the median of its learning rates over the seeds of a heat, as a curve."""
    if champion.expression.is_open_loop:
        return {}
    wanted = [Wanted(Trial(champion, seed), is_shared=False) for seed in _race_seeds(settings)[1]]
    outcomes = trainings.outcomes(wanted, "selection", keep_steps=True)
    rates = [o.learning_rates for o in outcomes if o.learning_rates is not None and not o.diverged]
    return {FROZEN: frozen(np.median(rates, axis=0).tolist())} if rates else {}


def _final(
    forward: Mapping[str, Schedule], seeds: Sequence[int], settings: Settings, config: Config, trainings: Trainings
) -> list[Contender]:
    """The results of the final, the champion's first."""
    wanted = [Wanted(Trial(schedule, seed), is_shared=False) for seed in seeds for schedule in forward.values()]
    outcomes = trainings.outcomes(wanted, settings.pool)
    results: list[Contender] = []
    for place, (name, schedule) in enumerate(forward.items()):
        champion = results[0] if results else None
        own = outcomes[place :: len(forward)]
        results.append(contender(name, schedule, own, champion, config.problem.metric))
    pairs = corrected([result.pairs for result in results if result.pairs is not None])
    return [results[0], *(replace(result, pairs=own) for result, own in zip(results[1:], pairs, strict=True))]


def _total(proposers: int, config: Config, settings: Settings) -> int:
    """The training runs of a contest, at most."""
    (many, few), (first, second) = settings.finalists, settings.race_seeds
    tuning = proposers * max(1, settings.budget // config.search.seeds) * config.search.seeds
    race = (proposers + 1) * (many * first + few * second)
    return tuning + race + second + (proposers + 2) * settings.seeds


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
            Wanted(Trial(runner.candidate.schedule, seed), is_shared.get(name, False))
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
        name: [Finalist(runner.candidate, runner.mean, len(runner.scores)) for runner in runners]
        for name, runners in everyone.items()
    }


@dataclass(slots=True)
class _Runner:
    """A candidate while the race is on."""

    candidate: Candidate
    scores: list[float] = field(default_factory=list[float])

    @property
    def mean(self) -> float:
        """NaN where a run diverged."""
        return float(np.mean(self.scores))


def _steps_to_reach(champion: Contender, other: Contender, config: Config) -> int | None:
    """See Entry; of the runs that finished."""
    metric = config.problem.metric
    own, others = (np.array([o.val_score for o in c.outcomes if not o.diverged], np.float64) for c in (champion, other))
    if not (len(own) and len(others)):
        return None
    sign = 1.0 if metric.higher_is_better else -1.0
    reached = np.flatnonzero(sign * own.mean(axis=0) >= sign * others.mean(axis=0)[-1])
    return int(reached[0] + 1) * config.problem.steps_per_epoch if len(reached) else None


def _source(name: str) -> str:
    if name in FAMILIES:
        return FAMILIES[name].source
    return {
        EVOLVED: "the study's search",
        FROZEN: "the median learning rates of the evolved schedule",
        RANDOM_SEARCH: "random formulas of the study's language",
    }[name]
