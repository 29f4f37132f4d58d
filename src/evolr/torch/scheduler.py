"""The scheduler: a schedule sets the learning rates of an optimiser's parameter groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from evolr.errors import ScheduleError, shown
from evolr.loop import Loop, Rule, number, open_loop_rates, signals_of, warn, whole_steps
from evolr.signals.memory import observed
from evolr.signals.table import observation_named
from evolr.torch.distributed import is_distributed, mean_over_ranks
from evolr.torch.groups import own_rate, set_rates
from evolr.torch.hooks import hook, stepping
from evolr.torch.network import Network
from evolr.torch.pace import Pace
from evolr.torch.rates import rates_of


class ExpressionLR(LRScheduler):
    """Sets the learning rate of an optimiser by a schedule.

    optimizer: any of torch's. The schedule says the learning rate of the parameter group with the greatest one; the
        others keep their ratio to it, those that are added later too. A group's own is its `initial_lr`, which
        checkpoints hold, or else its `lr`; so it does not matter with which `lr` the optimiser was constructed, nor
        in which order the groups stand. A group's `lr_scale` multiplies its learning rate besides, as timm's
        schedulers do.
    schedule: an `evolr.Schedule`.
    total_steps: optimiser steps of the whole training. steps_per_epoch: those of an epoch; 1 if None, with a warning
        where the schedule reads the epoch.
    interval: how often `step` is called, once an optimiser `step` or once an `epoch`.
    first: what is told before the first step, by name: loss and val_loss (or val_score) of the untrained network, on
        the first batch and in validation; needed if the schedule reads them.
    across_ranks: what the processes of a distributed training tell, each its own: their `mean` is taken, so that all
        of them have one learning rate, or it is taken `as_told`, for processes that train networks of their own.
    last_epoch: as of any scheduler: the number of `step`s before, -1 for a new training.

    A schedule that reads the training wants `step(loss=…)` after each optimiser step and `observe(val_loss=…)` after
    each validation. Inside SequentialLR or ChainedScheduler, whose `step` takes no loss, `observe(loss=…)` follows it.
    It counts the optimiser's steps, and warns if it is stepped at another rate than it was made for.
    In a chain, what the others make of the learning rates is kept, whichever was made first, and so is what is set by
    hand: a group that was set to half has half from then on; one that was set to 0 has 0 until it is set above 0. But
    LambdaLR, OneCycleLR and CosineAnnealingWarmRestarts set it whatever it was, in any chain.
    In a distributed training each process has to tell what the schedule reads, at the same steps. One that has no
    value, because another one validates, say, tells NaN, and is left out of the mean.

    Raises ScheduleError for a horizon below 1, a missing loss, and an optimiser without a positive learning rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Rule,
        *,
        total_steps: int,
        steps_per_epoch: int | None = None,
        interval: Literal["step", "epoch"] = "step",
        across_ranks: Literal["mean", "as_told"] = "mean",
        last_epoch: int = -1,
        **first: Any,
    ) -> None:
        if interval not in ("step", "epoch"):
            raise ScheduleError(f"interval is 'step' or 'epoch', got {shown(interval)}")
        if across_ranks not in ("mean", "as_told"):
            raise ScheduleError(f"across_ranks is 'mean' or 'as_told', got {shown(across_ranks)}")
        read = observed(signals_of(schedule))
        measured = frozenset(name for name in read if observation_named(name).is_measured)
        self._shared = read - measured if across_ranks == "mean" else frozenset[str]()
        self._network = Network(measured, optimizer)
        first = self._over_ranks(first, optimizer) | self._network.at_first()
        # What only other formulas of its study read is not looked at, and yet not missed.
        study = observed(getattr(schedule, "study", frozenset[str]()))
        measures = measured | {name for name in study if observation_named(name).is_measured}
        self._loop = Loop(
            schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, measures=measures, **first
        )
        self.horizon = {"total_steps": total_steps, "steps_per_epoch": self._loop.steps_per_epoch}
        self._stride = self._loop.steps_per_epoch if interval == "epoch" else 1
        self._pace = Pace(interval, steps_per_epoch)
        self._is_warned_of_zero = False
        self._is_made = self.is_under_way = self._is_over = False
        self._latest = -2  # the number of the step that was reached by itself
        self._all = rates_of(optimizer)
        self._all.begin(self, optimizer)
        super().__init__(optimizer, last_epoch)
        self._is_made = True
        self._listen()

    def _listen(self) -> None:
        """Hears of the optimiser's steps, and of states that it loads."""
        self._network.watch(self.see_gradients)
        inner = stepping(self.optimizer)
        if hasattr(inner, "_optimizer_step_pre_hooks"):  # not of those that only look like an optimiser
            hook(inner.register_step_pre_hook, self._before_step)
        if hasattr(inner, "_optimizer_load_state_dict_pre_hooks"):
            hook(inner.register_load_state_dict_pre_hook, self._before_load)
            hook(inner.register_load_state_dict_post_hook, self._after_load)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy hears of the steps of an optimiser of its own."""
        self.__dict__.update(state)
        self._all.join(self, self.optimizer)
        self._listen()

    def step(self, epoch: int | None = None, **told: Any) -> None:
        """Goes on by a step; after `optimizer.step()`.

        told: loss, of the batch just trained on; val_loss, of a validation since the step before; grad_norm, the norm
            before clipping, as torch.nn.utils.clip_grad_norm_ returns it. Numbers or tensors of one.
        epoch: for torch's own use. Raises ScheduleError for a loss in its place.
        """
        if epoch is not None and not isinstance(epoch, Integral):
            raise ScheduleError(
                "a loss is told by its name, step(loss=…), or observe(val_loss=…) after a validation; by position, "
                f"step takes the whole number of an epoch, got {shown(epoch)}"
            )
        super().step(epoch)
        self.is_under_way = self._is_made
        if epoch is None and self.last_epoch > 0:
            self._pace.check(self.optimizer)
        else:  # its own first step, or a sequence's
            self._pace.begin(self.optimizer)
        given = {name: value for name, value in told.items() if value is not None}
        if seen := self._network.taken(is_told="grad_norm" in given) | given:
            self.observe(**seen)

    def observe(self, **told: Any) -> None:
        """Takes up a loss, or what else `step` is told, and sets the learning rate of the coming step by it."""
        self._network.note_gradient(told)
        self._tell(self._loop.observe, self._over_ranks(told, self.optimizer))

    def _tell(self, tell: Callable[..., float], told: dict[str, Any]) -> None:
        """Tells the loop, and sets the learning rate of the coming step by it."""
        before = self._loop.learning_rate
        tell(**told)
        # In a SequentialLR its turn may be still to come, or over, if the optimiser goes on without it.
        if self.is_in_play and not self.is_behind() and self._loop.learning_rate != before:
            self._write(self._all.give(self.optimizer, self._all.factors(self.optimizer)))

    def see_gradients(self) -> None:
        """Reads the gradients as they are: before they are clipped, say. The coming optimiser step reads them no more.

        The first ones that are finite set the learning rate of their step. Without this call they are read as the
        optimiser steps. Under a GradScaler it stands after scaler.unscale_(optimizer).
        """
        self._network.see()
        if first := self._network.at_first_step():
            self._tell(self._loop.begin, first)

    @property
    def observations(self) -> frozenset[str]:
        """What the schedule needs to be told or shown, by name: loss, val_loss, grad_norm, …"""
        return self._loop.observations

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule needs what validations tell."""
        return self._loop.reads_validation

    @property
    def learning_rate(self) -> float:
        """What the schedule says of the coming step, for the parameter group with the greatest learning rate."""
        return self._loop.learning_rate

    @property
    def is_in_play(self) -> bool:
        """Whether it has begun; in a SequentialLR its turn may be still to come, or over."""
        return self.last_epoch >= 0 and self.last_epoch == self._latest and not self._is_over

    @property
    def is_taken_back(self) -> bool:
        """Whether a SequentialLR has taken back its latest step, with the learning rates of all."""
        return self.last_epoch < self._latest

    def end_turn(self) -> None:
        """A sequence has handed over to another: it makes no part of the learning rates until it is stepped again."""
        self._is_over = True

    def is_behind(self) -> bool | None:
        """Whether the optimiser has taken a step that it has not followed yet; None where nobody counts."""
        return self._pace.is_behind()

    def get_lr(self) -> list[Any]:
        """The learning rate of each parameter group; called by torch."""
        if not self._is_made:
            self._latest = self.last_epoch
            self._loop.begin_at(max(self.last_epoch, 0) * self._stride)
            return self._all.give(self.optimizer, self._all.factors(self.optimizer))
        if self.last_epoch == self._latest:  # by a SequentialLR, which has taken back a step before
            return self._gone_on(self._all.factors_before(self, self.optimizer))
        return self._gone_on(self._all.factors(self.optimizer))

    def _get_closed_form_lr(self) -> list[Any]:
        """Called by torch where a sequence hands over to this one: what another one left is no factor."""
        if self.last_epoch > 0:
            return self._gone_on(self._all.factors(self.optimizer))
        self._all.take_turn(self)
        self._pace.begin(self.optimizer)
        self._loop.move_to(0)
        if first := self._network.restart():
            self._loop.begin(**first)
        return self._gone_on([1.0] * len(self.optimizer.param_groups))

    def _gone_on(self, found: list[float]) -> list[float]:
        """The learning rates of the step that is reached; found: what others make of them."""
        self._latest, self._is_over = self.last_epoch, False
        self._warn_of_zeros(found)
        self._loop.move_to(max(self.last_epoch, 0) * self._stride)
        self._all.join(self, self.optimizer)
        return self._all.give(self.optimizer, found)

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to go on from here: numbers, and lists of numbers, by name."""
        rates = self._all
        return {
            "last_epoch": self.last_epoch,
            "step_count": self._step_count,
            "factors": rates.factors(self.optimizer),
            "ratios": rates.ratios(self.optimizer),
            "is_over": self._is_over,
            "group_lrs": [float(group["lr"]) for group in self.optimizer.param_groups],
            **self._network.state_dict(),
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from where the scheduler was that this was saved of; the learning rates are set as they were.

        Raises ScheduleError where it is not such a state.
        """
        given: Any = state_dict
        wanted = ("last_epoch", "step_count", "factors", "group_lrs")
        known = given if isinstance(given, dict) else {}
        if missing := [name for name in wanted if name not in known]:
            raise ScheduleError(f"not the state of an ExpressionLR: it lacks {', '.join(missing)}")
        last_epoch, step_count = (whole_steps(name, given[name], -1) for name in ("last_epoch", "step_count"))
        factors, rates = (_saved_rates(name, given[name]) for name in ("factors", "group_lrs"))
        # In the states of evolr 0.1 the ratios follow from the base, if that is there.
        (base,) = _saved_rates("base", [given.get("base", 1.0)])
        if not base > 0:
            raise ScheduleError(f"the state's base is a learning rate above 0, got {shown(given['base'])}")
        own = [own_rate(group) for group in self.optimizer.param_groups]
        older = [rate / base for rate in own] if "base" in given else self._all.ratios(self.optimizer)
        is_older = "ratios" not in given
        ratios = older if is_older else _saved_rates("ratios", given["ratios"])
        for saved in (factors, rates, ratios):
            if len(saved) != len(own):
                raise ScheduleError(f"the state is of {len(saved)} parameter groups, the optimiser has {len(own)}")
        trees = self._network.checked_state(given)
        self._loop.load_state_dict(given)
        self._network.load_state_dict(given, trees)
        self.last_epoch, self._step_count = last_epoch, step_count
        self._latest, self.is_under_way, self._is_over = self.last_epoch, False, bool(given.get("is_over", False))
        self._pace.begin(self.optimizer)
        self._all.go_on(self.optimizer, ratios, None if is_older else factors, rates)
        self._note_last()

    def _over_ranks(self, told: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
        """What was told; of what the schedule reads, the mean over the processes of a distributed training.

        Whether they meet follows from the schedule and from the names that are told, which are the same in each.
        """
        shared = {name: told[name] for name in self._shared if told.get(name) is not None}
        return {**told, **mean_over_ranks(shared, optimizer)} if shared and is_distributed() else told

    def _before_step(self, *_: Any) -> None:
        self._all.take_up(self.optimizer)

    def _before_load(self, *_: Any) -> None:
        self._all.before_load(self.optimizer)

    def _after_load(self, *_: Any) -> None:
        self._all.after_load(self.optimizer)

    def _write(self, rates: list[float]) -> None:
        """Sets the learning rate of each parameter group."""
        set_rates(self.optimizer, rates)
        self._note_last()

    def _note_last(self) -> None:
        rates_now = (group["lr"] for group in self.optimizer.param_groups)
        self._last_lr = [rate.clone() if isinstance(rate, Tensor) else rate for rate in rates_now]

    def _warn_of_zeros(self, found: list[float]) -> None:
        """Warns once of a group whose learning rate is 0 and that nobody has set above 0 for a whole step."""
        if self._is_warned_of_zero or 0.0 not in found:
            return
        both = enumerate(zip(self._all.given_factors(self.optimizer), found, strict=False))
        stay = ", ".join(str(k) for k, (before, now) in both if before == now == 0)
        if stay:
            self._is_warned_of_zero = True
            warn(
                f"the learning rate of parameter group {stay} was set to 0, by hand or by another scheduler, and stays "
                "0: what others make of a learning rate is kept as a factor. To go on with the group, set its 'lr' to "
                "what it should be now; to freeze it for good, requires_grad_(False)"
            )


def lr_lambda(
    schedule: Rule, base_lr: float, *, total_steps: int, steps_per_epoch: int | None = None
) -> Callable[[int], float]:
    """The factor by which torch's LambdaLR, and with it Hugging Face's Trainer, multiplies an optimiser's base_lr.

    schedule: one that reads no loss. total_steps, steps_per_epoch: optimiser steps, as for ExpressionLR.
    Raises ScheduleError where it reads a signal that only a training can tell, and for a base_lr that is not positive.
    """
    base = number(base_lr)
    if not 0 < base < math.inf:
        raise ScheduleError(f"base_lr must be positive, got {base_lr}")
    rates = open_loop_rates(schedule, total_steps, steps_per_epoch)
    return lambda step: rates[min(step, len(rates) - 1)] / base


def _saved_rates(name: str, values: Any) -> list[float]:
    """Learning rates of a saved state, or factors on them. Raises ScheduleError for what is none."""
    rates = [number(value) for value in values] if isinstance(values, list | tuple) else [math.nan]
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise ScheduleError(f"the state's {name} are finite numbers of at least 0, got {shown(values)}")
    return rates
