"""The protocol of an executor: what trains the trials of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from evolr.problems import Pool
from evolr.training.task import Outcome, Trial


class Executor(Protocol):
    """Trains trials, and counts them.

    seconds: spent in training and in getting ready to. trainings: trials that it has an outcome of.
    """

    seconds: float
    trainings: int

    def prepare(self, pool: Pool) -> object:
        """Gets ready to judge on a pool. What cannot be trained at all is refused here, before anything is written."""
        ...

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        pool: Pool,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
    ) -> list[Outcome]:
        """The outcome of each trial, in order, judged on a pool; a trial that fails has an outcome too.

        on_outcomes: called with what has just landed, by the trials' numbers. What it raises ends the run; trials under
            way are dropped.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds. Closing twice is closing once."""
        ...
