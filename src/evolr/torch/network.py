"""What an optimiser's steps show of a network: norms of its gradients, updates and weights, read as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakMethod

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import LBFGS, Optimizer

from evolr.errors import ScheduleError
from evolr.loop import number, warn
from evolr.torch.groups import has_stepped
from evolr.torch.hooks import hook, stands_still, stepping

_HALF: Final = (torch.float16, torch.bfloat16)
_LONG: Final = 30  # steps; a gradient scaler that starts too high skips half as many in a row


class Network:
    """What an optimiser's steps show of a network to a schedule: norms of gradient, update and weights.

    Read as tensors when the optimiser steps, before it and after it, and turned into numbers once a step. names: the
    observations that are needed; nothing is kept for others.
    """

    def __init__(self, names: frozenset[str], optimizer: Optimizer) -> None:
        self._names, self._optimizer = names, optimizer
        self.is_seen = False  # the gradients of the coming step
        self._pending: dict[str, Tensor] = {}
        self.had_gradient = False  # a finite one, of a step
        self._had_stepped = has_stepped(optimizer)
        self._unseen = 0  # scheduler steps since a gradient was seen
        self._see: Callable[[], Callable[[], None] | None] | None = None
        self._has_begun = False  # a learning rate was decided by the gradient of the coming step, the first
        self._is_fresh = True  # no step was taken yet: weights may still be loaded
        self._known = _parameters(optimizer)  # those of the trees, in order
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

    def watch(self, see: Callable[[], None]) -> None:
        """Reads at each of the optimiser's steps.

        see: the method to call before each, when the gradients are there: it sees them, and acts on the first. A
            compiled step is left for it: the graph breaks there, as it does at every scheduler of torch's.
        """
        self._see = WeakMethod(see)  # the optimiser is not to keep the scheduler alive
        inner = stepping(self._optimizer)
        if self._names and hasattr(inner, "register_step_pre_hook"):
            hook(inner.register_step_pre_hook, self._before_step, breaks_graph=True)
            hook(inner.register_step_post_hook, self._after_step, breaks_graph=True)

    def __getstate__(self) -> dict[str, Any]:
        """A copy watches an optimiser of its own."""
        return {**self.__dict__, "_see": None}

    def _before_step(self, _: Any, args: Any, kwargs: Any) -> Any:
        closure = kwargs.get("closure") or (args[1] if len(args) > 1 else None)  # the first is the optimiser
        if closure is None:
            self._call_see()
            return None
        if isinstance(self._optimizer, LBFGS) and "grad_norm" in self._names and not self.had_gradient:
            raise ScheduleError(
                "the schedule reads the gradient, and LBFGS takes its learning rate before its closure "
                "computes one: tell the first norm before the first step, scheduler.observe(grad_norm=…)"
            )

        def watched() -> Any:
            loss = closure()
            self._call_see()
            return loss

        return args[:1], {**kwargs, "closure": watched}

    def _after_step(self, *_: Any) -> None:
        self.see_step()

    def _call_see(self) -> None:
        is_scaled = getattr(self._optimizer, "grad_scale", None) is not None  # so it was, whenever it was seen
        see = None if self._see is None else self._see()
        if see is not None and (is_scaled or not self.is_seen):
            see()

    def see(self) -> None:
        """Reads the gradients, before a step; nothing if no schedule needs any of the network."""
        if not self._names:
            return
        gradients = [_dense(p.grad) for p in _parameters(self._optimizer) if p.grad is not None]
        if not gradients:  # a batch was skipped, and the step will move nothing
            return
        self.is_seen = True
        self._meet_parameters()
        if self._is_fresh and "initial" in self._trees:
            self._trees["initial"] = _copies(self._optimizer)
        if "before" in self._trees:
            self._trees["before"] = _copies(self._optimizer)
        if self._names.isdisjoint(("grad_norm", "alignment")):
            return
        # Of a fused optimiser under a GradScaler, which unscales the gradients itself.
        scale = getattr(self._optimizer, "grad_scale", None)
        self._pending["grad_norm"] = _norm(gradients) if scale is None else _norm(gradients) / scale
        if "alignment" in self._names:
            self._pending["alignment"] = self._alignment()

    def see_step(self) -> None:
        """Reads the weights, after a step."""
        if not self.is_seen:  # it had no gradient
            return
        self.is_seen = False
        self._is_fresh = self._is_fresh and stands_still(self._optimizer)
        self.had_gradient = self.had_gradient or self._has_begun
        self._meet_parameters()
        parameters = [p.detach() for p in _parameters(self._optimizer)]
        if self._trees.get("before"):
            rates = [group["lr"] for group in self._optimizer.param_groups for _ in group["params"]]
            if any(float(rate) > 0 for rate in rates):  # a group that stands still shows nothing
                both = zip(_differences(self._trees["before"], parameters), rates, strict=True)
                direction = [m / rate if float(rate) > 0 else torch.zeros_like(m) for m, rate in both]
                self._take_direction(direction, getattr(self._optimizer, "found_inf", None))
            self._trees["before"] = []
        if "weight_norm" in self._names:
            self._pending["weight_norm"] = _norm(parameters)
        if "distance" in self._names:
            self._pending["distance"] = _norm(_differences(parameters, self._trees["initial"]))

    def _take_direction(self, direction: list[Tensor], is_skipped: Tensor | None) -> None:
        """Takes up the direction of a step.

        is_skipped: above 0 for a step that did not move, of a fused optimiser under a GradScaler; it is on the
            device, and not waited for.
        """
        norm = _norm(direction)
        if is_skipped is not None:
            before = self._trees["direction"] or [torch.zeros_like(part) for part in direction]
            pairs = zip(direction, before, strict=True)
            direction = [torch.where(is_skipped.to(new.device) > 0, old, new) for new, old in pairs]
            norm = torch.where(is_skipped.to(norm.device) > 0, torch.nan, norm)
        self._trees["direction"], self._pending["update_norm"] = direction, norm

    def note_gradient(self, told: Mapping[str, Any]) -> None:
        """Remembers whether a gradient has been told, one that is finite."""
        if self._names and not self.had_gradient and told.get("grad_norm") is not None:
            self.had_gradient = math.isfinite(float(told["grad_norm"]))

    def at_first_step(self) -> dict[str, float]:
        """What decides the learning rate of the first step, at that step: its gradient, and weights as they are now.

        The gradient that was just seen counts as the first as long as no step was taken with one that is finite, and
        not 0 throughout.
        """
        found = {} if self.had_gradient else self.numbers(("grad_norm",))
        self._has_begun = 0 < found.get("grad_norm", math.nan) < math.inf
        return (self.at_first() if self._is_fresh else {}) | (found if self._has_begun else {})

    def taken(self, *, is_told: bool) -> dict[str, float]:
        """What the latest step has shown, as numbers; nothing if it was skipped before the optimiser.

        is_told: whether somebody else tells the norm of its gradient. Warns where for long nobody has.
        """
        if not self._names:
            return {}
        has_gradients = any(parameter.grad is not None for parameter in _parameters(self._optimizer))
        is_taken = has_stepped(self._optimizer) and not self._had_stepped
        if has_gradients and is_taken and not (self._pending or self.had_gradient):
            raise ScheduleError(
                "the schedule reads the gradient, and the first optimiser step was taken unseen, by an optimiser "
                "that calls no hooks: tell the first one before it, scheduler.observe(grad_norm=…)"
            )
        self._unseen = 0 if self._pending or is_told else self._unseen + 1
        if self._unseen == _LONG:
            warn(
                f"the schedule reads the network, and for {_LONG} of its steps the optimiser took none that it could "
                "see: a step that is replayed from a CUDA graph, or taken by another method than step, calls no hooks, "
                "and one without a gradient shows none; tell the norm, step(grad_norm=…)"
            )
        found = self.numbers(tuple(self._pending))
        self._pending, self.is_seen = {}, False
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
        if not self._names:
            return {}
        kept = {f"network.{name}": list(tree) for name, tree in self._trees.items() if name != "before"}
        pending = {f"network.pending.{name}": value for name, value in self.numbers(tuple(self._pending)).items()}
        return {**kept, **pending, "network.had_gradient": self.had_gradient}

    def checked_state(self, state: Mapping[str, Any]) -> dict[str, list[Tensor]]:
        """The tensors of a state, where the weights are. Raises ScheduleError for those of another network."""
        weights = _parameters(self._optimizer)
        trees = dict(self._trees)
        for name in trees:
            found = state.get(f"network.{name}")
            if found is None:
                continue
            is_one = isinstance(found, list | tuple) and all(isinstance(part, Tensor) for part in found)
            shapes = [part.shape for part in found] if is_one else None
            if shapes != [weight.shape for weight in weights] and not (name == "direction" and shapes == []):
                raise ScheduleError(
                    f"the state's network.{name} is not of this network: expected {len(weights)} tensors of the "
                    "shapes of its weights"
                )
            trees[name] = [p.to(w.device) for p, w in zip(found, weights, strict=False)]
        return trees

    def load_state_dict(self, state: Mapping[str, Any], trees: dict[str, list[Tensor]]) -> None:
        """Goes on from there. trees: as `checked_state` answers."""
        self.had_gradient = bool(state.get("network.had_gradient", self.had_gradient))
        self._is_fresh = False
        self._known, self._trees = _parameters(self._optimizer), trees
        pending = {name: state[key] for name in sorted(self._names) if (key := f"network.pending.{name}") in state}
        self._pending = {name: torch.tensor(number(value)) for name, value in pending.items()}

    def _meet_parameters(self) -> None:
        """Parameters that were added since the training began, or took others' places, are where they are initially."""
        now = _parameters(self._optimizer)
        if not self._trees:
            return
        shapes = [p.shape for p in now]
        for name, tree in self._trees.items():
            if not tree or ([part.shape for part in tree] == shapes and [*map(id, now)] == [*map(id, self._known)]):
                continue
            held = {id(p): part for p, part in zip(self._known, tree, strict=True)}
            new = torch.zeros_like if name == "direction" else torch.clone
            both = [(p.detach(), held.get(id(p))) for p in now]
            self._trees[name] = [new(p) if old is None or old.shape != p.shape else old for p, old in both]
        self._known = now

    def restart(self) -> dict[str, float]:
        """A sequence hands over: distances are those from the weights as they are, and no gradient has been seen."""
        self._pending, self.had_gradient, self.is_seen, self._has_begun = {}, False, False, False
        self._had_stepped, self._unseen = has_stepped(self._optimizer), 0
        if "initial" in self._trees:
            self._meet_parameters()
            self._trees["initial"] = _copies(self._optimizer)
        return self.at_first()

    def _alignment(self) -> Tensor:
        """The cosine of the gradient with the direction before it; 0 if there is none."""
        pairs = zip(_parameters(self._optimizer), self._trees["direction"], strict=False)
        signs = [
            -1.0 if group.get("maximize") else 1.0 for group in self._optimizer.param_groups for _ in group["params"]
        ]
        both = [(_dense(p.grad) * sign, d) for (p, d), sign in zip(pairs, signs, strict=False) if p.grad is not None]
        if not both:
            return torch.zeros([])
        dot = torch.stack([_dot(g.detach(), d).float() for g, d in both]).sum()
        size = _norm([g for g, _ in both]) * _norm([d for _, d in both])
        return torch.where(size > 0, dot / size.clamp_min(1e-38), 0.0)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _differences(tensors: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    return [tensor - other for tensor, other in zip(tensors, others, strict=True)]


def _copies(optimizer: Optimizer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in _parameters(optimizer)]


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def _norm(tensors: list[Tensor]) -> Tensor:
    """The L2 norm of all numbers of some tensors, without waiting for it.

    On a processor by dot products, which are twice as fast as torch's norm, and nearer by two digits where millions of
    numbers are summed.
    """
    parts = [_real(tensor.detach()) for tensor in tensors]
    if any(part.dtype in _HALF for part in parts):  # whose squares are beyond their type
        parts = [torch.linalg.vector_norm(p, dtype=torch.float32) if p.dtype in _HALF else p for p in parts]
    if not all(_is_flat(part) for part in parts):
        return get_total_norm(parts)
    return torch.stack([_dot(part, part) for part in parts]).sum().sqrt()


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """The sum of the products of two tensors' numbers; of complex ones, of their real and imaginary parts."""
    one, other = _real(one), _real(other)
    if _is_flat(one) and _is_flat(other):
        return torch.dot(one.view(-1), other.view(-1))
    is_half = one.dtype in _HALF or other.dtype in _HALF
    return (one.float() * other.float()).sum() if is_half else (one * other).sum()


def _real(tensor: Tensor) -> Tensor:
    """The real numbers of a tensor: of a complex one, two for each of its."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _is_flat(tensor: Tensor) -> bool:
    """Whether it is a plain row of numbers of the processor, whose squares are no risk to their type."""
    is_plain = type(tensor) is Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu"
    return is_plain and tensor.dtype == torch.float32 and tensor.is_contiguous()
