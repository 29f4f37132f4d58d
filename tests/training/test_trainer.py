"""The population trainer, on the real network and on the quadratic."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from evolr import standard
from evolr.errors import ConfigError
from evolr.expression import CLOCK, parse
from evolr.problems import Mnist1dMlp, Quadratic
from evolr.schedule import Schedule
from evolr.training import programs
from evolr.training.optimizers import Optimizer
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer

MLP = Mnist1dMlp(pools="original").task("fitness")
SMALL = Quadratic(dimension=10, steps_per_epoch=7).task("fitness")
SGD = Optimizer(name="sgd")


def schedule(text, **settings):
    return Schedule(expression=parse(text), **settings)


FEEDBACK = schedule("0.002*exp(sin(loss) - progress) + 0.0001*val_loss + 0.0001*epoch + step*1e-7")


def same(one, two):
    """Whether two outcomes are equal to the bit."""
    return all(
        np.array_equal(np.asarray(getattr(one, name), float), np.asarray(getattr(two, name), float), equal_nan=True)
        for name in ("score", "train_loss", "val_loss", "val_score", "learning_rate", "learning_rates")
    ) and (one.diverged_at == two.diverged_at)


# --- against PyTorch -----------------------------------------------------------------------------------------------


def torch_optimizer(name, parameters):
    return {
        "sgd": lambda: torch.optim.SGD(parameters, lr=1.0),
        "momentum": lambda: torch.optim.SGD(parameters, lr=1.0, momentum=0.9),
        "adam": lambda: torch.optim.Adam(parameters, lr=1.0),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=1.0, weight_decay=1e-4),
    }[name]()


def train_by_hand(schedule, seed, epochs, optimizer_name):
    """The same training in PyTorch float64, one plain loop: what a user's own script would do."""
    layers = MLP.initial(seed)
    model = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)).double()
    with torch.no_grad():
        for linear, (weights, biases) in zip(model[::2], layers, strict=True):
            linear.weight.copy_(torch.tensor(weights.T))
            linear.bias.copy_(torch.tensor(biases))
    monitor = torch.tensor(MLP.monitor.inputs).double(), torch.tensor(MLP.monitor.labels).long()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch_optimizer(optimizer_name, model.parameters())
    with torch.no_grad():
        val_loss = criterion(model(monitor[0]), monitor[1]).item()
    previous = None
    rates, train_losses, val_losses, accuracies = [], [], [], []
    for epoch in range(epochs):
        batches = MLP.batches(seed, epoch)
        losses = []
        for step in range(MLP.steps_per_epoch):
            x, y = torch.tensor(batches.inputs[step]).double(), torch.tensor(batches.labels[step]).long()
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            taken = epoch * MLP.steps_per_epoch + step
            rate = float(
                schedule(
                    epoch=epoch,
                    loss=loss.item() if previous is None else previous,
                    val_loss=val_loss,
                    progress=taken / (epochs * MLP.steps_per_epoch),
                    step=taken,
                )
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            previous = loss.item()
            losses.append(previous)
            rates.append(rate)
        with torch.no_grad():
            logits = model(monitor[0])
            val_loss = criterion(logits, monitor[1]).item()
            accuracies.append((logits.argmax(1) == monitor[1]).double().mean().item())
        train_losses.append(np.mean(losses))
        val_losses.append(val_loss)
    return rates, train_losses, val_losses, accuracies


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_a_training_agrees_with_the_same_training_in_pytorch(name):
    (outcome,) = Trainer(MLP, Optimizer(name=name)).train([Trial(FEEDBACK, 3)], 2, keep_steps=True)
    rates, train_losses, val_losses, accuracies = train_by_hand(FEEDBACK, 3, 2, name)
    np.testing.assert_allclose(outcome.learning_rates, rates, rtol=2e-3)
    np.testing.assert_allclose(outcome.learning_rates[:10], rates[:10], rtol=1e-5)
    np.testing.assert_allclose(outcome.train_loss, train_losses, rtol=2e-4)
    np.testing.assert_allclose(outcome.val_loss, val_losses, rtol=2e-3)
    np.testing.assert_allclose(outcome.val_score, accuracies, atol=0.006)
    np.testing.assert_allclose(outcome.learning_rate, outcome.learning_rates.reshape(2, -1).mean(axis=1), rtol=1e-6)


# --- the same bits --------------------------------------------------------------------------------------------------


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
def test_outcomes_are_equal_to_the_bit_for_any_devices_and_chunks(settings):
    trials = population()
    expected = Trainer(MLP, Optimizer()).train(trials, 2, keep_steps=True)
    outcomes = Trainer(MLP, Optimizer(), **settings).train(trials, 2, keep_steps=True)
    assert any(outcome.diverged for outcome in expected)
    assert all(map(same, outcomes, expected))


def test_outcomes_do_not_depend_on_company_or_order():
    trials = population()
    trainer = Trainer(MLP, Optimizer())
    expected = trainer.train(trials, 2, keep_steps=True)
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


# --- the meaning of the signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CLOCK, "loss", "val_loss"])
def test_the_learning_rate_follows_its_signal(name):
    """Each signal is shown as the learning rate, scaled so that training stays tame."""
    trainer = Trainer(SMALL, SGD)
    (outcome,) = trainer.train([Trial(schedule(f"{name}*0.001", min_lr=0.0), 4)], 3, keep_steps=True)
    shown = outcome.learning_rates.reshape(3, 7) / 0.001
    steps = np.arange(21).reshape(3, 7)
    if name == "epoch":
        np.testing.assert_allclose(shown, steps // 7, rtol=1e-6)
    elif name == "step":
        np.testing.assert_allclose(shown, steps, rtol=1e-6)
    elif name == "progress":
        np.testing.assert_allclose(shown, steps / 21, rtol=1e-6)
    elif name in ("total_steps", "total_epochs"):
        np.testing.assert_allclose(shown, {"total_steps": 21, "total_epochs": 3}[name], rtol=1e-6)
    elif name == "epoch_progress":
        np.testing.assert_allclose(shown, steps % 7 / 7, rtol=1e-6)
    elif name == "val_loss":
        untrained = 0.5 * Quadratic(dimension=10).eigenvalues.sum()
        expected = np.array([untrained, outcome.val_loss[0], outcome.val_loss[1]])
        np.testing.assert_allclose(shown, np.repeat(expected[:, None], 7, axis=1), rtol=1e-5)
    else:
        weights = np.ones(10)
        eigenvalues = Quadratic(dimension=10).eigenvalues
        losses = []
        for epoch in range(3):
            for noise in SMALL.batches(4, epoch):
                losses.append(0.5 * eigenvalues @ weights**2 + noise @ weights)
                rate = 0.001 * (losses[0] if len(losses) == 1 else losses[-2])
                weights = weights - max(rate, 0.0) * (eigenvalues * weights + noise)
        np.testing.assert_allclose(shown.ravel(), [losses[0], *losses[:-1]], rtol=1e-4)


def test_lr_is_the_learning_rate_of_the_step_before():
    halving = schedule("where(step, lr*0.5, 0.5 + lr)", min_lr=0.0)
    (outcome,) = Trainer(SMALL, SGD).train([Trial(halving, 4)], 2, keep_steps=True)
    assert list(outcome.learning_rates) == [0.5**k for k in range(1, 15)]


def test_loss_ema_is_the_moving_average_of_loss():
    shown, averaged = Trainer(SMALL, SGD).train(
        [Trial(schedule(f"{name}*0 + 0.01 + {name}*1e-6", min_lr=0.0), 4) for name in ("loss", "loss_ema")],
        3,
        keep_steps=True,
    )
    losses, averages = ((o.learning_rates.astype(float) - 0.01) / 1e-6 for o in (shown, averaged))
    expected = [losses[0]]
    for loss in losses[1:]:
        expected.append(0.95 * expected[-1] + 0.05 * loss)
    np.testing.assert_allclose(averages, expected, rtol=0.02)


def test_stale_epochs_counts_from_the_best_validation_loss():
    """By the rule of ReduceLROnPlateau: relative threshold 1e-4, the first epoch's end is the first best."""
    (outcome,) = Trainer(SMALL, SGD).train([Trial(schedule("0.2 + stale_epochs", max_lr=1.0), 4)], 40, keep_steps=True)
    best, stale, expected = np.inf, 0, [0]
    for val_loss in outcome.val_loss[:-1]:
        stale = 0 if val_loss < best * (1 - 1e-4) else stale + 1
        best = min(best, val_loss) if stale == 0 else best
        expected.append(stale)
    assert len(set(expected)) > 2
    np.testing.assert_allclose(outcome.learning_rates.reshape(40, 7)[:, 0], np.minimum(0.2 + np.array(expected), 1.0))


# --- divergence -------------------------------------------------------------------------------------------------------


def test_a_diverged_run_is_an_outcome_with_its_epoch():
    breaks = schedule("0.01 + floor(epoch/2)*1e30", max_lr=1e30)
    fine = schedule("0.01")
    diverged, finished = Trainer(SMALL, SGD).train([Trial(breaks, 0), Trial(fine, 0)], 5, keep_steps=True)
    assert (diverged.diverged, diverged.diverged_at) == (True, 2)
    assert np.isnan(diverged.score)
    for curve in (diverged.train_loss, diverged.val_loss, diverged.val_score, diverged.learning_rate):
        assert np.isfinite(curve).tolist() == [True, True, False, False, False]
    assert np.isfinite(diverged.learning_rates[:15]).all()
    assert np.isnan(diverged.learning_rates[21:]).all()
    assert not finished.diverged
    assert np.isfinite(finished.score)


def test_a_diverged_run_takes_no_more_steps():
    """The learning rates are written in the step itself: where there are none, no step was taken."""
    breaks = schedule("1e30", max_lr=1e30)
    (outcome,) = Trainer(MLP, SGD).train([Trial(breaks, 0)], 20, keep_steps=True)
    assert outcome.diverged_at == 0
    assert np.count_nonzero(np.isfinite(outcome.learning_rates)) < 10


def test_divergence_in_the_last_step_is_seen():
    breaks = schedule(f"0.01 + floor(step/{3 * 7 - 1})*1e30", max_lr=1e30)
    (outcome,) = Trainer(SMALL, SGD).train([Trial(breaks, 0)], 3)
    assert outcome.diverged_at == 2
    assert np.isnan(outcome.score)


# --- shapes and compilations ------------------------------------------------------------------------------------------


def test_nothing_is_compiled_anew_for_another_generation_or_horizon(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    trainer = Trainer(SMALL, SGD)
    trainer.train([Trial(schedule("0.01"), 0)], 1)
    first = len(traced)
    trainer.train([Trial(schedule("0.01*exp(-epoch)"), seed) for seed in range(50)], 2)
    trainer.train([Trial(schedule("0.1/(1+step)"), 1) for _ in range(200)], 30)
    assert first == len(traced) == 1


def test_a_trainer_like_another_shares_its_programs_and_judges_on_its_own_examples(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    problem, trials = Mnist1dMlp(), [Trial(schedule("0.003"), 0)]
    first = Trainer(problem.task("fitness"), Optimizer())
    first.train(trials, 1)
    (shared,) = Trainer(problem.task("test"), Optimizer(), like=first).train(trials, 1)
    assert len(traced) == 1
    (alone,) = Trainer(problem.task("test"), Optimizer()).train(trials, 1)
    assert len(traced) == 2
    assert same(shared, alone)


def test_a_trainer_like_one_of_another_loss_shares_nothing():
    other = replace(SMALL, loss=lambda *a: 2.0 * SMALL.loss(*a))
    trials = [Trial(schedule("0.01"), 0)]
    first = Trainer(SMALL, SGD)
    first.train(trials, 1)
    (found,), (alone,) = Trainer(other, SGD, like=first).train(trials, 1), Trainer(other, SGD).train(trials, 1)
    assert same(found, alone)
    assert not same(found, first.train(trials, 1)[0])


def test_a_trainer_like_one_on_other_devices_shares_nothing():
    trials = [Trial(schedule("0.01"), seed) for seed in range(3)]
    two = Trainer(SMALL, SGD, device_count=2)
    two.train(trials, 1)
    found = Trainer(SMALL, SGD, device_count=1, like=two).train(trials, 1)
    assert all(map(same, found, Trainer(SMALL, SGD, device_count=1).train(trials, 1)))


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


def test_an_accelerators_way_gives_the_same_outcomes_up_to_rounding(monkeypatch):
    """All runs of a device at once, seeds mixed: the way of a GPU, here on the CPU."""
    trials = population()
    expected = Trainer(MLP, Optimizer()).train(trials, 2)
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


def test_a_damaged_cache_of_compiled_programs_is_emptied_and_said_so(tmp_path, caplog):
    from jax._src import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    trials = [Trial(schedule("0.01"), 0)]
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        compilation_cache.reset_cache()
        expected = Trainer(Quadratic(dimension=3).task("fitness"), SGD).train(trials, 1)
        entries = list(tmp_path.glob("*-cache"))
        assert entries
        for entry in entries:
            entry.write_bytes(b"damaged")
        jax.clear_caches()
        outcomes = Trainer(Quadratic(dimension=3).task("fitness"), SGD).train(trials, 1)
        assert "damaged" in caplog.text
        assert same(outcomes[0], expected[0])
        assert not any(entry.exists() and entry.read_bytes() == b"damaged" for entry in entries)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()


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


@pytest.mark.parametrize(("text", "wanted"), [("progress", lambda k: k / 700), ("epoch_progress", lambda k: k % 7 / 7)])
def test_the_clock_is_exact(text, wanted):
    """A division by a constant would be a product with its reciprocal, once it is compiled."""
    task = Task(
        steps_per_epoch=7,
        initial=lambda seed: jnp.zeros(1),
        batches=lambda seed, epoch: jnp.zeros((7, 1)),
        loss=lambda parameters, batch: jnp.sum(parameters * batch) + 1.0,
        evaluate=lambda parameters, examples: (jnp.sum(parameters * examples) + 1.0, jnp.float32(0.0)),
        monitor=jnp.zeros(1),
    )
    (outcome,) = Trainer(task, SGD).train([Trial(schedule(text), 0)], 100, keep_steps=True)
    np.testing.assert_array_equal(outcome.learning_rates, wanted(np.arange(700)).astype(np.float32))


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
