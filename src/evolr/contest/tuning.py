"""How a contender finds its candidates: each is given the same number of trainings, on the fitness pool.

All contenders are tuned side by side, in rounds: in each, every contender proposes a few schedules, and all of them are
trained from the round's seeds, so that contenders meet the same luck and the trainer is full.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from evolr.config import Config, Search
from evolr.contest.trainings import Request, Trainings
from evolr.expression import Expression
from evolr.problems import Metric
from evolr.randomness import generator, seed_from
from evolr.schedule import Schedule
from evolr.search.archive import fingerprint
from evolr.search.evolution import vocabulary
from evolr.search.variation import ramped_half_and_half
from evolr.standard import FreeConstant
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial

PER_ROUND: Final = 4  # schedules that a contender proposes at once
_PURPOSE: Final = "contest tuning"
_MOST_DRAWS: Final = 1_000_000  # of random search; then a small language is used up, and formulas come again


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule that a contender found.

    constants: of its family; empty for one that is of none. score: mean of its trainings on the fitness pool, in the
    problem's metric, NaN where one diverged. optimizer: that a rival trains by; None for the study's.
    """

    schedule: Schedule
    score: float
    constants: dict[str, float] = field(default_factory=dict[str, float])
    optimizer: Optimizer | None = None


class Proposer(Protocol):
    """Proposes schedules, and learns what they were worth."""

    @property
    def name(self) -> str: ...

    @property
    def is_shared(self) -> bool:
        """Whether its proposals depend on the problem alone."""
        ...

    @property
    def optimizer(self) -> Optimizer | None:
        """That its schedules are trained by; None for the study's."""
        ...

    def ask(self, count: int) -> list[tuple[Schedule, dict[str, float]]]:
        """Schedules to be trained, with the constants that they are made of."""
        ...

    def tell(self, fitness: Sequence[float]) -> None:
        """The fitness of each schedule of the latest ask; −∞ where it diverged."""
        ...


class Tunable(Protocol):
    """What has named free constants: a family, or an entry of the gallery with its scale."""

    @property
    def name(self) -> str: ...

    @property
    def constants(self) -> tuple[FreeConstant, ...]: ...

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        """Values of all its constants that are tried before a tuner proposes others, in this order."""
        ...

    @property
    def schedule(self) -> Callable[..., Schedule]:
        """The schedule with values of the constants, given by name."""
        ...


class FamilyTuner:
    """Tunes the constants of a family by Optuna's multivariate TPE sampler, from the family's starts on.

    name: of the contender, the family's where None. optimizer: that it trains by; the study's where None. seed: of its draws.
    """

    is_shared = True

    def __init__(
        self, family: Tunable, *, name: str | None = None, optimizer: Optimizer | None = None, seed: int = 0
    ) -> None:
        optuna = _optuna()
        self.name = name or family.name
        self.optimizer = optimizer
        self._family = family
        self._distributions = {c.name: _distribution(c) for c in family.constants}
        with _optuna_quiet():
            sampler = optuna.samplers.TPESampler(seed=seed_from(_PURPOSE, family.name, *_key(seed)), multivariate=True)
            self._study: Any = optuna.create_study(direction="maximize", sampler=sampler)
            for start in family.starts:
                self._study.enqueue_trial(start)
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[tuple[Schedule, dict[str, float]]]:
        with _optuna_quiet():
            self._asked = [self._study.ask(self._distributions) for _ in range(count)]
        return [(self._family.schedule(**trial.params), dict(trial.params)) for trial in self._asked]

    def tell(self, fitness: Sequence[float]) -> None:
        with _optuna_quiet():
            for trial, value in zip(self._asked, fitness, strict=True):
                self._study.tell(trial, value)


class RandomSearch:
    """Formulas of a search's own language, drawn at random as its first population is."""

    name = "random search"
    is_shared = False
    optimizer: Optimizer | None = None

    def __init__(self, search: Search, seed: int) -> None:
        self._search = search
        self._seed = seed
        self._drawn = 0
        self._known: set[bytes] = set()

    def ask(self, count: int) -> list[tuple[Schedule, dict[str, float]]]:
        return [(self._search.schedule(self._formula()), {}) for _ in range(count)]

    def tell(self, fitness: Sequence[float]) -> None:
        """Random search learns nothing."""

    def _formula(self) -> Expression:
        """One that is new, by its values; so the budget buys as many functions as it can."""
        while True:
            rng = generator(self._seed, self._drawn, "random search")
            tree = ramped_half_and_half(rng, vocabulary(self._search), self._drawn, self._search.initial_depth)
            self._drawn += 1
            is_last = self._drawn > _MOST_DRAWS
            values = fingerprint(tree, self._search.own_signals)
            if tree.size <= self._search.max_size and (is_last or values not in self._known):
                self._known.add(values)
                return tree


def tune(
    proposers: Sequence[Proposer], config: Config, budget: int, trainings: Trainings, seed: int = 0
) -> dict[str, list[Candidate]]:
    """Every candidate of every proposer, in order; each proposer spends `budget` trainings, rounded down.

    A candidate trains from as many seeds as an individual of the study's search; the seeds of a round are the same for
    every study. Those of one optimiser after those of another, so that the compiled programs of few are needed at a time.
    """
    groups: dict[Optimizer | None, list[Proposer]] = {}
    for proposer in proposers:
        groups.setdefault(proposer.optimizer, []).append(proposer)
    found: dict[str, list[Candidate]] = {}
    for group in groups.values():
        found |= _tuned_together(group, config, budget, trainings, seed)
    return {proposer.name: found[proposer.name] for proposer in proposers}


def _tuned_together(
    proposers: Sequence[Proposer], config: Config, budget: int, trainings: Trainings, seed: int
) -> dict[str, list[Candidate]]:
    """Every candidate of proposers, all of which train round by round."""
    metric, runs = config.problem.metric, config.search.seeds
    candidates: dict[str, list[Candidate]] = {proposer.name: [] for proposer in proposers}
    number = max(1, budget // runs)
    for round_number, start in enumerate(range(0, number, PER_ROUND)):
        asked = [proposer.ask(min(PER_ROUND, number - start)) for proposer in proposers]
        seeds = [seed_from(round_number, k, _PURPOSE, *_key(seed)) for k in range(runs)]
        wanted = [
            Request(Trial(schedule, seed, proposer.optimizer), proposer.is_shared)
            for seed in seeds
            for proposer, proposals in zip(proposers, asked, strict=True)
            for schedule, _ in proposals
        ]
        scores = np.array([outcome.score for outcome in trainings.outcomes(wanted, "fitness")])
        means = iter(scores.reshape(runs, -1).mean(axis=0).tolist())
        for proposer, proposals in zip(proposers, asked, strict=True):
            found = [Candidate(schedule, next(means), own, proposer.optimizer) for schedule, own in proposals]
            candidates[proposer.name] += found
            proposer.tell([metric.fitness(candidate.score) for candidate in found])
    return candidates


def _key(seed: int) -> tuple[int, ...]:
    """What a seed adds to a key: nothing for 0, that of all contests, whose tuning is shared."""
    return (seed,) if seed else ()


def best_of(candidates: Sequence[Candidate], count: int, metric: Metric) -> list[Candidate]:
    """The best `count` different schedules."""
    ranked = sorted(candidates, key=lambda candidate: -metric.fitness(candidate.score))
    different: dict[Schedule, Candidate] = {}
    for candidate in ranked:
        different.setdefault(candidate.schedule, candidate)
    return list(different.values())[:count]


def _optuna() -> Any:
    """Optuna, without what the progress bar that it brings says of a notebook that has no ipywidgets: nobody shows that bar."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import optuna
    return optuna


@contextmanager
def _optuna_quiet() -> Generator[None]:
    """Optuna tells nothing below an error meanwhile; its verbosity, which is the program's to set, is put back after."""
    optuna = _optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(constant: Any) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if constant.scale == "integer":
        return IntDistribution(int(constant.low), int(constant.high))
    return FloatDistribution(constant.low, constant.high, log=constant.scale == "log")
