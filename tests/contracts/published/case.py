"""What a published schedule is, as the table holds it, and how sources are asked for their learning rates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evolr.expression import parse
from evolr.schedule import Schedule

STEPS_PER_EPOCH, EPOCHS = 10, 100
TOTAL_STEPS = STEPS_PER_EPOCH * EPOCHS

Rates = NDArray[np.float64]
"""The learning rate of each step, (TOTAL_STEPS,)."""


@dataclass(frozen=True, eq=False)
class Published:
    """A schedule that somebody published.

    name: what it is called. source: who says so. text: the formula, as its author would type it.
    rates: asks the source for its learning rates. constants: the names that the text uses, as the source names them.
    """

    name: str
    source: str
    text: str
    rates: Callable[[], Rates]
    constants: Mapping[str, float] = field(default_factory=dict)

    def schedule(self) -> Schedule:
        return Schedule(expression=parse(self.text, self.constants))


def by_step(function: Callable[[int], float]) -> Callable[[], Rates]:
    """The rates of a function of the step, counted from 0."""
    return lambda: np.array([function(step) for step in range(TOTAL_STEPS)], np.float64)


def by_epoch(function: Callable[[int], float]) -> Callable[[], Rates]:
    """The rates of a function of the epoch, counted from 0."""
    return lambda: np.repeat([float(function(epoch)) for epoch in range(EPOCHS)], STEPS_PER_EPOCH)


def from_torch(make: Callable[[Any], Any], lr: float, *, per_epoch: bool = False) -> Callable[[], Rates]:
    """The rates that a scheduler of PyTorch gives an optimiser whose own learning rate is `lr`."""

    def rates() -> Rates:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        found = []
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "The epoch parameter in `scheduler.step", UserWarning
            )  # SequentialLR's own
            scheduler = make(optimizer)
            for step in range(1, TOTAL_STEPS + 1):
                found.append(float(optimizer.param_groups[0]["lr"]))
                optimizer.step()
                if not per_epoch or step % STEPS_PER_EPOCH == 0:
                    scheduler.step()
        return np.array(found)

    return rates


def times(lr: float, factor: Callable[[int], float]) -> Callable[[int], float]:
    """A function that gives factors, as schedulers by a lambda take it, as one that gives learning rates."""
    return lambda step: lr * factor(step)


def values(rates: Sequence[float]) -> Rates:
    """The rates of a source that answers one a step."""
    return np.asarray(rates, np.float64)
