"""What a signal is: a scalar that a training shows its schedule at each step, defined once for all back ends.

A rule's arithmetic is written with `Operations`, so that Python's floats, NumPy and JAX run the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

CLOCK_SOURCE: Final = "clock"
OWN_SOURCE: Final = "own"
OWN_OBSERVATION: Final = "lr"
"""What a schedule sees of itself: the learning rate that it gave."""
USER_SOURCE: Final = "signal of your own"


class Operations(NamedTuple):
    """The operations that rules are made of, beside + − · and comparisons."""

    where: Callable[..., Any]
    isfinite: Callable[..., Any]
    sqrt: Callable[..., Any]


def either(condition: bool, first: Any, second: Any) -> Any:
    """One of two values; `jnp.where` is that of arrays."""
    return first if condition else second


FLOATS: Final = Operations(either, math.isfinite, math.sqrt)


class Moment(NamedTuple):
    """What a rule has to know beside what is told.

    steps: optimiser steps that it stands for. epochs: of a validation, the epochs that it stands for; 0 for one that is
    not the first after an epoch's end. plateau: what is a plateau to the schedule.
    """

    steps: Any = 1
    epochs: Any = 1
    plateau: Any = None


class Observation(NamedTuple):
    """What a training tells or shows, of which signals are made.

    source: `training loss`, `validation loss`, `score`, `gradient`, `update`, `weights`, `own` or
    `signal of your own`. first: what is told of it before the first step, in words. how: how a loop tells it.
    """

    name: str
    source: str
    first: str
    how: str
    is_of_validation: bool = False

    @property
    def is_measured(self) -> bool:
        """Whether it is a number of the network itself, that an adapter measures."""
        return self.source in ("gradient", "update", "weights")


class Example(NamedTuple):
    """A made-up training at some of its steps, arrays (n,); what a signal's example is made of.

    loss, val_loss: with noise, or without. average: the loss without noise. stale: epochs without a better one.
    """

    step: Any
    progress: Any
    loss: Any
    val_loss: Any
    average: Any
    lr: Any
    stale: Any


def _nothing(*_: Any) -> Any:
    raise TypeError("a signal of the clock has no memory, and one of the user's own no example")


class Signal(NamedTuple):
    """A signal. Its memory is a number, or a tuple of numbers.

    name, meaning: for people. of: the observation that it follows; `clock` for one that follows from the number of
    the step alone. first: (told value) → its memory before the first step; for the clock (step, total_steps,
    steps_per_epoch) → its value. after: (memory, told value, moment, operations) → its memory after the observation
    was told again. value: memory → what a schedule reads. begins_with: the observation whose value `first` is
    given, None for none.
    needs_epochs: whether it depends on the steps of an epoch. needs_plateau: whether on what is a plateau.
    low, high: where its values lie. may_be_negative: whether some trainings tell values below all the same, of a loss
    that is a log-likelihood, say. example: made-up values for comparing formulas.
    """

    name: str
    meaning: str
    of: str
    first: Callable[..., Any]
    after: Callable[..., Any] = _nothing
    value: Callable[[Any], Any] | None = None
    begins_with: str | None = None
    needs_epochs: bool = False
    needs_plateau: bool = False
    low: float = 0.0
    high: float = math.inf
    may_be_negative: bool = False
    example: Callable[[Example], Any] = _nothing

    @property
    def live(self) -> bool:
        """Whether its value depends on how the training goes. A schedule without a live signal is open-loop: its whole
        curve is known before the training starts.
        """
        return self.of != CLOCK_SOURCE

    @property
    def can_be_negative(self) -> bool:
        """Whether a training may tell a value below 0, a loss that is a log-likelihood, say."""
        return self.may_be_negative or self.low < 0


Told = Mapping[str, Any]
