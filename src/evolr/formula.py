"""A formula that a person gives, as the schedule that it is.

It says the learning rate itself, whatever a search would make of it, and has the bounds that the person gave or none.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from evolr.errors import ExpressionError, ScheduleError
from evolr.expression import SIGNALS, parse
from evolr.schedule import GREATEST_LR, Schedule, Transform
from evolr.signals import signal_named
from evolr.signals.plateau import Plateau
from evolr.standard import FAMILIES, Family


class FormulaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may say of a formula beside it.

    transform: `linear`, the formula is the learning rate; `log`, it is the logarithm of the learning rate over 0.001.
    min_lr, max_lr: the bounds of the learning rate; None for none.
    plateau: what it takes for a plateau; None for torch's defaults, or for a family's own.
    """

    transform: Transform = "linear"
    min_lr: float | None = None
    max_lr: float | None = None
    plateau: Plateau | None = None


NO_OPTIONS: Final = FormulaOptions()


def read_schedule(text: str, options: FormulaOptions = NO_OPTIONS) -> Schedule:
    """The schedule that a formula is, or a standard family by its name, with its default constants.

    >>> read_schedule("0.1**(epoch // 30)").at(epoch=65)
    0.010000000000000002
    >>> read_schedule("cosine", FormulaOptions(max_lr=0.005)).at(progress=0.0)
    0.005

    Raises ExpressionError for what is neither, and ScheduleError for options that do not fit.
    """
    bounds: dict[str, Any] = {
        "min_lr": 0.0 if options.min_lr is None else options.min_lr,
        "max_lr": GREATEST_LR if options.max_lr is None else options.max_lr,
    }
    if family := family_named(text):
        if options.transform != "linear":
            raise ScheduleError(f"{family.name} is a learning rate itself: leave the transform out")
        return _with_plateau(msgspec.structs.replace(family.schedule(), **bounds), options)
    try:
        expression = parse(text)
    except ExpressionError as error:
        if advice := _families_in(text):
            raise ExpressionError(f"{error.problem}; {advice}", error.text, error.column) from error
        raise
    schedule = Schedule(expression=expression, transform=options.transform, **bounds)
    return _with_plateau(schedule, options)


def _with_plateau(schedule: Schedule, options: FormulaOptions) -> Schedule:
    if options.plateau is None:
        return schedule
    if not any(signal_named(name).needs_plateau for name in schedule.signals):
        raise ScheduleError(
            "a plateau belongs to a formula that reads plateaus or stale_epochs; this one reads neither"
        )
    return msgspec.structs.replace(schedule, plateau=options.plateau)


def family_named(text: str) -> Family | None:
    """The standard family of a name, however it is spaced: one-cycle, one_cycle, OneCycle.

    None for a name with more about it, such as a sign before it: that would be a formula of families.
    """
    return _BY_LETTERS.get(_letters(text)) if _NAME.fullmatch(text) else None


def _families_in(text: str) -> str:
    """Advice for a text that names a family in the midst of others; empty where it names none."""
    words = [word for word in re.findall(r"[A-Za-z_]\w*", text[:1_000]) if word not in SIGNALS]
    if family := next((family for word in words if (family := family_named(word))), None):
        return f"{family.name!r} is a standard schedule: name it alone, or write out its formula, {family.formula}"
    return ""


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


_NAME: Final = re.compile(r"\s*[^\W\d_](?:[\w\s()+−-]{0,60}[\w)])?\s*")  # such as WSD (1 − sqrt)
_BY_LETTERS: Final = {_letters(name): family for name, family in FAMILIES.items()}
