"""Suites: JaxProblems whose seeds draw a context, a seed's task beside its weights."""

import numpy as np
import pytest

from evolr.config import config_of
from evolr.errors import ConfigError, ProblemError
from evolr.training.optimizers import Optimizer
from evolr.training.trainer import Trainer
from tests.problems.linear_model import DATA, accuracy, loss, problem, trials


def scaled(seed):
    """The scale of a seed's inputs, and which of them count."""
    rng = np.random.default_rng(seed)
    return {"scale": float(rng.uniform(0.5, 2.0)), "is_used": rng.random(3) < 0.7}


def seen(batch, context):
    return context["scale"] * batch[0] * context["is_used"], batch[1]


def suite(**changes):
    settings = {
        "loss": lambda parameters, batch, context: loss(parameters, seen(batch, context)),
        "metric": lambda parameters, examples, context: accuracy(parameters, seen(examples, context)),
        "context": scaled,
    }
    return problem(**(settings | changes))


def test_each_seed_of_a_suite_is_another_task_and_trains_as_that_task_alone():
    """As a problem whose data are what the task's loss makes of them."""
    outcomes = Trainer(suite().task("fitness"), Optimizer(name="momentum")).train(trials("0.1", seeds=(0, 1, 2)), 3)
    for seed, outcome in enumerate(outcomes):
        data = {name: seen(examples, scaled(seed)) for name, examples in DATA.items()}
        alone = Trainer(problem(data=data).task("fitness"), Optimizer(name="momentum"))
        (expected,) = alone.train(trials("0.1", seeds=(seed,)), 3)
        assert outcome.score == pytest.approx(expected.score, abs=1e-6)
        np.testing.assert_allclose(outcome.val_loss, expected.val_loss, rtol=1e-4)


def test_a_suite_is_one_and_a_problem_is_none():
    assert suite().draws_tasks
    assert not problem().draws_tasks
    assert config_of(suite()).problem.draws_tasks
    assert not config_of(problem()).problem.draws_tasks


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (lambda seed: 1 / seed, r"context\(0\) raised ZeroDivisionError"),
        (lambda seed: None, r"context\(0\) gave no array at all"),
        (
            lambda seed: {"n": 2**40},
            r"context\(0\)\['n'\] holds 1099511627776 … 1099511627776; JAX computes with int32",
        ),
        (lambda seed: {"name": "deep"}, r"context\(0\)\['name'\] is a str; wanted an array of real numbers"),
        (
            lambda seed: np.zeros(seed + 1),
            r"context must give arrays of one structure and the same shapes for every seed",
        ),
        (lambda seed: {"other": 1.0}, r"loss\(parameters, batch, context\) raised KeyError"),
    ],
)
def test_a_context_that_is_none_is_refused_before_anything_trains(context, message):
    with pytest.raises(ProblemError, match=message):
        suite(context=context).task("fitness")


def test_a_context_that_is_no_function_is_refused():
    with pytest.raises(ConfigError, match="context must be a function, got a dict"):
        suite(context={"scale": 1.0})
