"""The machine of this program as the place where trials run, unless another is given."""

from __future__ import annotations

from dataclasses import dataclass

from evolr.execution.executor import Executor
from evolr.execution.local import Local
from evolr.execution.training_function import TrainingFunction
from evolr.execution.workers import Workers
from evolr.problems import Problem
from evolr.training.optimizers import Optimizer


@dataclass(frozen=True)
class ThisMachine:
    """Makes `Local` of a problem and `Workers` of a function."""

    def for_problem(self, problem: Problem, optimizer: Optimizer, *, device_count: int | None = None) -> Executor:
        return Local(problem, optimizer, device_count=device_count)

    def for_function(
        self,
        train: TrainingFunction,
        signals: frozenset[str],
        *,
        workers: int | None = None,
        time_limit: float | None = None,
        memory_limit: float | None = None,
        threads: int = 1,
    ) -> Executor:
        return Workers(
            train,
            count=workers,
            time_limit=time_limit,
            memory_limit=memory_limit,
            threads=threads,
            signals=signals,
        )
