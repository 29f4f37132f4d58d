"""The protocol of a problem: what a schedule is judged on.

A problem is one file of this folder: a frozen msgspec Struct whose fields are its settings and whose tag is
its name, with the members below; `problems/__init__.py` lists it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from evolr.errors import ConfigError, shown
from evolr.expression import SIGNALS
from evolr.training.optimizers import OPTIMIZERS, OptimizerName
from evolr.training.task import Outcome, Task

Pool = Literal["monitor", "fitness", "selection", "test"]
"""A disjoint set of examples with one purpose; see the table of words in docs/architecture.md."""


NORMALISED: Final = "normalised score"
"""The name of the score on which kinds of task are compared; see problems/suite.py."""

WORST: Final = -1.0
"""The normalised score of a training that diverged; none is below it."""


_MOST_NAME: Final = 100
"""Characters of a name."""


def require_name(what: str, name: Any) -> None:
    """Raises ConfigError for what cannot be a name in tables and files: no text, none in one line, or a long one."""
    if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= _MOST_NAME):
        raise ConfigError(
            f"{what} must be a text of 1 to {_MOST_NAME} characters that can be printed, got {shown(name)}"
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """What the score of a trial is, and how people are shown it: an accuracy in per cent, anything else as it is.

    Of the score NORMALISED, which a suite of kinds has, a training that diverged has WORST; of others it has none, which is NaN.
    """

    name: str
    higher_is_better: bool

    @property
    def least_fitness(self) -> float:
        """The fitness of what is no champion: every training diverged, or ended with the worst score that there is."""
        return WORST if self.name == NORMALISED else -math.inf

    def fitness(self, score: float) -> float:
        """The score, greater for the better: its sign is turned where lower is better; −∞ for NaN, of a diverged run."""
        if math.isnan(score):
            return float("-inf")
        return score if self.higher_is_better else -score

    @property
    def scale(self) -> float:
        """What a score is multiplied with, to be shown in its unit."""
        return 100.0 if self.name == "accuracy" else 1.0

    @property
    def unit(self) -> str:
        """The unit of a score that is shown, in words."""
        return "per cent" if self.name == "accuracy" else self.name

    @property
    def better(self) -> str:
        """Which way it is good, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def unit_of_differences(self) -> str:
        """The unit of the difference of two scores; empty where the score has none."""
        return "points" if self.name == "accuracy" else ""

    def text(self, score: float) -> str:
        """The score with its unit, for people."""
        if math.isnan(score):
            return "diverged"
        return f"{self.number(score)} %" if self.name == "accuracy" else self.number(score)

    def number(self, value: float, sign: str = "") -> str:
        """A score or the difference of two, in its unit, to four digits. sign: "+" to show it always."""
        return f"{self.scale * value + 0.0:{sign}{'.2f' if self.name == 'accuracy' else '.4g'}}"  # + 0.0: never −0


class TaskMaker(Protocol):
    """What makes tasks that one compiled program trains."""

    def task(self, pool: Pool) -> Task:
        """The task for the trainer, its trials judged on a pool. Loads or builds the data."""
        ...


class Problem(Protocol):
    """What a schedule is judged on: data, model and metric."""

    @property
    def name(self) -> str:
        """What it is called in settings, tables and documents."""
        ...

    @property
    def metric(self) -> Metric: ...

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals that its training loop shows."""
        ...

    @property
    def takes_own_signals(self) -> bool:
        """Whether whoever trains may tell signals of its own beside them."""
        ...

    @property
    def steps_per_epoch(self) -> int: ...

    @property
    def draws_tasks(self) -> bool:
        """Whether each seed is another task, so that scores of different seeds are not to be compared."""
        ...

    @property
    def identity(self) -> str:
        """Who trains, as a study records it; empty where the settings say all."""
        ...

    @property
    def key(self) -> Any:
        """What of it decides the outcome of a training, as JSON takes it."""
        ...

    @property
    def optimizers(self) -> tuple[OptimizerName, ...]:
        """The optimisers that make sense on it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its results must know; printed with them."""
        ...

    def kinds(self, pool: Pool) -> Mapping[str, TaskMaker]:
        """What makes the tasks that seeds draw where trials are judged on a pool, by the name of their kind: a program trains each."""
        ...

    def draw(self, seed: int, pool: Pool) -> tuple[str, int]:
        """What a trial's seed draws where it is judged on a pool: a kind of task, and the seed of the task within it."""
        ...

    def epochs_of(self, kind: str, epochs: int) -> int:
        """How many epochs a task of a kind trains, where the problem is trained for so many; no more than these."""
        ...

    def scored(self, kind: str, outcome: Outcome) -> Outcome:
        """The outcome of a task of a kind, its scores in the problem's own metric, in which kinds are compared."""
        ...


class ProblemDefaults:
    """What most problems say alike, of the members above: all signals, all optimisers, settings that say all, and one
    kind of task, which they make themselves.

    A problem that is no Struct gives its own `name` and `key`.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        return str(cast("msgspec.Struct", self).__struct_config__.tag)

    @property
    def signals(self) -> tuple[str, ...]:
        return tuple(SIGNALS)

    @property
    def takes_own_signals(self) -> bool:
        return False

    @property
    def identity(self) -> str:
        return ""

    @property
    def key(self) -> Any:
        return msgspec.to_builtins(self)

    @property
    def optimizers(self) -> tuple[OptimizerName, ...]:
        return OPTIMIZERS

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    def kinds(self, pool: Pool) -> Mapping[str, TaskMaker]:
        return {self.name: cast("TaskMaker", self)}

    def draw(self, seed: int, pool: Pool) -> tuple[str, int]:
        return self.name, seed

    def epochs_of(self, kind: str, epochs: int) -> int:
        return epochs

    def scored(self, kind: str, outcome: Outcome) -> Outcome:
        return outcome
