"""What parameter groups are given: by the schedules of an optimiser, as parts of their own, and by others."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from math import inf, prod
from typing import Any, Final, NamedTuple, Protocol
from weakref import ref

from torch import Tensor
from torch.optim import Optimizer

from evolr.torch.groups import base_rate, has_stepped, held, own_rate, scale_of, separate_rates, set_rate, set_rates

_RATES: Final = "_rates_by_expressions"  # of an optimiser: its Rates
_NUMBER: Final = "evolr_group"  # of a group: its number, by which it is known again
_MOST_GONE: Final = 100  # groups that are not there now and may come back
_BASE: Final = "evolr_base_lr"  # of a group: the greatest own learning rate, which its own is in proportion to


class Part(Protocol):
    """An ExpressionLR, as Rates sees it."""

    @property
    def learning_rate(self) -> float:
        """What its schedule says of the coming step."""
        ...

    @property
    def is_in_play(self) -> bool:
        """Whether it has begun; in a SequentialLR its turn may be still to come, or over."""
        ...

    @property
    def is_under_way(self) -> bool:
        """Whether it has taken a step since it was made."""
        ...

    @property
    def is_taken_back(self) -> bool:
        """Whether a SequentialLR has taken back its latest step, with the learning rates of all."""
        ...

    def end_turn(self) -> None:
        """A sequence has handed over to another: it makes no part of the learning rates until it is stepped again."""
        ...

    def is_behind(self) -> bool | None:
        """Whether the optimiser has taken a step that it has not followed yet; None where nobody counts."""
        ...


class _Given(NamedTuple):
    """What a group was given last.

    own: its own learning rate then. said: what the schedules made of the greatest one. alone: what they made of its
    own. factor: what others had made of that. held: the learning rate that it had then, in the digits of its type.
    """

    own: float
    said: float
    alone: float
    factor: float
    held: float


class _Before(NamedTuple):
    """A group before its optimiser loaded a state."""

    rate: float
    factor: float
    group: dict[str, Any]
    given: _Given | None


class Rates:
    """The learning rates of an optimiser's parameter groups.

    A group's is its own, times what each ExpressionLR in play makes of it, times what others make of it, as a factor:
    a scheduler of torch's in a chain, or a hand. The factor is found by comparing the learning rate with the one that
    was given last. A group is known again by a number that it carries, in a state, a copy or another optimiser's place.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = ref(optimizer)
        self._parts: list[Callable[[], Part | None]] = []
        self._given: dict[int, _Given] = {}
        self._givers: list[Callable[[], Part | None]] = []  # those whose part the learning rates have
        self._base, self._next = 1.0, 0
        self._met: list[dict[str, Any]] = []  # the groups that were there when they were last looked at
        self._known: list[dict[str, Any]] = []  # and when they were last given their learning rates
        self._before: list[_Before] | None = None  # until a state is loaded

    def __getstate__(self) -> dict[str, Any]:
        """A copy is another optimiser's, and of copied parts, which join it by themselves."""
        return {"_given": self._given, "_base": self._base, "_next": self._next}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._optimizer, self._parts, self._givers, self._before = (lambda: None), [], [], None
        self._met, self._known = [], []
        self.__dict__.update(state)

    # --- whose learning rates these are ---------------------------------------------------------------------------

    def begin(self, part: Part, optimizer: Optimizer) -> None:
        """An ExpressionLR is made. What a training before this one has left is nobody's doing."""
        is_new = hasattr(optimizer.step, "_wrapped_by_lr_sched") and not has_stepped(optimizer)
        self._parts = [made for made in self._parts if (other := made()) is not None and not other.is_under_way]
        if not (is_new or self._parts):
            self._given = {}
        base = base_rate(optimizer)
        for group in self._meet(optimizer):
            group[_BASE] = base
            own = own_rate(group)
            if is_new and group[_NUMBER] not in self._given and own > 0:
                self._given[group[_NUMBER]] = _Given(own, base, own, 1.0, own)
        self._base = base
        self.join(part, optimizer)

    def join(self, part: Part, optimizer: Optimizer) -> None:
        """One more makes its part of the learning rates, if it does not yet."""
        if any(made() is part for made in self._parts):
            return
        self._optimizer = ref(optimizer)
        setattr(optimizer, _RATES, self)
        self._known = self._known or list(optimizer.param_groups)
        self._parts.append(ref(part, self._lost))

    def take_turn(self, part: Part) -> None:
        """A sequence hands over to one. Another that goes on, in a chain with it, is back by its next step."""
        for made in self._parts:
            if (other := made()) is not None and other is not part:
                other.end_turn()

    def _lost(self, _: Any) -> None:
        """One is there no more. Before the first step it was replaced, as when the cell of a notebook is run again."""
        optimizer = self._optimizer()
        if optimizer is not None and not has_stepped(optimizer) and self._in_play():
            set_rates(optimizer, self.give(optimizer, self.factors(optimizer)))

    def _in_play(self) -> list[Part]:
        return [part for made in self._parts if (part := made()) is not None and part.is_in_play]

    # --- what they are --------------------------------------------------------------------------------------------

    def factors(self, optimizer: Optimizer) -> list[float]:
        """What others have made of the learning rates since they were given."""
        groups = self._meet_again(optimizer)
        if any((part := made()) is not None and part.is_taken_back for made in self._givers):
            return [_in_parts(float(group["lr"]), own_rate(group)) for group in groups]  # as a sequence has set them
        return [self._factor(group) for group in groups]

    def factors_before(self, part: Part, optimizer: Optimizer) -> list[float]:
        """The same where a SequentialLR begins with one: it has set the learning rates to the groups' own.

        So what is different was made since, by those that stand before this one in a ChainedScheduler.
        """
        others = [other for other in self._in_play() if other is not part]
        groups = self._meet_again(optimizer)
        parts = [self._said(group, others) * self._ratio(group) for group in groups]
        scales = [scale_of(group) if others else 1.0 for group in groups]
        return [_in_parts(float(g["lr"]), alone * scale) for g, alone, scale in zip(groups, parts, scales, strict=True)]

    def _meet_again(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """The groups; if all have other own learning rates now, as OneCycleLR gives them, so has the greatest."""
        groups = self._meet(optimizer)
        if groups and all(self._has_another_own(group) for group in groups):
            greatest = max(map(own_rate, groups))
            for group in groups if _is_rate(greatest) else ():
                group[_BASE] = greatest
        return groups

    def _has_another_own(self, group: dict[str, Any]) -> bool:
        given = self._given.get(group[_NUMBER])
        return given is not None and given.own != own_rate(group)

    def given_factors(self, optimizer: Optimizer) -> list[float]:
        """What others had made of the learning rates when they were given last."""
        found = [self._given.get(group[_NUMBER]) for group in self._meet(optimizer)]
        return [1.0 if given is None else given.factor for given in found]

    def give(self, optimizer: Optimizer, factors: Iterable[float]) -> list[float]:
        """The learning rates of the coming step, for whoever sets them now."""
        both = zip(self._meet(optimizer), factors, strict=True)
        said = self._said_by_all()
        rates = [self._give(group, said(group), factor) for group, factor in both]
        self._known = list(self._met)
        return rates

    def ratios(self, optimizer: Optimizer) -> list[float]:
        """Each group's own learning rate in parts of the greatest."""
        return [self._ratio(group) for group in self._meet(optimizer)]

    def go_on(
        self, optimizer: Optimizer, ratios: Iterable[float], factors: list[float] | None, rates: list[float]
    ) -> None:
        """Sets the learning rates of a saved state. factors: what others had made of them; None if nobody has said."""
        groups = self._meet(optimizer)
        for group, ratio in zip(groups, ratios, strict=True):
            if ratio > 0 and own_rate(group) > 0:
                group[_BASE] = own_rate(group) / ratio
        set_rates(optimizer, rates)
        said = self._said_by_all()
        for group, factor, rate in zip(groups, factors or [None] * len(groups), rates, strict=True):
            self._give(group, said(group), 1.0 if factor is None else factor)
            given = self._given[group[_NUMBER]]
            found = _in_parts(rate, given.alone) if factor is None else factor
            self._given[group[_NUMBER]] = given._replace(factor=found, held=held(group, rate))
        self._known = list(self._met)

    def _give(self, group: dict[str, Any], said: float, factor: float) -> float:
        """A group's learning rate of the coming step, which is noted as given."""
        alone = self._alone(group, said)
        rate = alone * factor
        self._given[group[_NUMBER]] = _Given(own_rate(group), said, alone, factor, held(group, rate))
        return rate

    def _alone(self, group: dict[str, Any], said: float) -> float:
        """What the schedules alone make of a group's learning rate, where this is what they say of the greatest."""
        return said * self._ratio(group) * scale_of(group)

    def _said_by_all(self) -> Callable[[dict[str, Any]], float]:
        """What the schedules in play say of the greatest learning rate, for a group; these are then who has given."""
        parts, known = self._in_play(), dict[float, float]()
        self._givers = [ref(part) for part in parts]

        def said(group: dict[str, Any]) -> float:
            base = group[_BASE]
            if base not in known:
                known[base] = self._said(group, parts)
            return known[base]

        return said

    def _said(self, group: dict[str, Any], parts: list[Part]) -> float:
        """The first says it, others multiply it."""
        first, *others = [part.learning_rate for part in parts] or [group[_BASE]]
        return first * prod(rate / group[_BASE] for rate in others)

    def _ratio(self, group: dict[str, Any]) -> float:
        """Its own learning rate in parts of the greatest."""
        return own_rate(group) / group[_BASE]

    def _factor(self, group: dict[str, Any]) -> float:
        """What others have made of a group's learning rate; while the schedule says 0, that cannot be seen."""
        given, now = self._given.get(group[_NUMBER]), float(group["lr"])
        if given is None or given.own != own_rate(group):  # new, or made anew
            return 1.0
        if now == given.held:
            return given.factor
        if given.alone > 0:
            return now / given.alone
        if given.own == 0 < given.said and now > 0:  # its own was 0 until now
            own = now / given.said * group[_BASE] / (scale_of(group) or 1.0)
            group["initial_lr"] = own
            self._given[group[_NUMBER]] = given._replace(own=own)
        return given.factor

    # --- groups that change ---------------------------------------------------------------------------------------

    def take_up(self, optimizer: Optimizer) -> None:
        """Before a step: groups that came since the latest have the learning rate that the schedules say."""
        if _are_same(optimizer.param_groups, self._known):
            return
        known = {id(group) for group in self._known}
        factors = self.factors(optimizer)
        if not all(part.is_behind() for part in self._in_play()):
            said = self._said_by_all()
            for group, factor in zip(optimizer.param_groups, factors, strict=True):
                if id(group) not in known:
                    set_rate(group, self._give(group, said(group), factor))
            self._known = list(self._met)

    def before_load(self, optimizer: Optimizer) -> None:
        """The optimiser is about to load a state."""
        factors = self.factors(optimizer)
        both = zip(optimizer.param_groups, factors, strict=True)
        self._before = [_Before(float(g["lr"]), f, g, self._given.get(g[_NUMBER])) for g, f in both]

    def after_load(self, optimizer: Optimizer) -> None:
        """It has; the learning rates in the state are of another time, and no change of anybody's."""
        before, self._before = self._before, None
        groups = optimizer.param_groups
        if before is None or len(before) != len(groups):
            return
        self._take_own(groups, before)
        self._met = []
        parts = self._in_play()
        is_due = all(part.is_behind() for part in parts)  # or its turn is over, and another one says the learning rates
        said = self._said_by_all()
        for group, was in zip(self._meet(optimizer), before, strict=True):
            number, own, now = group[_NUMBER], own_rate(group), float(group["lr"])
            alone = self._alone(group, said(group))
            given = was.given or _Given(own, said(group), alone, was.factor, was.rate)
            if is_due:  # what was loaded stands until then, and is nobody's change
                seen = now / was.factor if was.factor > 0 else given.alone
                self._given[number] = given._replace(own=own, alone=seen, factor=was.factor, held=now)
            elif was.given is not None and alone == given.alone:  # to the bit as it was
                self._given[number] = given._replace(own=own)
                set_rate(group, was.rate)
            else:
                set_rate(group, self._give(group, said(group), was.factor))
        self._known = list(self._met)

    def _take_own(self, groups: list[dict[str, Any]], before: list[_Before]) -> None:
        """The groups' own learning rates are the state's, as far as it has them."""
        has_base = all(_is_rate(group.get(_BASE)) for group in groups)
        greatest = max((own_rate(group) for group in groups if "initial_lr" in group), default=0.0)
        for group, was in zip(groups, before, strict=True):
            if not has_base:
                group[_BASE] = greatest if _is_rate(greatest) else was.group[_BASE]
            group.setdefault("initial_lr", was.group.get("initial_lr", was.rate))

    def _meet(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """The parameter groups as they are, each with a number, a learning rate and a base."""
        groups = optimizer.param_groups
        if _are_same(groups, self._met) and all(_NUMBER in g and _BASE in g and "initial_lr" in g for g in groups):
            return groups
        separate_rates(optimizer)
        base = next((group[_BASE] for group in groups if _BASE in group), self._base)
        seen = set[int]()
        for group in groups:
            number = _number(group)
            if number < 0 or number in seen:  # new, or a copy of another
                self._next = group[_NUMBER] = 1 + max([self._next, *map(_number, groups)])
                given = self._given.get(number)
                if given is not None and given.held == float(group["lr"]):
                    self._given[group[_NUMBER]] = given
            seen.add(group[_NUMBER])
            if self._given and "initial_lr" not in group:  # torch itself takes it of those that are there at first
                own, known = group["lr"], self._given.get(number)
                own = own if known is None else known.own
                group["initial_lr"] = own.clone() if isinstance(own, Tensor) else own
            group.setdefault(_BASE, base)
        gone = [number for number in self._given if number not in seen]
        for number in gone[: max(len(gone) - _MOST_GONE, 0)]:
            del self._given[number]
        self._base, self._met = base, list(groups)
        return groups


def rates_of(optimizer: Optimizer) -> Rates:
    """The Rates of an optimiser, which all its ExpressionLRs share."""
    found: Rates | None = getattr(optimizer, _RATES, None)
    return Rates(optimizer) if found is None else found


def _number(group: dict[str, Any]) -> int:
    """The number that a group carries; -1 if it has none."""
    number = group.get(_NUMBER)
    return number if isinstance(number, int) else -1


def _are_same(groups: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    return len(groups) == len(others) and all(map(operator.is_, groups, others))


def _in_parts(rate: float, alone: float) -> float:
    """A learning rate in parts of another; 1 where that is 0."""
    return rate / alone if alone > 0 else 1.0


def _is_rate(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < inf
