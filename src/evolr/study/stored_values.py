"""What a column of evolr's databases may hold: each function takes what SQLite gives, and raises ValueError for anything else.

Whoever reads a row names one of them for each of its columns; see SqliteFile.rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from evolr.training.task import score_of

_Value = TypeVar("_Value")


def text(value: Any) -> str:
    if isinstance(value, bytes):
        raise ValueError("expected text, got bytes, or text that is no UTF-8")
    return _of(str, "text", value)


def blob(value: Any) -> bytes:
    return _of(bytes, "bytes", value)


def whole(value: Any) -> int:
    return _of(int, "a whole number", value)


def count(value: Any) -> int:
    """A whole number of 0 or more."""
    if whole(value) < 0:
        raise ValueError(f"expected a whole number of 0 or more, got {value}")
    return value


def positive(value: Any) -> int:
    """A whole number of 1 or more."""
    if whole(value) < 1:
        raise ValueError(f"expected a whole number of 1 or more, got {value}")
    return value


def flag(value: Any) -> bool:
    if whole(value) not in (0, 1):
        raise ValueError(f"expected 0 or 1, got {value}")
    return bool(value)


def real(value: Any) -> float:
    """A number, an infinite one too; SQLite has no NaN."""
    return float(_of((float, int), "a number", value))


def score(value: Any) -> float:
    """NaN for NULL, which stands for a training that diverged or failed; see `score_of` for others."""
    return math.nan if value is None else score_of(real(value))


def moment(value: Any) -> datetime:
    """A time as `now` writes it."""
    time = datetime.fromisoformat(text(value))
    if time.tzinfo is None:
        raise ValueError(f"expected a time with its offset from UTC, got {value!r}")
    return time


def optional(decode: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    """What may be NULL too."""
    return lambda value: None if value is None else decode(value)


def one_of(*known: str) -> Callable[[Any], str]:
    """One of some words."""

    def decode(value: Any) -> str:
        if text(value) not in known:
            raise ValueError(f"expected one of {', '.join(known)}, got {value!r}")
        return value

    return decode


def _of(kind: type[Any] | tuple[type[Any], ...], what: str, value: Any) -> Any:
    if not isinstance(value, kind):
        got = "nothing" if value is None else "bytes" if isinstance(value, bytes) else repr(value)
        raise ValueError(f"expected {what}, got {got}")
    return value
