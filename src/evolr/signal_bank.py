"""A fixed bank of signals: the points at which two formulas are compared, to tell whether they are one function."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

import numpy as np

from evolr.randomness import generator
from evolr.signals import SIGNALS, Example, clock

_POINTS = 24  # of each training at most
_TRAININGS = ((10, 40, 2.3, 0.9), (30, 40, 2.3, 0.2), (10, 30, 11.0, 0.015), (100, 400, 0.7, 5.0))
"""Epochs, steps of an epoch, first loss, last loss of each training."""


@cache
def signal_bank() -> MappingProxyType[str, np.ndarray]:
    """The values of every signal at points of four made-up trainings, their first and last steps among them.

    Within a training, epoch, progress and step belong together; the losses fall, stay or rise, with noise.
    """
    rng = generator("signal bank")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in SIGNALS}
    for epochs, steps_per_epoch, first_loss, last_loss in _TRAININGS:
        total = epochs * steps_per_epoch
        inner = np.unique(np.geomspace(1, total - 1, _POINTS - 1).round())
        step = np.concatenate([[0.0], inner])
        given = clock(step, np.full(len(step), total), steps_per_epoch)
        progress = given["progress"]
        trend = first_loss * (last_loss / first_loss) ** progress
        loss, val_loss = (trend * rng.lognormal(mean, spread, len(step)) for mean, spread in ((0.0, 0.2), (0.1, 0.1)))
        made_up = Example(
            step, progress, loss, val_loss, average=trend, lr=0.01 * (1 - progress), stale=step // steps_per_epoch
        )
        for name, values in columns.items():
            values.append(SIGNALS[name].example(made_up) if SIGNALS[name].live else given[name])
    return MappingProxyType({name: np.concatenate(values) for name, values in columns.items()})
