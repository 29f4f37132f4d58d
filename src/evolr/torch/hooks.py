"""Hooks of an optimiser that do not keep their owner alive, and go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakMethod, finalize

from torch.compiler import disable, is_compiling
from torch.optim import Optimizer


def stepping(optimizer: Any) -> Any:
    """The optimiser that takes the steps and calls the hooks: inside of accelerate's, which calls none."""
    while not hasattr(optimizer, "_optimizer_step_pre_hooks"):
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, Optimizer):
            break
        optimizer = inner
    return optimizer


def stands_still(optimizer: Any) -> bool:
    """Whether a step moves nothing: torch.distributed.checkpoint takes such a one, to have a state to read."""
    return all(isinstance(group["lr"], float | int) and group["lr"] == 0 for group in optimizer.param_groups)


def hook(register: Callable[[Any], Any], method: Callable[..., Any], *, breaks_graph: bool = False) -> None:
    """Registers a method as a hook; it is removed when the object is gone that the method is of.

    register: of an optimiser, such as `optimizer.register_step_pre_hook`. breaks_graph: whether a compiled step is left
        for it; else a compiled step goes without it.
    """
    weak = WeakMethod(method)

    def called(*arguments: Any) -> Any:
        live = None if is_compiling() else weak()
        return None if live is None else live(*arguments)

    handle = register(disable(called) if breaks_graph else called)
    if hasattr(handle, "remove"):  # what only looks like an optimiser may answer nothing
        finalize(method.__self__, handle.remove).atexit = False  # pyright: ignore[reportFunctionMemberAccess]
