"""The arithmetic of the signals: how each remembers what it is told.

Each function takes (memory, told value, moment, operations). A value that is not finite, of a skipped step or of a loss
that is NaN, changes no average, sum or extreme: they go on with the next one that is.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from evolr.signals.plateau import PlateauCounts, validated
from evolr.signals.signal import Moment, Operations

EMA_DECAY: Final = 0.95  # a step, of moving averages
SMALL_START: Final = 1e-6  # of DoG: the first distance, in parts of 1 + the norm of the initial weights


class LeastAverage(NamedTuple):
    """The least moving average so far, and the moving average."""

    least: Any
    average: Any


class RootOfSquares(NamedTuple):
    """The root of a sum of squares, and the sum; before the first step the first value, and nothing."""

    root: Any
    total: Any


def latest(memory: Any, value: Any, moment: Moment, ops: Operations) -> Any:
    """The value as it was told, whatever it is."""
    return value


def latest_finite(memory: Any, value: Any, moment: Moment, ops: Operations) -> Any:
    """The latest value that is finite."""
    return ops.where(ops.isfinite(value), value, memory)


def first_finite(memory: Any, value: Any, moment: Moment, ops: Operations) -> Any:
    """The first value that is finite."""
    return ops.where(ops.isfinite(memory), memory, value)


def averaged(average: Any, value: Any, moment: Moment, ops: Operations) -> Any:
    """The exponential moving average, EMA_DECAY a step."""
    kept = EMA_DECAY**moment.steps
    before = ops.where(ops.isfinite(average), average, value)
    return ops.where(ops.isfinite(value), kept * before + (1 - kept) * value, average)


def least_average(memory: LeastAverage, value: Any, moment: Moment, ops: Operations) -> LeastAverage:
    """The least of the moving averages so far."""
    average = averaged(memory.average, value, moment, ops)
    return LeastAverage(ops.where(memory.least <= average, memory.least, average), average)


def root_of_squares(memory: RootOfSquares, value: Any, moment: Moment, ops: Operations) -> RootOfSquares:
    """The root of the sum of the squares so far; what was shown before the first step is told again with it."""
    total = memory.total + moment.steps * value * value
    total = ops.where(ops.isfinite(total), total, memory.total)
    return RootOfSquares(ops.where(total > 0, ops.sqrt(total), memory.root), total)


def greatest(memory: Any, value: Any, moment: Moment, ops: Operations) -> Any:
    """The greatest finite value so far."""
    larger = ops.where(value > memory, value, memory)
    return ops.where(ops.isfinite(larger), larger, memory)


def counted(counts: PlateauCounts, value: Any, moment: Moment, ops: Operations) -> PlateauCounts:
    """The counts after a validation, the first after an epoch's end; after another one as they were."""
    after = validated(counts, value, moment.epochs, moment.plateau, ops.where)
    parts = zip(after, counts, strict=True)
    return PlateauCounts(*(ops.where(moment.epochs > 0, new, old) for new, old in parts))
