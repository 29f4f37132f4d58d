"""What the trainer needs to know of a problem, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer

_MAX_MESSAGE = 2_000  # characters of a failure
_BYTES, _PLACES = 1_000, 64  # of an outcome beside its curves; of a curve, where a function trains for few epochs

GREATEST_SCORE: Final = 1e100
"""The greatest magnitude of a score: a greater one is as an infinity, of a training that diverged. No statistic of those below overflows."""

Tree = Any
"""A pytree of arrays, as JAX understands it."""


def score_of(value: float) -> float:
    """A score as it counts: NaN, of a training that diverged, for what is not finite or beyond `GREATEST_SCORE`."""
    return value if abs(value) <= GREATEST_SCORE else float("nan")


@dataclass(frozen=True, slots=True)
class Task:
    """A network, its data and its loss, as pure functions and arrays.

    initial: seed → parameters before the first step.
    batches: (seed, epoch) → the epoch's batches, each array with a leading axis of steps_per_epoch. Together
        with `initial` and `drawn` this is all the luck there is in a run, so runs of one seed differ by schedule alone.
    loss: (parameters, batch, *drawn) → scalar training loss; traced by JAX.
    evaluate: (parameters, examples, *drawn) → (scalar loss, scalar score); traced by JAX.
    monitor: the examples that `evaluate` sees at each epoch's end; their loss is the signal `val_loss`.
    judge: the examples that give a training its score after the last epoch; None where the monitor gives it.
    drawn: seed → what else makes up the seed's task, if seeds differ by more than luck (a batch size, the scale of the
        inputs): trees of arrays, of the same shapes for each seed. They are not trained, and no norm counts them.
    """

    steps_per_epoch: int
    initial: Callable[[int], Tree]
    batches: Callable[[int, int], Tree]
    loss: Callable[..., Any]
    evaluate: Callable[..., tuple[Any, Any]]
    monitor: Tree
    judge: Tree | None = None
    drawn: Callable[[int], tuple[Tree, ...]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: a schedule and the seed of its initial weights and batch order.

    optimizer: that it trains by; the executor's own where None.
    """

    schedule: Schedule
    seed: int
    optimizer: Optimizer | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of a trial; e epochs. An epoch that a training that diverged did not finish holds NaN.

    score: on the judging examples after the last epoch; NaN where the training failed, and where it diverged, unless its problem
        scores that too, as a suite does.
    diverged_at: the epoch in which the loss was first not finite, None where it never was.
    train_loss: (e,) mean over the epoch's batches. val_loss, val_score: (e,) on the monitor's examples.
    learning_rate: (e,) mean over the epoch's steps.
    learning_rates: (e · steps_per_epoch,) of each step, where they were asked for. signals: with them, by name, (e,) the
        mean over the epoch's steps of each signal; 0 for those of the network that the schedule does not read.
    failure: why it failed, what the problem raised in it, say; None where it did not. All curves are NaN then.
    seconds: wall time of its training, where it trained in a process of its own; None where many train at once.

    Where a function of the user's trained, all is of what it told its schedule, and what it did not tell is NaN. A curve
    has then as many places an epoch as make it 32 or more, `learning_rates` and `signals` have 128 in the training.
    """

    score: float
    diverged_at: int | None
    train_loss: NDArray[np.float32]
    val_loss: NDArray[np.float32]
    val_score: NDArray[np.float32]
    learning_rate: NDArray[np.float32]
    learning_rates: NDArray[np.float32] | None = None
    signals: Mapping[str, NDArray[np.float32]] | None = None
    failure: str | None = None
    seconds: float | None = None

    @staticmethod
    def bytes_of(epochs: int, steps: int = 0) -> int:
        """The memory that an outcome takes, about. steps: whose learning rates are kept."""
        return _BYTES + 4 * (4 * max(epochs, _PLACES) + steps)

    @property
    def diverged(self) -> bool:
        return self.diverged_at is not None

    def over(self, epochs: int) -> Outcome:
        """The outcome as if its training had had so many epochs: each of its own stands for those that it makes up of the whole."""
        own = len(self.train_loss)
        if own == epochs:
            return self
        places = np.arange(epochs) * own // epochs
        first = None if self.diverged_at is None else -(-self.diverged_at * epochs // own)
        curves = {
            name: getattr(self, name)[places] for name in ("train_loss", "val_loss", "val_score", "learning_rate")
        }
        signals = None if self.signals is None else {name: values[places] for name, values in self.signals.items()}
        return replace(self, diverged_at=first, signals=signals, **curves)

    @classmethod
    def failed(cls, reason: Exception | str, epochs: int) -> Outcome:
        """The outcome of a trial that failed: by what the problem raised, or for a reason."""
        nothing = np.full(epochs, np.nan, np.float32)
        message = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        storable = message[:_MAX_MESSAGE].encode("utf-8", "backslashreplace").decode()  # no lone surrogates
        return cls(float("nan"), None, nothing, nothing, nothing, nothing, failure=storable)
