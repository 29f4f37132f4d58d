"""What a user's training function told its schedule and was answered, in short."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

PLACES: Final = 128
"""Places of a training, evenly spaced, at which its steps are kept where they are asked for."""

_LEAST_PLACES: Final = 32  # of a curve
_MOST_KEPT: Final = 1 << 14  # calls of a training


_Call = tuple[float | None, float, Mapping[str, float]]
"""How far the training was, where that was told; what was answered; what was told."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is kept of a training: an Outcome's curves over equal parts of it, NaN where nothing was told.

    rates, signals: the learning rate and each signal at PLACES places, where steps were asked for.
    """

    train_loss: Sequence[float]
    val_loss: Sequence[float]
    val_score: Sequence[float]
    learning_rate: Sequence[float]
    rates: Sequence[float] | None = None
    signals: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])


class Calls:
    """A schedule's calls in a training: every one, or, of very many, every second, fourth, …

    keep_steps: whether single calls are wanted, and not the curves alone.
    """

    def __init__(self, *, keep_steps: bool = False) -> None:
        self._keep_steps = keep_steps
        self._kept: list[_Call] = []
        self._count, self._stride = 0, 1

    def add(self, rate: float, signals: Mapping[str, float], progress: float | None) -> None:
        """One more call: its answer, what it was told, and how far the training was, where that was told."""
        if self._count % self._stride == 0:
            self._kept.append((progress, rate, signals))
        self._count += 1
        if len(self._kept) == _MOST_KEPT:
            self._kept, self._stride = self._kept[::2], 2 * self._stride

    def recording(self, epochs: int) -> Recording:
        """What is kept of a training of so many epochs.

        A call's place is in progress, if every call told one from 0 to 1, none less than the one before; in the number of the
        call otherwise. Its answer holds until the next. A validation is told to the calls after it, so that the last one is unknown.
        """
        an_epoch, places = _places_an_epoch(epochs), places_of(epochs)
        if not self._kept:
            unknown = [math.nan] * places
            return Recording(unknown, unknown, unknown, unknown)
        at = [progress for progress, *_ in self._kept if progress is not None]
        if len(at) < len(self._kept) or not all(0 <= progress <= 1 for progress in at) or at != sorted(at):
            at = [number / len(self._kept) for number in range(len(self._kept))]
        bounds = [bisect_left(at, place / places) for place in range(places)] + [len(at)]
        parts = self._parts(bounds)
        later = parts[an_epoch if epochs > 1 else 1 :]
        unknown = [math.nan] * (places - len(later))
        curves = Recording(
            train_loss=[part.loss for part in parts],
            val_loss=[part.val_loss for part in later] + unknown,
            val_score=[part.val_score for part in later] + unknown,
            learning_rate=[part.rate for part in parts],
        )
        if not self._keep_steps:
            return curves
        names = set.intersection(*(set(signals) for *_, signals in self._kept))
        chosen = [self._kept[max(bisect_right(at, place / PLACES) - 1, 0)] for place in range(PLACES)]
        told = {name: [signals[name] for *_, signals in chosen] for name in sorted(names)}
        return replace(curves, rates=[rate for _, rate, _ in chosen], signals=told)

    def _parts(self, bounds: Sequence[int]) -> list[_Part]:
        """What the calls between each two bounds say together; where there are none, the last one before them."""
        parts: list[_Part] = []
        held: _Part | None = None  # of the call before, as long as no other comes
        for begin, end in pairwise(bounds):
            if begin < end:
                parts.append(_part(self._kept[begin:end]))
                held = None
            else:
                held = held or _part(self._kept[max(end - 1, 0) : end])
                parts.append(held)
        return parts


class _Part(NamedTuple):
    """A part of a training: means of loss and learning rate, the last validation told; NaN for what nobody told."""

    loss: float
    val_loss: float
    val_score: float
    rate: float


def _part(calls: Sequence[_Call]) -> _Part:
    def told(name: str) -> list[float]:
        return [signals[name] for *_, signals in calls if name in signals]

    return _Part(
        _mean(told("loss")), _last(told("val_loss")), _last(told("val_score")), _mean([rate for _, rate, _ in calls])
    )


def _mean(values: Sequence[float]) -> float:
    if not values or not all(map(math.isfinite, values)):
        return math.nan
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # their sum is beyond the greatest number, their mean is not
        return math.fsum(value / len(values) for value in values)


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else math.nan


def places_of(epochs: int) -> int:
    """The places of a curve of a training of so many epochs that a function of the user's trained."""
    return _places_an_epoch(epochs) * epochs


def _places_an_epoch(epochs: int) -> int:
    return math.ceil(_LEAST_PLACES / epochs)
