"""The problem mnist1d-suite: a task is drawn by its seed, and padding takes no part in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from evolr.errors import ConfigError
from evolr.expression import parse
from evolr.problems import Mnist1dSuite
from evolr.problems.mnist1d_data import CLASSES, LENGTH, published
from evolr.problems.mnist1d_suite import STEPS, loss
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

SEEDS = range(60)
setting, drawn = Mnist1dSuite().setting, Mnist1dSuite().drawn
WIDTHS = BATCHES = (8, 128)
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


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"widths": (0, 8)}, "widths must be from 1 to 1024"),
        ({"widths": (16, 8)}, "the least first"),
        ({"batch_sizes": (8, 130)}, "batch_sizes must be from 1 to 129"),
        ({"label_noise": (0.0, 1.5)}, "label_noise must be from 0 to 1"),
        ({"input_scale": (0.0, 1.0)}, "input_scale must be from 0.001"),
        ({"weight_scale": (1.0, float("nan"))}, "weight_scale must be"),
        ({"two_layers": 1.2}, "a share from 0 to 1"),
    ],
)
def test_distributions_that_are_none_are_refused(setting, problem):
    with pytest.raises(ConfigError, match=problem):
        Mnist1dSuite(**setting)


def test_other_distributions_draw_other_tasks():
    narrow = Mnist1dSuite(widths=(8, 8), two_layers=0.0, batch_sizes=(16, 16), label_noise=(0.1, 0.1))
    assert {narrow.setting(seed)[:3] for seed in range(20)} == {((8,), 16, 0.1)}
    task = narrow.task("monitor")
    assert jax.tree.map(np.shape, task.initial(3))[0] == ((LENGTH, 8), (8,))
    assert task.batches(3, 0).inputs.shape == (STEPS, 16, LENGTH)
    outcome = Trainer(task, Optimizer(name="momentum")).train([Trial(Schedule(expression=parse("0.05")), 1)], 2)[0]
    assert outcome.score > 0.1


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


def test_examples_beyond_the_batch_size_change_neither_loss_nor_gradient(task):
    def equal(one, two):
        return jax.tree.all(jax.tree.map(np.array_equal, one, two))

    batch, size = jax.tree.map(lambda a: a[0], task.batches(DEEP, 0)), setting(DEEP).batch_size
    assert size < BATCHES[1]
    changed = batch._replace(inputs=batch.inputs.copy(), labels=batch.labels.copy())
    changed.inputs[size:] = 1e6
    changed.labels[size:] = 3
    one, two = (jax.value_and_grad(loss)(task.initial(DEEP), each, *drawn(DEEP)) for each in (batch, changed))
    assert equal(one, two)
    changed.inputs[size - 1] = 1e6
    assert loss(task.initial(DEEP), changed, *drawn(DEEP)) != one[0]


def trained_without_padding(task, seed, rate):
    """An epoch in PyTorch, of the network and batches as they are: (steps,) of losses and of gradients' and weights' norms."""
    layers = cut(seed, task.initial(seed))
    linears = [nn.Linear(*weights.shape) for weights, _ in layers]
    for linear, (weights, biases) in zip(linears, layers, strict=True):
        linear.weight.data, linear.bias.data = torch.tensor(weights.T.copy()), torch.tensor(biases)
    model = nn.Sequential(*[part for linear in linears for part in (linear, nn.ReLU())][:-1]).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    batches, size, told = task.batches(seed, 0), setting(seed).batch_size, []
    for inputs, labels in zip(batches.inputs[:, :size], batches.labels[:, :size], strict=True):
        optimizer.zero_grad()
        scaled = setting(seed).input_scale * torch.tensor(inputs).double()
        value = nn.functional.cross_entropy(model(scaled), torch.tensor(labels).long())
        value.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        told.append((value.item(), gradient.norm().item(), weights.norm().item()))
        optimizer.step()
    return np.array(told).T


@pytest.mark.parametrize("seed", [DEEP, SHALLOW])
def test_a_padded_training_and_its_signals_are_those_of_the_network_without_padding(task, seed):
    rule = Schedule(expression=parse("0.01 + 0*(grad_norm + weight_norm)"))
    (outcome,) = Trainer(task, Optimizer(name="momentum")).train([Trial(rule, seed)], 1, keep_steps=True)
    losses, gradients, weights = trained_without_padding(task, seed, 0.01)
    shown = {name: series[0] for name, series in outcome.signals.items()}
    assert outcome.train_loss[0] == pytest.approx(losses.mean(), rel=1e-4)
    # The gradient's norm is that of the previous step, at first that of the first batch.
    assert shown["grad_norm"] == pytest.approx((gradients[0] + gradients[:-1].sum()) / STEPS, rel=1e-4)
    assert shown["weight_norm"] == pytest.approx(weights.mean(), rel=1e-5)


def test_the_share_of_wrong_labels_is_the_tasks_and_they_stay_wrong_in_every_epoch(task):
    train, _ = published()
    right = {inputs.tobytes(): label for inputs, label in zip(train.inputs, train.labels, strict=True)}
    seen = {}
    for epoch in range(2):
        batches = task.batches(DEEP, epoch)
        for inputs, label in zip(batches.inputs.reshape(-1, LENGTH), batches.labels.ravel(), strict=True):
            assert seen.setdefault(inputs.tobytes(), label) == label
    share = np.mean([right[inputs] != label for inputs, label in seen.items()])
    assert share == pytest.approx(setting(DEEP).label_noise, abs=0.03)


def test_a_negative_repetition_is_refused():
    with pytest.raises(ConfigError, match=r"problem\.repetition must be at least 0 and at most 1,000,000, got -1"):
        Mnist1dSuite(repetition=-1)
