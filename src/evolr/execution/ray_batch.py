"""The trials of a run on a cluster: which are trained next, and which have lost their workers too often."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from evolr.errors import ExecutorError
from evolr.training.task import Outcome, Trial

LOST_ACTORS: Final = 3
"""That a trial may lose, on machines that are up, until it has failed."""

LOST_MACHINES: Final = 16
"""That a trial may lose, until the run ends."""


class Batch:
    """The trials of a run that are still to be trained, and what they have lost.

    missing: how many have not landed. size: the trials of a part, of a population; those of an optimiser and a seed train together.
    """

    def __init__(self, trials: Sequence[Trial], epochs: int, parts: int | None, workers: int) -> None:
        numbers = range(len(trials))
        self.missing = len(trials)
        self.size = 1 if parts is None else math.ceil(len(trials) / (parts * max(1, workers)))
        self._epochs = 0 if parts is None else epochs
        self.waiting = deque(
            numbers if parts is None else sorted(numbers, key=lambda number: _grouping(trials[number]))
        )
        self._again = deque[int]()  # each is trained alone, so that one that ends its actor does not end others
        self._lost, self._lost_machines = Counter[int](), Counter[int]()

    @property
    def most_workers(self) -> int:
        """How many workers can be busy."""
        return math.ceil(self.missing / self.size)

    def taken(self, count: int) -> list[int]:
        """The numbers of those that are trained next, at most so many."""
        if self._again:
            return [self._again.popleft()]
        return [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]

    def lost(self, numbers: Sequence[int], reason: str, *, is_machine: bool) -> dict[int, Outcome]:
        """Puts back those that lost their actor; the outcomes of those that have lost too many.

        Raises ExecutorError if a trial has lost too many machines.
        """
        counter = self._lost_machines if is_machine else self._lost
        counter.update(numbers)
        if any(self._lost_machines[number] == LOST_MACHINES for number in numbers):
            raise ExecutorError(
                f"a training has lost {LOST_MACHINES} machines of the Ray cluster, which does not stay up for as long as it takes. "
                "What has landed is kept; the study can go on later"
            )
        given_up = [number for number in numbers if self._lost[number] == LOST_ACTORS]
        back = [number for number in numbers if number not in given_up]
        if is_machine:
            self.waiting.extendleft(reversed(back))
        else:
            self._again.extend(back)
        why = f"its worker was lost {LOST_ACTORS} times, the last by: {reason}"
        return {number: Outcome.failed(why, self._epochs) for number in given_up}


def _grouping(trial: Trial) -> tuple[str, int]:
    """By what trials are put together: of one optimiser, so that one program trains them, and of one seed, on the same batches."""
    return "" if trial.optimizer is None else repr(trial.optimizer), trial.seed
