"""A fixed bank of signals: the points at which two formulas are compared, to tell whether they are one function."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import MappingProxyType

import numpy as np

from evolr.randomness import generator
from evolr.signals import SIGNALS, Example, clock, made_up

_POINTS = 24  # of each training at most
_TRAININGS = ((10, 40, 2.3, 0.9), (30, 40, 2.3, 0.2), (10, 30, 11.0, 0.015), (100, 400, 0.7, 5.0))
"""Epochs, steps of an epoch, first loss, last loss of each training."""


Span = tuple[str, float, float]
"""A signal of the user's own, and between which values it lies."""


def spans_of(signals: Iterable[str]) -> tuple[Span, ...]:
    """The signals of the user's own among some, from 0 to 1, where nobody has said how they lie."""
    return tuple((name, 0.0, 1.0) for name in sorted(set(signals) - SIGNALS.keys()))


@cache
def signal_bank(own: tuple[Span, ...] = ()) -> MappingProxyType[str, np.ndarray]:
    """The values of every signal at points of four made-up trainings, their first and last steps among them.

    Within a training, epoch, progress and step belong together; the losses fall, stay or rise, with noise.
    own: the signals of the user's own that are to be among them.
    """
    rng = generator("signal bank")
    spans = {name: (low, high) for name, low, high in own}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*SIGNALS, *spans)}
    for epochs, steps_per_epoch, first_loss, last_loss in _TRAININGS:
        total = epochs * steps_per_epoch
        inner = np.unique(np.geomspace(1, total - 1, _POINTS - 1).round())
        step = np.concatenate([[0.0], inner])
        given = clock(step, np.full(len(step), total), steps_per_epoch)
        progress = given["progress"]
        trend = first_loss * (last_loss / first_loss) ** progress
        loss, val_loss = (trend * rng.lognormal(mean, spread, len(step)) for mean, spread in ((0.0, 0.2), (0.1, 0.1)))
        training = Example(
            step, progress, loss, val_loss, average=trend, lr=0.01 * (1 - progress), stale=step // steps_per_epoch
        )
        for name, values in columns.items():
            values.append(given[name] if name in given else made_up(name, training, spans.get(name, (0.0, 1.0))))
    return MappingProxyType({name: np.concatenate(values) for name, values in columns.items()})
