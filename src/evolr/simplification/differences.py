"""Where a simplified learning rate is another one than its schedule's, and which protection makes it so.

Both are computed at the points of the signal bank, at every step of one training, whose progress takes round values, and
on the bank with a loss, or the learning rate before, at 0 or below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.advice import made_up_trace
from evolr.expression import PRIMITIVES, Token
from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR
from evolr.schedule import LOG_LIMIT, Schedule
from evolr.signal_bank import Span, signal_bank, spans_of
from evolr.signals import in_order, signal_named

EXACT: Final = 1e-9  # relative: no more than rounding in the last places
SHOWN: Final = 1e-3  # relative: no more than what rounding to a few digits may change
ROUNDING: Final = 1e-15  # of the greatest learning rate: what is left where terms cancel
MATTERS: Final = 1e-6  # of the greatest learning rate
_LEFT: Final = 1e-13  # as ROUNDING, where a step may hit the very point at which terms cancel

_EPOCHS, _STEPS = 100, 10

Trace = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Place:
    """Points at which two schedules are compared.

    points: what they are, in words. case: what is changed of the bank, empty for none. negligible: a difference that is
    never one, in units of the greatest learning rate; rounding: the same for what comes of rounding constants.
    """

    trace: Trace
    points: str = "points of made-up trainings"
    case: str = ""
    negligible: float = MATTERS
    rounding: float = math.inf


@cache
def _bank(own: tuple[Span, ...]) -> Place:
    return Place(signal_bank(own), negligible=ROUNDING, rounding=ROUNDING)


@cache
def _every_step(own: tuple[Span, ...]) -> Place:
    """Every step but the first of one training."""
    trace = {name: values[1:] for name, values in made_up_trace(_EPOCHS, _STEPS, [name for name, _, _ in own]).items()}
    return Place(trace, f"steps of a training of {_EPOCHS} epochs", negligible=_LEFT, rounding=10 * MATTERS)


@cache
def _changed(name: str, factor: float, case: str, own: tuple[Span, ...]) -> Place:
    bank = signal_bank(own)
    return Place({**bank, name: bank[name] * factor}, case=f"{name} is {case}")


def places(schedule: Schedule) -> list[Place]:
    """The bank, and what a schedule may meet beside it."""
    own = spans_of(schedule.signals)
    found = [_bank(own), _every_step(own)]
    for name in in_order(schedule.signals):
        signal = signal_named(name)
        if signal.live and not signal.needs_epochs:
            found.append(_changed(name, 0.0, "0", own))
            if signal.can_be_negative:
                found.append(_changed(name, -1.0, "negative", own))
    return found


def rates(schedule: Schedule, place: Place) -> NDArray[np.float64]:
    """The learning rates at the points of a place."""
    shape = place.trace["step"].shape
    return np.broadcast_to(schedule(**{name: place.trace[name] for name in schedule.signals}), shape)


def differing(
    own: NDArray[np.float64], other: NDArray[np.float64], tolerance: float, negligible: float
) -> NDArray[np.intp]:
    """The points at which learning rates differ by more than a relative tolerance.

    negligible: a difference that is never one, in units of the greatest of `own`.
    """
    least = negligible * float(np.max(np.abs(own), initial=0.0))
    with np.errstate(all="ignore"):
        return np.flatnonzero(~(np.abs(own - other) <= np.maximum(tolerance * np.abs(own), least)))


def sentence(
    schedule: Schedule, place: Place, own: NDArray[np.float64], other: NDArray[np.float64], at: NDArray[np.intp]
) -> str:
    """What differs at the points `at` of a place, and why, by the point at which it differs most."""
    worst = at[np.argmax(np.abs(own - other)[at])]
    point = {name: float(values[worst]) for name, values in place.trace.items()}
    reasons = protections(schedule, point)
    reason = f" ({'; '.join(reasons)})" if reasons else ""
    numbers = f"the formula gives {own[worst]:.3g}{reason}, this {other[worst]:.3g}"
    case = f" if {place.case}," if place.case else ""
    most = ", most" if len(at) > 1 else ","
    return (
        f"differs{case} at {len(at)} of {len(own)} {place.points}{most} at epoch {point['epoch']:g}, "
        f"step {point['step']:g}: {numbers}"
    )


def protections(schedule: Schedule, point: Mapping[str, float]) -> list[str]:
    """What the protected functions of a formula do at one point, in words; of each kind once."""
    found: list[str] = []

    def applied(name: str, arguments: Sequence[float]) -> float:
        found.append(_protection(name, *arguments))
        return float(PRIMITIVES[name].reference(*map(np.float64, arguments)))

    def leaf(token: Token) -> float:
        return point[token] if isinstance(token, str) else token

    with np.errstate(all="ignore"):
        value = schedule.expression.fold(leaf, applied)
    if not math.isfinite(value):
        found.append("its value is not finite, so the least learning rate is taken")
    elif schedule.transform == "log" and abs(value) > LOG_LIMIT:
        found.append(f"its value is cut at ±{LOG_LIMIT:g}")
    return list(dict.fromkeys(reason for reason in found if reason))


def _protection(name: str, a: float, b: float = 0.0, _c: float = 0.0) -> str:
    """What a function does with these arguments that ordinary mathematics does not, empty if nothing."""
    cases: dict[str, list[tuple[bool, str]]] = {
        "log": [
            (abs(a) < LOG_FLOOR, f"its log is cut at {LOG_FLOOR:g}"),
            (a < 0, "its log takes the magnitude of a negative number"),
        ],
        "exp": [(abs(a) > EXP_LIMIT, f"its exp is cut at ±{EXP_LIMIT:g}")],
        "div": [(abs(b) < DIV_THRESHOLD, f"its div by less than {DIV_THRESHOLD:g} is 1")],
        "quotient": [
            (a == 0 and b == 0, "its 0/0 is 1"),
            (b == 0, f"its division by 0 is ±e^{EXP_LIMIT:g}"),
        ],
        "sqrt": [(a < 0, "its sqrt of a negative number is 0")],
        "sqrt_v1": [(a < 0, "its sqrt takes the magnitude of a negative number")],
        "pow": [
            (a < 0 and b != np.floor(b), "its fractional power of a negative number is 0"),
            (a == 0 and b < 0, f"its negative power of 0 is e^{EXP_LIMIT:g}"),
        ],
        "pow_v1": [(a < LOG_FLOOR, f"its pow takes the magnitude, at least {LOG_FLOOR:g}")],
    }
    return next((reason for holds, reason in cases.get(name, []) if holds), "")
