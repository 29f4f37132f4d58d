"""Trials on this machine, by the population trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evolr.execution.executor import Executor
from evolr.libraries import require, versions
from evolr.problems import Pool, Problem
from evolr.ranges import DEVICES
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial

if TYPE_CHECKING:
    from evolr.training.trainer import Trainer

_LIBRARIES: Final = ("jax", "optax", "mnist1d")  # of the extra `jax`


class Local(Executor):
    """Runs the trials of a problem on this machine's devices: those of each kind of task by a trainer of their own.

    `seconds` is the time spent in training, compiling and loading (JAX, the data), `preparing_seconds` that in the latter two, `trainings`
    the number of trials run.
    Raises MissingExtraError where the libraries of the extra `jax` are not installed, ConfigError for a number of devices that none has.
    """

    def __init__(self, problem: Problem, optimizer: Optimizer, *, device_count: int | None = None) -> None:
        require(f"training {problem.name} by evolr's own trainer", "jax", _LIBRARIES)
        self._problem = problem
        self._optimizer = optimizer
        self._device_count = None if device_count is None else DEVICES.of("devices", device_count)
        self._trainers: dict[Pool, Mapping[str, Trainer]] = {}
        self._loading = 0.0
        self.seconds = 0.0
        self.trainings = 0

    @property
    def preparing_seconds(self) -> float:
        trainers = [trainer for of_pool in self._trainers.values() for trainer in of_pool.values()]
        return self._loading + sum(trainer.preparing_seconds for trainer in trainers)

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
            "versions": versions((*_LIBRARIES, "numpy")),
        }

    def prepare(self, pool: Pool) -> Mapping[str, Trainer]:
        """Loads JAX and the data to judge on a pool, once. Raises ConfigError where there are too few devices."""
        if pool not in self._trainers:
            before = self.seconds
            with self._timed():
                from evolr.training.devices import devices, in_32_bits  # here: they import JAX
                from evolr.training.trainer import Trainer

                devices(self._device_count)  # before the data, which may take a minute
                known = {kind: trainer for trainers in self._trainers.values() for kind, trainer in trainers.items()}
                with in_32_bits():
                    self._trainers[pool] = {
                        kind: Trainer(
                            maker.task(pool), self._optimizer, device_count=self._device_count, like=known.get(kind)
                        )
                        for kind, maker in self._problem.kinds(pool).items()
                    }
            self._loading += self.seconds - before
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
        trainers = self.prepare(pool)
        from evolr.training.devices import in_32_bits

        numbers, own = self._drawn(trials, pool)
        outcomes: dict[int, Outcome] = {}
        with self._timed(), in_32_bits() as as_outside:

            def land(kind: str, landed: Mapping[int, Outcome]) -> None:
                found = {numbers[kind][k]: self._problem.scored(kind, o).over(epochs) for k, o in landed.items()}
                outcomes.update(found)
                self.trainings += len(found)
                if on_outcomes:
                    with as_outside():
                        on_outcomes(found)

            for kind, of_kind in own.items():
                own_epochs = self._problem.epochs_of(kind, epochs)
                trainers[kind].train(of_kind, own_epochs, keep_steps=keep_steps, on_outcomes=partial(land, kind))
        return [outcomes[number] for number in range(len(trials))]

    def _drawn(self, trials: Sequence[Trial], pool: Pool) -> tuple[dict[str, list[int]], dict[str, list[Trial]]]:
        """The trials that drew each kind of task: their numbers, and what its trainer trains."""
        drawn = {seed: self._problem.draw(seed, pool) for seed in {trial.seed for trial in trials}}
        numbers: dict[str, list[int]] = {}
        own: dict[str, list[Trial]] = {}
        for number, trial in enumerate(trials):
            kind, seed = drawn[trial.seed]
            numbers.setdefault(kind, []).append(number)
            own.setdefault(kind, []).append(replace(trial, seed=seed))
        return numbers, own

    def close(self) -> None:
        """Lets go of the trainers and their data."""
        self._trainers.clear()
