"""What is likely not meant: places where a schedule says something else than its formula would on paper.

A bound that cuts, a division by zero at the first step of a formula whose steps are counted from 1, the root of a negative
number, `lr` for the base learning rate, `e` for the epoch: each is legal, has an exact meaning, and gives another learning
rate than its author thinks of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolr.errors import shortened
from evolr.expression import PRIMITIVES, Expression, Token, ordinary_text
from evolr.expression.primitives import DIV_THRESHOLD, EXP_LIMIT, LOG_FLOOR, POLE
from evolr.schedule import GREATEST_LR, Schedule
from evolr.signals import SIGNALS, Example, clock, in_order, made_up
from evolr.signals.own import signal_of

Array = NDArray[np.float64]
_FROM_ONE: Final = "; if the formula counts from 1, write step + 1 for step and epoch + 1 for epoch"


_MOST_STEPS: Final = 10_000  # of a made-up training
_LOSSES: Final = (2.3, 0.5)  # first and last, of a made-up training


@dataclass(frozen=True, slots=True)
class _Protection:
    """Where a primitive's value is not that of its usual notation. acts: (arguments…) → where."""

    name: str
    acts: Callable[..., NDArray[np.bool_]]
    problem: str
    is_pole: bool = False


_PROTECTIONS: Final = (
    _Protection("quotient", lambda a, b: (b == 0) & (a != 0), f"divides by 0, taken as ±{POLE:.3g}", is_pole=True),
    _Protection("quotient", lambda a, b: (b == 0) & (a == 0), "is 0/0, taken as 1"),
    _Protection(
        "div", lambda _, b: np.abs(b) < DIV_THRESHOLD, f"divides by nearly 0 (below {DIV_THRESHOLD:g}), taken as 1"
    ),
    _Protection("pow", lambda a, b: (a == 0) & (b < 0), f"divides by 0, taken as {POLE:.3g}", is_pole=True),
    _Protection(
        "pow",
        lambda a, b: (a < 0) & np.isfinite(b) & (b != np.floor(b)),
        "is a power of a negative number with an exponent that is not whole, taken as 0",
    ),
    _Protection("sqrt", lambda a: a < 0, "is the root of a negative number, taken as 0"),
    _Protection("log", lambda a: a < 0, "is the logarithm of a negative number, taken of its magnitude"),
    _Protection(
        "log", lambda a: (a >= 0) & (a < LOG_FLOOR), f"is the logarithm of less than {LOG_FLOOR:g}, taken of it", True
    ),
    _Protection("exp", lambda a: a > EXP_LIMIT, f"is exp of more than {EXP_LIMIT:g}, taken of that"),
)


def made_up_trace(epochs: int, steps_per_epoch: int, signals: Iterable[str] = ()) -> dict[str, Array]:
    """Every signal at the steps of a training that nobody trained, at some thousands of them at most: losses that fall.

    The first step is among them. The learning rate falls too, from 0.01. signals: those that a schedule reads, of which
    the user's own are among them too.
    """
    total = epochs * steps_per_epoch
    step = np.unique(np.linspace(0, total - 1, min(total, _MOST_STEPS)).astype(np.int64))
    given = clock(step, np.full(len(step), total), steps_per_epoch)
    epoch, progress = given["epoch"], given["progress"]
    loss = _LOSSES[0] * (_LOSSES[1] / _LOSSES[0]) ** progress
    training = Example(
        step,
        progress,
        loss,
        val_loss=_LOSSES[0] * (_LOSSES[1] / _LOSSES[0]) ** (epoch / epochs),
        average=loss,
        lr=np.where(step == 0, 0.0, 0.01 * (1 - progress)),
        stale=0 * step,
    )
    values = {
        name: given[name] if name in given else made_up(name, training) for name in in_order({*SIGNALS, *signals})
    }
    return {name: np.asarray(value, np.float64) for name, value in values.items()}


def advice(schedule: Schedule, trace: Mapping[str, Array]) -> list[str]:
    """Sentences about where a schedule, on a trace of signals, says what is likely not meant; none if there is nothing.

    trace: of each signal its values at some steps, (n,), in their order; `step` is among them.
    """
    return [
        *_name_advice(schedule, trace),
        *_bound_advice(schedule, trace),
        *_protection_advice(schedule.expression, trace),
    ]


def _name_advice(schedule: Schedule, trace: Mapping[str, Array]) -> list[str]:
    """Of names that mean another thing here than in many programs."""
    found: list[str] = []
    if "lr" in schedule.signals and (schedule.unbounded(**{**trace, "lr": 0 * trace["lr"]}) <= 0).all():
        found.append(
            "the formula is 0 from the first step on: lr is the learning rate of the previous step, 0 before the first; "
            "write the base learning rate as a number"
        )
    if "epoch" not in schedule.signals and _has_e_that_is_no_base(schedule.expression):
        found.append("e is the number 2.71828…; write epoch for the number of the epoch")
    return found


def _has_e_that_is_no_base(expression: Expression) -> bool:
    """Whether e stands elsewhere than in e**x and 1/e."""
    tokens = expression.tokens
    before = [("", ""), ("", tokens[0]), *pairwise(tokens)]
    return any(
        token == math.e and pair[1] != "pow" and pair != ("quotient", 1.0)
        for token, pair in zip(tokens, before, strict=False)
    )


def _bound_advice(schedule: Schedule, trace: Mapping[str, Array]) -> list[str]:
    step = trace["step"]
    value = np.broadcast_to(schedule.unbounded(**trace), step.shape)
    slack = 1e-9 * np.abs(value)  # which rounding may take from it
    below, above, lost = value < schedule.min_lr - slack, value > schedule.max_lr + slack, ~np.isfinite(value)
    found: list[str] = []
    if lost.any():
        found.append(
            f"the formula has no finite value {_where(lost, step)}; the learning rate is {schedule.min_lr:g} there"
        )
    if (cut := below & ~lost).any():
        reason = "no learning rate is negative" if schedule.min_lr == 0 else f"min_lr is {schedule.min_lr:g}"
        found.append(f"{reason}: the formula goes down to {value[cut].min():.4g}, and is cut {_where(cut, step)}")
    if (cut := above & ~lost).any():
        reason = "the greatest learning rate" if schedule.max_lr == GREATEST_LR else "max_lr"
        found.append(
            f"{reason} is {schedule.max_lr:g}: the formula goes up to {value[cut].max():.4g}, and is cut {_where(cut, step)}"
        )
    return found


class _Part(NamedTuple):
    """A part of the formula. strict: its value, NaN where a protection acts in it."""

    tokens: tuple[Token, ...]
    value: Array
    strict: Array


def _protection_advice(expression: Expression, trace: Mapping[str, Array]) -> list[str]:
    step = trace["step"]
    acting: list[tuple[_Protection, tuple[Token, ...], NDArray[np.bool_]]] = []

    def leaf(token: Token) -> _Part:
        values = trace[signal_of(token)] if isinstance(token, str) else token
        value = np.broadcast_to(np.asarray(values, np.float64), step.shape)
        return _Part((token,), value, value)

    def apply(name: str, parts: Sequence[_Part]) -> _Part:
        values, tokens = [part.value for part in parts], (name, *(token for part in parts for token in part.tokens))
        strict = PRIMITIVES[name].reference(*(part.strict for part in parts))
        for protection in _PROTECTIONS:
            if protection.name == name and (acts := protection.acts(*values)).any():
                acting.append((protection, tokens, acts))
                strict = np.where(acts, np.nan, strict)
        return _Part(tokens, PRIMITIVES[name].reference(*values), strict)

    with np.errstate(all="ignore"):
        matters = np.isnan(expression.fold(leaf, apply).strict)
    found: dict[str, None] = {}
    for protection, tokens, acts in acting:
        if (at := acts & matters).any():  # not in a branch that is not taken there
            text = shortened(ordinary_text(Expression(tokens)), 60)
            is_first = protection.is_pole and at[0] and not at[1:].any()
            found[f"{text} {protection.problem}, {_where(at, step)}{_FROM_ONE if is_first else ''}"] = None
    return list(found)


def _where(cut: NDArray[np.bool_], step: Array) -> str:
    """At what share of the steps, and at which first."""
    first = f"{step[np.argmax(cut)]:,.0f}"
    if cut.all():
        return "at every step"
    return (
        f"at step {first}" if cut.sum() == 1 else f"at {max(cut.mean(), 0.01):.0%} of the steps, first at step {first}"
    )
