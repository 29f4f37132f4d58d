"""What parameter groups begin with: their own learning rates, and what is made of them before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf, prod
from typing import Any, Final, Protocol
from weakref import ref

import torch
from torch import Tensor
from torch.optim import Optimizer

from evolr.errors import ScheduleError

_BEGINNING: Final = "_begun_by_expressions"  # of an optimiser: its Beginning


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


def held(group: dict[str, Any], rate: float) -> float:
    """What a group's learning rate is where it is set to this: one that is a tensor has the digits of its type."""
    own = group["lr"]
    return float(torch.tensor(rate, dtype=own.dtype)) if isinstance(own, Tensor) else rate


def part_rates(optimizer: Optimizer) -> None:
    """Gives each parameter group a tensor of its own where torch has given one learning rate to several."""
    seen = set[int]()
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            if id(group["lr"]) in seen:
                group["lr"] = group["lr"].clone()
            seen.add(id(group["lr"]))


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


class Starter(Protocol):
    """What Beginning asks of an ExpressionLR that has taken no step."""

    def parts_of_own(self) -> list[float]:
        """What it makes of each group's own learning rate, as a factor."""
        ...

    def begin_with(self, factors: list[float]) -> list[float]:
        """Takes up what all others make of the learning rates, as factors; answers the learning rates, unset."""
        ...


class Beginning:
    """What was made of an optimiser's learning rates before its first step, by ExpressionLRs and by others.

    The ExpressionLRs that are there are a chain: their learning rates are multiplied. One that is there no more was
    replaced by a later one, as when the cell of a notebook is run again: what it made of the learning rates is taken
    back.

    written: the learning rates that nobody but an ExpressionLR has changed.
    """

    def __init__(self, optimizer: Optimizer, written: list[float]) -> None:
        self._optimizer = ref(optimizer)
        self._written = written
        self._others = [1.0] * len(written)
        self._made: list[Callable[[], Starter | None]] = []

    def factors(self) -> list[float]:
        """What others make of the learning rates, for an ExpressionLR that is made now."""
        optimizer = self._optimizer()
        if optimizer is not None:
            self._others = _products(self._others, self._changes(optimizer))
            self._written = _rates_of(optimizer)
        return _products(self._others, *(scheduler.parts_of_own() for scheduler in self._there()))

    def add(self, scheduler: Starter) -> None:
        """Takes up an ExpressionLR that was made with `factors`, and has set the learning rates."""
        self._made.append(ref(scheduler, self._lost))
        self._settle()
        self._keep()

    def stepped(self, factors: list[float], rates: list[float]) -> None:
        """One has taken a step, and sets these learning rates; the factors are what others make of them."""
        self._made, self._others, self._written = [], list(factors), list(rates)

    def _there(self) -> list[Starter]:
        return [scheduler for made in self._made if (scheduler := made()) is not None]

    def _lost(self, _: Any) -> None:
        optimizer = self._optimizer()
        if optimizer is None or has_stepped(optimizer) or not self._there():
            return
        since = self._changes(optimizer)
        set_rates(optimizer, self._settle())
        self._keep()
        set_rates(optimizer, _products(self._written, since))

    def _settle(self) -> list[float]:
        """Gives each what all others make of the learning rates, and answers these."""
        there = self._there()
        parts = [scheduler.parts_of_own() for scheduler in there]
        rates: list[float] = []
        for place, scheduler in enumerate(there):
            rates = scheduler.begin_with(_products(self._others, *parts[:place], *parts[place + 1 :]))
        return rates

    def _changes(self, optimizer: Optimizer) -> list[float]:
        """What the learning rates are in parts of what was written; 1 where that was 0. New groups are taken up."""
        new = optimizer.param_groups[len(self._written) :]
        self._written += [own_rate(group) for group in new]
        self._others += [1.0] * len(new)
        both = zip(_rates_of(optimizer), self._written, strict=True)
        return [now / before if before > 0 else 1.0 for now, before in both]

    def _keep(self) -> None:
        optimizer = self._optimizer()
        self._written = [] if optimizer is None else _rates_of(optimizer)


def beginning_of(optimizer: Optimizer) -> Beginning:
    """What was made of an optimiser's learning rates before its first step, in this process.

    After a step, or in an optimiser that was loaded, a learning rate is what an earlier training has left.
    """
    is_new = hasattr(optimizer.step, "_wrapped_by_lr_sched") and not has_stepped(optimizer)
    found: Beginning | None = getattr(optimizer, _BEGINNING, None)
    if not is_new:
        found = Beginning(optimizer, _rates_of(optimizer))
    elif found is None:
        found = Beginning(optimizer, [own_rate(group) for group in optimizer.param_groups])
    setattr(optimizer, _BEGINNING, found)
    return found


def has_stepped(optimizer: Optimizer) -> bool:
    """Whether an optimiser has taken a step since its first scheduler was made."""
    return getattr(optimizer, "_opt_called", False)


def _rates_of(optimizer: Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def _products(*factors: list[float]) -> list[float]:
    """Group by group."""
    return [prod(each) for each in zip(*factors, strict=True)]
