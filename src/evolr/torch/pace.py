"""How often a scheduler is stepped for an optimiser's steps: who steps it too often or too rarely is warned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import finalize, ref

from torch.compiler import is_compiling
from torch.optim import Optimizer

from evolr.loop import warn
from evolr.torch.hooks import stands_still, stepping

_ALIKE_EPOCHS: Final = 5  # epochs in a row of one optimiser step each
_ALIKE: Final = 3  # times in a row that a scheduler is stepped too often for an optimiser's step: not by a skipped one


class _StepCount:
    """How many steps an optimiser has taken; the optimiser calls it after each. It knows nobody."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, optimizer: Any, *_: Any) -> None:
        if not (is_compiling() or stands_still(optimizer)):
            self.steps += 1


class Pace:
    """How often a scheduler is stepped for an optimiser's steps, and whether that is how it was made.

    steps_per_epoch: as it was given. The first step after a beginning says nothing: a warm-up, or what sets up an
    optimiser's state, may have gone before.
    """

    def __init__(self, interval: str, steps_per_epoch: int | None) -> None:
        self._interval, self._steps_per_epoch = interval, steps_per_epoch
        self._is_warned = False
        self._count: _StepCount | None = None  # of an optimiser that tells its steps
        self._counted: Callable[[], Optimizer | None] = lambda: None
        self._forget()

    def _forget(self) -> None:
        self._seen = 0 if self._count is None else self._count.steps
        self._is_first = True
        self._alike = 0  # how often in a row it was stepped in the same wrong way
        self._idle = self._idle_before = 0  # scheduler steps since the latest optimiser step, and since the one before

    def begin(self, optimizer: Optimizer) -> None:
        """Counts from here on."""
        if self._counted() is not optimizer:
            self._count, self._counted = None, ref(optimizer)
            inner = stepping(optimizer)
            if hasattr(inner, "_optimizer_step_post_hooks"):  # not of what only looks like an optimiser
                self._count = _StepCount()
                finalize(self, inner.register_step_post_hook(self._count).remove).atexit = False
        self._forget()

    def is_behind(self) -> bool | None:
        """Whether the optimiser has taken the steps that one of the scheduler's stands for; None if nobody counts."""
        if self._count is None:
            return None
        span = 1 if self._interval == "step" else self._steps_per_epoch
        return None if span is None else self._count.steps - self._seen >= span

    def check(self, optimizer: Optimizer) -> None:
        """Takes up a step of the scheduler, and warns once if it is at another rate than it was made for."""
        if self._counted() is not optimizer:
            self.begin(optimizer)
        steps = 0 if self._count is None else self._count.steps
        taken, self._seen = steps - self._seen, steps
        message = self._by_step(taken) if self._interval == "step" else self._by_epoch(taken)
        self._is_first = False
        if message and not self._is_warned:
            self._is_warned = True
            warn(message)

    def _by_step(self, taken: int) -> str | None:
        are_epochs = self._steps_per_epoch == 1  # as was said: each step of its horizon is an epoch
        if taken > 1 and not self._is_first and not are_epochs:
            return (
                f"the scheduler was stepped after {taken} optimiser steps and decides on each: call its step() after "
                'each optimizer.step(), or make it with interval="epoch" and steps_per_epoch if it is stepped once an '
                'epoch; in Lightning return {"scheduler": scheduler, "interval": "step"}'
            )
        if taken == 0:
            self._idle += 1
            return None
        self._alike = self._alike + 1 if self._idle == self._idle_before > 0 else 0
        times, self._idle_before, self._idle = self._idle + 1, self._idle, 0
        if self._alike < _ALIKE:
            return None
        return (
            f"the scheduler is stepped {times} times for each optimiser step: call its step() once, after each "
            "optimizer.step(). Under accelerate leave it out of prepare(), or give total_steps and steps_per_epoch "
            "times the number of processes; where gradients are accumulated, step it with the optimiser"
        )

    def _by_epoch(self, taken: int) -> str | None:
        if self._steps_per_epoch is None and taken > 1 and not self._is_first:
            return (
                f'the scheduler has interval="epoch", {taken} optimiser steps were taken in one, and nobody said so: '
                f"give steps_per_epoch={taken}, or steps_per_epoch=1 if total_steps counts epochs"
            )
        self._alike = self._alike + 1 if taken == 1 else 0
        if (self._steps_per_epoch or 1) == 1 or self._alike < _ALIKE_EPOCHS:
            return None
        return (
            f'the scheduler has interval="epoch", with {self._steps_per_epoch} optimiser steps each, and is stepped '
            'after every one of them: make it with interval="step", or call its step() once an epoch'
        )

    def __getstate__(self) -> dict[str, Any]:
        """A copy counts the steps of an optimiser of its own."""
        return {**self.__dict__, "_count": None, "_counted": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _counted=lambda: None)
