"""The schedules that everyone uses, as expressions.

Each function returns a Schedule whose constants are its arguments. The shapes follow
torch.optim.lr_scheduler; what is a curve over steps there and here agrees to float64 rounding.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Final

from evolr.expression import Expression, Token, parse
from evolr.schedule import Schedule


def constant(base_lr: float) -> Schedule:
    """Lr = base_lr."""
    return _schedule((base_lr,), base_lr)


def step_decay(base_lr: float, factor: float = 0.1, every: int = 10) -> Schedule:
    """Lr = base_lr · factor^⌊epoch / every⌋ (StepLR)."""
    steps = ("floor", "div", "epoch", float(every))
    return _schedule(("mul", base_lr, "exp", "mul", math.log(factor), *steps), base_lr)


def cosine(base_lr: float) -> Schedule:
    """Lr = base_lr · (1 + cos(π · progress)) / 2: from base_lr to zero, step by step (CosineAnnealingLR)."""
    return _schedule(("mul", base_lr / 2, *parse("1 + cos(pi*progress)").tokens), base_lr)


PUBLISHED_BASELINES: Final = MappingProxyType({"constant": constant, "step decay": step_decay, "cosine": cosine})
"""What the first experiment compared its winner with, by name; each takes the base learning rate."""


def _schedule(tokens: tuple[Token, ...], highest: float) -> Schedule:
    return Schedule(expression=Expression(tokens), min_lr=0.0, max_lr=max(1.0, highest))
