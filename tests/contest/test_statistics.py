"""The statistics against scipy, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from evolr.contest.statistics import corrected, gains, holm, mean_interval, paired, signed_rank_test
from evolr.problems import Metric

ACCURACY, LOSS = Metric("accuracy", True), Metric("loss", False)
NAN = float("nan")


def test_a_diverged_run_is_worse_than_any_that_finished():
    """Judged by its survivors alone it would win."""
    champion = np.array([0.70, 0.70, NAN, NAN, NAN, NAN, NAN, NAN])
    contender = np.array([0.5] * 7 + [NAN])
    assert np.sign(gains(champion, contender, ACCURACY)).tolist() == [1, 1, -1, -1, -1, -1, -1, 0]
    assert np.sign(gains(champion, contender, LOSS)).tolist() == [-1, -1, -1, -1, -1, -1, -1, 0]
    won = gains(champion, contender, ACCURACY)
    assert min(abs(won[2:7])) > max(abs(won[:2]))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        _, low, high = mean_interval(rng.normal(1.0, 1.0, 24))
        hits += low <= 1.0 <= high
    assert hits / 200 == pytest.approx(0.94, abs=0.05)


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).normal(0.65, 0.01, 32)
    interval = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(0)
    )
    assert mean_interval(values)[1:] == tuple(interval.confidence_interval)


def test_the_p_value_is_scipys():
    differences = np.random.default_rng(1).normal(0.3, 1.0, 20)
    assert signed_rank_test(differences) == stats.wilcoxon(differences).pvalue
    assert signed_rank_test(differences[:5]) is None
    assert signed_rank_test(np.zeros(8)) == 1.0


def test_holms_correction():
    assert holm([0.01, 0.04, None, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_effect_size_and_the_probability_of_improvement_speak_for_the_champion():
    champion = np.array([0.70, 0.72, 0.74, 0.71])
    contender = np.array([0.69, 0.72, 0.70, 0.72])
    pairs = paired(champion, contender, ACCURACY)
    differences = champion - contender
    assert pairs.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert pairs.improvement == 2.5 / 4
    assert pairs.direction == 1
    assert pairs.difference == pytest.approx(differences.mean())
    assert pairs.low < pairs.difference < pairs.high
    lower = paired(champion, contender, LOSS)
    assert (lower.difference, lower.low, lower.high) == (pairs.difference, pairs.low, pairs.high)
    assert lower.effect_size == pytest.approx(-pairs.effect_size)
    assert lower.improvement == 1.5 / 4
    assert paired(champion, champion, ACCURACY).effect_size is None
    assert paired(champion, champion - 0.1, ACCURACY).effect_size is None  # alike, but for rounding


@pytest.mark.parametrize(
    ("p_value", "direction", "relation"),
    [
        (None, 1, "untested against"),
        (0.05, 1, "not distinguishable from"),
        (0.0499, -1, "worse than"),
        (0.0499, 1, "better than"),
        (0.0499, 0, "not distinguishable from"),
        (1.0, -1, "not distinguishable from"),
    ],
)
def test_what_may_be_said_at_the_boundaries(p_value, direction, relation):
    from dataclasses import replace

    pairs = paired(np.ones(8), np.ones(8), ACCURACY)
    assert replace(pairs, p_value=p_value, direction=direction).relation == relation


def test_many_narrow_wins_do_not_outweigh_a_few_wide_losses():
    """17 seeds won by a hair, 15 lost widely: the test is significant, and it speaks against the champion."""
    rng = np.random.default_rng(0)
    champion = np.full(32, 0.6)
    contender = champion + np.concatenate([-rng.uniform(0.001, 0.002, 17), rng.uniform(0.01, 0.05, 15)])
    pairs = paired(champion, contender, ACCURACY)
    assert pairs.p_value < 0.05
    assert pairs.relation == "worse than"
    champion[17:] = NAN  # and where the champion diverges it has lost too
    assert paired(champion, np.full(32, 0.599), ACCURACY).direction == -1


def test_where_ranks_and_mean_disagree_nothing_is_said():
    champion = np.full(12, 0.6)
    contender = champion + np.array(
        [-0.011, -0.012, -0.013, -0.014, -0.015, -0.016, -0.017, -0.018, -0.019, -0.02, 0.1, 0.2]
    )
    assert paired(champion, contender, ACCURACY).direction == 0


# --- by simulation ------------------------------------------------------------------------------------------------------

SEEDS, CONTENDERS = 32, 22


@pytest.fixture
def _no_intervals(monkeypatch):
    """A simulated contest needs no bootstrap, which would take nearly all the time."""
    monkeypatch.setattr(
        "evolr.contest.statistics.mean_interval", lambda values: (float(np.nanmean(values)), None, None)
    )


def claims(rng, advantage, noise=0.007, contests=1_000):
    """Of each simulated contest, how many contenders the champion is said to be better and worse than.

    Scores are accuracies of 10,000 samples: a seed's own luck, shared, and each run's.
    """
    said = np.zeros((contests, 2), int)
    for contest in range(contests):
        luck = rng.normal(0.67, 0.005, SEEDS)
        scores = luck + rng.normal(0.0, noise, (CONTENDERS + 1, SEEDS))
        scores[0] += advantage
        scores = np.round(scores, 4)
        relations = [pairs.relation for pairs in corrected([paired(scores[0], own, ACCURACY) for own in scores[1:]])]
        said[contest] = relations.count("better than"), relations.count("worse than")
    return said


@pytest.mark.usefixtures("_no_intervals")
def test_without_a_true_difference_a_contest_claims_one_in_at_most_5_per_cent_of_cases():
    """1,000 contests of a champion and 22 contenders that are all alike: the family-wise error."""
    said = claims(np.random.default_rng(2), advantage=0.0)
    wrong = (said.sum(axis=1) > 0).mean()
    assert 0.0 < wrong <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1_000)
    assert wrong <= 0.05


@pytest.mark.usefixtures("_no_intervals")
def test_with_a_known_difference_the_power_is_as_reported():
    """The table of docs/contest.md: a true advantage in points, and the share of contenders that are said to be beaten."""
    power = {
        points: claims(np.random.default_rng(3), points / 100, contests=40)[:, 0].mean() / CONTENDERS
        for points in (0.25, 0.5, 0.75, 1.0)
    }
    assert power[0.25] < power[0.5] < power[0.75] <= power[1.0]
    assert power[0.5] == pytest.approx(0.29, abs=0.15)
    assert power[1.0] > 0.95


def test_corrected_pairs_carry_holms_p_values():
    rng = np.random.default_rng(4)
    champion = rng.normal(0.6, 0.01, 16)
    raw = [paired(champion, champion + rng.normal(shift, 0.01, 16), ACCURACY) for shift in (0.0, 0.01, 0.02)]
    assert [pairs.p_value for pairs in corrected(raw)] == holm([pairs.p_value for pairs in raw])
