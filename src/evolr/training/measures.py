"""What a compiled step measures of a network for its schedule: norms of gradient, update and weights.

One small function an observation; a step computes those that its schedules read, by their sources.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from evolr.errors import ScheduleError
from evolr.signals import SIGNALS, Operations, observation_named, observed

ARRAYS: Final = Operations(jnp.where, jnp.isfinite, jnp.sqrt)
"""The operations of the signals' rules on traced arrays."""

Tree = Any

_SMALL: Final = 32_768
"""Numbers of a network whose arrays are joined: of a larger one, copying costs more than it saves."""


def norm(tree: Tree) -> Any:
    """The L2 norm of all numbers of a tree."""
    return jnp.sqrt(_dot(tree, tree))


def distance(tree: Tree, other: Tree) -> Any:
    """The L2 norm of a difference."""
    return norm(jax.tree.map(lambda a, b: _wide(a) - _wide(b), tree, other))


def cosine(tree: Tree, other: Tree) -> Any:
    """The cosine of the angle between two trees; 0 if one of them is 0."""
    size = norm(tree) * norm(other)
    return jnp.where(size > 0, _dot(tree, other) / jnp.where(size > 0, size, 1.0), 0.0)


def _wide(array: Any) -> Any:
    """In float32; a complex array stays one, so that both parts of its numbers count."""
    return array.astype(jnp.complex64 if jnp.iscomplexobj(array) else jnp.float32)


def _dot(tree: Tree, other: Tree) -> Any:
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    products = [jnp.vdot(jnp.ravel(_wide(a)), jnp.ravel(_wide(b))).real for a, b in pairs]
    return jnp.sum(jnp.stack(products)) if products else jnp.float32(0)


def _joined(tree: Tree) -> list[Any]:
    """The numbers of a tree as flat arrays; of a small one as a single one, since an operation costs more than they."""
    flat = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
    is_small = 0 < sum(array.size for array in flat) <= _SMALL
    return [jnp.concatenate(flat)] if is_small else flat


class Network(NamedTuple):
    """What is measured: gradients, the optimiser's directions, parameters, the initial ones, the direction before."""

    gradients: Tree = None
    directions: Tree = None
    parameters: Tree = None
    initial: Tree = None
    before: Tree = None


_REDUCTIONS: Final[Mapping[str, Callable[[Network], Any]]] = {
    "grad_norm": lambda n: norm(n.gradients),
    "update_norm": lambda n: norm(n.directions),
    "alignment": lambda n: cosine(n.gradients, n.before),
    "weight_norm": lambda n: norm(n.parameters),
    "distance": lambda n: distance(n.parameters, n.initial),
}


def measured(names: Collection[str], network: Network) -> dict[str, Any]:
    """Some observations of a network, each by its reduction; of several, a small network's arrays are joined."""
    if len(names) > 1:
        network = Network(*(None if tree is None else _joined(tree) for tree in network))
    return {name: reduction(network) for name, reduction in _REDUCTIONS.items() if name in names}


def unless_still(told: Mapping[str, Any], rate: Any) -> dict[str, Any]:
    """What a step has told; one with learning rate 0 says nothing of an update, as if the weights alone were seen."""
    return {
        name: jnp.where(rate > 0, value, jnp.nan) if name == "update_norm" else value for name, value in told.items()
    }


class Level:
    """How much of a network is measured: nothing, the gradient, or everything.

    There are three, so that a program is compiled three times at most, whatever formulas a study breeds; and which one
    trains a schedule depends on that schedule alone, so that no company changes its arithmetic.
    """

    NOTHING: Final = frozenset[str]()
    GRADIENT: Final = frozenset(("grad_norm",))
    EVERYTHING: Final = frozenset(_REDUCTIONS)


def level_of(signals: Collection[str]) -> frozenset[str]:
    """The level that a schedule with these signals needs: the least that measures what they are made of.

    Raises ScheduleError for a signal of the user's own, of which nothing here knows.
    """
    if own := sorted(set(signals) - SIGNALS.keys()):
        raise ScheduleError(
            f"{', '.join(own)} is a signal of your own, which the trainer does not know: a training function of yours tells it"
        )
    read = {name for name in observed(signals) if observation_named(name).is_measured}
    return next(level for level in (Level.NOTHING, Level.GRADIENT, Level.EVERYTHING) if read <= level)


def signals_at(level: frozenset[str]) -> list[str]:
    """The signals that are computed at a level."""
    return [name for name in SIGNALS if level_of([name]) <= level]
