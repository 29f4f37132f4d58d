"""The signals: each is a row here, and stands nowhere else.

The order of the table numbers the signals of packed programs; it only ever grows at its end. An observation is what a
training tells or shows; a framework's adapter measures those of the gradient, the update and the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from evolr.signals.plateau import FIRST, STALE_THRESHOLD, PlateauCounts
from evolr.signals.rules import (
    EMA_DECAY,
    SMALL_START,
    LeastAverage,
    RootOfSquares,
    averaged,
    counted,
    first_finite,
    greatest,
    latest,
    latest_finite,
    least_average,
    root_of_squares,
)
from evolr.signals.signal import (
    CLOCK_SOURCE,
    OWN_OBSERVATION,
    OWN_SOURCE,
    USER_SOURCE,
    Example,
    Observation,
    Signal,
)

_STEP: Final = "after each optimiser step"
_NETWORK: Final = "of the untrained network on the first batch"

_OBSERVATIONS = (
    Observation("loss", "training loss", f"that {_NETWORK} (about ln(classes) for a classifier)", _STEP),
    Observation("val_loss", "validation loss", "of the untrained network", "after each validation", True),
    Observation("val_score", "score", "of the untrained network", "after each validation", True),
    Observation("grad_norm", "gradient", f"the norm of the gradient {_NETWORK}", _STEP),
    Observation("update_norm", "update", "nothing", _STEP),
    Observation("weight_norm", "weights", "the norm of the untrained network's weights", _STEP),
    Observation("distance", "weights", "nothing", _STEP),
    Observation("alignment", "update", "nothing", _STEP),
    Observation(OWN_OBSERVATION, OWN_SOURCE, "nothing", _STEP),
)
OBSERVATIONS: Final = {o.name: o for o in _OBSERVATIONS}
"""What a training tells or shows, by name."""


def _epoch(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return step // steps_per_epoch


def _progress(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return step / total_steps


def _step(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return step


def _epoch_progress(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return step % steps_per_epoch / steps_per_epoch


def _total_steps(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return total_steps


def _total_epochs(step: Any, total_steps: Any, steps_per_epoch: Any) -> Any:
    return -(-total_steps // steps_per_epoch)


def _as_told(value: Any) -> Any:
    return value


def _first_least(value: Any) -> LeastAverage:
    return LeastAverage(value, value)


def _first_root(value: Any) -> RootOfSquares:
    return RootOfSquares(value, 0.0)


def _root(memory: RootOfSquares) -> Any:
    return memory.root


def _small_start(weight_norm: Any) -> Any:
    return SMALL_START * (1 + weight_norm)


def _zero(value: None) -> float:
    return 0.0


def _no_counts(value: None) -> PlateauCounts:
    return PlateauCounts(*FIRST)


def _stale_epochs(counts: PlateauCounts) -> Any:
    return counts.stale_epochs


def _plateaus(counts: PlateauCounts) -> Any:
    return counts.plateaus


def _least(memory: LeastAverage) -> Any:
    return memory.least


def _made_up_norm(e: Example) -> Any:
    return 2 * e.average**0.5 * (1 + 0.3 * np.sin(2.4 * e.step))


_TABLE = (
    Signal(
        "epoch",
        "epochs finished so far: 0 in the first, constant within an epoch",
        CLOCK_SOURCE,
        _epoch,
        needs_epochs=True,
    ),
    Signal(
        "loss",
        "training loss of the previous batch; at the first, of the untrained network on it",
        "loss",
        _as_told,
        latest,
        begins_with="loss",
        may_be_negative=True,
        example=lambda e: e.loss,
    ),
    Signal(
        "val_loss",
        "validation loss at the end of the previous epoch; at first, of the untrained network",
        "val_loss",
        _as_told,
        latest,
        begins_with="val_loss",
        may_be_negative=True,
        example=lambda e: e.val_loss,
    ),
    Signal("progress", "step ÷ total steps, in [0, 1)", CLOCK_SOURCE, _progress, high=1.0),
    Signal("step", "steps finished so far", CLOCK_SOURCE, _step),
    Signal(
        "epoch_progress",
        "steps finished in this epoch ÷ steps of an epoch, in [0, 1)",
        CLOCK_SOURCE,
        _epoch_progress,
        needs_epochs=True,
        high=1.0,
    ),
    Signal(
        OWN_OBSERVATION,
        "learning rate of the previous step; 0 before the first",
        OWN_OBSERVATION,
        _zero,
        latest,
        example=lambda e: e.lr,
    ),
    Signal(
        "stale_epochs",
        f"epochs since val_loss was last below its best by more than {STALE_THRESHOLD:g} of it, or by the schedule's own "
        "threshold; 0 in the first two",
        "val_loss",
        _no_counts,
        counted,
        _stale_epochs,
        needs_epochs=True,
        needs_plateau=True,
        example=lambda e: e.stale % 4,
    ),
    Signal(
        "loss_ema",
        f"exponential moving average of loss, decay {EMA_DECAY:g} a step; begins as loss does",
        "loss",
        _as_told,
        averaged,
        begins_with="loss",
        may_be_negative=True,
        example=lambda e: e.average,
    ),
    Signal("total_steps", "steps of the whole training", CLOCK_SOURCE, _total_steps, low=1.0),
    Signal(
        "total_epochs",
        "epochs of the whole training; one that is begun counts",
        CLOCK_SOURCE,
        _total_epochs,
        needs_epochs=True,
        low=1.0,
    ),
    Signal(
        "plateaus",
        "how often stale_epochs has gone beyond the schedule's patience, 10 if it has none of its own, counted as torch's "
        "ReduceLROnPlateau counts",
        "val_loss",
        _no_counts,
        counted,
        _plateaus,
        needs_epochs=True,
        needs_plateau=True,
        example=lambda e: e.stale // 4,
    ),
    Signal(
        "first_loss",
        "training loss of the untrained network on the first batch",
        "loss",
        _as_told,
        first_finite,
        begins_with="loss",
        may_be_negative=True,
        example=lambda e: 0 * e.step + e.average[0],
    ),
    Signal(
        "best_loss",
        "the least loss_ema so far",
        "loss",
        _first_least,
        least_average,
        _least,
        begins_with="loss",
        may_be_negative=True,
        example=lambda e: np.minimum.accumulate(e.average),
    ),
    Signal(
        "val_score",
        "metric on the validation examples at the end of the previous epoch; at first, of the untrained network",
        "val_score",
        _as_told,
        latest,
        begins_with="val_score",
        low=-np.inf,
        example=lambda e: 1 / (1 + e.val_loss),
    ),
    Signal(
        "grad_norm",
        "L2 norm of the gradient of the previous batch, before clipping; at the first, of the untrained network on it",
        "grad_norm",
        _as_told,
        latest_finite,
        begins_with="grad_norm",
        example=_made_up_norm,
    ),
    Signal(
        "grad_norm_ema",
        f"exponential moving average of grad_norm, decay {EMA_DECAY:g} a step; begins as grad_norm does",
        "grad_norm",
        _as_told,
        averaged,
        begins_with="grad_norm",
        example=lambda e: 2 * e.average**0.5,
    ),
    Signal(
        "grad_norm_rss",
        "root of the sum of the squares of grad_norm so far, over the steps taken; at the first, grad_norm itself",
        "grad_norm",
        _first_root,
        root_of_squares,
        _root,
        begins_with="grad_norm",
        example=lambda e: 2 * (e.average * (1 + e.step)) ** 0.5,
    ),
    Signal(
        "update_norm",
        "L2 norm of the optimiser's previous direction, before the learning rate; at the first, of the first gradient; "
        "a step with learning rate 0 leaves it",
        "update_norm",
        _as_told,
        latest_finite,
        begins_with="grad_norm",
        example=lambda e: 3 * e.val_loss**0.5 * (1 - 0.2 * np.cos(1.7 * e.step)),
    ),
    Signal(
        "weight_norm",
        "L2 norm of the weights",
        "weight_norm",
        _as_told,
        latest_finite,
        begins_with="weight_norm",
        example=lambda e: 7 + 4 * e.progress,
    ),
    Signal(
        "distance",
        f"greatest L2 distance of the weights from the initial ones so far, at first {SMALL_START:g}·(1 + weight_norm)",
        "distance",
        _small_start,
        greatest,
        begins_with="weight_norm",
        example=lambda e: 8e-6 + 5 * e.progress**0.5,
    ),
    Signal(
        "alignment",
        "cosine of the previous batch's gradient with the optimiser's direction before it, in [-1, 1]; 0 in the first two "
        "steps",
        "alignment",
        _zero,
        latest_finite,
        low=-1.0,
        high=1.0,
        example=lambda e: 0.8 * np.cos(1.3 * e.step) * (1 - 0.5 * e.progress),
    ),
)

_ROWS: Final = {signal.name: signal for signal in _TABLE}
SIGNALS: Final = MappingProxyType(_ROWS)
"""The signals by name."""

POWERS: Final = MappingProxyType(
    {
        **dict.fromkeys(("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm"), -0.25),
        "weight_norm": 0.5,
        "distance": 0.1,
        "loss_ema": 0.1,
    }
)
"""The signals of which a product of powers is made that a search begins with, and what each power is there. Those of gradients,
if a search has all four, add up to −1: a step then is as long whatever the gradient's scale. The unit of a learning rate is
weight²/loss, so it grows with the weights."""

CLOCK: Final = tuple(name for name, signal in SIGNALS.items() if not signal.live)
"""The signals that follow from the number of the step; all others are told by the training."""

CORE_SIGNALS: Final = ("epoch", "loss", "val_loss")
"""The signals of the first experiment."""


def signal_named(name: str) -> Signal:
    """The row of a signal; of a name that the table does not have, that of a user's own signal."""
    return SIGNALS[name] if name in SIGNALS else own_signal(name)


def observation_named(name: str) -> Observation:
    """What a training tells under a name; a user's own if the table does not have it."""
    return OBSERVATIONS[name] if name in OBSERVATIONS else Observation(name, USER_SOURCE, "its first value", _STEP)


def own_signal(name: str) -> Signal:
    """The row of a user's own signal: the latest value that was told under its name."""
    return Signal(name, "a signal of your own", name, _as_told, latest, begins_with=name, low=float("-inf"))


def in_order(names: Iterable[str]) -> list[str]:
    """Signals in the table's order, a user's own after them by name."""
    wanted = set(names)
    return [name for name in SIGNALS if name in wanted] + sorted(wanted - SIGNALS.keys())


def made_up(name: str, training: Example, span: tuple[float, float] = (0.0, 1.0)) -> Any:
    """What a live signal is in a made-up training. span: where the values of one of the user's own lie."""
    if name in SIGNALS:
        return SIGNALS[name].example(training)
    low, high = span
    phase = sum(name.encode())  # so that two signals of the user's own are not one
    return low + (high - low) * (0.5 + 0.5 * np.sin(phase + 2.1 * training.step))
