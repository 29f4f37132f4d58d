"""Examples dealt out to pools: disjoint, of the sizes that were asked for, drawn by the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolr.errors import ConfigError, ProblemError
from evolr.problems.pools import POOLS, pools


@given(
    count=st.integers(20, 200),
    seed=st.integers(0, 2**32),
    parts=st.lists(st.floats(0.05, 1.0), min_size=5, max_size=5),
)
def test_pools_are_disjoint_and_of_their_size(count, seed, parts):
    fractions = {name: part / (2 * sum(parts)) + 0.05 for name, part in zip(POOLS, parts, strict=True)}
    drawn = pools({"row": np.arange(count), "twice": 2 * np.arange(count)}, seed, **fractions)
    rows = [row for name in POOLS for row in drawn[name]["row"].tolist()]
    assert len(rows) == len(set(rows)) <= count
    for name, fraction in fractions.items():
        assert abs(len(drawn[name]["row"]) - fraction * count) < 1
        assert np.array_equal(drawn[name]["twice"], 2 * drawn[name]["row"])
    again = pools(np.arange(count), seed, **fractions)
    assert all(np.array_equal(again[name], drawn[name]["row"]) for name in POOLS)


def test_pools_use_every_example_where_the_fractions_are_all():
    assert sorted(np.concatenate(list(pools(np.arange(100)).values())).tolist()) == list(range(100))


def test_a_pool_of_nothing_is_left_out():
    assert list(pools(np.arange(10), train=0.5, monitor=0.5, fitness=0, selection=0, test=0)) == ["train", "monitor"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"train": 0.9}, ConfigError, "must add up to at most 1, got 1.3"),
        ({"test": -0.1}, ConfigError, "fraction of the pool 'test' must be a number from 0 to 1, got -0.1"),
        ({"test": "a"}, ConfigError, "fraction of the pool 'test' must be a number from 0 to 1, got 'a'"),
        ({"seed": -1}, ConfigError, "seed must be at least 0 and at most .*, got -1"),
        ({"seed": 1.5}, ConfigError, "seed must be a whole number, got 1.5"),
        ({"monitor": 0.0}, ConfigError, "every problem needs the pool 'monitor'"),
        ({"test": 0.01}, ProblemError, "the pool 'test' is to have 0.01 of 50 examples, which is less than one"),
    ],
)
def test_fractions_out_of_range_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        pools(np.arange(50), **settings)
