"""What the tasks of a suite are drawn from: a pair of settings is the least and the greatest value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evolr.errors import ConfigError, shown


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def whole(rng: np.random.Generator, bounds: tuple[int, int]) -> int:
    """A whole number, log-uniform."""
    return round(log_uniform(rng, bounds))


def require_within(settings: Any, bounds: Mapping[str, tuple[float, float]], path: str = "problem.") -> None:
    """Raises ConfigError for a pair of settings that is not within its bounds, the least value first. path: before its name."""
    for name, (least, most) in bounds.items():
        low, high = getattr(settings, name)
        if not least <= low <= high <= most:
            raise ConfigError(
                f"{path}{name} must be from {least:g} to {most:g}, the least first, got {shown(low)}, {shown(high)}"
            )
