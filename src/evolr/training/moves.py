"""How a step moves the parameters, by each optimiser; optax does the work.

A scheduled optimiser moves by −learning rate × direction. One that finds its own step size is made anew in each step, with
the schedule's value as its `learning_rate`, and gives the parameters' change itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from evolr.training.optimizers import PROPORTIONAL, Optimizer
from evolr.training.task import Tree

_AVERAGING: Final = 8.0  # γ of the polynomial-decay average: the default of Ivgi, Hinder and Carmon 2023


class Moved(NamedTuple):
    """What a step has done. directions: −change of the parameters ÷ learning rate, if that is defined; otherwise −change."""

    parameters: Tree
    directions: Tree
    state: Tree


class Moves(Protocol):
    """An optimiser as pure functions, traced by JAX."""

    def init(self, parameters: Tree) -> Tree:
        """Its state before the first step."""
        ...

    def move(self, gradients: Tree, state: Tree, parameters: Tree, rate: Any, loss: Any) -> Moved:
        """A step. loss: of the batch that the gradients are of."""
        ...

    def judged(self, state: Tree, parameters: Tree) -> Tree:
        """The parameters by which a network is evaluated: those that train, or an average of them."""
        ...


def moves_of(optimizer: Optimizer) -> Moves:
    """The functions of an optimiser."""
    if optimizer.design.method == "schedule":
        return _Scheduled(optimizer.direction())
    if optimizer.design.method == "dog":
        return _Averaged(_SelfPaced(optimizer))
    return _SelfPaced(optimizer)


@dataclass(frozen=True, slots=True)
class _Scheduled:
    """The learning rate is the schedule's."""

    direction: Any  # optax.GradientTransformation

    def init(self, parameters: Tree) -> Tree:
        return self.direction.init(parameters)

    def move(self, gradients: Tree, state: Tree, parameters: Tree, rate: Any, loss: Any) -> Moved:
        del loss
        directions, state = self.direction.update(gradients, state, parameters)
        return Moved(jax.tree.map(lambda p, d: p - rate * d, parameters, directions), directions, state)

    def judged(self, state: Tree, parameters: Tree) -> Tree:
        del state
        return parameters


@dataclass(frozen=True, slots=True)
class _SelfPaced:
    """One of optax.contrib, which finds its own step size."""

    optimizer: Optimizer

    def init(self, parameters: Tree) -> Tree:
        return _made(self.optimizer, 1.0).init(parameters)  # no state depends on the rate

    def move(self, gradients: Tree, state: Tree, parameters: Tree, rate: Any, loss: Any) -> Moved:
        changes, after = _made(self.optimizer, rate).update(gradients, state, parameters, value=loss)
        if self.optimizer.design.method in ("dadapt", "prodigy"):
            # At a learning rate of 0 from the first step on they divide 0 by 0, and would never recover. A step of 0 changes
            # nothing instead: the authors' own programs leave it out too.
            changes, after = _unless(rate == 0, (changes, after), (jax.tree.map(jnp.zeros_like, changes), state))
        divisor = jnp.where(rate == 0, 1.0, rate) if self.optimizer.design.method in PROPORTIONAL else 1.0
        directions = jax.tree.map(lambda change: -change / divisor, changes)
        return Moved(jax.tree.map(lambda p, change: p + change, parameters, changes), directions, after)

    def judged(self, state: Tree, parameters: Tree) -> Tree:
        if self.optimizer.design.method == "schedule_free":
            return contrib.schedule_free_eval_params(state, parameters)
        return parameters


class _Average(NamedTuple):
    """The polynomial-decay average of iterates; steps: that are in it."""

    state: Tree
    parameters: Tree
    steps: Any


@dataclass(frozen=True, slots=True)
class _Averaged:
    """Other moves, judged by the polynomial-decay average of the iterates.

    After step t, from 1: average ← average + (γ + 1)/(γ + t) · (iterate − average). Source: Shamir and Zhang 2013.
    """

    moves: Moves

    def init(self, parameters: Tree) -> Tree:
        return _Average(self.moves.init(parameters), parameters, jnp.int32(0))

    def move(self, gradients: Tree, state: Tree, parameters: Tree, rate: Any, loss: Any) -> Moved:
        moved = self.moves.move(gradients, state.state, parameters, rate, loss)
        steps = state.steps + 1
        share = (_AVERAGING + 1) / (_AVERAGING + steps)
        average = jax.tree.map(lambda a, p: (1 - share) * a + share * p, state.parameters, moved.parameters)
        return moved._replace(state=_Average(moved.state, average, steps))

    def judged(self, state: Tree, parameters: Tree) -> Tree:
        del parameters
        return state.parameters


def _made(optimizer: Optimizer, rate: Any) -> Any:
    """The optax transformation from gradients to changes, at a learning rate."""
    o, betas = optimizer, (optimizer.beta1, optimizer.beta2)
    match o.design:
        case ("dog", _):
            made = contrib.dog(rate)
        case ("dadapt", _):
            made = contrib.dadapt_adamw(rate, betas, o.epsilon, weight_decay=o.decay)
        case ("prodigy", _):
            made = contrib.prodigy(rate, betas, eps=o.epsilon, weight_decay=o.decay)
        case ("mechanic", _):
            made = contrib.mechanize(optax.chain(o.direction(), optax.scale_by_learning_rate(rate)))
        case ("momo", "momentum"):
            made = contrib.momo(rate, o.momentum)
        case ("momo", _):
            made = contrib.momo_adam(rate, *betas, o.epsilon, weight_decay=o.decay)
        case ("schedule_free", "momentum"):
            made = contrib.schedule_free_sgd(rate, b1=o.momentum)
        case ("schedule_free", _):
            made = contrib.schedule_free_adamw(rate, b1=o.beta1, b2=o.beta2, eps=o.epsilon, weight_decay=o.decay)
        case _:
            raise AssertionError(f"{o.name} is no optimiser that finds its own step size")
    return optax.with_extra_args_support(made)


def _unless(condition: Any, usual: Tree, otherwise: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, b, a), usual, otherwise)
