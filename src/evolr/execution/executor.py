"""The protocol of an executor: what trains the trials of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from evolr.errors import ConfigError
from evolr.execution.training_function import TrainingFunction
from evolr.problems import Pool, Problem
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial

MEANWHILE_SECONDS: Final = 0.2
"""Between two calls of `on_outcomes` with nothing, by an executor that asks whether to go on."""


class ExecutorMaker(Protocol):
    """Where trials are to run, before it is known what is trained: it makes the executor that trains it.

    What an implementation takes beside these arguments, by keyword, are the options that `evolve`, `prove` and the others have
    with it.
    """

    def for_problem(self, problem: Problem, optimizer: Optimizer) -> Executor:
        """What trains on a problem. Starts and writes nothing."""
        ...

    def for_function(self, train: TrainingFunction, signals: frozenset[str]) -> Executor:
        """What trains by a function of the user's, which tells its schedule these signals. Starts and writes nothing."""
        ...


class Executor(ExecutorMaker, Protocol):
    """Trains trials of one problem, and counts them. An executor of one's own is a subclass.

    An outcome depends on the schedule, the seed, the epochs and the pool of its trial, and on `context`: not on the other
    trials, their order, or on how many train at once. tests/contracts/executor.py holds every executor to this.

    seconds: spent in training and in getting ready to; preparing_seconds: those of them, if it knows, in getting ready, when nothing
        trained: what it will not need again for as many trainings. trainings: trials that it has had an outcome of.
    identity: who trains, as a study records it; empty where the configuration says all, so that studies may share what
        they remember of trainings. signals: those that its trainings tell a schedule.
    title: who trains what, in words, for the head of a page. knows_pools: whether a trial is judged on the examples of its pool;
        otherwise all pools are one to it, and a champion that fits their examples by chance is not found out.
    takes_optimizers: whether a trial may name another optimiser than its own; otherwise `run` raises ConfigError for one that does.
    keeps_failures: whether a trial that fails has failed for good, and counts as the worst; otherwise it is a fault to be
        mended, and tried again.
    """

    seconds: float
    trainings: int

    @property
    def identity(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def knows_pools(self) -> bool: ...

    @property
    def signals(self) -> frozenset[str]: ...

    @property
    def keeps_failures(self) -> bool: ...

    @property
    def takes_optimizers(self) -> bool:
        return False

    @property
    def preparing_seconds(self) -> float:
        return 0.0

    @property
    def context(self) -> Mapping[str, Any]:
        """What decides an outcome beside trial, epochs and pool, as JSON takes it; under `optimizer`, if it takes them, that of a
        trial that names none.
        """
        ...

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
            way are dropped. An executor whose trials land one by one asks meanwhile, a few times a second: it is called with nothing then,
            so that a limit of time is kept whatever a training takes. One that trains a whole population at once does not, since that
            would lose the population.
        """
        ...

    def close(self) -> None:
        """Lets go of what it holds. Closing twice is closing once; a later run gets ready again."""
        ...

    def for_problem(self, problem: Problem, optimizer: Optimizer) -> Executor:
        """Itself: it has what it trains, and whoever asks compares the identities."""
        return self

    def for_function(self, train: TrainingFunction, signals: frozenset[str]) -> Executor:
        """Itself, as above."""
        return self

    @contextmanager
    def _timed(self) -> Generator[None]:
        """Counts what is done meanwhile into `seconds`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


class DelegatingExecutor(Executor, Protocol):
    """An executor with the properties of another one, `inner`, which runs trials in its own way."""

    inner: Executor

    @property
    def identity(self) -> str:
        return self.inner.identity

    @property
    def title(self) -> str:
        return self.inner.title

    @property
    def knows_pools(self) -> bool:
        return self.inner.knows_pools

    @property
    def signals(self) -> frozenset[str]:
        return self.inner.signals

    @property
    def keeps_failures(self) -> bool:
        return self.inner.keeps_failures

    @property
    def takes_optimizers(self) -> bool:
        return self.inner.takes_optimizers

    @property
    def context(self) -> Mapping[str, Any]:
        return self.inner.context


def refuse_optimizers(trials: Sequence[Trial]) -> None:
    """Raises ConfigError where a trial names an optimiser, for an executor that takes none."""
    named = next((trial.optimizer.name for trial in trials if trial.optimizer is not None), None)
    if named is not None:
        raise ConfigError(f"a training function has an optimiser of its own, got a trial that names {named!r}")
