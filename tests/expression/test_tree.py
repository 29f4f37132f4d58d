import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.errors import ExpressionError
from evolr.expression import Expression, parse
from tests.expression.strategies import expressions


@given(expressions, st.data())
def test_replacing_a_subtree_by_itself_changes_nothing(tree, data):
    place = data.draw(st.integers(0, tree.size - 1))
    assert tree.replace(place, tree.subtree(place)) == tree


@given(expressions)
def test_depths_agree_with_a_recursive_definition(tree):
    def depth(start):
        children, position = [], start + 1
        while position < tree.end(start):
            children.append(depth(position))
            position = tree.end(position)
        return 1 + max(children, default=0)

    assert tree.depth == depth(0)


def test_a_subtree_is_a_slice():
    tree = parse("sin(epoch) - 2*loss")
    assert str(tree.subtree(1)) == "sin(epoch)"
    assert str(tree.subtree(3)) == "2*loss"
    assert str(tree.replace(3, parse("1"))) == "sin(epoch) - 1"


@pytest.mark.parametrize(
    ("tokens", "part"),
    [
        ((), "one whole tree"),
        (("add", 1.0), "takes 2 arguments, got 1"),
        ((1.0, 2.0), "one whole tree, got 2"),
        (("sinn", 1.0), "did you mean 'sin'"),
        ((float("nan"),), "finite"),
        ((float("inf"),), "finite"),
    ],
)
def test_what_is_not_a_tree_is_refused(tokens, part):
    with pytest.raises(ExpressionError, match=part):
        Expression(tokens)


def test_signals_broadcast_and_a_constant_formula_is_a_scalar():
    tree = parse("epoch + loss")
    assert tree({"epoch": 1, "loss": [1.0, 2.0]}).tolist() == [2.0, 3.0]
    assert parse("2").__call__({}).shape == ()


def test_a_missing_signal_is_named():
    with pytest.raises(ExpressionError, match="val_loss"):
        parse("val_loss")({"loss": 1.0})


def test_equal_trees_are_equal_and_hash_alike():
    assert {parse("epoch + 1"), parse("(epoch add 1.0)")} == {parse("epoch+1")}


def test_integers_and_numpy_floats_become_floats():
    assert [type(t) for t in Expression((np.float64(1.5),)).tokens + Expression((2,)).tokens] == [float, float]


def test_open_loop_is_what_reads_no_live_signal():
    assert parse("epoch*progress + step").is_open_loop
    assert not parse("epoch*loss").is_open_loop
