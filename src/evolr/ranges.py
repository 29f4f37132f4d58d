"""Numbers that a person gives: the range of each, and what is said where one is outside.

A setting has its range where it is declared, `epochs: Annotated[int, EPOCHS] = 10`; an argument is asked for by `EPOCHS.of("epochs", epochs)`.
A range ends far beyond what anybody uses, so that 10¹¹ epochs are an error and not a process that never ends or takes all memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, get_type_hints

from evolr.errors import ConfigError, shown, whole_number


class Whole(NamedTuple):
    """The whole numbers from `least` to `most`."""

    least: int
    most: int

    def of(self, name: str, value: Any) -> int:
        """A value as a number of the range. Raises ConfigError for anything else. name: what it is."""
        number = whole_number(name, value)
        if not self.least <= number <= self.most:
            raise ConfigError(f"{name} must be at least {self.least:,} and at most {self.most:,}, got {shown(number)}")
        return number


EPOCHS: Final = Whole(1, 1_000_000)
"""Epochs of a training."""

STEPS_PER_EPOCH: Final = Whole(1, 1_000_000_000)
"""Optimiser steps of an epoch."""

SEEDS: Final = Whole(1, 100_000)
"""Trainings of one schedule, and other numbers of seeds."""

TRAININGS: Final = Whole(1, 1_000_000_000)
"""Trainings in all, as a budget."""

DEVICES: Final = Whole(1, 4_096)
"""Devices to train on, whatever a machine has: how many that are is known when JAX is there."""

STUDY_SEEDS: Final = Whole(0, 2**32 - 1)
"""The seed of a study."""


def require_ranges(path: str, settings: Any) -> None:
    """Raises ConfigError where a setting is outside the range of its annotation. path: what stands before a setting's name."""
    for name, range_ in _ranges(type(settings)).items():
        range_.of(f"{path}{name}", getattr(settings, name))


@cache
def _ranges(settings: type) -> dict[str, Whole]:
    hints = get_type_hints(settings, include_extras=True)
    found = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: range_ for name, metadata in found.items() for range_ in metadata if isinstance(range_, Whole)}
