"""The genetic operators on trees, as pure functions of (generator, parents).

The operators are those of Koza (1992), «Genetic Programming», and Poli, Langdon and McPhee (2008), «A Field
Guide to Genetic Programming».
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evolr.expression import PRIMITIVES, SIGNALS, Expression, Token, arity
from evolr.expression.text import MAX_NODES
from evolr.schedule import Transform
from evolr.signals.own import is_own

_CONSTANT_SPREAD = 0.25  # of a mutated constant: relative, and against the width of the constants' range
CHILD_DEPTH = 3
"""Levels at most of the subtree that a mutation gives to a structure whose constants are tuned."""

_CROSSOVER_INNER = 0.9  # the probability that crossover cuts at a function (Koza)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What formulas are made of, and what is made of their values (see Schedule.transform).

    has_constant: whether a leaf may be a constant, uniform in constant_range.
    """

    functions: tuple[str, ...]
    signals: tuple[str, ...]
    has_constant: bool
    constant_range: tuple[float, float]
    transform: Transform = "linear"

    def leaf(self, rng: np.random.Generator) -> Token:
        choice = rng.integers(len(self.signals) + self.has_constant)
        return self.signals[choice] if choice < len(self.signals) else self.constant(rng)

    def constant(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(*self.constant_range))

    def function(self, rng: np.random.Generator) -> str:
        return self.functions[rng.integers(len(self.functions))]

    @property
    def factors(self) -> list[str]:
        """The signals whose powers a learning rate may be multiplied by: live ones that are nowhere below 0."""
        own = [name for name in self.signals if not is_own(name)]
        return [name for name in own if SIGNALS[name].live and SIGNALS[name].low >= 0]

    def others(self, rng: np.random.Generator, token: Token) -> list[Token]:
        """What may take the place of a token: the others of its arity, among leaves one new constant."""
        if count := arity(token):
            return [f for f in self.functions if PRIMITIVES[f].arity == count and f != token]
        signals: list[Token] = [s for s in self.signals if s != token]
        return [*signals, self.constant(rng)] if self.has_constant else signals


def ramped_half_and_half(
    rng: np.random.Generator, vocabulary: Vocabulary, slot: int, depth_range: tuple[int, int]
) -> Expression:
    """A tree for a slot of the first population: the depths in turn, half of the trees full, half grown."""
    least, most = depth_range
    depth = least + slot // 2 % (most - least + 1)
    return random_tree(rng, vocabulary, depth, full=slot % 2 == 0)


def random_tree(
    rng: np.random.Generator, vocabulary: Vocabulary, depth: int, *, full: bool, max_size: int = MAX_NODES
) -> Expression:
    """A random tree of at most `depth` levels: a full tree has every leaf there, a grown one may end sooner.

    A tree that reaches max_size nodes ends as soon as it can; it is a little larger then.
    """
    share = len(vocabulary.signals) + vocabulary.has_constant
    leaf_probability = share / (share + len(vocabulary.functions))
    tokens: list[Token] = []
    pending = [1]
    while pending:
        level = pending.pop()
        may_end = not full and level > 1 and rng.random() < leaf_probability
        if level == depth or may_end or len(tokens) >= max_size:
            tokens.append(vocabulary.leaf(rng))
        else:
            function = vocabulary.function(rng)
            tokens.append(function)
            pending.extend([level + 1] * arity(function))
    return Expression(tuple(tokens))


def crossover(rng: np.random.Generator, mother: Expression, father: Expression) -> Expression:
    """The mother with a random subtree of the father in the place of one of her own."""
    return mother.replace(_cut(rng, mother), father.subtree(_cut(rng, father)))


def subtree_mutation(rng: np.random.Generator, parent: Expression, vocabulary: Vocabulary, depth: int) -> Expression:
    """The parent with a new tree of at most `depth` levels in the place of a random subtree."""
    return parent.replace(_cut(rng, parent), random_tree(rng, vocabulary, depth, full=False))


def point_mutation(rng: np.random.Generator, parent: Expression, vocabulary: Vocabulary) -> Expression:
    """The parent with one token replaced by another of the same arity, where the vocabulary has another."""
    place = int(rng.integers(parent.size))
    token = parent.tokens[place]
    others = vocabulary.others(rng, token)
    if others:
        token = others[rng.integers(len(others))]
    return Expression((*parent.tokens[:place], token, *parent.tokens[place + 1 :]))


def hoist_mutation(rng: np.random.Generator, parent: Expression) -> Expression:
    """A random subtree of the parent, alone."""
    return parent.subtree(_cut(rng, parent))


def constant_mutation(rng: np.random.Generator, parent: Expression, vocabulary: Vocabulary) -> Expression:
    """The parent with one constant moved: scaled by a factor near 1, or shifted within the range's width.

    A parent without a constant comes back as it is.
    """
    places = [i for i, token in enumerate(parent.tokens) if isinstance(token, float)]
    if not places:
        return parent
    place = places[rng.integers(len(places))]
    value = parent.tokens[place]
    assert isinstance(value, float)
    low, high = vocabulary.constant_range
    noise = _CONSTANT_SPREAD * float(rng.standard_normal())
    moved = value * float(np.exp(noise)) if rng.random() < 0.5 else value + noise * (high - low)
    if not np.isfinite(moved):
        return parent
    return Expression((*parent.tokens[:place], moved, *parent.tokens[place + 1 :]))


def growth_mutation(rng: np.random.Generator, parent: Expression, vocabulary: Vocabulary) -> Expression:
    """The parent with a small random term added: to its value, or to one of its constants.

    So a tuned formula stays nearly what it is while it learns to read another signal.
    """
    tree = random_tree(rng, vocabulary, int(rng.integers(1, 4)), full=False)
    term = ("mul", float(rng.normal(0.0, 0.5)), *tree.tokens)
    places = [i for i, token in enumerate(parent.tokens) if isinstance(token, float)]
    if not places or rng.random() < 0.6:
        return Expression(("add", *parent.tokens, *term))
    place = places[rng.integers(len(places))]
    return parent.replace(place, Expression(("add", parent.tokens[place], *term)))


def power_mutation(rng: np.random.Generator, parent: Expression, vocabulary: Vocabulary) -> Expression:
    """The parent with its learning rate multiplied by a power of a signal, such as 1/√grad_norm; grown where none can be.

    The power is small at first, so that a tuned formula stays nearly what it is, and tuned from there.
    """
    factors = vocabulary.factors
    needed = {"add", "mul", "log"} if vocabulary.transform == "log" else {"mul", "exp", "log"}
    if not factors or not needed.issubset(vocabulary.functions):
        return growth_mutation(rng, parent, vocabulary)
    signal, power = factors[rng.integers(len(factors))], float(rng.normal(0.0, 0.5))
    if vocabulary.transform == "log":
        return Expression(("add", *parent.tokens, "mul", power, "log", signal))
    return Expression(("mul", *parent.tokens, "exp", "mul", power, "log", signal))


def product_crossover(mother: Expression, father: Expression, vocabulary: Vocabulary) -> Expression:
    """The geometric mean of the parents' learning rates in log output, their product otherwise; the weights are tuned."""
    if vocabulary.transform == "log":
        return Expression(("add", "mul", 0.51, *mother.tokens, "mul", 0.49, *father.tokens))
    return Expression(("mul", *mother.tokens, *father.tokens))


def vary(
    rng: np.random.Generator,
    operator: str,
    mother: Expression,
    father: Callable[[], Expression],
    vocabulary: Vocabulary,
    *,
    depth: int,
) -> Expression:
    """The child that a named operator makes; the mother herself for any other name. depth: of new subtrees, at most."""
    children: dict[str, Callable[[], Expression]] = {
        "crossover": lambda: crossover(rng, mother, father()),
        "subtree_mutation": lambda: subtree_mutation(rng, mother, vocabulary, depth),
        "point_mutation": lambda: point_mutation(rng, mother, vocabulary),
        "hoist_mutation": lambda: hoist_mutation(rng, mother),
        "constant_mutation": lambda: constant_mutation(rng, mother, vocabulary),
        "growth_mutation": lambda: growth_mutation(rng, mother, vocabulary),
        "power_mutation": lambda: power_mutation(rng, mother, vocabulary),
        "product_crossover": lambda: product_crossover(mother, father(), vocabulary),
    }
    return children[operator]() if operator in children else mother


def _cut(rng: np.random.Generator, tree: Expression) -> int:
    """The position of a random node: a function with Koza's probability, where there is one."""
    inner = [i for i, token in enumerate(tree.tokens) if arity(token)]
    if inner and rng.random() < _CROSSOVER_INNER:
        return inner[rng.integers(len(inner))]
    leaves = [i for i, token in enumerate(tree.tokens) if not arity(token)]
    return leaves[rng.integers(len(leaves))]
