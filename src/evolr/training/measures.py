"""What a compiled step measures of a network for its schedule: norms of gradient, update and weights.

One small function an observation; a step computes those that its schedules read, by their sources.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import jax
import jax.numpy as jnp

from evolr.signals import OBSERVATIONS, SIGNALS, Operations, observed

ARRAYS: Final = Operations(jnp.where, jnp.isfinite, jnp.sqrt)
"""The operations of the signals' rules on traced arrays."""

Tree = Any


def norm(tree: Tree) -> Any:
    """The L2 norm of all numbers of a tree."""
    return jnp.sqrt(_dot(tree, tree))


def distance(tree: Tree, other: Tree) -> Any:
    """The L2 norm of a difference."""
    return norm(jax.tree.map(jnp.subtract, tree, other))


def cosine(tree: Tree, other: Tree) -> Any:
    """The cosine of the angle between two trees; 0 if one of them is 0."""
    size = norm(tree) * norm(other)
    return jnp.where(size > 0, _dot(tree, other) / jnp.where(size > 0, size, 1.0), 0.0)


def _dot(tree: Tree, other: Tree) -> Any:
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    products = [jnp.vdot(jnp.ravel(a), jnp.ravel(b)).astype(jnp.float32) for a, b in pairs]
    return jnp.sum(jnp.stack(products)) if products else jnp.float32(0)


def first_measures(gradients: Tree, parameters: Tree) -> dict[str, Any]:
    """What is told before the first step: of the gradient on the first batch and of the initial weights."""
    return {"grad_norm": norm(gradients), "weight_norm": norm(parameters)}


def gradient_measures(gradients: Tree, directions: Tree, before: Tree) -> dict[str, Any]:
    """What a step's gradient and direction tell. before: the direction of the step before, zeros at the first."""
    return {
        "grad_norm": norm(gradients),
        "update_norm": norm(directions),
        "alignment": cosine(gradients, before),
    }


def weight_measures(parameters: Tree, initial: Tree) -> dict[str, Any]:
    """What the weights tell."""
    return {"weight_norm": norm(parameters), "distance": distance(parameters, initial)}


class Level:
    """How much of a network is measured: nothing, the gradient, or everything.

    There are three, so that a program is compiled three times at most, whatever formulas a study breeds; and which one
    trains a schedule depends on that schedule alone, so that no company changes its arithmetic.
    """

    NOTHING: Final = 0
    GRADIENT: Final = 1
    EVERYTHING: Final = 2


def level_of(signals: Collection[str]) -> int:
    """The level that a schedule with these signals needs."""
    read = {name for name in observed(signals) if OBSERVATIONS[name].is_measured}
    if not read:
        return Level.NOTHING
    return Level.GRADIENT if read == {"grad_norm"} else Level.EVERYTHING


def signals_at(level: int) -> list[str]:
    """The signals that are computed at a level."""
    return [name for name in SIGNALS if level_of([name]) <= level]
