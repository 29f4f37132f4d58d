"""The suite of benchmarks/mnist1d_suite.py: a task is drawn by its seed, and padding takes no part in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.mnist1d_suite import BATCHES, CLASSES, LENGTH, STEPS, WIDTHS, Mnist1dSuite, drawn, loss, setting
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

SEEDS = range(60)
DEEP = next(seed for seed in SEEDS if len(setting(seed).widths) == 2)
SHALLOW = next(seed for seed in SEEDS if len(setting(seed).widths) == 1)


@pytest.fixture(scope="module")
def task():
    return Mnist1dSuite().task("monitor")


def cut(seed, parameters):
    """The layers of the task's network alone, without padding."""
    widths = setting(seed).widths
    sizes = [LENGTH, *widths, CLASSES]
    places = [0, 1, 2] if len(widths) == 2 else [0, 2]
    return [
        (np.asarray(parameters[place][0])[:of, :to], np.asarray(parameters[place][1])[:to])
        for place, of, to in zip(places, sizes[:-1], sizes[1:], strict=True)
    ]


def plain_loss(layers, inputs, labels):
    """Of an ordinary network with no padding."""
    hidden = inputs
    for weights, biases in layers[:-1]:
        hidden = jnp.maximum(hidden @ weights + biases, 0.0)
    logits = hidden @ layers[-1][0] + layers[-1][1]
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("seed", [DEEP, SHALLOW])
def test_loss_gradient_and_norm_are_those_of_the_network_without_padding(task, seed):
    parameters, setting_ = task.initial(seed), setting(seed)
    batch = jax.tree.map(lambda a: a[0], task.batches(seed, 0))
    value, gradients = jax.value_and_grad(loss)(parameters, batch, *drawn(seed))
    inputs = setting_.input_scale * batch.inputs[: setting_.batch_size]
    expected, plain = jax.value_and_grad(plain_loss)(cut(seed, parameters), inputs, batch.labels[: setting_.batch_size])
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    norms = [np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(tree))) for tree in (gradients, plain)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    for own, other in zip(cut(seed, gradients), plain, strict=True):
        np.testing.assert_allclose(own[0], other[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("seed", [DEEP, SHALLOW])
def test_padding_stays_zero_in_a_training(task, optimizer, seed):
    direction, parameters, batches = (
        Optimizer(name=optimizer).direction(),
        task.initial(seed),
        task.batches(seed, 0),
    )
    state = direction.init(parameters)
    for number in range(5):
        gradients = jax.grad(loss)(parameters, jax.tree.map(lambda a, n=number: a[n], batches), *drawn(seed))
        directions, state = direction.update(gradients, state, parameters)
        parameters = jax.tree.map(lambda p, d: p - 0.01 * d, parameters, directions)
    own = sum(np.count_nonzero(part) for layer in cut(seed, parameters) for part in layer)
    assert sum(np.count_nonzero(leaf) for leaf in jax.tree.leaves(parameters)) == own > 500


def test_a_task_is_its_seeds_and_luck_the_repetitions(task):
    again, other = Mnist1dSuite().task("monitor"), Mnist1dSuite(repetition=1).task("monitor")
    for one, two, three in zip(*(jax.tree.leaves(t.initial(DEEP)) for t in (task, again, other)), strict=True):
        np.testing.assert_array_equal(one, two)
        assert not one.any() or (one != three).any()
    assert setting(DEEP) == setting(DEEP)
    labels = [t.batches(DEEP, 0).labels for t in (task, again, other)]
    np.testing.assert_array_equal(labels[0], labels[1])
    assert (labels[0] != labels[2]).any()


def test_tasks_differ_within_their_bounds():
    drawn_ = [setting(seed) for seed in range(400)]
    assert all(WIDTHS[0] <= width <= WIDTHS[1] for each in drawn_ for width in each.widths)
    assert all(BATCHES[0] <= each.batch_size <= BATCHES[1] for each in drawn_)
    assert 0.6 < np.mean([len(each.widths) == 2 for each in drawn_]) < 0.8
    assert 0.17 < np.mean([each.label_noise for each in drawn_]) < 0.23
    assert 28 < np.median([each.batch_size for each in drawn_]) < 37


def test_the_same_bits_alone_and_in_company(task):
    trainer = Trainer(task, Optimizer(name="momentum"))
    schedule = Schedule(expression=parse("0.3/grad_norm_rss"))
    (alone,) = trainer.train([Trial(schedule, DEEP)], 1)
    together = trainer.train([Trial(schedule, seed) for seed in (SHALLOW, DEEP, 3)], 1)
    assert (together[1].score, together[1].train_loss.tolist()) == (alone.score, alone.train_loss.tolist())
    assert task.steps_per_epoch == STEPS
