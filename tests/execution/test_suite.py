"""A suite on this machine: by the contract of executors, and what is its own."""

import math
from contextlib import closing
from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from evolr.execution.local import Local
from evolr.execution.shipped import packed, unpacked
from evolr.expression import parse
from evolr.problems import JaxProblem, Kind, Suite
from evolr.problems.problem import WORST
from evolr.schedule import Schedule
from evolr.study.records import _status
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial
from tests.contracts.executor import EPOCHS, SCHEDULES, STEPS_PER_EPOCH, ExecutorContract, content, contents, quadratic
from tests.execution.training_functions import FAILING

SGD = Optimizer(name="sgd")


class Failing(Suite):
    """A suite whose seed FAILING draws a task that raises."""

    def draw(self, seed, pool):
        kind, own = super().draw(seed, pool)
        return kind, FAILING if seed == FAILING else own


def absolute(*, is_trainable=True, steps=STEPS_PER_EPOCH, name="absolute", examples=32):
    """One number in the middle of others: another network, another loss, a metric that is higher for the better."""
    numbers = np.random.default_rng(1).normal(2, 1, (4, examples)).astype(np.float32)

    def init(seed):
        if seed == FAILING or not is_trainable:
            raise ValueError(f"not with seed {seed}")
        return {"middle": np.random.default_rng(seed).normal(size=()).astype(np.float32)}

    def loss(weights, batch):
        return jnp.abs(weights["middle"] - batch).mean()

    return JaxProblem(
        init=init,
        loss=loss,
        metric=lambda weights, batch: -loss(weights, batch),
        data=dict(zip(("train", "monitor", "fitness", "selection"), numbers, strict=True)),
        batch_size=examples // steps,
        name=name,
    )


def suite(kind=Failing, **settings):
    is_trainable = settings.pop("is_trainable", True)
    kinds = {
        "square": Kind(quadratic(is_trainable=is_trainable), floor=30.0, reference=0.01),
        "absolute": Kind(absolute(is_trainable=is_trainable, **settings), floor=-4.0, reference=-0.8),
    }
    return kind(kinds)


class TestTheContract(ExecutorContract):
    rates, rows = EPOCHS * STEPS_PER_EPOCH, EPOCHS

    @classmethod
    def make(cls, folder, count=2):
        return Local(suite(), SGD, device_count=count)

    @classmethod
    def hopeless(cls, folder):
        return Local(suite(is_trainable=False), SGD)


def trials_of(problem, schedule, kind, count, pool="fitness"):
    seeds = (seed for seed in range(1000) if problem.draw(seed, pool)[0] == kind)
    return [Trial(schedule, next(seeds)) for _ in range(count)]


def test_each_trial_is_its_kinds_own_training_with_the_score_normalised():
    problem, plain = suite(), Local(absolute(), SGD)
    trials = [t for schedule in SCHEDULES[:2] for t in trials_of(problem, schedule, "absolute", 3)]
    mixed = [t for pair in zip(trials, trials_of(problem, SCHEDULES[2], "square", 6), strict=True) for t in pair]
    found = Local(problem, SGD).run(mixed, EPOCHS, "fitness")[::2]
    alone = plain.run([Trial(t.schedule, problem.draw(t.seed, "fitness")[1]) for t in trials], EPOCHS, "fitness")
    for one, other in zip(found, alone, strict=True):
        assert one.train_loss.tobytes() == other.train_loss.tobytes()
        assert one.score == pytest.approx((other.score + 4.0) / 3.2)
        np.testing.assert_allclose(one.val_score, (other.val_score + 4.0) / 3.2, rtol=1e-5)
    assert len({outcome.score for outcome in found}) == 6


def test_a_training_that_diverges_is_the_worst_and_no_hole():
    problem = suite()
    wild = Schedule(expression=parse("1e6"))
    (outcome,) = Local(problem, SGD).run(trials_of(problem, wild, "square", 1), EPOCHS, "fitness")
    assert outcome.diverged
    assert (outcome.score, outcome.failure) == (WORST, None)
    assert outcome.val_score.tolist()[outcome.diverged_at :] == [WORST] * (EPOCHS - outcome.diverged_at)


def test_a_kind_that_raises_fails_alone():
    problem = suite()
    fine = trials_of(problem, SCHEDULES[0], "square", 2)
    found = Local(problem, SGD).run([fine[0], Trial(SCHEDULES[0], FAILING), fine[1]], EPOCHS, "fitness")
    assert [outcome.failure is None for outcome in found] == [True, False, True]
    assert math.isnan(found[1].score)
    assert "not with seed" in found[1].failure
    assert content(found[0]) != content(found[2])


def test_kinds_may_take_different_numbers_of_steps():
    problem = suite(steps=8)
    assert problem.steps_per_epoch == 6
    trials = [trials_of(problem, SCHEDULES[0], kind, 1)[0] for kind in ("square", "absolute")]
    found = Local(problem, SGD).run(trials, EPOCHS, "fitness", keep_steps=True)
    assert [len(outcome.learning_rates) for outcome in found] == [EPOCHS * 4, EPOCHS * 8]


def test_a_suite_is_sent_to_other_machines_and_is_the_same_there():
    pytest.importorskip("cloudpickle")
    here = Local(suite(Suite), SGD)
    there = unpacked(packed(partial(Local, suite(Suite), SGD), "the suite"))()
    assert there.identity == here.identity
    assert there.context == here.context
    trials = [Trial(SCHEDULES[1], seed) for seed in range(4)]
    assert contents(there.run(trials, 1, "fitness")) == contents(here.run(trials, 1, "fitness"))


def test_a_study_records_that_a_training_with_the_worst_score_diverged():
    problem = suite()
    wild = Schedule(expression=parse("1e6"))
    (outcome,) = Local(problem, SGD).run(trials_of(problem, wild, "square", 1), EPOCHS, "fitness")
    assert _status(outcome) == "diverged"
    assert _status(replace(outcome, diverged_at=None)) == "finished"


def test_a_kind_of_a_part_of_the_epochs_trains_these_and_its_curves_are_drawn_out_to_the_whole():
    epochs, seeds = 4 * EPOCHS, range(12)
    short = Suite({"square": Kind(quadratic(), 30.0, 0.01), "half": Kind(quadratic(), 30.0, 0.01, length=0.5)})
    halved = [seed for seed in seeds if short.draw(seed, "fitness")[0] == "half"]
    assert 0 < len(halved) < len(seeds)
    trials = [Trial(SCHEDULES[0], seed) for seed in seeds]
    with closing(Local(short, SGD)) as executor:
        outcomes = executor.run(trials, epochs, "fitness", keep_steps=True)
    with closing(Local(Suite({"half": Kind(quadratic(), 30.0, 0.01)}), SGD)) as executor:
        (trainer,) = executor.prepare("fitness").values()
        own = trainer.train([Trial(SCHEDULES[0], short.draw(seed, "fitness")[1]) for seed in halved], epochs // 2)
    for seed, alone in zip(halved, own, strict=True):
        outcome = outcomes[seed]
        assert outcome.score == short.scored("half", alone).score
        assert outcome.train_loss.tolist() == np.repeat(alone.train_loss, 2).tolist()
        assert outcome.val_score.shape == outcome.learning_rate.shape == (epochs,)
        assert len(outcome.learning_rates) == epochs // 2 * STEPS_PER_EPOCH
        assert outcome.signals["progress"].shape == (epochs,)
    whole = outcomes[next(seed for seed in seeds if seed not in halved)]
    assert len(whole.learning_rates) == epochs * STEPS_PER_EPOCH


def test_a_short_training_that_diverges_does_so_in_the_part_of_the_whole_that_it_stands_for():
    outcome = Outcome(WORST, 1, *[np.array([1, np.nan, np.nan], np.float32)] * 4)
    assert outcome.over(3) is outcome
    assert (outcome.over(7).diverged_at, outcome.over(12).diverged_at) == (3, 4)
    for epochs in range(3, 20):
        longer = outcome.over(epochs)
        assert np.isnan(longer.train_loss).argmax() == longer.diverged_at
