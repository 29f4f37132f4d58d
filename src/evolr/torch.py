"""A schedule in PyTorch: a learning-rate scheduler like torch's own, that may listen to the loss.

    scheduler = ExpressionLR(optimizer, evolr.Schedule.load("champion.json"), total_steps=3000, steps_per_epoch=100)
    for inputs, targets in batches:
        ...
        optimizer.step()
        scheduler.step()

Where the formula reads the loss, it is `scheduler.step(loss=loss)`.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Final, Literal
from weakref import ref

from evolr.errors import MissingExtraError, ScheduleError
from evolr.loop import Loop, Rule, open_loop_rates, warn

try:
    from torch import Tensor
    from torch.compiler import is_compiling
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
except ImportError as error:
    raise MissingExtraError("evolr.torch", "torch") from error


_ALIKE_EPOCHS: Final = 5  # epochs in a row of one optimiser step each
_ALIKE: Final = 3  # times in a row that a scheduler is stepped too often for an optimiser's step: not by a skipped one


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
    loss, val_loss: of the untrained network, on the first batch and in validation; needed where the schedule reads
        them.
    last_epoch: as of any scheduler: the number of `step`s before, -1 for a new training.

    A schedule that reads the training wants `step(loss=…)` after each optimiser step and `observe(val_loss=…)` after
    each validation. Inside SequentialLR or ChainedScheduler, whose `step` takes no loss, `observe(loss=…)` follows it.
    It counts the optimiser's steps, and warns if it is stepped at another rate than it was made for.
    In a chain, what the others make of the learning rates is kept, whichever was made first.

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
        loss: Any = None,
        val_loss: Any = None,
        last_epoch: int = -1,
    ) -> None:
        if interval not in ("step", "epoch"):
            raise ScheduleError(f"interval is 'step' or 'epoch', got {interval!r}")
        self._loop = Loop(
            schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, loss=loss, val_loss=val_loss
        )
        self._stride = self._loop.steps_per_epoch if interval == "epoch" else 1
        self._pace = _Pace(interval, steps_per_epoch)
        self._base = _base_of(optimizer)
        self._ratios = [_own(group) / self._base for group in optimizer.param_groups]
        self._factors = _begun_by_others(optimizer)  # what other schedulers have made of the learning rates
        self._is_made = False
        super().__init__(optimizer, last_epoch)
        self._is_made = True

    def step(self, epoch: int | None = None, *, loss: Any = None, val_loss: Any = None) -> None:
        """Goes on by a step; after `optimizer.step()`.

        loss: of the batch just trained on. val_loss: of a validation since the step before. Numbers or tensors of one.
        epoch: for torch's own use. Raises ScheduleError for a loss in its place.
        """
        if epoch is not None and not isinstance(epoch, Integral):
            raise ScheduleError(
                "a loss is told by its name, step(loss=…), or observe(val_loss=…) after a validation; by position, "
                f"step takes the whole number of an epoch, got {epoch!r}"
            )
        super().step(epoch)
        if epoch is None and self.last_epoch > 0:
            self._pace.check(self.optimizer)
        else:  # its own first step, or a sequence's
            self._pace.begin(self.optimizer)
        if loss is not None or val_loss is not None:
            self.observe(loss=loss, val_loss=val_loss)

    def observe(self, *, loss: Any = None, val_loss: Any = None) -> None:
        """Takes up a loss, and sets the learning rate of the coming step by it."""
        before = self._loop.learning_rate
        self._loop.observe(loss=loss, val_loss=val_loss)
        has_begun = self.last_epoch >= 0  # in a SequentialLR its turn may be still to come
        if has_begun and self._loop.learning_rate != before:
            self._factors = self._found_factors(before)
            self._write(self._rates())

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule needs a validation loss."""
        return self._loop.reads_validation

    def get_lr(self) -> list[Any]:
        """The learning rate of each parameter group; called by torch."""
        position = max(self.last_epoch, 0) * self._stride
        if not self._is_made:
            self._loop.begin_at(position)
            return self._rates()
        begins = self.last_epoch <= 0 or getattr(self, "_is_initial", False)
        self._factors = [1.0] * len(self._factors) if begins else self._found_factors(self._loop.learning_rate)
        self._loop.move_to(position)
        return self._rates()

    def state_dict(self) -> dict[str, Any]:
        """All that another process needs to go on from here: numbers, and lists of numbers, by name."""
        return {
            "last_epoch": self.last_epoch,
            "step_count": self._step_count,
            "base": self._base,
            "factors": list(self._factors),
            "group_lrs": [float(group["lr"]) for group in self.optimizer.param_groups],
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from where the scheduler was that this was saved of; the learning rates are set as they were.

        Raises ScheduleError where it is not such a state.
        """
        own = ("last_epoch", "step_count", "factors", "group_lrs")
        if missing := [name for name in own if name not in state_dict]:
            raise ScheduleError(f"not the state of an ExpressionLR: it lacks {', '.join(missing)}")
        self._take_up_new_groups()
        if len(state_dict["factors"]) != len(self._factors):
            raise ScheduleError(
                f"the state is of {len(state_dict['factors'])} parameter groups, the optimiser has {len(self._factors)}"
            )
        self._base = state_dict.get("base", self._base)  # not in the states of evolr 0.1
        self._ratios = [_own(group) / self._base for group in self.optimizer.param_groups]
        self._loop.load_state_dict(state_dict)
        self.last_epoch, self._step_count = state_dict["last_epoch"], state_dict["step_count"]
        self._pace.begin(self.optimizer)
        self._factors = list(state_dict["factors"])
        self._write(state_dict["group_lrs"])

    def _take_up_new_groups(self) -> None:
        for group in self.optimizer.param_groups[len(self._ratios) :]:
            self._ratios.append(_own(group) / self._base)
            self._factors.append(1.0)

    def _write(self, rates: list[float]) -> None:
        """Sets the learning rate of each parameter group."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        rates_now = (group["lr"] for group in self.optimizer.param_groups)
        self._last_lr = [rate.clone() if isinstance(rate, Tensor) else rate for rate in rates_now]

    def _rates(self) -> list[float]:
        self._take_up_new_groups()
        rate = self._loop.learning_rate
        parts = zip(self.optimizer.param_groups, self._ratios, self._factors, strict=True)
        return [rate * ratio * _scale(group) * factor for group, ratio, factor in parts]

    def _found_factors(self, rate: float) -> list[float]:
        """What others have made of the learning rates since they were set to `rate`."""
        found: list[float] = []
        # Groups that were added since have only their own learning rate yet.
        for group, ratio, factor in zip(self.optimizer.param_groups, self._ratios, self._factors, strict=False):
            own, now = rate * ratio * _scale(group), float(group["lr"])
            slack = 1e-6 * now if isinstance(group["lr"], Tensor) else 0.0  # which may be of float32
            found.append(factor if not own or abs(now - own * factor) <= slack else now / own)
        return found


class _StepCount:
    """How many steps an optimiser has taken; the optimiser calls it after each. It knows nobody."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, *_: Any) -> None:
        if not is_compiling():
            self.steps += 1


class _Pace:
    """How often a scheduler is stepped for an optimiser's steps, and whether that is how it was made.

    steps_per_epoch: as it was given. The first step after a beginning says nothing: a warm-up, or what sets up an
    optimiser's state, may have gone before.
    """

    def __init__(self, interval: str, steps_per_epoch: int | None) -> None:
        self._interval, self._steps_per_epoch = interval, steps_per_epoch
        self._is_warned = False
        self._count: _StepCount | None = None
        self._counted: Callable[[], Optimizer | None] = lambda: None
        self._forget()

    def _forget(self) -> None:
        self._seen = 0 if self._count is None else self._count.steps
        self._is_first = True
        self._alike = 0  # how often in a row it was stepped in the same wrong way
        self._idle = self._idle_before = 0  # scheduler steps since the latest optimiser step, and since the one before

    def begin(self, optimizer: Optimizer) -> None:
        """Counts from here on."""
        if self._counted() is not optimizer:
            self._count, self._counted = _StepCount(), ref(optimizer)
            if hasattr(optimizer, "_optimizer_step_post_hooks"):  # not of those that only look like an optimiser
                optimizer.register_step_post_hook(self._count)
        self._forget()

    def check(self, optimizer: Optimizer) -> None:
        """Takes up a step of the scheduler, and warns once if it is at another rate than it was made for."""
        if self._count is None or self._counted() is not optimizer:
            self.begin(optimizer)
        steps = 0 if self._count is None else self._count.steps
        taken, self._seen = steps - self._seen, steps
        message = self._by_step(taken) if self._interval == "step" else self._by_epoch(taken)
        self._is_first = False
        if message and not self._is_warned:
            self._is_warned = True
            warn(message)

    def _by_step(self, taken: int) -> str | None:
        are_epochs = self._steps_per_epoch == 1  # as was said: each step of its horizon is an epoch
        if taken > 1 and not self._is_first and not are_epochs:
            return (
                f"the scheduler was stepped after {taken} optimiser steps and decides on each: call its step() after "
                'each optimizer.step(), or make it with interval="epoch" and steps_per_epoch if it is stepped once an '
                'epoch; in Lightning return {"scheduler": scheduler, "interval": "step"}'
            )
        if taken == 0:
            self._idle += 1
            return None
        self._alike = self._alike + 1 if self._idle == self._idle_before > 0 else 0
        times, self._idle_before, self._idle = self._idle + 1, self._idle, 0
        if self._alike < _ALIKE:
            return None
        return (
            f"the scheduler is stepped {times} times for each optimiser step: call its step() once, after each "
            "optimizer.step(). Under accelerate leave it out of prepare(), or give total_steps and steps_per_epoch "
            "times the number of processes; where gradients are accumulated, step it with the optimiser"
        )

    def _by_epoch(self, taken: int) -> str | None:
        if self._steps_per_epoch is None and taken > 1 and not self._is_first:
            return (
                f'the scheduler has interval="epoch", {taken} optimiser steps were taken in one, and nobody said so: '
                f"give steps_per_epoch={taken}, or steps_per_epoch=1 if total_steps counts epochs"
            )
        self._alike = self._alike + 1 if taken == 1 else 0
        if (self._steps_per_epoch or 1) == 1 or self._alike < _ALIKE_EPOCHS:
            return None
        return (
            f'the scheduler has interval="epoch", with {self._steps_per_epoch} optimiser steps each, and is stepped '
            'after every one of them: make it with interval="step", or call its step() once an epoch'
        )

    def __getstate__(self) -> dict[str, Any]:
        """A copy counts the steps of an optimiser of its own."""
        return {**self.__dict__, "_count": None, "_counted": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _counted=lambda: None)


def lr_lambda(
    schedule: Rule, base_lr: float, *, total_steps: int, steps_per_epoch: int | None = None
) -> Callable[[int], float]:
    """The factor by which torch's LambdaLR, and with it Hugging Face's Trainer, multiplies an optimiser's base_lr.

    schedule: one that reads no loss. total_steps, steps_per_epoch: optimiser steps, as for ExpressionLR.
    Raises ScheduleError where it reads a signal that only a training can tell, and for a base_lr that is not positive.
    """
    if not base_lr > 0:
        raise ScheduleError(f"base_lr must be positive, got {base_lr}")
    rates = open_loop_rates(schedule, total_steps, steps_per_epoch)
    return lambda step: rates[min(step, len(rates) - 1)] / base_lr


def _scale(group: dict[str, Any]) -> float:
    """By what timm's schedulers multiply a group's learning rate, for a decay by layers."""
    return float(group.get("lr_scale", 1.0))


def _own(group: dict[str, Any]) -> float:
    """The learning rate that a parameter group was made with, as far as torch remembers it."""
    return float(group.get("initial_lr", group["lr"]))


def _base_of(optimizer: Optimizer) -> float:
    """The greatest learning rate of the parameter groups, before any scheduler."""
    own = [_own(group) for group in optimizer.param_groups]
    if not (max(own) > 0 and min(own) >= 0):
        raise ScheduleError(
            "the parameter groups keep their ratio to the greatest of their learning rates, which must be positive; "
            f"got {', '.join(f'{rate:g}' for rate in own)}"
        )
    return max(own)


def _begun_by_others(optimizer: Optimizer) -> list[float]:
    """What schedulers that were made for an optimiser before its first step make of its learning rates.

    After a step, or in an optimiser that was loaded, a learning rate is what an earlier training has left.
    """
    is_new = hasattr(optimizer.step, "_wrapped_by_lr_sched") and not getattr(optimizer, "_opt_called", False)
    groups = optimizer.param_groups
    return [float(group["lr"]) / own if is_new and (own := _own(group)) > 0 else 1.0 for group in groups]
