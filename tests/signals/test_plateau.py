import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from evolr.signals.plateau import FIRST, STALE_THRESHOLD, PlateauCounts, PlateauRule, validated


def stale_epochs(values, rule=PlateauRule()):  # noqa: B008
    counts, found = PlateauCounts(*FIRST), []
    for value in values:
        counts = validated(counts, value, 1, rule)
        found.append(counts.stale_epochs)
    return found


def test_of_negative_losses_only_a_lesser_one_is_better():
    assert stale_epochs([-1.0, -1.0, -1.0, -0.9, -1.2, -1.2, -1.20001, -2.0]) == [0, 1, 2, 3, 0, 1, 2, 0]
    assert stale_epochs([1.0, 0.0, 0.0, -1e-9, -1e-9]) == [0, 0, 1, 0, 1]


def test_better_is_by_more_than_the_threshold_of_the_bests_magnitude():
    rng = np.random.default_rng(0)
    for best in [*rng.normal(0, 10, 300), *10 ** rng.uniform(-8, 8, 300)]:
        limit = best - STALE_THRESHOLD * abs(best)
        assert stale_epochs([best, limit + 1e-7 * abs(best)]) == [0, 1]
        assert stale_epochs([best, limit - 1e-7 * abs(best)]) == [0, 0]


def test_of_positive_losses_the_level_has_the_bits_that_it_always_had():
    for best in 10 ** np.random.default_rng(1).uniform(-8, 8, 1000):
        level = best * (1 - STALE_THRESHOLD)
        assert stale_epochs([best, level]) == [0, 1]
        assert stale_epochs([best, np.nextafter(level, 0)]) == [0, 0]


def test_a_value_that_is_no_number_is_no_improvement():
    assert stale_epochs([math.nan, 1.0, math.nan, 0.5, math.inf]) == [1, 0, 1, 0, 1]


def traced(values, rule):
    counts = PlateauCounts(*(jnp.float32(count) for count in FIRST))
    found = []
    for value in values:
        counts = validated(counts, jnp.float32(value), 1, rule, jnp.where)
        found.append([float(count) for count in counts])
    return found


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("is_relative", [True, False])
def test_arrays_are_counted_as_numbers_are(is_relative, sign):
    rng = np.random.default_rng(2)
    for patience, cooldown in itertools.product((0, 2), (0, 3)):
        rule = PlateauRule(patience, 0.01, is_relative, sign, cooldown)
        values = rng.integers(-6, 6, 40) / 4
        counts, expected = PlateauCounts(*FIRST), []
        for value in values:
            counts = validated(counts, float(value), 1, rule)
            expected.append(list(counts))
        assert traced(values, rule) == expected
