"""The functions of a JaxProblem, checked before anything trains: by tracing on shapes, not by running.

What is wrong is said in terms of the user's own functions: which of them, with what shapes, what it gave, what was wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.errors import ProblemError, printable, shortened
from evolr.problems.pools import narrowed, taken_apart
from evolr.training.task import Tree

_MOST_SHOWN: Final = 8  # arrays of a tree in a message


def checked_parameters(parameters: Tree, call: str) -> Tree:
    """The parameters as NumPy float32. call: what gave them. Raises ProblemError where they are no such pytree."""
    import jax

    placed, structure = taken_apart(call, parameters)
    if not placed:
        raise ProblemError(f"{call} gave no array at all; wanted the parameters, a pytree of float arrays")
    return jax.tree.unflatten(structure, [_parameter(place, leaf) for place, leaf in placed])


def checked_context(context: Tree, call: str) -> Tree:
    """What else a seed's task is, as NumPy arrays of numbers. call: what gave it. Raises ProblemError where it is none."""
    import jax

    placed, structure = taken_apart(call, context)
    if not placed:
        raise ProblemError(f"{call} gave no array at all; wanted a pytree of arrays or numbers, or no context")
    return jax.tree.unflatten(structure, [_numbers(place, leaf) for place, leaf in placed])


def _numbers(name: str, leaf: Any) -> NDArray[Any]:
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf":
        raise ProblemError(f"{name} is a {type(leaf).__name__}; wanted an array of real numbers or truth values")
    return narrowed(name, array)


def require_alike(parameters: Tree, call: str, first: Tree, first_call: str, what: str = "parameters") -> None:
    """Raises ProblemError where two checked trees differ in structure or shapes. what: they are."""
    import jax

    wanted = f"{call.partition('(')[0]} must give {what} of one structure and the same shapes for every seed"
    if jax.tree.structure(first) != jax.tree.structure(parameters):
        one, other = described(first), described(parameters)
        differ = "; their static parts differ" if one == other else ""
        raise ProblemError(f"{wanted}: {first_call} gave {one}, {call} gave {other}{differ}")
    named = jax.tree_util.tree_flatten_with_path(first)[0]
    for (path, one), other in zip(named, jax.tree.leaves(parameters), strict=True):
        if one.shape != other.shape:
            place = jax.tree_util.keystr(path)
            raise ProblemError(f"{wanted}: {first_call}{place} is of {one.shape}, {call}{place} of {other.shape}")


def require_gradient(loss: Callable[..., Any], parameters: Tree, batch: Tree, beside: tuple[Tree, ...] = ()) -> None:
    """Raises ProblemError where the loss of a batch is not what `require_loss` wants, or has no gradient."""
    import jax

    require_loss(loss, parameters, batch, "batch", beside)
    traced(f"the gradient of {_call('loss', 'batch', beside)}", jax.grad(loss), parameters, batch, beside)


def require_loss(
    loss: Callable[..., Any], parameters: Tree, examples: Tree, what: str, beside: tuple[Tree, ...] = ()
) -> None:
    """Raises ProblemError where the loss is no scalar float. what: names the examples. beside: the context, if there is one."""
    import jax.numpy as jnp

    call = _call("loss", what, beside)
    found = _scalar(call, traced(call, loss, parameters, examples, beside))
    if not jnp.issubdtype(found.dtype, np.floating):
        raise ProblemError(f"{call} must be a float, so that it has a gradient; it is {found.dtype}")


def require_metric(
    metric: Callable[..., Any], parameters: Tree, examples: Tree, what: str, beside: tuple[Tree, ...] = ()
) -> None:
    """Raises ProblemError where the metric is no real scalar. what: names the examples. beside: as of `require_loss`."""
    import jax.numpy as jnp

    call = _call("metric", what, beside)
    found = _scalar(call, traced(call, metric, parameters, examples, beside))
    if jnp.issubdtype(found.dtype, np.complexfloating):
        raise ProblemError(f"{call} must be a real number; it is {found.dtype}")


def _call(name: str, what: str, beside: tuple[Tree, ...]) -> str:
    return f"{name}(parameters, {what}{', context' if beside else ''})"


def traced(
    call: str, function: Callable[..., Any], parameters: Tree, examples: Tree, beside: tuple[Tree, ...] = ()
) -> Any:
    """The shapes and types of what a function gives. Raises ProblemError, from the function's own error, where it raises."""
    import jax

    try:
        return jax.eval_shape(function, parameters, examples, *beside)
    except Exception as error:
        context = f", context {described(beside[0])}" if beside else ""
        raise ProblemError(
            f"{call} raised {_first_line(error)}, with parameters {described(parameters)}, examples {described(examples)}{context}"
        ) from error


def called(call: str, function: Callable[[int], Tree], seed: int) -> Tree:
    """What a function of a seed gives. Raises ProblemError, from the function's own error, where it raises."""
    try:
        return function(seed)
    except Exception as error:
        raise ProblemError(f"{call} raised {_first_line(error)}") from error


def described(tree: Tree) -> str:
    """Each array of a tree by its place, with its type and shape; the first few of many."""
    import jax

    named = jax.tree_util.tree_flatten_with_path(tree)[0]
    shown = [f"{jax.tree_util.keystr(path)} {leaf.dtype}{list(leaf.shape)}".strip() for path, leaf in named]
    rest = len(shown) - _MOST_SHOWN
    return "{" + ", ".join(shown[:_MOST_SHOWN]) + (f", … {rest} more" if rest > 0 else "") + "}"


def _parameter(name: str, leaf: Any) -> NDArray[np.float32]:
    import jax.numpy as jnp

    kind = type(leaf).__name__
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        advice = "wrap it by jnp.asarray" if isinstance(leaf, int | float) else "keep what is no array out of them"
        raise ProblemError(
            f"{name} is a {kind}; parameters must be a pytree of float arrays: {advice}. An Equinox model is parted by "
            "eqx.partition(model, eqx.is_inexact_array) and put together by eqx.combine inside loss and metric"
        )
    if leaf.dtype not in (np.float32, np.float64):
        if jnp.issubdtype(leaf.dtype, np.floating):
            advice = "keep the parameters in float32 and cast them inside loss"
        else:
            advice = "what is not trained belongs into loss and metric, not among the parameters"
        raise ProblemError(f"{name} is an array of {leaf.dtype}; parameters must be float32: {advice}")
    return np.asarray(leaf, np.float32)


def _scalar(call: str, found: Any) -> Any:
    """What a function gave, if it is one value."""
    import jax

    leaves = jax.tree.leaves(found)
    if len(leaves) != 1 or leaves[0] is not found:
        raise ProblemError(
            f"{call} must be one scalar array; it is a {type(found).__name__} of {len(leaves)} arrays: return the scalar alone"
        )
    if found.shape:
        raise ProblemError(
            f"{call} must be a scalar, of shape (); its shape is {found.shape}: take the mean over the examples"
        )
    return found


def _first_line(error: Exception) -> str:
    try:
        first = (str(error).splitlines() or [""])[0]
    except Exception:  # of the user's own
        first = "(it cannot be said)"
    return printable(f"{type(error).__name__}: {shortened(first, 300)}")
