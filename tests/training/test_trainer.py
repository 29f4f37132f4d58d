"""The population trainer, on the real network and on the quadratic."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from evolr import standard
from evolr.errors import ConfigError
from evolr.problems import Mnist1dMlp
from evolr.training import programs
from evolr.training.optimizers import Optimizer
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer
from tests.training.tasks import FEEDBACK, MLP, SGD, SMALL, same, schedule


def population():
    texts = [
        "0.001",
        "0.003*exp(-3*progress)",
        "0.01*exp(sin(exp(loss) - progress/1.18))",
        "0.001 + epoch*1e30",
        "val_loss/300",
    ]
    schedules = [FEEDBACK, *(schedule(text, max_lr=1e38) for text in texts)]
    return [Trial(s, seed) for seed in (0, 5, 9) for s in schedules]


@pytest.fixture(scope="module")
def outcomes_of_all_devices():
    """Of the population, two epochs each."""
    return Trainer(MLP, Optimizer()).train(population(), 2, keep_steps=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"device_count": 1},
        {"device_count": 2},
        {"device_count": 1, "runs_per_device": 1},
        {"device_count": 2, "runs_per_device": 1},
        {"device_count": 2, "runs_per_device": 2},
        {"device_count": 1, "runs_per_device": 5},
    ],
    ids=str,
)
def test_outcomes_are_equal_to_the_bit_for_any_devices_and_chunks(settings, outcomes_of_all_devices):
    outcomes = Trainer(MLP, Optimizer(), **settings).train(population(), 2, keep_steps=True)
    assert any(outcome.diverged for outcome in outcomes_of_all_devices)
    assert all(map(same, outcomes, outcomes_of_all_devices))


def test_outcomes_do_not_depend_on_company_or_order(outcomes_of_all_devices):
    trials, expected = population(), outcomes_of_all_devices
    trainer = Trainer(MLP, Optimizer())
    backwards = trainer.train(trials[::-1], 2, keep_steps=True)[::-1]
    alone = [trainer.train([trial], 2, keep_steps=True)[0] for trial in trials[:4]]
    assert all(map(same, backwards, expected))
    assert all(map(same, alone, expected[:4]))


def test_runs_of_one_seed_start_alike_and_other_seeds_do_not():
    tiny = schedule("0", min_lr=0.0)
    one, two, other = Trainer(MLP, Optimizer()).train(
        [Trial(tiny, 1), Trial(tiny, 1), Trial(tiny, 2)], 1, keep_steps=True
    )
    assert same(one, two)
    assert one.train_loss != other.train_loss


def test_chunks_deal_their_trials_out_evenly():
    trainer = Trainer(SMALL, SGD, device_count=2, runs_per_device=3)
    chunks = list(trainer._chunks([Trial(schedule("0.1"), seed) for seed in [7] * 8 + [8]]))
    assert [len(c.trials) for c in chunks] == [6, 2, 1]
    assert sorted(n for c in chunks for n in c.trials) == list(range(9))
    assert all(len(set(c.slots)) == len(c.slots) and max(c.slots) < c.width == 6 for c in chunks)
    per_device = np.zeros(2, int)
    for chunk in chunks:
        np.add.at(per_device, np.array(chunk.slots) // 3, 1)
    assert abs(per_device[0] - per_device[1]) <= 1


def test_an_accelerators_way_gives_the_same_outcomes_up_to_rounding(monkeypatch, outcomes_of_all_devices):
    """All runs of a device at once, seeds mixed: the way of a GPU, here on the CPU."""
    trials, expected = population(), outcomes_of_all_devices
    trainer = Trainer(MLP, Optimizer())
    monkeypatch.setattr(trainer, "_batched", True)
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("runs",))
    monkeypatch.setattr(
        trainer, "_programs", lambda _optimizer, _level: programs.build(MLP, Optimizer(), mesh, batched=True)
    )
    outcomes = trainer.train(trials, 2)
    for one, two in zip(outcomes, expected, strict=True):
        assert one.diverged_at == two.diverged_at
        np.testing.assert_allclose(one.train_loss, two.train_loss, rtol=2e-3)


def test_progress_is_told_as_chunks_finish():
    told = []
    trials = [Trial(schedule("0.01"), seed) for seed in range(3)]
    outcomes = Trainer(SMALL, SGD, runs_per_device=1).train(trials * 3, 1, on_outcomes=told.append)
    assert len(told) > 3
    assert {number: outcome for landed in told for number, outcome in landed.items()} == dict(enumerate(outcomes))


def test_a_chunk_in_which_the_problem_raises_has_failed_and_the_others_have_not():
    def batches(seed, epoch):
        if seed == 1 and epoch == 1:
            raise ValueError("no data today")
        return SMALL.batches(seed, epoch)

    trials = [Trial(schedule("0.01"), seed) for seed in (0, 1, 2)]
    outcomes = Trainer(replace(SMALL, batches=batches), SGD).train(trials, 3)
    assert [o.failure for o in outcomes] == [None, "ValueError: no data today", None]
    assert np.isnan(outcomes[1].score)
    assert same(outcomes[2], Trainer(SMALL, SGD).train(trials[2:], 3)[0])


def test_no_trials_are_no_outcomes():
    assert Trainer(SMALL, SGD).train([], 3) == []


@pytest.mark.parametrize("settings", [{"device_count": 0}, {"device_count": 99}, {"runs_per_device": 0}])
def test_counts_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        Trainer(SMALL, SGD, **settings)


def test_no_epochs_are_refused():
    with pytest.raises(ConfigError, match="epochs must be at least 1"):
        Trainer(SMALL, SGD).train([Trial(standard.constant(0.1), 0)], 0)


def test_the_judging_pool_gives_the_score():
    task = Mnist1dMlp().task("fitness")
    (outcome,) = Trainer(task, Optimizer()).train([Trial(schedule("0.003"), 0)], 2)
    (monitored,) = Trainer(MLP, Optimizer()).train([Trial(schedule("0.003"), 0)], 2)
    assert np.array_equal(outcome.val_score, monitored.val_score)
    assert monitored.score == pytest.approx(monitored.val_score[-1])
    assert outcome.score != monitored.score
    assert abs(outcome.score - monitored.score) < 0.08


DRAWN = Task(
    steps_per_epoch=2,
    initial=lambda seed: np.full(4, 3, np.float32),
    batches=lambda seed, epoch: np.ones((2, 1), np.float32),
    loss=lambda parameters, batch, target: ((parameters - target * batch) ** 2).sum(),
    evaluate=lambda parameters, examples, target: (((parameters - target) ** 2).sum(), target),
    monitor=(),
    drawn=lambda seed: (np.float32(10 * seed),),
)


@pytest.mark.parametrize("batched", [False, True])
def test_what_a_seed_draws_is_seen_by_loss_and_score_and_neither_trained_nor_counted(batched, monkeypatch):
    trainer = Trainer(DRAWN, Optimizer(name="adamw", weight_decay=0.1))
    if batched:
        monkeypatch.setattr(trainer, "_batched", True)
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("runs",))
        build = partial(programs.build, DRAWN, Optimizer(), mesh, batched=True)
        monkeypatch.setattr(trainer, "_programs", lambda _optimizer, level: build(level=level))
    text = "0*(grad_norm + weight_norm)"
    outcomes = trainer.train([Trial(schedule(text), seed) for seed in (2, 5)], 3, keep_steps=True)
    for outcome, target in zip(outcomes, (20, 50), strict=True):
        assert outcome.score == target
        assert outcome.val_loss.tolist() == [4 * (3 - target) ** 2] * 3
        shown = {name: series[0] for name, series in outcome.signals.items()}
        assert shown["weight_norm"] == pytest.approx(6)
        assert shown["grad_norm"] == pytest.approx(4 * (target - 3))
