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

from evolr.distributed import is_distributed, mean_over_ranks
from evolr.errors import MissingExtraError, ScheduleError
from evolr.loop import Loop, Rule, open_loop_rates, warn
from evolr.signals.memory import observed
from evolr.signals.table import observation_named

try:
    import torch
    from torch import Tensor
    from torch.compiler import is_compiling
    from torch.nn.utils import get_total_norm
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
except ImportError as error:
    raise MissingExtraError("evolr.torch", "torch") from error


_WRITTEN: Final = "_written_by_expression"  # of an optimiser: what an ExpressionLR made last of its learning rates
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
    first: what is told before the first step, by name: loss and val_loss (or val_score) of the untrained network, on
        the first batch and in validation; needed if the schedule reads them.
    across_ranks: what the processes of a distributed training tell, each its own: their `mean` is taken, so that all
        of them have one learning rate, or it is taken `as_told`, for processes that train networks of their own.
    last_epoch: as of any scheduler: the number of `step`s before, -1 for a new training.

    A schedule that reads the training wants `step(loss=…)` after each optimiser step and `observe(val_loss=…)` after
    each validation. Inside SequentialLR or ChainedScheduler, whose `step` takes no loss, `observe(loss=…)` follows it.
    It counts the optimiser's steps, and warns if it is stepped at another rate than it was made for.
    In a chain, what the others make of the learning rates is kept, whichever was made first, and so is what is set by
    hand: a group that was set to half has half from then on; one that was set to 0 has 0 until it is set above 0.
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
            raise ScheduleError(f"interval is 'step' or 'epoch', got {interval!r}")
        if across_ranks not in ("mean", "as_told"):
            raise ScheduleError(f"across_ranks is 'mean' or 'as_told', got {across_ranks!r}")
        read = observed(schedule.signals)
        measured = frozenset(name for name in read if observation_named(name).is_measured)
        self._shared = read - measured if across_ranks == "mean" else frozenset[str]()
        self._network = _Network(measured, optimizer)
        first = self._over_ranks(first, optimizer) | self._network.at_first()
        self._loop = Loop(
            schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, measures=measured, **first
        )
        self.horizon = {"total_steps": total_steps, "steps_per_epoch": self._loop.steps_per_epoch}
        self._stride = self._loop.steps_per_epoch if interval == "epoch" else 1
        self._pace = _Pace(interval, steps_per_epoch)
        self._base = _base_of(optimizer)
        self._ratios = [_own(group) / self._base for group in optimizer.param_groups]
        self._factors = _begun_by_others(optimizer)  # what other schedulers have made of the learning rates
        self._is_warned_of_zero = False
        self._is_made = False
        super().__init__(optimizer, last_epoch)
        self._is_made = True
        self._network.watch(self)

    def step(self, epoch: int | None = None, **told: Any) -> None:
        """Goes on by a step; after `optimizer.step()`.

        told: loss, of the batch just trained on; val_loss, of a validation since the step before; grad_norm, the norm
            before clipping, as torch.nn.utils.clip_grad_norm_ returns it. Numbers or tensors of one.
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
        if told := self._network.taken() | {k: value for k, value in told.items() if value is not None}:
            self.observe(**told)

    def observe(self, **told: Any) -> None:
        """Takes up a loss, or what else `step` is told, and sets the learning rate of the coming step by it."""
        before = self._loop.learning_rate
        self._network.had_gradient |= told.get("grad_norm") is not None
        self._loop.observe(**self._over_ranks(told, self.optimizer))
        has_begun = self.last_epoch >= 0  # in a SequentialLR its turn may be still to come
        if has_begun and self._loop.learning_rate != before:
            self._factors = self._found_factors(before)
            self._write(self._rates())

    def see_gradients(self) -> None:
        """Reads the gradients as they are: before they are clipped, say. The coming optimiser step reads them no more.

        The first ones set the learning rate of the first step. Without this call they are read as the optimiser steps.
        """
        self._network.see()
        first = {} if self._network.had_gradient else self._network.numbers(("grad_norm",))
        if first and self._loop.position == 0:
            self.observe(**first)

    @property
    def observations(self) -> frozenset[str]:
        """What the schedule needs to be told or shown, by name: loss, val_loss, grad_norm, …"""
        return self._loop.observations

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule needs what validations tell."""
        return self._loop.reads_validation

    def get_lr(self) -> list[Any]:
        """The learning rate of each parameter group; called by torch."""
        position = max(self.last_epoch, 0) * self._stride
        if not self._is_made:
            self._loop.begin_at(position)
            return self._rates()
        begins = self.last_epoch <= 0 or getattr(self, "_is_initial", False)
        found = [1.0] * len(self._factors) if begins else self._found_factors(self._loop.learning_rate)
        self._warn_of_zeros(found)
        self._factors = found
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
            **self._network.state_dict(),
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
        self._network.load_state_dict(state_dict)
        self._loop.load_state_dict(state_dict)
        self.last_epoch, self._step_count = state_dict["last_epoch"], state_dict["step_count"]
        self._pace.begin(self.optimizer)
        self._factors = list(state_dict["factors"])
        self._write(state_dict["group_lrs"])

    def _over_ranks(self, told: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
        """What was told; of what the schedule reads, the mean over the processes of a distributed training.

        Whether they meet follows from the schedule and from the names that are told, which are the same in each.
        """
        shared = {name: told[name] for name in self._shared if told.get(name) is not None}
        return {**told, **mean_over_ranks(shared, optimizer)} if shared and is_distributed() else told

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
        rates = [rate * ratio * _scale(group) * factor for group, ratio, factor in parts]
        setattr(self.optimizer, _WRITTEN, list(zip(rates, self._factors, strict=True)))
        return rates

    def _found_factors(self, rate: float) -> list[float]:
        """What others have made of the learning rates since they were set to `rate`."""
        found: list[float] = []
        # Groups that were added since have only their own learning rate yet.
        for group, ratio, factor in zip(self.optimizer.param_groups, self._ratios, self._factors, strict=False):
            own, now = rate * ratio * _scale(group), float(group["lr"])
            slack = 1e-6 * now if isinstance(group["lr"], Tensor) else 0.0  # which may be of float32
            found.append(factor if not own or abs(now - own * factor) <= slack else now / own)
        return found

    def _warn_of_zeros(self, found: list[float]) -> None:
        """Warns once of a group whose learning rate is 0 and that nobody has set above 0 for a whole step."""
        both = enumerate(zip(self._factors, found, strict=False))
        stay = ", ".join(str(k) for k, (before, now) in both if before == now == 0)
        if stay and not self._is_warned_of_zero:
            self._is_warned_of_zero = True
            warn(
                f"the learning rate of parameter group {stay} was set to 0, by hand or by another scheduler, and stays "
                "0: what others make of a learning rate is kept as a factor. To go on with the group, set its 'lr' to "
                "what it should be now; to freeze it for good, requires_grad_(False)"
            )


class _Network:
    """What an optimiser's steps show of a network to a schedule: norms of gradient, update and weights.

    Read as tensors when the optimiser steps, before it and after it, and turned into numbers once a step. names: the
    observations that are needed; nothing is kept for others.
    """

    def __init__(self, names: frozenset[str], optimizer: Optimizer) -> None:
        self._names, self._optimizer = names, optimizer
        self.is_seen = False  # the gradients of the coming step
        self._pending: dict[str, Tensor] = {}
        self.had_gradient = False
        needs_update = not names.isdisjoint(("update_norm", "alignment"))
        self._trees: dict[str, list[Tensor]] = {}
        if "distance" in names:
            self._trees["initial"] = _copies(optimizer)
        if needs_update:
            self._trees["before"] = []
            self._trees["direction"] = []

    def at_first(self) -> dict[str, float]:
        """What is known before the first step."""
        needs_weights = not self._names.isdisjoint(("weight_norm", "distance"))
        return {"weight_norm": float(_norm(_parameters(self._optimizer)))} if needs_weights else {}

    def watch(self, scheduler: ExpressionLR) -> None:
        """Reads at each of the optimiser's steps; the first gradient sets the first learning rate before its step."""
        optimizer = self._optimizer
        if not self._names or not hasattr(optimizer, "register_step_pre_hook"):
            return
        told, network = ref(scheduler), self

        def seen() -> None:
            if (mine := told()) is not None and not network.is_seen:
                mine.see_gradients()

        def before(_: Any, args: Any, kwargs: Any) -> Any:
            if is_compiling():
                return None
            closure = kwargs.get("closure") or (args[1] if len(args) > 1 else None)  # the first is the optimiser
            if closure is None:
                seen()
                return None

            def watched() -> Any:
                loss = closure()
                seen()
                return loss

            return args[:1], {**kwargs, "closure": watched}

        def after(*_: Any) -> None:
            if not is_compiling():
                network.see_step()

        optimizer.register_step_pre_hook(before)
        optimizer.register_step_post_hook(after)

    def see(self) -> None:
        """Reads the gradients, before a step; nothing if no schedule needs any of the network."""
        if not self._names:
            return
        self.is_seen = True
        gradients = [p.grad for p in _parameters(self._optimizer) if p.grad is not None]
        if not gradients:
            raise ScheduleError(
                "the schedule reads the gradient, and no parameter has one when the optimiser steps: call backward() "
                "before, or tell it, step(grad_norm=…)"
            )
        scale = getattr(
            self._optimizer, "grad_scale", None
        )  # of a fused optimiser under a GradScaler, which unscales itself
        self._pending["grad_norm"] = _norm(gradients) if scale is None else _norm(gradients) / scale
        if "alignment" in self._names:
            self._pending["alignment"] = self._alignment()
        if "before" in self._trees:
            self._trees["before"] = _copies(self._optimizer)

    def see_step(self) -> None:
        """Reads the weights, after a step."""
        self.is_seen = False
        parameters = [p.detach() for p in _parameters(self._optimizer)]
        if self._trees.get("before"):
            rates = [group["lr"] for group in self._optimizer.param_groups for _ in group["params"]]
            if all(float(rate) > 0 for rate in rates):
                moved = _differences(self._trees["before"], parameters)
                self._trees["direction"] = [m / rate for m, rate in zip(moved, rates, strict=True)]
                self._pending["update_norm"] = _norm(self._trees["direction"])
            self._trees["before"] = []
        if "weight_norm" in self._names:
            self._pending["weight_norm"] = _norm(parameters)
        if "distance" in self._names:
            self._pending["distance"] = _norm(_differences(parameters, self._trees["initial"]))

    def taken(self) -> dict[str, float]:
        """What the latest step has shown, as numbers; the gradients that are there, if no hook has seen them."""
        if not self._names:
            return {}
        has_gradients = any(parameter.grad is not None for parameter in _parameters(self._optimizer))
        if has_gradients and not (self._pending or self.had_gradient):
            raise ScheduleError(
                "the schedule reads the gradient, and the first optimiser step was taken unseen, as a compiled one "
                "is: tell the first one before it, scheduler.observe(grad_norm=…)"
            )
        found = self.numbers(tuple(self._pending))
        self._pending = {}
        return found

    def numbers(self, names: tuple[str, ...]) -> dict[str, float]:
        """Some of what is pending, by one transfer."""
        wanted = [name for name in names if name in self._pending]
        if not wanted:
            return {}
        values = torch.stack([self._pending[name].detach().float() for name in wanted]).tolist()
        return dict(zip(wanted, values, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The tensors that another process needs to go on."""
        kept = {f"network.{name}": list(tree) for name, tree in self._trees.items() if name != "before"}
        return {**kept, "network.had_gradient": self.had_gradient} if self._names else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.had_gradient = bool(state.get("network.had_gradient", self.had_gradient))
        for name, tree in self._trees.items():
            self._trees[name] = list(state.get(f"network.{name}", tree))

    def _alignment(self) -> Tensor:
        """The cosine of the gradient with the direction before it; 0 if there is none."""
        pairs = zip(_parameters(self._optimizer), self._trees["direction"], strict=False)
        both = [(p.grad, d) for p, d in pairs if p.grad is not None]
        if not both:
            return torch.zeros([])
        dot = torch.stack([(g * d).sum() for g, d in both]).sum()
        size = _norm([g for g, _ in both]) * _norm([d for _, d in both])
        return torch.where(size > 0, dot / size.clamp_min(1e-38), 0.0)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _differences(tensors: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    return [tensor - other for tensor, other in zip(tensors, others, strict=True)]


def _copies(optimizer: Optimizer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in _parameters(optimizer)]


def _norm(tensors: list[Tensor]) -> Tensor:
    """The L2 norm of all numbers of some tensors, without waiting for it."""
    return get_total_norm([tensor.detach() for tensor in tensors])


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

    After a step, or in an optimiser that was loaded, a learning rate is what an earlier training has left. What an
    ExpressionLR has made of it is no factor: a second one takes its place, as when the cell of a notebook is run again.
    """
    is_new = hasattr(optimizer.step, "_wrapped_by_lr_sched") and not getattr(optimizer, "_opt_called", False)
    if not is_new:
        return [1.0] * len(optimizer.param_groups)
    written: list[tuple[float, float]] = getattr(optimizer, _WRITTEN, [])
    factors: list[float] = []
    for k, group in enumerate(optimizer.param_groups):
        before, factor = written[k] if k < len(written) else (_own(group), 1.0)
        factors.append(factor * float(group["lr"]) / before if before > 0 else factor)
    return factors
