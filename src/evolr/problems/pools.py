"""Pools of examples: arrays with one leading axis, disjoint by purpose.

Examples are a pytree of arrays, as JAX understands it (an array, a tuple, a dict of them), whose leading axis counts them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, Final, cast, get_args

import numpy as np
from numpy.typing import NDArray

from evolr.errors import ConfigError, ProblemError, printable, quoted, shortened, shown, unknown_name
from evolr.problems.problem import Pool
from evolr.randomness import generator
from evolr.ranges import Whole
from evolr.training.task import Tree

_SEEDS: Final = Whole(0, 2**63 - 1)

POOLS: Final = ("train", *get_args(Pool))
"""The names of all pools: the one that is trained on, and those that judge."""

_NARROWED: Final = {"float64": np.dtype("float32"), "int64": np.dtype("int32"), "uint64": np.dtype("uint32")}
"""What JAX computes with where it is given these."""


def pools(
    examples: Tree,
    seed: int = 0,
    *,
    train: float = 0.6,
    monitor: float = 0.1,
    fitness: float = 0.1,
    selection: float = 0.1,
    test: float = 0.1,
) -> dict[str, Tree]:
    """Disjoint pools of examples, drawn without replacement: the `data` of a JaxProblem.

    examples: a pytree of arrays with one leading axis. seed: of the draw. train … test: the part of the examples that
    each pool gets, rounded down; together at most 1. A pool of 0 is left out, which `train` and `monitor` cannot be.
    Examples that are there twice may come into two pools: remove duplicates first.

    >>> drawn = pools((np.zeros((50, 3)), np.arange(50)), test=0.2, train=0.5)
    >>> {name: len(labels) for name, (_, labels) in drawn.items()}
    {'train': 25, 'monitor': 5, 'fitness': 5, 'selection': 5, 'test': 10}

    Raises ConfigError for fractions out of range, ProblemError where a pool is left without an example.
    """
    import jax

    fractions = dict(zip(POOLS, (train, monitor, fitness, selection, test), strict=True))
    for name, fraction in fractions.items():
        if not isinstance(cast("Any", fraction), Real) or not 0 <= fraction <= 1:
            raise ConfigError(f"the fraction of the pool {name!r} must be a number from 0 to 1, got {shown(fraction)}")
        if not fraction and name in ("train", "monitor"):
            raise ConfigError(f"every problem needs the pool {name!r}: its fraction must be above 0")
    if (total := math.fsum(fractions.values())) > 1 + 1e-9:
        raise ConfigError(f"the fractions of the pools must add up to at most 1, got {total:g}")
    seed = _SEEDS.of("seed", seed)
    arrays = checked_examples("examples", examples)
    count = number_of(arrays)
    order = generator(seed, "pools").permutation(count)
    drawn: dict[str, Tree] = {}
    for name, fraction in fractions.items():
        size = int(fraction * count + 1e-9)  # 0.29 · 100 is 28.999…
        if fraction and not size:
            raise ProblemError(
                f"the pool {name!r} is to have {fraction:g} of {count} examples, which is less than one; give it more, or "
                "bring more examples"
            )
        chosen, order = order[:size], order[size:]
        if fraction:
            drawn[name] = jax.tree.map(lambda array, rows=chosen: array[rows], arrays)
    return drawn


def checked_pools(data: Mapping[str, Tree]) -> dict[str, Tree]:
    """The examples by pool as NumPy arrays, in the order of POOLS. Raises ProblemError for what is none."""
    wanted = "data must map pools to examples, {'train': …, 'monitor': …}; evolr.pools makes such of all examples"
    if not isinstance(cast("Any", data), Mapping):
        raise ProblemError(f"{wanted}; got a {type(data).__name__}")
    for name in data:
        if name not in POOLS:
            raise ProblemError(unknown_name("pool", str(name), POOLS))
    for name in ("train", "monitor"):
        if name not in data:
            raise ProblemError(f"{wanted}; {name!r} is missing, got {', '.join(data) or 'nothing'}")
    return {name: checked_examples(f"data[{name!r}]", data[name]) for name in POOLS if name in data}


def checked_examples(what: str, examples: Tree) -> Tree:
    """The examples as NumPy arrays; 64 bits become 32. Raises ProblemError where they are none. what: names them."""
    import jax

    placed, structure = taken_apart(what, examples)
    if not placed:
        raise ProblemError(f"{what} holds no array; wanted an array, or a tuple or dict of arrays, of examples")
    checked = [_array(place, leaf) for place, leaf in placed]
    counts = [len(array) for array in checked]
    if len(set(counts)) > 1:
        shown = ", ".join(f"{place} has {count}" for (place, _), count in zip(placed, counts, strict=True))
        raise ProblemError(
            f"the arrays of {what} must have one example each a row, equally many: {shortened(shown, 300)}"
        )
    if not counts[0]:
        raise ProblemError(f"{what} has no examples: its leading axis is empty")
    return jax.tree.unflatten(structure, checked)


def taken_apart(what: str, tree: Tree) -> tuple[list[tuple[str, Any]], Any]:
    """The leaves of a pytree, each with its place in words, and its structure. what: names it. Raises ProblemError for what is none."""
    import jax

    try:
        named, structure = jax.tree_util.tree_flatten_with_path(tree)
    except Exception as error:  # names of a dict that cannot be put in order, or of an own class what that raises
        raise ProblemError(
            f"{what} is no pytree: {quoted(error)}; let the names in each dict be of one type, such as texts"
        ) from error
    return [(f"{what}{printable(shortened(jax.tree_util.keystr(p), 80))}", leaf) for p, leaf in named], structure


def number_of(examples: Tree) -> int:
    """The number of checked examples."""
    import jax

    return len(jax.tree.leaves(examples)[0])


def digest(data: Mapping[str, Tree]) -> str:
    """The SHA-256, in hexadecimal, of checked examples by pool: of their bytes, types, shapes and places."""
    import jax

    found = hashlib.sha256()
    for name, examples in data.items():
        for path, array in jax.tree_util.tree_flatten_with_path(examples)[0]:
            found.update(
                f"{name}{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode(errors="surrogatepass")
            )
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _array(name: str, leaf: Any) -> NDArray[Any]:
    """An array of numbers with at least one axis."""
    import jax.numpy as jnp

    try:
        array = np.asarray(leaf)
    except Exception as error:
        raise ProblemError(f"{name} must be an array of numbers, got a {type(leaf).__name__}: {error}") from error
    kinds = (np.floating, np.integer, np.bool_)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in kinds):
        raise ProblemError(
            f"{name} must be an array of floats, integers or booleans, got a {type(leaf).__name__} of {array.dtype}; turn "
            "texts and categories into numbers first"
        )
    if not array.ndim:
        raise ProblemError(
            f"{name} must have a leading axis of examples, got the single value {leaf!r}; a list of numbers or of lists is "
            "made an array first: np.asarray(…)"
        )
    return narrowed(name, array)


def narrowed(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array as JAX computes with it, 64 bits as 32. Raises ProblemError for whole numbers that these do not hold. name: its own."""
    narrow = _NARROWED.get(array.dtype.name)
    if narrow is None:
        return array
    if array.dtype.kind in "iu" and array.size:
        limits, least, most = np.iinfo(narrow.name), array.min(), array.max()
        if least < limits.min or most > limits.max:
            raise ProblemError(f"{name} holds {least} … {most}; JAX computes with {narrow} here")
    return array.astype(narrow)
