"""The quadratic against the figures that were once measured by hand, and against itself."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from evolr.expression import parse
from evolr.problems import Quadratic
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

STEPS = 300
PROBLEM = Quadratic()
PROGRESS = np.arange(STEPS) / STEPS


@pytest.fixture(scope="module")
def optimum():
    return PROBLEM.optimum(STEPS)


def test_the_optimum_is_the_one_measured_by_hand(optimum):
    loss, rates = optimum
    assert loss == pytest.approx(0.0148, abs=0.00005)
    assert PROBLEM.expected_loss(rates) == pytest.approx(loss, rel=1e-12)


def test_no_schedule_nearby_is_better_than_the_optimum(optimum):
    loss, rates = optimum
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1e-2, 1e-1):
        for _ in range(20):
            assert PROBLEM.expected_loss(rates * np.exp(scale * rng.standard_normal(STEPS))) >= loss * (1 - 1e-9)


FAMILIES = {
    "constant": (lambda p: np.full(STEPS, np.exp(p[0])), 4.6),
    "linear": (lambda p: np.exp(p[0]) * (1 - PROGRESS), 1.66),
    "cosine": (lambda p: np.exp(p[0]) * (1 + np.cos(np.pi * PROGRESS)) / 2, 1.50),
    "REX": (lambda p: np.exp(p[0]) * (1 - PROGRESS) / (0.5 + 0.5 * (1 - PROGRESS)), None),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tuned_standard_family_is_as_far_from_the_optimum_as_measured_by_hand(name, optimum):
    family, expected = FAMILIES[name]
    ratios = [
        minimize(lambda p: PROBLEM.expected_loss(np.minimum(family(p), 1.99)), [start], method="Nelder-Mead").fun
        / optimum[0]
        for start in (-3.0, -1.0, 0.0)
    ]
    if expected is None:
        assert min(ratios) > 1.2
    else:
        assert min(ratios) == pytest.approx(expected, rel=0.02)


def test_the_gradient_through_the_recursion_is_the_difference_quotient():
    problem = Quadratic(dimension=5, condition_number=20.0)
    point = np.log(np.linspace(0.5, 0.05, 12))
    _, gradient = problem._log_loss_and_gradient(point)
    numeric = approx_fprime(point, lambda x: problem._log_loss_and_gradient(x)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-7)


def test_the_expected_loss_is_the_mean_over_many_trainings():
    schedule = Schedule(expression=parse("0.5*exp(-3*progress)"))
    trials = [Trial(schedule, seed) for seed in range(1_000)]
    outcomes = Trainer(PROBLEM.task("fitness"), Optimizer(name="sgd")).train(trials, 2)
    scores = np.array([outcome.score for outcome in outcomes])
    expected = PROBLEM.expected_loss(schedule.curve(2, PROBLEM.steps_per_epoch))
    error = scores.std() / np.sqrt(len(scores))
    assert abs(scores.mean() - expected) < 4 * error
    assert error < 0.02 * expected
