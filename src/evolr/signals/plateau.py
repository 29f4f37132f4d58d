"""When a validation loss stops to fall: the one rule behind the signals that count its stale epochs.

It is the rule of torch.optim.lr_scheduler.ReduceLROnPlateau, written once for Python's floats and for traced arrays:
what chooses between two values is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Final, Literal, NamedTuple

import msgspec

from evolr.errors import ScheduleError, is_finite, is_number, printable, shortened, shown, unknown_name
from evolr.signals.signal import either

STALE_THRESHOLD: Final = 1e-4  # relative; ReduceLROnPlateau's own
_MOST_EPOCHS: Final = 1_000_000_000
_MODES: Final = {"mode": ("min", "max"), "threshold_mode": ("rel", "abs")}

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


class Plateau(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a schedule takes for a plateau, as torch's ReduceLROnPlateau does; its defaults too.

    patience: a plateau is when the told value has not improved for more than so many epochs, at least 0.
    threshold: by how much it has to beat the best to be an improvement, at least 0. threshold_mode: `rel`, a part of the
        best's magnitude, below 1; `abs`, the difference itself.
    mode: `min` for a value that is to fall, `max` for one that is to grow, such as an accuracy told as val_loss=.
    cooldown: epochs after a plateau that do not count towards the next, at least 0.

    Raises ScheduleError for values out of these ranges.
    """

    patience: int = 10
    threshold: float = STALE_THRESHOLD
    threshold_mode: Literal["rel", "abs"] = "rel"
    mode: Literal["min", "max"] = "min"
    cooldown: int = 0

    def __post_init__(self) -> None:
        for name in ("patience", "cooldown"):
            count: Any = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, Integral) or not 0 <= int(count) <= _MOST_EPOCHS:
                raise ScheduleError(f"{name} is a whole number of epochs, 0 … {_MOST_EPOCHS:,}, got {shown(count)}")
            msgspec.structs.force_setattr(self, name, int(count))
        for name, known in _MODES.items():
            given: Any = getattr(self, name)
            if not isinstance(given, str) or given not in known:
                raise ScheduleError(f"{name} is {' or '.join(map(repr, known))}, got {shown(given)}")
        threshold: Any = self.threshold
        if not is_number(threshold):
            raise ScheduleError(f"threshold is a number, got {shown(threshold)}")
        if not (is_finite(threshold) and threshold >= 0) or (self.threshold_mode == "rel" and threshold >= 1):
            raise ScheduleError(f"threshold is at least 0, and below 1 if it is relative, got {shown(threshold)}")
        msgspec.structs.force_setattr(self, "threshold", float(threshold))

    @property
    def rule(self) -> PlateauRule:
        """The settings as numbers."""
        sign = -1 if self.mode == "max" else 1
        return PlateauRule(self.patience, float(self.threshold), self.threshold_mode == "rel", sign, self.cooldown)

    @property
    def text(self) -> str:
        """The settings as `read_plateau` takes them."""
        return ",".join(f"{name}={getattr(self, name)}" for name in self.__struct_fields__)


_EXPECTED: Final = {
    "patience": "a whole number",
    "cooldown": "a whole number",
    "threshold": "a number",
    "threshold_mode": "rel or abs",
    "mode": "min or max",
}


def read_plateau(text: str) -> Plateau:
    """The settings of a text, `name=value` between commas; the defaults for what it does not name.

    >>> read_plateau("patience=3,cooldown=2").rule
    PlateauRule(patience=3, threshold=0.0001, is_relative=True, sign=1, cooldown=2)

    Raises ScheduleError for a text that is none, and for values that Plateau refuses.
    """
    given: dict[str, str] = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign:
            raise ScheduleError(f"a plateau is said as patience=3,cooldown=2, got {text[:200]!r}")
        if name not in Plateau.__struct_fields__:
            raise ScheduleError(unknown_name("setting of a plateau", name, Plateau.__struct_fields__))
        if name in given:
            raise ScheduleError(f"a plateau has one {name}, got two: {text[:200]!r}")
        given[name] = value
    try:
        return msgspec.convert(given, Plateau, strict=False)
    except (msgspec.ValidationError, UnicodeError) as error:  # what is no text of Unicode among them
        place = str(error).replace("`", "").rpartition("$.")[2]
        if place in _EXPECTED:
            raise ScheduleError(
                f"a plateau's {place} is {_EXPECTED[place]}, got {printable(shortened(given[place]))!r}"
            ) from error
        raise ScheduleError(f"no plateau: {printable(shortened(str(error), 200))}") from error


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
