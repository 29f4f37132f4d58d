"""What tensors of a network show, in Keras' operations on any of its backends, compiled or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

ops: Any = keras.ops


def when(condition: Any, then: Callable[[], Any], otherwise: Any) -> Any:
    """What a function gives where a condition holds, or another value; without a condition, None, it holds."""
    return then() if condition is None else ops.cond(condition, then, lambda: otherwise)


def value_of(variable: Any) -> Any:
    """The number that a variable holds, which no gradient goes through."""
    return ops.stop_gradient(ops.convert_to_tensor(variable))


def float32(variable: Any) -> Any:
    """The same in float32, of whatever type the variable is."""
    return ops.cast(value_of(variable), "float32")


def norm(tensors: Sequence[Any]) -> Any:
    """The L2 norm of all numbers of some tensors, in float32."""
    norms = [ops.norm(ops.reshape(ops.cast(tensor, "float32"), (-1,))) for tensor in tensors]
    return ops.norm(ops.stack(norms)) if norms else ops.zeros(())


def cosine(tensors: Sequence[Any], others: Sequence[Any]) -> Any:
    """The cosine of the angle between some tensors and others of their shapes; 0 if all of the ones are."""
    dot = ops.sum(ops.stack([ops.sum(a * b) for a, b in zip(tensors, others, strict=True)]))
    size = norm(tensors) * norm(others)
    return ops.where(size > 0, dot / ops.where(size > 0, size, 1.0), 0.0)
