"""When a validation loss stops to fall: the one rule behind the signals that count its stale epochs.

It is the rule of torch.optim.lr_scheduler.ReduceLROnPlateau, written once for Python's floats and for traced arrays:
what chooses between two values is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from evolr.expression.signals import STALE_THRESHOLD

FIRST: Final = (float("inf"), 0, 0, 0, 0)
"""The counts before the first validation."""


class PlateauRule(NamedTuple):
    """What counts as an improvement and how long to wait for one, as numbers, or as arrays of one each schedule.

    patience: epochs without an improvement that a plateau has to exceed. threshold: by how much a value has to be below
    the best; a part of the best's magnitude if is_relative, or else absolute. sign: 1 for a value that is to fall, -1
    for one that is to grow. cooldown: epochs after a plateau that do not count.
    """

    patience: Any = 10
    threshold: Any = STALE_THRESHOLD
    is_relative: Any = True
    sign: Any = 1
    cooldown: Any = 0


class PlateauCounts(NamedTuple):
    """What a training remembers of its validations.

    best_val_loss: the least value so far, times the rule's sign; later ones have to be below it by its threshold.
    stale_epochs: since it was found. bad_epochs: of these, those that count towards the next plateau. cooldown_left:
    epochs that will not count. plateaus: how many there were.
    """

    best_val_loss: Any
    stale_epochs: Any
    bad_epochs: Any
    cooldown_left: Any
    plateaus: Any


def either(condition: bool, first: Any, second: Any) -> Any:
    """One of two values; `jnp.where` is that of arrays."""
    return first if condition else second


def validated(
    counts: PlateauCounts, value: Any, epochs: Any, rule: PlateauRule, choose: Callable[..., Any] = either
) -> PlateauCounts:
    """The counts after a validation.

    value: what it told, a loss or another number. epochs: how many it stands for, at least 1; those without a
    validation of their own are counted with the next. A value that is no number is no improvement.

    A relative threshold is a part of the best value's magnitude, so that of two negative losses only a lesser one is
    better; in torch it is a part of the value, which makes an equal loss below zero an improvement.
    """
    value, best = rule.sign * value, counts.best_val_loss
    part = choose(best < 0, 1 + rule.threshold, 1 - rule.threshold)
    is_better = value < choose(rule.is_relative, best * part, best - rule.threshold)
    cools = counts.cooldown_left > 0
    bad_epochs = choose(is_better, 0, choose(cools, 0, counts.bad_epochs + epochs))
    is_plateau = bad_epochs > rule.patience
    cooldown_left = choose(counts.cooldown_left > epochs, counts.cooldown_left - epochs, 0)
    return PlateauCounts(
        best_val_loss=choose(is_better, value, best),
        stale_epochs=choose(is_better, 0, counts.stale_epochs + epochs),
        bad_epochs=choose(is_plateau, 0, bad_epochs),
        cooldown_left=choose(is_plateau, rule.cooldown, cooldown_left),
        plateaus=counts.plateaus + choose(is_plateau, 1, 0),
    )
