"""What a contest is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
import numpy as np

import evolr
from evolr.config import Config
from evolr.contest.contender import Contender
from evolr.contest.record import number, schedule_document
from evolr.contest.statistics import CONFIDENCE
from evolr.contest.tuning import Candidate
from evolr.errors import printable
from evolr.libraries import versions
from evolr.problems import Pool
from evolr.ranges import EPOCHS, SEEDS, TRAININGS, require_ranges
from evolr.run_files import contest_name
from evolr.training.optimizers import Optimizer

EVOLVED: Final = "evolved"
FROZEN: Final = "evolved (frozen)"  # no comma: it stands in lists of names
_THESE: Final = "Optimisers that find their own step size (Prodigy, schedule-free and others)"
NO_OPTIMIZERS: Final = f"{_THESE} took no part: what trains here has an optimiser of its own."
NOT_ASKED: Final = f"{_THESE} were left out, as asked."
_QUICK_RUNS: Final = 32
_QUICK_CANDIDATES: Final = 12


RACE_TASKS: Final = (8, 48)
"""The race's seeds where each is another task: tasks differ by more than luck, and a dozen put the wrong candidate forward."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How strict a contest is.

    epochs: of each training. budget: trainings that each contender is tuned with. seeds: trainings of each contender
    in the final. finalists, race_seeds: how many candidates of each contender race, and on how many seeds; the first
    number of each in the first heat, the second, of the best, in the second. is_quick: a rehearsal, whose final is
    judged on the selection pool, so that the test pool stays unseen. has_rivals: whether optimisers that find their own step size
    take part (rivals.py).
    """

    epochs: Annotated[int, EPOCHS]
    budget: Annotated[int, TRAININGS]
    seeds: Annotated[int, SEEDS] = 32
    finalists: tuple[int, int] = (16, 6)
    race_seeds: tuple[int, int] = (4, 12)
    is_quick: bool = False
    has_rivals: bool = False

    def __post_init__(self) -> None:
        require_ranges("the contest's ", self)

    @property
    def pool(self) -> Pool:
        """The pool of the final."""
        return "selection" if self.is_quick else "test"

    @property
    def file_name(self) -> str:
        """What the contest's files are called."""
        return contest_name(is_quick=self.is_quick)

    @property
    def told_apart(self) -> dict[str, Any]:
        """What tells one contest of a study from another; of one without rivals what it was before there were any."""
        settings = msgspec.to_builtins(self)
        return settings if self.has_rivals else {name: v for name, v in settings.items() if name != "has_rivals"}


def quick(epochs: int, budget: int, runs_per_candidate: int) -> Settings:
    """A rehearsal of some minutes."""
    budget = min(budget, max(_QUICK_RUNS, _QUICK_CANDIDATES * runs_per_candidate))
    return Settings(epochs=epochs, budget=budget, seeds=16, finalists=(6, 2), race_seeds=(2, 4), is_quick=True)


@dataclass(frozen=True, slots=True)
class Evolved:
    """What is to be proven: schedules, the most promising first; where they come from; what the search for them cost.

    trained: trainings, shorter ones counted in parts; epochs: of a whole one; both None where there was no search.
    """

    candidates: list[Candidate]
    source: str
    trained: int | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Finalist:
    """A candidate in the race. scores: of its trainings on the selection pool, those of the first heat first."""

    candidate: Candidate
    selection: float
    scores: list[float]


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of a contender.

    source: whose the family is, or how the schedule came about. trained: trainings spent on finding candidates, None
    where there was no search. candidates: all that were found. finalists: those that raced, best first; the first went
    to the final, whose result is `result`. fitness: what the search believed of it, a score on the fitness pool at the
    contest's epochs; NaN where there is none. steps_to_reach: the training steps after which the champion's mean monitor
    score is as good as this contender's at its end; None where it never is, or where nobody knows.
    """

    source: str
    trained: int | None
    candidates: list[Candidate]
    finalists: list[Finalist]
    result: Contender
    fitness: float
    steps_to_reach: int | None = None

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def optimizer(self) -> Optimizer | None:
        """That it trained by, if it is a rival; None for the study's."""
        return self.result.optimizer

    @property
    def constants(self) -> Mapping[str, float]:
        return self.finalists[0].candidate.constants if self.finalists else {}


@dataclass(frozen=True, slots=True, repr=False)
class ContestResult:
    """A contest: the champion's entry first, then the others'.

    looks: how many contests of this champion's study, with different settings, have been judged on the test pool.
    trained, remembered: trainings of this contest, and those that earlier ones had done.
    left_out: families that read what these trainings do not tell. no_rivals: why no optimiser that finds its own step size took part, as a
    sentence; empty where they did, and in contests of before there were any. title, knows_pools: of what trained, see Executor.
    """

    config: Config
    settings: Settings
    evolved: Evolved
    seeds: list[int]
    entries: list[Entry]
    looks: int = 1
    trained: int = field(default=0, compare=False)
    remembered: int = field(default=0, compare=False)
    left_out: list[str] = field(default_factory=list)
    title: str = ""
    knows_pools: bool = True
    no_rivals: str = ""

    @property
    def file_name(self) -> str:
        """What its files are called."""
        return self.settings.file_name

    @property
    def champion(self) -> Entry:
        return self.entries[0]

    @property
    def ranked(self) -> list[Entry]:
        """All entries, the best mean first; after them those of which a training has no score, the fewer the better."""
        metric = self.config.problem.metric
        return sorted(self.entries, key=lambda e: (e.result.unscored, -metric.fitness(e.result.mean), e.name))

    @property
    def others(self) -> list[Entry]:
        """All but the champion, in the order of `ranked`."""
        return [entry for entry in self.ranked if entry is not self.champion]

    @property
    def knows_steps(self) -> bool:
        """Whether `steps_to_reach` is known: the trainings tell the score of their monitor up to their end."""
        return any(np.isfinite(entry.result.curves("val_score")[:, -1:]).any() for entry in self.entries)

    def __repr__(self) -> str:
        metric, best = self.config.problem.metric, self.champion.result
        return printable(
            f"<ContestResult: {metric.name} {metric.text(best.mean)} by the champion, the best of {len(self.entries)} has "
            f"{metric.text(self.ranked[0].result.mean)}; {len(self.seeds)} seeds>"
        )

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import contest_html

        return contest_html(self)

    def optimism(self, entry: Entry) -> float:
        """The winner's curse: by how much the search thought better of it than the final; NaN where it thought nothing."""
        sign = 1.0 if self.config.problem.metric.higher_is_better else -1.0
        return sign * (entry.fitness - entry.result.mean)

    def document(self, verdict: Sequence[str]) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        config, metric = self.config, self.config.problem.metric
        return {
            "verdict": list(verdict),
            "problem": msgspec.to_builtins(config.problem),
            "optimizer": msgspec.to_builtins(config.training.optimizer),
            "study_seed": config.seed,
            "study": msgspec.to_builtins(config),
            "search_epochs": self.evolved.epochs,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "settings": msgspec.to_builtins(self.settings),
            "trained_by": self.title,
            "pool": self.settings.pool,
            "knows_pools": self.knows_pools,
            "looks_at_the_test_pool": self.looks,
            "seeds": self.seeds,
            "left_out": self.left_out,
            "no_rivals": self.no_rivals,
            "confidence": CONFIDENCE,
            "versions": {"evolr": evolr.__version__, **versions()},
            "contenders": [self._entry_document(entry) for entry in self.entries],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a training of the final: contender, seed, score, and the epoch of its divergence."""
        return [
            {"contender": entry.name, "seed": seed, "score": outcome.score, "diverged_at": outcome.diverged_at}
            for entry in self.entries
            for seed, outcome in zip(self.seeds, entry.result.outcomes, strict=True)
        ]

    def _entry_document(self, entry: Entry) -> dict[str, Any]:
        return {
            **entry.result.document(),
            "source": entry.source,
            "constants": dict(entry.constants),
            "training_runs": entry.trained,
            "fitness": number(entry.fitness),
            "optimism": number(self.optimism(entry)),
            "steps_to_reach": entry.steps_to_reach,
            "finalists": [
                {
                    "schedule": schedule_document(f.candidate.schedule),
                    "constants": f.candidate.constants,
                    "fitness": number(f.candidate.score),
                    "selection": number(f.selection),
                    "scores": [number(score) for score in f.scores],
                }
                for f in entry.finalists
            ],
            "candidates": [
                {
                    "constants": c.constants,
                    "fitness": number(c.score),
                    **({} if c.constants and c.optimizer is None else {"schedule": schedule_document(c.schedule)}),
                }
                for c in entry.candidates
            ],
        }
