"""The problem `mixed`: a suite of seven kinds of network, small enough for two cores.

Each seed draws a kind and a task within it. The scale of a kind's scores (problems/suite.py) is written down below: what an
untrained network scores, and what linear decay does that was tuned for the kind alone, the better of momentum and Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from evolr.errors import ConfigError, unknown_name
from evolr.problems.mixed.batches import STEPS
from evolr.problems.mixed.cnn import Cnn
from evolr.problems.mixed.gru import Gru
from evolr.problems.mixed.language import Language
from evolr.problems.mixed.quadratic import NoisyQuadratic
from evolr.problems.mixed.regression import Regression
from evolr.problems.mixed.transformer import Transformer
from evolr.problems.mnist1d_suite import Mnist1dSuite
from evolr.problems.problem import Metric, Pool, Problem, ProblemDefaults, TaskMaker
from evolr.problems.suite import METRIC, Kind, Suite, TestKinds, checked_held_out, notes_of
from evolr.training.task import Outcome

SCALES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "mlp": (0.0987, 0.391),
        "cnn": (0.101, 0.428),
        "gru": (0.0979, 0.458),
        "transformer": (0.354, -2.94),
        "language": (1.09, 0.209),
        "regression": (0.0313, -2.09),
        "quadratic": (-0.0119, -3.81),
    }
)
"""Floor and reference of each kind, from `python benchmarks/mixed_scales.py`: means over 24 tasks, 12 epochs."""

KINDS: Final = tuple(SCALES)


class Mlp(
    Mnist1dSuite,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="mnist1d-suite",
):
    """What the tasks of the kind `mlp` are drawn from: see Mnist1dSuite, whose tasks are larger by default."""

    widths: tuple[int, int] = (8, 64)
    batch_sizes: tuple[int, int] = (8, 64)

    path: ClassVar[str] = "problem.mlp."


class Mixed(
    ProblemDefaults,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="mixed",
):
    """Settings of the problem.

    kinds_drawn: those of its tasks, each with the same chance. held_out, test_on: as of Suite: kinds that no search and no
        selection meets, and whether the test pool draws those alone (`held out`) or `all`.
    mlp, cnn, …: what the tasks of each kind are drawn from.
    """

    kinds_drawn: tuple[str, ...] = KINDS
    held_out: tuple[str, ...] = ()
    test_on: TestKinds = "held out"
    mlp: Mlp = Mlp()
    cnn: Cnn = Cnn()
    gru: Gru = Gru()
    transformer: Transformer = Transformer()
    language: Language = Language()
    regression: Regression = Regression()
    quadratic: NoisyQuadratic = NoisyQuadratic()

    def __post_init__(self) -> None:
        for name in self.kinds_drawn:
            if name not in KINDS:
                raise ConfigError(unknown_name("kind in problem.kinds_drawn,", name, KINDS))
        if not self.kinds_drawn or len(set(self.kinds_drawn)) < len(self.kinds_drawn):
            raise ConfigError(f"problem.kinds_drawn must name different kinds, one at least, got {self.kinds_drawn}")
        checked_held_out(self.kinds_drawn, self.held_out, self.test_on, "problem.")

    @property
    def metric(self) -> Metric:
        return METRIC

    @property
    def steps_per_epoch(self) -> int:
        return STEPS

    @property
    def draws_tasks(self) -> bool:
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        return notes_of(self.kinds_drawn, self.held_out)

    @property
    def key(self) -> Any:
        return [msgspec.to_builtins(self), {name: SCALES[name] for name in self.kinds_drawn}]

    def kinds(self, pool: Pool) -> Mapping[str, TaskMaker]:
        return self._suite.kinds(pool)

    def draw(self, seed: int, pool: Pool) -> tuple[str, int]:
        return self._suite.draw(seed, pool)

    def epochs_of(self, kind: str, epochs: int) -> int:
        return self._suite.epochs_of(kind, epochs)

    def scored(self, kind: str, outcome: Outcome) -> Outcome:
        return self._suite.scored(kind, outcome)

    @property
    def _suite(self) -> Suite:
        return _suite_of(self)

    def problem_of(self, kind: str) -> Problem:
        """The problem that makes the tasks of a kind."""
        settings = getattr(self, kind)
        return settings if isinstance(settings, Mnist1dSuite) else settings.problem()


@lru_cache(maxsize=16)
def _suite_of(mixed: Mixed) -> Suite:
    kinds = {name: Kind(mixed.problem_of(name), *SCALES[name]) for name in mixed.kinds_drawn}
    return Suite(kinds, held_out=mixed.held_out, test_on=mixed.test_on, name="mixed")
