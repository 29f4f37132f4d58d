"""What the Keras callback needs of an optimiser: its learning rates, what others make of them, its count of steps."""

from __future__ import annotations

from typing import Any

import keras

from evolr.errors import ScheduleError
from evolr.loop import warn


class OptimizerRates:
    """The learning rates of an optimiser as a schedule sets them, what others make of them, and its count of steps.

    optimizer: any of Keras'; of a MultiOptimizer, those within it. factors: what others had made of each learning rate
        before; none if empty.
    Raises ScheduleError for a learning rate that cannot be set.
    """

    def __init__(self, optimizer: Any, factors: list[float]) -> None:
        self.optimizer = optimizer
        self._inner = innermost(optimizer)
        self._parts = list(getattr(self._inner, "optimizers", [self._inner]))
        if not self._parts or not all(isinstance(part.learning_rate, keras.Variable) for part in self._parts):
            raise ScheduleError(
                "the callback sets the optimiser's learning rate, which must be a number for that: construct it as "
                "Adam(0.001), without a LearningRateSchedule or a function, and build a MultiOptimizer first"
            )
        accumulations = {part.gradient_accumulation_steps or 1 for part in self._parts}
        if len(accumulations) > 1:
            raise ScheduleError(
                "the optimisers of a MultiOptimizer must have the same gradient_accumulation_steps, got "
                f"{', '.join(map(str, sorted(accumulations)))}"
            )
        self.accumulation: int = accumulations.pop()
        self.factors = factors if len(factors) == len(self._parts) else [1.0] * len(self._parts)
        self.has_written = False
        self._ratios = [1.0] * len(self._parts)
        self._own: list[float] | None = None  # what the schedule wanted last, without the factors
        self._held = self._read()  # what the optimiser was last seen to hold
        self.batches = self.count()  # whose gradients it had taken when it was last looked at

    @property
    def steps(self) -> int:
        """The steps that it had taken when it was last looked at: one after each `accumulation` batches."""
        return self.batches // self.accumulation

    def has_moved(self) -> bool:
        """Looks at its count: whether it has taken batches, or was set back, since it was last looked at."""
        before, self.batches = self.batches, self.count()
        return self.batches != before

    def was_set_back(self) -> bool:
        """Whether its count is lower than when it was last looked at: an earlier state was loaded."""
        return self.count() < self.batches

    def forget(self) -> None:
        """Its state was loaded, or others trained it: the learning rates that it holds are no change of anybody's."""
        self._own, self._held = None, self._read()

    def write(self, rate: float) -> None:
        """Sets the learning rates, the greatest to `rate`, times the factors that others have made."""
        now = self._read()
        if not self.has_written:
            if now != self._held:
                warn(
                    f"something else has set the learning rate to {max(now):g} before the first step: if that is a "
                    "LearningRateScheduler or the like, let only one of the two say the learning rate. The schedule "
                    "sets it now; later changes multiply what it says"
                )
            greatest = max(now)
            self._ratios = [each / greatest if greatest > 0 else 1.0 for each in now]
        elif self._own is not None:
            seen = zip(self.factors, now, self._held, self._own, strict=True)
            self.factors = [factor if n == held or not own else n / own for factor, n, held, own in seen]
        self._own = [rate * ratio for ratio in self._ratios]
        for part, held in zip(self._parts, self.of(rate), strict=True):
            part.learning_rate = held
        self._held, self.has_written = self._read(), True

    def of(self, rate: float) -> list[float]:
        """What `write` makes of the schedule's learning rate, for each optimiser."""
        return [rate * ratio * factor for ratio, factor in zip(self._ratios, self.factors, strict=True)]

    def take_up(self, rate: float) -> None:
        """The optimiser was given `of(rate)` within its step: that is the schedule's doing, and nobody else's."""
        self._own, self._held = [rate * ratio for ratio in self._ratios], self._read()

    def logs(self) -> dict[str, float]:
        """The learning rates as last set, by the names under which Keras' own callbacks log them."""
        if len(self._parts) == 1 and self._parts[0] is self._inner:
            return {"learning_rate": self._held[0]}
        return {f"learning_rate_{part.name}": held for part, held in zip(self._parts, self._held, strict=True)}

    def count(self) -> int:
        """The batches whose gradients it has taken by now."""
        return int(self._inner._iterations)

    def _read(self) -> list[float]:
        return [float(part.learning_rate) for part in self._parts]


def innermost(optimizer: Any) -> Any:
    """The optimiser that takes the steps, inside of those that are around it."""
    while (inner := getattr(optimizer, "inner_optimizer", None)) is not None:
        optimizer = inner
    return optimizer
