"""The constants of a structure, as a vector to be tuned."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.expression import Expression, Token

MOST: Final = 40
"""Constants that a child may have: with more a tuner comes to nothing."""


_GUARD: Final = 1e-7
"""What is as small only guards a quotient against 0: a tuner, whose first steps are of 0.05, would drown in it what it guards."""


def tunable(structure: Expression) -> Expression:
    """The structure with at least two constants to tune, which a CMA-ES needs: with a factor, and a summand."""
    count = len(places(structure))
    if count == 0:
        return Expression(("add", 0.01, "mul", 1.01, *structure.tokens))
    return structure if count > 1 else Expression(("mul", 1.01, *structure.tokens))


def places(expression: Expression) -> list[int]:
    """Where the constants are that are tuned; whole numbers, π and guards against 0 are part of the structure."""
    return [
        place
        for place, token in enumerate(expression.tokens)
        if isinstance(token, float) and not token.is_integer() and token != math.pi and abs(token) > _GUARD
    ]


def values(expression: Expression) -> NDArray[np.float64]:
    """The constants that are tuned, in order."""
    return np.array([expression.tokens[place] for place in places(expression)], np.float64)


def with_values(structure: Expression, constants: NDArray[np.float64], greatest: float = 1e6) -> Expression:
    """The structure with other constants, in order; none is beyond ±greatest."""
    tokens: list[Token] = list(structure.tokens)
    for place, value in zip(places(structure), constants.tolist(), strict=True):
        tokens[place] = float(np.clip(value, -greatest, greatest))
    return Expression(tuple(tokens))


def shape(expression: Expression) -> tuple[Token | None, ...]:
    """The tokens, without the values of what is tuned."""
    tuned = set(places(expression))
    return tuple(None if place in tuned else token for place, token in enumerate(expression.tokens))
