"""Trials on this machine, by the population trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from evolr.execution.executor import Executor
from evolr.problems import Pool, Problem
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial

if TYPE_CHECKING:
    from evolr.training.trainer import Trainer


class Local(Executor):
    """Runs the trials of a problem on this machine's devices.

    `seconds` is the time spent in training, compiling and loading (JAX, the data), `trainings` the number of trials run.
    """

    def __init__(self, problem: Problem, optimizer: Optimizer, *, device_count: int | None = None) -> None:
        self._problem = problem
        self._optimizer = optimizer
        self._device_count = device_count
        self._trainers: dict[Pool, Trainer] = {}
        self.seconds = 0.0
        self.trainings = 0

    @property
    def identity(self) -> str:
        return self._problem.identity

    @property
    def title(self) -> str:
        return f"{self._problem.name}, {self._optimizer.name}"

    @property
    def knows_pools(self) -> bool:
        return True

    @property
    def signals(self) -> frozenset[str]:
        return frozenset(self._problem.signals) - self._optimizer.untold

    @property
    def keeps_failures(self) -> bool:
        return False

    @property
    def takes_optimizers(self) -> bool:
        return True

    @property
    def context(self) -> Mapping[str, Any]:
        return {
            "problem": self._problem.key,
            "optimizer": msgspec.to_builtins(self._optimizer),
            "versions": {name: version(name) for name in ("jax", "optax", "numpy", "mnist1d")},
        }

    def prepare(self, pool: Pool) -> Trainer:
        """Loads JAX and the data to judge on a pool, once. Raises ConfigError where there are too few devices."""
        if pool not in self._trainers:
            with self._timed():
                from evolr.training.trainer import Trainer  # here: it imports JAX

                task = self._problem.task(pool)
                self._trainers[pool] = Trainer(task, self._optimizer, device_count=self._device_count)
        return self._trainers[pool]

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        pool: Pool,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
    ) -> list[Outcome]:
        """The outcome of each trial, in order, judged on a pool; see Trainer.train."""
        trainer = self.prepare(pool)

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            self.trainings += len(outcomes)
            if on_outcomes:
                on_outcomes(outcomes)

        with self._timed():
            return trainer.train(trials, epochs, keep_steps=keep_steps, on_outcomes=landed)

    def close(self) -> None:
        """Lets go of the trainers and their data."""
        self._trainers.clear()
