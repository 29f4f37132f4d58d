"""Selection of parents by fitness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def tournament_selection(rng: np.random.Generator, fitness: Sequence[float], size: int) -> int:
    """The place of the fittest of `size` different individuals drawn at random; NaN never wins.

    Of equals the one drawn first wins, so that no place in the population is favoured.
    """
    drawn = rng.choice(len(fitness), size, replace=False)
    return int(max(drawn, key=lambda i: -np.inf if np.isnan(fitness[i]) else fitness[i]))
