"""ExpressionLR in the place of torch's schedulers: classes that take a scheduler's arguments and build its formula.

Each has the name and the signature of torch's own, so that torch's tests construct them unawares. A formula names the
arguments of the constructor; `base` is the greatest learning rate of the parameter groups.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch.optim.lr_scheduler as peers
from torch.optim import Optimizer

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.standard import reduce_on_plateau
from evolr.torch import ExpressionLR

HORIZON = 1_000  # steps; longer than any test of torch's
NUMBERS = (int, float, peers.Tensor)

# Factors that tests give to LambdaLR as functions; which one it is, its values tell.
KNOWN_FACTORS = ("1", "step", "step // 10", "step // 30", "0.9**step", "0.8**step", "0.95**step")

FORMULAS = {
    "StepLR": "base*gamma**(step // step_size)",
    "ConstantLR": "base*(factor if step < total_iters else 1)",
    "LinearLR": "base*(start_factor + (end_factor - start_factor)*min(step, total_iters)/total_iters)",
    "ExponentialLR": "base*gamma**step",
    "PolynomialLR": "base*(1 - min(step, total_iters)/total_iters)**power",
    "CosineAnnealingLR": "eta_min + (base - eta_min)*(1 + cos(pi*step/T_max))/2",
}
RESTARTS = "eta_min + (base - eta_min)*(1 + cos(pi*{cycle}))/2"
CYCLE = "floor(step/(up + down))"
WITHIN = "(step % (up + down))"
CYCLIC = "base_lr + (max_lr - base_lr)*{scale}*min(" + WITHIN + "/up, (up + down - " + WITHIN + ")/down)"
SCALES = {"triangular": "1", "triangular2": f"0.5**{CYCLE}", "exp_range": "gamma**step"}
ANNEALED = {"linear": "(a + (b - a)*t)", "cos": "(b + (a - b)*(1 + cos(pi*t))/2)"}


def multi_step(given: SimpleNamespace) -> str:
    return "base*gamma**(" + " + ".join(f"(step >= {milestone})" for milestone in given.milestones) + ")"


def warm_restarts(given: SimpleNamespace) -> str:
    if given.T_mult == 1:
        return RESTARTS.format(cycle="(step % T_0)/T_0")
    power = "T_mult**floor(log(step*(T_mult - 1)/T_0 + 1)/log(T_mult))"
    return RESTARTS.format(cycle=f"(step - T_0*({power} - 1)/(T_mult - 1))/(T_0*{power})")


def by_factor(given: SimpleNamespace) -> str:
    places = range(60)
    wanted = [float(given.lr_lambda(place)) for place in places]
    for text in KNOWN_FACTORS:
        if np.allclose([float(parse(text)({"step": place})) for place in places], wanted, rtol=1e-12, atol=0):
            return f"base*({text})"
    raise NotImplementedError(f"no known formula has the values {wanted[:5]}, …")


def by_product(given: SimpleNamespace) -> str:
    factors = {float(given.lr_lambda(place)) for place in range(60)}
    if len(factors) > 1:
        raise NotImplementedError("a product of factors that change has no closed form here")
    return f"base*{factors.pop()!r}**step"


def cyclic(given: SimpleNamespace) -> str:
    given.up = given.step_size_up
    given.down = given.step_size_up if given.step_size_down is None else given.step_size_down
    return CYCLIC.format(scale=SCALES[given.mode])


def one_cycle(given: SimpleNamespace) -> str:
    given.low = float(given.max_lr) / given.div_factor
    given.least = given.low / given.final_div_factor
    last, rise = given.total_steps - 1, given.pct_start * given.total_steps - 1
    phases = [(rise, "low", "max_lr"), (last, "max_lr", "least")]
    if given.three_phase:
        phases = [(rise, "low", "max_lr"), (2 * rise, "max_lr", "low"), (last, "low", "least")]
    begin, parts = 0.0, []
    for end, first, then in phases:
        names = {"a": first, "b": then, "t": f"((step - {begin!r})/{end - begin!r})"}
        text = ANNEALED[given.anneal_strategy]
        parts.append((end, "".join(names.get(letter, letter) for letter in _letters(text))))
        begin = float(end)
    *earlier, (_, formula) = parts
    for end, part in reversed(earlier):
        formula = f"({part} if step <= {end!r} else {formula})"
    return formula


def _letters(text: str) -> list[str]:
    """The text as words of letters, and what stands between them."""
    words: list[str] = []
    for sign in text:
        if words and sign.isalpha() and words[-1].isalpha():
            words[-1] += sign
        else:
            words.append(sign)
    return words


BUILT: dict[str, Callable[[SimpleNamespace], str]] = {
    "MultiStepLR": multi_step,
    "CosineAnnealingWarmRestarts": warm_restarts,
    "LambdaLR": by_factor,
    "MultiplicativeLR": by_product,
    "CyclicLR": cyclic,
    "OneCycleLR": one_cycle,
}
ABSOLUTE = ("CyclicLR", "OneCycleLR")  # their learning rates do not depend on those of the parameter groups


class Count:
    """How many replacements were made since it was last set to 0."""

    made = 0


def _base(optimizer: Optimizer) -> float:
    return max(float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups)


def _given(peer: type, arguments: tuple[Any, ...], named: dict[str, Any]) -> SimpleNamespace:
    bound = inspect.signature(peer).bind(*arguments, **named)
    bound.apply_defaults()
    return SimpleNamespace(**bound.arguments)


def replacement(name: str) -> type[ExpressionLR]:
    """The class that stands for torch's scheduler of this name."""
    peer = getattr(peers, name)

    class Replacement(ExpressionLR):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            Count.made += 1
            given = _given(peer, arguments, named)
            given.base = _base(given.optimizer)
            text = BUILT[name](given) if name in BUILT else FORMULAS[name]
            numbers = {key: float(value) for key, value in vars(given).items() if isinstance(value, NUMBERS)}
            schedule = Schedule(expression=parse(text, numbers))
            if name in ABSOLUTE and given.last_epoch == -1:
                for group in given.optimizer.param_groups:
                    group["lr"] = group["initial_lr"] = schedule.at(step=0)
            if name == "CosineAnnealingLR":
                self.T_max = given.T_max
            super().__init__(given.optimizer, schedule, total_steps=HORIZON, last_epoch=given.last_epoch)

    Replacement.__name__ = Replacement.__qualname__ = name
    return Replacement


PLATEAU = peers.ReduceLROnPlateau


class ReduceLROnPlateau(ExpressionLR):
    """Torch's, whose `step` takes the value by position; ours is told it by name."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        Count.made += 1
        given = vars(_given(PLATEAU, arguments, named))
        optimizer = given.pop("optimizer")
        schedule = reduce_on_plateau(max(float(group["lr"]) for group in optimizer.param_groups), **given)
        super().__init__(optimizer, schedule, total_steps=HORIZON, steps_per_epoch=1, interval="epoch")

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:
        super().step(epoch, val_loss=metrics)


REPLACEMENTS: dict[str, type] = {
    **{name: replacement(name) for name in (*FORMULAS, *BUILT)},
    "ReduceLROnPlateau": ReduceLROnPlateau,
}
