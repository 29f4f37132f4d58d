"""What a schedule does, as numbers: formulas are near each other if their learning rates are, whatever their text."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.schedule import Schedule
from evolr.signal_bank import Span
from evolr.signals import SIGNALS, Example, clock, made_up

_POINTS: Final = 24  # of each training, evenly
_TRAININGS: Final = ((20, 50, 2.3, 0.9), (20, 50, 2.3, 0.1), (20, 50, 0.7, 0.05))
"""Epochs, steps of an epoch, first loss, last loss of each made-up training."""

_WAVES: Final = 8  # cosines that a shape is written in
_FLOOR: Final = 1e-3  # of the mean: what is below is as good as nothing

LEVEL: Final = 1
"""How many of the numbers are the level; the shape's and the feedback's follow."""

SHAPE: Final = _WAVES
FEEDBACK: Final = len(_TRAININGS)


@cache
def _trainings(own: tuple[Span, ...]) -> MappingProxyType[str, NDArray[np.float64]]:
    """The values of every signal along the made-up trainings, each (trainings, points)."""
    spans = {name: (low, high) for name, low, high in own}
    rows: dict[str, list[NDArray[np.float64]]] = {}
    for epochs, steps_per_epoch, first_loss, last_loss in _TRAININGS:
        total = epochs * steps_per_epoch
        step = np.round((np.arange(_POINTS) + 0.5) / _POINTS * total)
        given = clock(step, np.full(len(step), total), steps_per_epoch)
        progress = given["progress"]
        trend = first_loss * (last_loss / first_loss) ** progress
        training = Example(
            step, progress, trend, trend, average=trend, lr=0.01 * (1 - progress), stale=np.zeros_like(step)
        )
        for name in (*SIGNALS, *spans):
            value = given[name] if name in given else made_up(name, training, spans.get(name, (0.0, 1.0)))
            rows.setdefault(name, []).append(np.broadcast_to(np.asarray(value, np.float64), step.shape))
    return MappingProxyType({name: np.stack(values) for name, values in rows.items()})


def behaviour(schedule: Schedule, own: tuple[Span, ...] = ()) -> NDArray[np.float64]:
    """A schedule's learning rates along made-up trainings, shape (LEVEL + SHAPE + FEEDBACK,), in decades.

    The level is log₁₀ of the mean learning rate; the shape, in the first cosines over progress, is what it is to that mean;
    the feedback is how far the level of each training is from that of all.
    """
    values = _trainings(own)
    rates = np.broadcast_to(schedule(**{name: values[name] for name in schedule.signals}), (FEEDBACK, _POINTS))
    means = np.maximum(rates.mean(axis=1), 1e-12)
    level = np.log10(means)
    shape = np.log10(rates / means[:, None] + _FLOOR).mean(axis=0)
    return np.concatenate([[level.mean()], (_waves() * shape).sum(axis=1), level - level.mean()])


@cache
def _waves() -> NDArray[np.float64]:
    """The first cosines over progress, (waves, points): their sum of squares is a shape's mean square."""
    k, place = np.arange(_WAVES)[:, None], (np.arange(_POINTS) + 0.5) / _POINTS
    return np.cos(np.pi * k * place) * np.where(k == 0, 1.0, np.sqrt(2.0)) / _POINTS
