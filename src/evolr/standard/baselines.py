"""The baselines of the first experiment, and torch's ReduceLROnPlateau with its own arguments."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau
from evolr.standard.family import folded
from evolr.standard.feedback import REDUCE_ON_PLATEAU
from evolr.standard.open_loop import CONSTANT, COSINE


def constant(base_lr: float) -> Schedule:
    """Lr = base_lr."""
    return CONSTANT.schedule(base=base_lr)


def step_decay(base_lr: float, factor: float = 0.1, every: int = 10) -> Schedule:
    """Lr = base_lr · factor^⌊epoch / every⌋ (StepLR, stepped once an epoch)."""
    given = {"base": base_lr, "slope": math.log(factor), "every": every}
    return folded(parse("base*exp(slope*floor(epoch/every))", given))


def cosine(base_lr: float) -> Schedule:
    """Lr = base_lr · (1 + cos(π · progress)) / 2: from base_lr to zero, step by step (CosineAnnealingLR)."""
    return COSINE.schedule(base=base_lr)


def reduce_on_plateau(
    base_lr: float,
    *,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> Schedule:
    """Torch's ReduceLROnPlateau with the same arguments: of the value that is told as val_loss, once an epoch.

    >>> reduce_on_plateau(0.1, factor=0.5, patience=3).at(plateaus=2)
    0.025

    base_lr: where the learning rate starts. Raises ScheduleError for arguments out of their ranges.
    """
    plateau = Plateau(
        patience=patience, threshold=threshold, threshold_mode=threshold_mode, mode=mode, cooldown=cooldown
    )
    reduced = REDUCE_ON_PLATEAU.schedule(base=base_lr, factor=factor, min_lr=min_lr, eps=eps)
    return msgspec.structs.replace(reduced, plateau=plateau)


PUBLISHED_BASELINES: Final = MappingProxyType({"constant": constant, "step decay": step_decay, "cosine": cosine})
"""What the first experiment compared its winner with, by name; each takes the base learning rate."""
