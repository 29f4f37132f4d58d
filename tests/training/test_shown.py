"""What the population trainer shows a schedule at each step."""

import jax.numpy as jnp
import numpy as np
import pytest

from evolr.expression import CLOCK
from evolr.problems import Quadratic
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer
from tests.training.tasks import SGD, SMALL, schedule


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
