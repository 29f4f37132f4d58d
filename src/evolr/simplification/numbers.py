"""How numbers are written: as few digits as say the same, and a fraction where that is shorter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from evolr.expression import Token

DIGITS: Final = 5  # significant, of a number that has more
_SURE: Final = 14  # significant digits within which a number is taken for a shorter one: 0.30000000000000004 is 0.3
_WHOLE: Final = 1e7  # whole numbers below it keep their digits: steps are counted
_GREATEST_DIVISOR: Final = 99

_SIGN, _DIVISION, _ROUNDED, _PI = 1, 2, 4, 1
"""What counts beside a number's own characters: the sign of a product, a division, dropped digits, and π."""


class Written(NamedTuple):
    """A number as multiplier · π^has_pi / divisor. length: characters, roughly."""

    multiplier: float
    has_pi: bool
    divisor: float
    length: int


def tidied(value: float) -> float:
    """The number without the noise of its last digits."""
    near = rounded(value, _SURE)
    return near if is_short(near) else value


def is_short(value: float) -> bool:
    """Whether it is written as it stands: π, a number of few digits, or a count."""
    return value == math.pi or value == rounded(value, DIGITS) or (value.is_integer() and abs(value) < _WHOLE)


def rounded(value: float, digits: int) -> float:
    """The number to some significant digits; as it is, if that would be infinite."""
    near = float(f"{value:.{digits - 1}e}")
    return near if math.isfinite(near) else value


def token_rounded(token: Token, digits: int) -> Token:
    """A constant to some significant digits, unless it is short."""
    return token if isinstance(token, str) or is_short(token) else rounded(token, digits)


@lru_cache(maxsize=10_000)
def written(value: float) -> Written:
    """The shortest way to write a factor. A way that needs rounding counts as longer."""
    sign, size = math.copysign(1.0, value), abs(value)
    ways = [_way(size, False, 1.0)]
    if size and math.isfinite(1 / size):
        ways.append(_way(1.0, False, 1 / size))
    if math.isfinite(size) and size and math.isfinite(math.pi / size) and not is_short(tidied(size)):
        ways += [_way(size / math.pi, True, 1.0), _way(1.0, True, math.pi / size), *_fractions(size)]
    best = min(
        (way for way in ways if way is ways[0] or _is_sure(way)), key=lambda way: (way.length, not _is_sure(way))
    )
    return best._replace(multiplier=sign * best.multiplier)


def length(value: float) -> int:
    """How long a factor is written: 0 for ±1."""
    return written(value).length


def total_length(values: Iterable[float]) -> int:
    """How long some factors are written."""
    return sum(map(length, values))


def _way(multiplier: float, has_pi: bool, divisor: float) -> Written:
    parts = [tidied(part) for part in (multiplier, divisor)]
    numbers = [part for part in parts if part != 1]
    size = sum(_characters(part) + _SIGN for part in numbers) + _PI * has_pi + _DIVISION * (parts[1] != 1)
    return Written(parts[0], has_pi, parts[1], size + _DIVISION * (len(numbers) > 1))


def _characters(value: float) -> int:
    if is_short(value):
        return len(repr(value).removesuffix(".0"))
    return len(repr(rounded(value, DIGITS)).removesuffix(".0")) + _ROUNDED


def _is_sure(way: Written) -> bool:
    return is_short(way.multiplier) and is_short(way.divisor)


def _fractions(size: float) -> list[Written]:
    if not 1e-3 < size < 1e3:
        return []
    near = Fraction(size).limit_denominator(_GREATEST_DIVISOR)
    is_it = rounded(near.numerator / near.denominator, _SURE) == rounded(size, _SURE)
    return [_way(float(near.numerator), False, float(near.denominator))] if is_it else []
