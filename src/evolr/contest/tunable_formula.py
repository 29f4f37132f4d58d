"""The constants of any schedule as those of a family: a champion is tuned to another training so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from evolr.discovered.entry import STARTS, ScaleRange
from evolr.schedule import Schedule
from evolr.search import constants
from evolr.standard import FreeConstant

SCALE: Final = "scale"
_SCALES: Final = ScaleRange()  # as those of the gallery
_FACTOR: Final = 3.0  # that a constant may grow or shrink by


@dataclass(frozen=True)
class TunableFormula:
    """A schedule with free constants: the scale of its learning rates, and, with `shape`, those in its formula, `c1`, `c2`, … as they
    stand in it. Each is looked for within a third and three times its value; whole numbers and π are no constants.
    """

    original: Schedule
    shape: bool

    @property
    def name(self) -> str:
        return str(self.original.expression)

    @property
    def constants(self) -> tuple[FreeConstant, ...]:
        scale = FreeConstant(SCALE, _SCALES.low, _SCALES.high, 1.0, "log", is_scale=True)
        values = constants.values(self.original.expression).tolist() if self.shape else []
        return (scale, *(_constant(f"c{number}", value) for number, value in enumerate(values, 1)))

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        """As it is, and at half-decades around."""
        as_it_is = {constant.name: constant.default for constant in self.constants}
        return tuple({**as_it_is, SCALE: scale} for scale in STARTS)

    def schedule(self, **values: float) -> Schedule:
        expression = self.original.expression
        if self.shape:
            own = [values.get(constant.name, constant.default) for constant in self.constants if not constant.is_scale]
            expression = constants.with_values(expression, np.array(own), math.inf)
        return msgspec.structs.replace(self.original, expression=expression).scaled(values.get(SCALE, 1.0))


def _constant(name: str, value: float) -> FreeConstant:
    low, high = sorted((value / _FACTOR, value * _FACTOR))
    return FreeConstant(name, low, high, value, "log" if low > 0 else "linear")
