"""The whole configuration of a study, and those of its settings that are neither the problem's nor the search's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from evolr.config.search import CONSTANT, AnySearch, GenerationalSearch
from evolr.errors import ConfigError, is_finite, require_type, shown
from evolr.problems import AnyProblem, Mnist1dMlp, Problem
from evolr.ranges import EPOCHS, SEEDS, STUDY_SEEDS, require_ranges
from evolr.schedule import GREATEST_LR
from evolr.signals.own import is_own
from evolr.training.optimizers import Optimizer

_MOST_STEPS: Final = 2**31 - 1  # of a training, which compiled steps count in 32 bits


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one network trains. epochs: of a trial of the search; see also search.horizon."""

    epochs: Annotated[int, EPOCHS] = 10
    optimizer: Optimizer = msgspec.field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        require_ranges("training.", self)


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a champion is compared with the published baselines.

    epochs: of each training. seeds: trainings of each schedule. base_lr: where the baselines start.
    """

    epochs: Annotated[int, EPOCHS] = 30
    seeds: Annotated[int, SEEDS] = 8
    base_lr: float = 1e-3

    def __post_init__(self) -> None:
        require_ranges("comparison.", self)
        if not (is_finite(self.base_lr) and 0 < self.base_lr <= GREATEST_LR):
            raise ConfigError(
                f"comparison.base_lr must be a positive number, at most {GREATEST_LR:g}, got {shown(self.base_lr)}"
            )


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration of a study, such as `evolr.resolve("memetic")`. seed: the study's; every draw is keyed by it."""

    seed: Annotated[int, STUDY_SEEDS] = 0
    problem: AnyProblem = msgspec.field(default_factory=Mnist1dMlp)
    training: Training = msgspec.field(default_factory=Training)
    search: AnySearch = msgspec.field(default_factory=GenerationalSearch)
    comparison: Comparison = msgspec.field(default_factory=Comparison)

    def __post_init__(self) -> None:
        require_ranges("", self)
        steps = self.problem.steps_per_epoch
        for name, epochs in (("training", self.training.epochs), ("comparison", self.comparison.epochs)):
            if epochs * steps > _MOST_STEPS:
                raise ConfigError(
                    f"{name}.epochs of {steps:,} steps each make trainings of {epochs * steps:,} steps; at most {_MOST_STEPS:,} are counted"
                )
        given = self.problem.optimizers
        if self.training.optimizer.name not in given:
            raise ConfigError(
                f"the problem {self.problem.name!r} trains by {', '.join(given)}, "
                f"got the optimizer {self.training.optimizer.name!r}"
            )
        read = {t for t in self.search.terminals if t != CONSTANT}
        if untold := sorted(read & self.training.optimizer.untold):
            raise ConfigError(
                f"the signal {', '.join(untold)} is not defined under the optimizer {self.training.optimizer.name!r}, whose step is "
                "not in proportion to the learning rate: leave it out of search.terminals"
            )
        require_signals(self.problem, (t for t in self.search.terminals if t != CONSTANT))

    def epochs_at(self, generation: int) -> int:
        """The epochs of the trainings of a generation."""
        return self.search.epochs_at(generation, self.training.epochs)

    def part_at(self, generation: int) -> float:
        """The part of a whole training that each training of a generation is; by it they count where trainings are a cost."""
        return self.epochs_at(generation) / self.training.epochs


def require_config(config: Any) -> None:
    """Raises ConfigError for what is no configuration."""
    require_type("config", config, Config, "an evolr.Config, as evolr.resolve makes; who trains it is trained_by=")


def require_signals(problem: Problem, names: Iterable[str]) -> None:
    """Raises ConfigError where a problem does not give one of the signals."""
    for name in names:
        if is_own(name) and not problem.takes_own_signals:
            raise ConfigError(
                f"{name!r} is a signal of your own, which a training function tells; the problem {problem.name!r} gives "
                f"{', '.join(problem.signals)}"
            )
        if not is_own(name) and name not in problem.signals:
            raise ConfigError(
                f"the problem {problem.name!r} does not give the signal {name!r}; it gives {', '.join(problem.signals)}"
            )
