"""The problem `external`: trainings that run elsewhere, by a function of the user's or told from outside."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from evolr.errors import ConfigError, ProblemError, shown
from evolr.problems.problem import Metric, Pool, ProblemDefaults
from evolr.ranges import STEPS_PER_EPOCH, require_ranges
from evolr.training.task import Task

_TAKEN: Final = frozenset(
    {
        *(
            "evolr",
            "problem",
            "trained by",
            "seed",
            "epochs",
            "generation",
            "slot",
            "generations",
            "state",
            "trainings",
            "expected trainings",
        ),
        *("failed trainings", "last activity", "fitness", "frozen", "contest"),
    }
)
"""What stands beside the metric where a champion is saved or shown."""


_OWN_MODEL: Final = re.compile(r"(JaxProblem|Suite) .*, SHA-256 [0-9a-f]{16}", re.DOTALL)


class External(
    ProblemDefaults,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="external",
):
    """Settings of the problem.

    metric_name: of what is told; `accuracy` is shown in per cent. higher_is_better: which way it is good.
    steps_per_epoch: of your trainings; for curves that are drawn. draws_tasks: whether each seed is another task.
    trainer: who trains it, a function as `module:function` or a JaxProblem by its name; empty where the study is asked
        and told. It is here to be read, and so that a study goes on with the same alone: nothing is imported by it.
    """

    metric_name: str = "score"
    higher_is_better: bool = True
    steps_per_epoch: Annotated[int, STEPS_PER_EPOCH] = 1
    draws_tasks: bool = False
    trainer: str = ""

    def __post_init__(self) -> None:
        require_ranges("problem.", self)
        for name, text in (("metric_name", self.metric_name), ("trainer", self.trainer)):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise ConfigError(f"problem.{name} has half of a character, which no file can hold: {text!r}")
        if not self.metric_name.strip() or self.metric_name in _TAKEN:
            raise ConfigError(
                "problem.metric_name must be the name of a score, such as accuracy, and none of "
                f"{', '.join(sorted(_TAKEN))}, which stand beside it; got {shown(self.metric_name)}"
            )

    @property
    def metric(self) -> Metric:
        return Metric(self.metric_name, self.higher_is_better)

    @property
    def takes_own_signals(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        return self.trainer

    @property
    def is_trained_here(self) -> bool:
        """Whether evolr trains it, by the settings of training: a JaxProblem or a Suite, as their identities say."""
        return _OWN_MODEL.fullmatch(self.trainer) is not None

    def task(self, pool: Pool) -> Task:
        """Raises ProblemError: there is nothing here to train."""
        if self.trainer:
            raise ProblemError(
                f"this study is trained by {self.trainer}, which no file can load: go on by the script that calls evolr.evolve with "
                "it; to prove or explain, give it, as in evolr.prove(trained_by, directory); a function by --train module:function "
                "on the command line too"
            )
        raise ProblemError(
            "the problem 'external' is trained by a function of yours: call evolr.evolve(train, …) in Python, give prove, compare and explain "
            "--train, or bring scores by Study.ask and Study.tell"
        )
