"""Parameter groups: their own learning rates, and those that they hold."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from evolr.errors import ScheduleError


def scale_of(group: dict[str, Any]) -> float:
    """By what timm's schedulers multiply a group's learning rate, for a decay by layers."""
    return float(group.get("lr_scale", 1.0))


def own_rate(group: dict[str, Any]) -> float:
    """The learning rate that a parameter group was made with, as far as torch remembers it."""
    return float(group.get("initial_lr", group["lr"]))


def base_rate(optimizer: Optimizer) -> float:
    """The greatest learning rate of the parameter groups, before any scheduler."""
    own = [own_rate(group) for group in optimizer.param_groups]
    if not (0 < max(own) < inf and min(own) >= 0):
        raise ScheduleError(
            "the parameter groups keep their ratio to the greatest of their learning rates, which must be positive and "
            f"finite; got {', '.join(f'{rate:g}' for rate in own)}"
        )
    return max(own)


def set_rates(optimizer: Optimizer, rates: Iterable[float]) -> None:
    """Sets the learning rate of each parameter group; one that is a tensor stays that tensor."""
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        set_rate(group, rate)


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Sets the learning rate of a parameter group; one that is a tensor stays that tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def held(group: dict[str, Any], rate: float) -> float:
    """What a group's learning rate is where it is set to this: one that is a tensor has the digits of its type."""
    own = group["lr"]
    return float(torch.tensor(rate, dtype=own.dtype)) if isinstance(own, Tensor) else rate


def separate_rates(optimizer: Optimizer) -> None:
    """Gives each parameter group a tensor of its own where torch has given one learning rate to several.

    Those that are to come too: torch gives a new group the very tensor that is its default.
    """
    seen = set[int]()
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            if id(group["lr"]) in seen:
                group["lr"] = group["lr"].clone()
            seen.add(id(group["lr"]))
    default = optimizer.defaults.get("lr")
    if id(default) in seen:
        first = next(group for group in optimizer.param_groups if group["lr"] is default)
        own = first.get("initial_lr", default)
        optimizer.defaults["lr"] = own.clone() if isinstance(own, Tensor) else torch.tensor(own)


def has_stepped(optimizer: Optimizer) -> bool:
    """Whether an optimiser has taken a step since its first scheduler was made."""
    return getattr(optimizer, "_opt_called", False)
