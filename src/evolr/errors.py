"""Every error that evolr raises on purpose.

EvolrError
├── ExpressionError      a formula that cannot be read; carries the text and the column
├── ScheduleError        a schedule, or a schedule document, that is not understood
├── ConfigError          a setting that is unknown, of the wrong type or out of range
│   └── UnknownEntryError a name that the gallery has not; a KeyError, too
├── ProblemError         a problem that cannot serve what is asked of it
├── MissingExtraError    a library that an optional part of evolr needs is not installed
├── ExecutorError        who trains is gone: a cluster that went away, say; the study can go on later
├── RunDirectoryError    a run directory that cannot be created, read or written
└── StudyError           a study that cannot be opened, or not written now, or was told what it cannot take
    └── StudyLockedError a study that another process is writing

The command line turns each of them into one message and exit code 2. An outcome of a training
(divergence, say) is data, never an exception.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable
from contextlib import suppress
from numbers import Real
from typing import Any, Final

_MOST_DIGITS: Final = 40  # of a number that is quoted
_MOST_SHOWN: Final = 200  # characters of any other value


class EvolrError(Exception):
    """The root of the tree: catch it to catch whatever evolr raises on purpose."""


class ExpressionError(EvolrError, ValueError):
    """A formula that cannot be read.

    `column` is 1-based in `text`; both are None where the fault is not in a text.
    """

    def __init__(self, problem: str, text: str | None = None, column: int | None = None) -> None:
        self.problem = problem
        self.text = text
        self.column = column
        super().__init__(problem if text is None or column is None else _pointed(problem, text, column))


class ScheduleError(EvolrError, ValueError):
    """A schedule, or a schedule document, that is not understood."""


class ConfigError(EvolrError, ValueError):
    """A setting that is unknown, of the wrong type or out of range."""


class UnknownEntryError(ConfigError, KeyError):
    """A name that the gallery has not."""

    def __str__(self) -> str:  # of a KeyError it would be in quotes
        return str(self.args[0])


class ProblemError(EvolrError, ValueError):
    """A problem that cannot serve what is asked of it."""


class MissingExtraError(EvolrError, ImportError):
    """A library that an optional part of evolr needs is not installed."""

    def __init__(self, what: str, extra: str, remedy: str = "") -> None:
        mend = remedy or f"pip install 'evolr[{extra}]'"
        super().__init__(f"{what} needs a library that is not installed: {mend}")


class ExecutorError(EvolrError):
    """Who trains is gone, and no fault of what is trained: what has landed is kept, and the study can go on later."""


class RunDirectoryError(EvolrError):
    """A run directory that cannot be created, read or written."""


class StudyError(EvolrError):
    """A study that cannot be opened, or not written now, or was told what it cannot take."""


class StudyLockedError(StudyError):
    """A study that another process is writing."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that is not in a table: the nearest known name, or else all of them. name: whatever is in its place."""
    names, text = sorted(set(known)), name if isinstance(name, str) else shown(name)
    near = difflib.get_close_matches(text[:80], names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return f"unknown {kind} {shortened(text)!r}; {hint}"


def whole_number(name: str, value: Any) -> int:
    """A whole number of Python's or NumPy's, as Python's. Raises ConfigError for anything else. name: what it is."""
    if not isinstance(value, bool):
        with suppress(TypeError):
            return operator.index(value)
    raise ConfigError(f"{name} must be a whole number, got {shown(value)}")


def require_type(name: str, value: Any, kinds: type | tuple[type, ...], wanted: str) -> None:
    """Raises ConfigError for a value of another type. name: what it is; wanted: what it must be, in words."""
    if not isinstance(value, kinds):
        raise ConfigError(f"{name} must be {wanted}, got {shown(value)}")


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python's or NumPy's; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, Real)


def is_finite(value: Any) -> bool:
    """Whether a value is such a number, and one that a float can hold: no NaN, no infinity, no 10**400."""
    with suppress(OverflowError):
        return is_number(value) and math.isfinite(value)
    return False


def as_float(value: Any) -> float:
    """The float of a real number, or of an array of one. Raises what `float` does, and TypeError for what it takes and
    is none: a text, a complex number of NumPy's.
    """
    if type(value) is not float and (isinstance(value, str | bytes | bytearray) or _kind(value) in ("U", "S", "c")):
        raise TypeError(f"{shown(value)} is no real number")
    return float(value)


def _kind(value: Any) -> str:
    """The kind of number that an array of NumPy's or JAX's holds, as their types say it; empty for anything else."""
    return str(getattr(getattr(value, "dtype", None), "kind", ""))


def shortened(text: str, limit: int = 40) -> str:
    """A text to quote in a message, cut where it is long."""
    return text if len(text) <= limit else text[:limit] + "…"


def shown(value: object) -> str:
    """A value to quote in a message, of whatever size: Python writes no whole number of more than 4,300 digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        digits = 1 + int(abs(value).bit_length() * math.log10(2))
        return f"{value:,}" if digits <= _MOST_DIGITS else f"a number of about {digits:,} digits"
    try:
        return printable(shortened(repr(value), _MOST_SHOWN))
    except Exception:  # a whole number in it, or whatever the repr of an object raises
        return f"a {printable(type(value).__name__)}"


def quoted(error: BaseException, limit: int = _MOST_SHOWN) -> str:
    """What an error of a library, or of an object that a person gave, says, to quote in a message."""
    try:
        return printable(shortened(str(error), limit))
    except Exception:
        return f"a {printable(type(error).__name__)}"


def count(number: int, noun: str) -> str:
    """1 seed, 2,000 seeds."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def has_items(given: Any) -> bool:
    """Whether what a person gives has items to be looked at one by one; an array of no dimension says that it has, and has none."""
    try:
        iter(given)
    except TypeError:
        return False
    return True


def printable(text: str) -> str:
    """A text as it may stand in one line wherever it is shown, as long as before.

    A space stands for each line break and other space, and a mark for what is none and cannot be seen: an order to a
    terminal, what turns the text around it, half of a character.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _pointed(problem: str, text: str, column: int) -> str:
    """The problem, then the line of text around the column with a caret under it."""
    around = 30
    start, end = max(0, column - 1 - around), column - 1 + around
    before = ("…" if start else "") + text[start : column - 1]
    after = text[column - 1 : end] + ("…" if end < len(text) else "")
    line = printable(before + after)
    return f"column {column}: {problem}\n  {line}\n  {' ' * len(before)}^"
