from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.expression import PRIMITIVES, SIGNALS, parse
from evolr.schedule import Schedule
from evolr.search import variation
from evolr.search.variation import Vocabulary
from tests.expression.strategies import expressions

WORDS = Vocabulary(("add", "mul", "sin", "exp"), ("epoch", "loss"), True, (-2.0, 3.0))
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def is_made_of(words, tree):
    low, high = words.constant_range
    return all(
        t in words.functions or t in words.signals if isinstance(t, str) else low <= t <= high for t in tree.tokens
    )


@given(seeds, st.integers(1, 7))
def test_a_full_tree_has_every_leaf_at_its_depth(rng, depth):
    tree = variation.random_tree(rng, WORDS, depth, full=True)
    assert is_made_of(WORDS, tree)
    leaves = [d for t, d in zip(tree.tokens, tree.depths, strict=True) if t not in PRIMITIVES]
    assert set(leaves) == {depth}


@given(seeds, st.integers(1, 7))
def test_a_grown_tree_is_no_deeper_and_no_leaf_at_once(rng, depth):
    tree = variation.random_tree(rng, WORDS, depth, full=False)
    assert is_made_of(WORDS, tree)
    assert min(depth, 2) <= tree.depth <= depth


def test_the_ramp_has_every_depth_half_full_and_half_grown():
    trees = [variation.ramped_half_and_half(np.random.default_rng(slot), WORDS, slot, (2, 5)) for slot in range(80)]
    full = [t.depth for slot, t in enumerate(trees) if slot % 2 == 0]
    assert [full.count(depth) for depth in (2, 3, 4, 5)] == [10, 10, 10, 10]
    assert all(2 <= tree.depth <= 5 for tree in trees)


@given(seeds, expressions, expressions)
def test_crossover_puts_a_subtree_of_the_father_into_the_mother(rng, mother, father):
    child = variation.crossover(rng, mother, father)

    assert any(mother.replace(i, father.subtree(j)) == child for i in range(mother.size) for j in range(father.size))


@given(seeds, expressions)
def test_hoisting_leaves_a_subtree(rng, parent):
    assert variation.hoist_mutation(rng, parent) in [parent.subtree(i) for i in range(parent.size)]


@given(seeds, expressions)
def test_point_mutation_keeps_the_shape(rng, parent):
    child = variation.point_mutation(rng, parent, WORDS)
    assert child.depths == parent.depths
    assert sum(a is not b and a != b for a, b in zip(child.tokens, parent.tokens, strict=True)) <= 1


@given(seeds, expressions)
def test_constant_mutation_moves_one_constant_and_nothing_else(rng, parent):
    child = variation.constant_mutation(rng, parent, WORDS)
    changed = [(a, b) for a, b in zip(parent.tokens, child.tokens, strict=True) if a != b]
    assert child.size == parent.size
    assert len(changed) <= 1
    assert all(isinstance(a, float) and isinstance(b, float) for a, b in changed)


@given(seeds, expressions)
def test_subtree_mutation_grows_at_most_a_tree_of_the_depth(rng, parent):
    child = variation.subtree_mutation(rng, parent, WORDS, 3)
    assert child.depth <= parent.depth + 2


@pytest.mark.parametrize(
    "mutate",
    [
        lambda rng, parent: variation.point_mutation(rng, parent, WORDS),
        lambda rng, parent: variation.constant_mutation(rng, parent, WORDS),
        lambda rng, parent: variation.subtree_mutation(rng, parent, WORDS, 3),
        variation.hoist_mutation,
    ],
    ids=["point", "constant", "subtree", "hoist"],
)
def test_a_mutation_changes_something_nearly_always(mutate):
    parent = parse("sin(epoch)*2 + exp(loss*0.5 + 1)")
    children = [mutate(np.random.default_rng(k), parent) for k in range(100)]
    assert sum(child != parent for child in children) >= 60
    assert len(set(children)) >= 5


def test_point_mutation_always_finds_another_token_where_there_is_one():
    parent = parse("epoch + loss*2")
    children = [variation.point_mutation(np.random.default_rng(k), parent, WORDS) for k in range(200)]
    assert all(child != parent for child in children)
    only = Vocabulary(("add",), ("epoch",), False, (0.0, 1.0))
    alone = parse("epoch + epoch")
    assert all(variation.point_mutation(np.random.default_rng(k), alone, only) == alone for k in range(20))


def test_a_tree_without_bounds_on_its_depth_ends_at_its_size():
    words = Vocabulary(("add",), ("epoch",), False, (0.0, 1.0))
    assert variation.random_tree(np.random.default_rng(0), words, 200, full=True, max_size=50).size < 300


def test_operators_are_functions_of_their_generator():
    one, two = parse("sin(epoch)*2 + loss"), parse("exp(loss + 1)")
    for operate in (
        lambda rng: variation.crossover(rng, one, two),
        lambda rng: variation.subtree_mutation(rng, one, WORDS, 4),
        lambda rng: variation.constant_mutation(rng, one, WORDS),
    ):
        assert operate(np.random.default_rng(3)) == operate(np.random.default_rng(3))
        assert len({operate(np.random.default_rng(k)) for k in range(30)}) > 5


@pytest.mark.parametrize("has_constant", [True, False])
def test_every_terminal_is_as_likely_as_another(has_constant):
    words = Vocabulary(("add",), tuple(SIGNALS), has_constant, (0.0, 1.0))
    rng = np.random.default_rng(0)
    drawn = [words.leaf(rng) for _ in range(6_000)]
    names = [t if isinstance(t, str) else "constant" for t in drawn]
    kinds = len(SIGNALS) + has_constant
    assert set(names) == {*SIGNALS, "constant"} - (set() if has_constant else {"constant"})
    assert all(abs(names.count(n) - 6_000 / kinds) < 5 * np.sqrt(6_000 / kinds) for n in set(names))


GRADIENTS = Vocabulary(
    ("add", "mul", "exp", "log"), ("progress", "alignment", "grad_norm", "weight_norm"), True, (-1.0, 1.0), "log"
)


def made(parent, words, number):
    return variation.power_mutation(np.random.default_rng(number), parent, words)


@pytest.mark.parametrize("transform", ["linear", "log"])
def test_a_power_mutation_multiplies_the_learning_rate_by_a_power_of_a_live_positive_signal(transform):
    parent = parse("0.3 - 0.2*progress")
    words = replace(GRADIENTS, transform=transform)
    read = set()
    for number in range(40):
        child = made(parent, words, number)
        (signal,) = child.signals - {"progress"}
        read.add(signal)
        before, after = (Schedule(expression=tree, transform=transform, max_lr=1e30) for tree in (parent, child))
        factors = [
            after.at(progress=0.5, **{signal: value}) / before.at(progress=0.5) for value in (1.0, 2.0, 4.0, 8.0)
        ]
        assert factors[0] == pytest.approx(1.0)
        ratios = [later / earlier for earlier, later in pairwise(factors)]
        assert ratios == pytest.approx([ratios[0]] * 3)  # a power
    assert read == {"grad_norm", "weight_norm"}  # no clock, and none that may be negative


def test_where_no_signal_serves_or_the_language_lacks_a_word_a_power_mutation_grows():
    parent = parse("0.3 - 0.2*progress")
    for words in (replace(GRADIENTS, signals=("progress",)), replace(GRADIENTS, functions=("add", "mul"))):
        grown = [variation.growth_mutation(np.random.default_rng(n), parent, words) for n in range(20)]
        assert [made(parent, words, number) for number in range(20)] == grown


def test_a_product_crossover_is_about_the_geometric_mean_of_the_parents_learning_rates():
    mother, father = parse("0.5 + log(1 - progress)"), parse("0.3 - log(grad_norm)")
    told = {"progress": 0.25, "grad_norm": 3.0}
    rates = [Schedule(expression=tree, transform="log").at(**told) for tree in (mother, father)]
    child = Schedule(expression=variation.product_crossover(mother, father, GRADIENTS), transform="log")
    assert child.at(**told) == pytest.approx((rates[0] * rates[1]) ** 0.5, rel=0.02)
    linear = variation.product_crossover(mother, father, replace(GRADIENTS, transform="linear"))
    assert linear(told) == pytest.approx(mother(told) * father(told))
