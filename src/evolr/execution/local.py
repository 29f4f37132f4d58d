"""Trials on this machine, by the population trainer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from evolr.problems import AnyProblem, Pool
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial


class Local:
    """Runs the trials of a problem on this machine's devices.

    Nothing is loaded before the first trial. `seconds` is the time spent in training, compiling and loading, and
    `trainings` the number of trials run.
    """

    def __init__(
        self, problem: AnyProblem, optimizer: Optimizer, pool: Pool, *, device_count: int | None = None
    ) -> None:
        self._problem = problem
        self._optimizer = optimizer
        self._pool: Pool = pool
        self._device_count = device_count
        self._trainer = None
        self.seconds = 0.0
        self.trainings = 0

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        *,
        keep_steps: bool = False,
        on_finish: Callable[[int], None] | None = None,
    ) -> list[Outcome]:
        """The outcome of each trial, in order; see Trainer.train."""
        start = time.perf_counter()
        try:
            if self._trainer is None:
                from evolr.training.trainer import Trainer  # here: it imports JAX

                self._trainer = Trainer(
                    self._problem.task(self._pool), self._optimizer, device_count=self._device_count
                )
            outcomes = self._trainer.train(trials, epochs, keep_steps=keep_steps, on_finish=on_finish)
        finally:
            self.seconds += time.perf_counter() - start
        self.trainings += len(trials)
        return outcomes
