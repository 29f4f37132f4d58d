import numpy as np

from evolr.search.selection import tournament_selection

FITNESS = [0.1, 0.5, 0.3, 0.9, float("-inf")]


def frequencies(fitness, size, draws=4_000):
    rng = np.random.default_rng(0)
    picks = [tournament_selection(rng, fitness, size) for _ in range(draws)]
    return np.bincount(picks, minlength=len(fitness)) / draws


def test_a_tournament_of_all_takes_the_fittest():
    assert frequencies(FITNESS, 5)[3] == 1


def test_a_tournament_of_one_takes_anybody():
    assert np.allclose(frequencies(FITNESS, 1), 0.2, atol=0.03)


def test_a_tournament_of_two_takes_each_as_often_as_it_must():
    """The one with k weaker wins k of the 10 pairs."""
    assert np.allclose(frequencies(FITNESS, 2), [0.1, 0.3, 0.2, 0.4, 0.0], atol=0.03)


def test_nan_never_wins_against_anybody():
    assert frequencies([float("nan"), float("-inf"), 0.0], 3)[2] == 1


def test_equals_win_equally_often():
    assert np.allclose(frequencies([1.0] * 4, 3), 0.25, atol=0.03)
