"""A training function that travels by value, so that it may be of a script or a notebook that no other machine can import."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from typing import Any

from evolr.execution.packing import packed, unpacked
from evolr.execution.training_function import TrainingFunction, name_of, require_callable, takes_pool
from evolr.execution.trial_schedule import TrialSchedule


class Shipped:
    """A training function, packed: `Workers` takes it for one, and the process that trains unpacks it.

    Raises ConfigError where the function cannot be called with a schedule, a seed and epochs, or cannot be packed.
    """

    def __init__(self, train: TrainingFunction) -> None:
        require_callable(train)
        self.training_name = name_of(train)
        self.takes_pool = takes_pool(train)
        self.content = packed(train, f"the training function {self.training_name}")

    def __call__(self, schedule: TrialSchedule, seed: int, epochs: int, **beside: str) -> Any:
        return unpacked(self.content)(schedule, seed, epochs, **beside)


def _reduced(shipped: Shipped) -> tuple[Any, tuple[bytes]]:
    """To a worker, it is sent as the function that it is."""
    return unpacked, (shipped.content,)


ForkingPickler.register(Shipped, _reduced)
