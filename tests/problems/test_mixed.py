"""The problem mixed: seven kinds of task, each drawn by its seed, padding taking no part."""

from collections import Counter

import jax
import msgspec
import numpy as np
import pytest

from evolr.config import resolve, to_toml
from evolr.config.stored import from_stored
from evolr.errors import ConfigError
from evolr.execution.local import Local
from evolr.expression import parse
from evolr.problems import Mixed
from evolr.problems.mixed import KINDS, SCALES
from evolr.problems.mixed.batches import LARGEST, STEPS
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from tests.contracts.executor import contents

SEEDS = [seed_from(k, "test of mixed") for k in range(1400)]
OWN = tuple(kind for kind in KINDS if kind != "mlp")  # tests/problems/test_suite.py has that one's
MOMENTUM = Optimizer(name="momentum")


@pytest.fixture(scope="module")
def tasks():
    return {kind: Mixed().problem_of(kind).task("fitness") for kind in KINDS}


@pytest.fixture(scope="module")
def steps(tasks):
    """Of each kind, (parameters, batch, drawn) → loss and gradient, compiled."""
    return {kind: jax.jit(jax.value_and_grad(task.loss)) for kind, task in tasks.items()}


def first_batch(task, seed):
    return jax.tree.map(lambda array: array[0], task.batches(seed, 0))


def small_batch_seed(kind):
    problem = getattr(Mixed(), kind)
    return next(seed for seed in range(100) if problem.context(seed).batch_size < 20)


def equal(one, other):
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_tasks_of_one_shape_that_differ_by_seed_and_are_the_same_again(tasks, steps, kind):
    task, again = tasks[kind], Mixed().problem_of(kind).task("fitness")
    assert task.steps_per_epoch == STEPS
    shapes = {str(jax.tree.map(np.shape, (task.initial(s), *task.drawn(s), task.batches(s, 0)))) for s in range(5)}
    assert len(shapes) == 1
    for make in ("initial", "drawn"):
        assert equal(getattr(task, make)(3), getattr(again, make)(3))
        assert not equal(getattr(task, make)(3), getattr(task, make)(4))
    assert equal(task.batches(3, 1), again.batches(3, 1))
    assert not equal(task.batches(3, 0), task.batches(3, 1))
    value, gradient = steps[kind](task.initial(3), first_batch(task, 3), *task.drawn(3))
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in jax.tree.leaves(gradient))
    judged = jax.jit(task.evaluate)(task.initial(3), task.judge, *task.drawn(3))
    assert np.isfinite(judged).all()


@pytest.mark.parametrize("kind", OWN)
def test_examples_beyond_a_tasks_batch_change_neither_loss_nor_gradient(tasks, steps, kind):
    task, seed = tasks[kind], small_batch_seed(kind)
    batch, (drawn,) = first_batch(task, seed), task.drawn(seed)
    size = int(drawn.batch_size)
    step = steps[kind]
    others = jax.tree.map(lambda array: np.concatenate([array[:size], array[: LARGEST - size][::-1]]), batch)
    assert not equal(batch, others)
    assert equal(step(task.initial(seed), batch, drawn), step(task.initial(seed), others, drawn))
    fewer = jax.tree.map(lambda array: np.roll(array, 1, axis=0), batch)
    assert not equal(step(task.initial(seed), batch, drawn)[0], step(task.initial(seed), fewer, drawn)[0])


@pytest.mark.parametrize("kind", ["cnn", "gru", "language", "regression", "transformer"])
def test_padding_stays_zero_in_a_training_and_the_network_is_that_without_it(tasks, steps, kind):
    task, seed = tasks[kind], 2
    direction = Optimizer(name="adam").direction()
    parameters, patterns = task.initial(seed), []
    state, batch = direction.init(parameters), first_batch(task, seed)
    for _ in range(4):
        patterns.append([np.asarray(leaf != 0) for leaf in jax.tree.leaves(parameters)])
        directions, state = direction.update(steps[kind](parameters, batch, *task.drawn(seed))[1], state)
        parameters = jax.tree.map(lambda p, d: p - 0.01 * d, parameters, directions)
    assert all(equal(patterns[0], later) for later in patterns[1:])
    assert not all(pattern.all() for pattern in patterns[0])


def test_each_kind_has_its_equal_share_and_settings_choose_kinds():
    counts = Counter(Mixed().draw(seed, "fitness")[0] for seed in SEEDS)
    assert counts.keys() == set(KINDS) == set(SCALES)
    assert all(abs(count - 200) < 4 * 200**0.5 for count in counts.values())
    some = Mixed(kinds_drawn=("cnn", "quadratic", "gru"), held_out=("gru",))
    met = {pool: {some.draw(seed, pool)[0] for seed in SEEDS[:100]} for pool in ("fitness", "selection", "test")}
    assert met == {"fitness": {"cnn", "quadratic"}, "selection": {"cnn", "quadratic"}, "test": {"gru"}}
    both = msgspec.structs.replace(some, test_on="all")
    assert {both.draw(seed, "test")[0] for seed in SEEDS[:100]} == {"cnn", "quadratic", "gru"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kinds_drawn": ["cnm"]}, "did you mean 'cnn'"),
        ({"kinds_drawn": []}, "must name different kinds"),
        ({"kinds_drawn": ["cnn", "cnn"]}, "must name different kinds"),
        ({"held_out": ["grue"]}, r"kind in problem\.held_out.*did you mean 'gru'"),
        ({"kinds_drawn": ["cnn"], "held_out": ["cnn"]}, "leaves no kind to search on"),
        ({"test_on": "none"}, "problem.test_on"),
        ({"cnn.channels": [8, 4]}, r"problem\.cnn\.channels must be from 1 to 256, the least first"),
        ({"gru.batch_sizes": [8, 65]}, r"problem\.gru\.batch_sizes must be from 1 to 64"),
        ({"quadratic.noise": [-1.0, 1.0]}, r"problem\.quadratic\.noise must be from"),
        ({"language.weight": [1.0, 1.0]}, "weight"),
        ({"mlp.two_layers": 2.0}, r"problem\.mlp\.two_layers must be a share"),
        ({"mlp.widths": [0, 64]}, r"problem\.mlp\.widths must be from 1 to 1024"),
        ({"mlp.repetition": -1}, r"problem\.mlp\.repetition must be at least 0 and at most 1,000,000, got -1"),
        ({"cnn.chanels": [4, 8]}, r"unknown setting 'problem\.cnn\.chanels'; did you mean 'problem\.cnn\.channels'"),
        ({"test_on": "tests"}, "it is one of 'all', 'held out'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, problem):
    with pytest.raises(ConfigError, match=problem):
        resolve("mixed", settings={f"problem.{name}": value for name, value in settings.items()})


def test_its_distributions_are_settings_which_a_study_stores():
    config = resolve("mixed", settings={"problem.cnn.channels": [4, 4], "problem.held_out": ["gru"]})
    assert config.problem.cnn.channels == (4, 4)
    assert np.shape(config.problem.cnn.init(0)[0][0]) == (5, 4)
    assert from_stored(msgspec.toml.decode(to_toml(config))) == config
    assert config.problem.key != resolve("mixed").problem.key
    assert resolve("suite", settings={"problem.name": "mixed"}).problem == resolve("mixed").problem


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_of_a_kind_leaves_the_others_of_that_kind_as_they_are(kind):
    settings, usual = {"problem." + kind + ".batch_sizes": [10, 20]}, getattr(Mixed(), kind)
    found = getattr(resolve("mixed", settings=settings).problem, kind)
    assert found == msgspec.structs.replace(usual, batch_sizes=(10, 20))


def test_outcomes_are_the_same_whatever_the_devices_and_the_order():
    problem = Mixed(kinds_drawn=("regression", "quadratic"))
    schedules = [Schedule(expression=parse(text)) for text in ("0.01", "0.03/(1 + loss)")]
    trials = [Trial(schedule, seed) for seed in SEEDS[:5] for schedule in schedules]
    found = contents(Local(problem, MOMENTUM, device_count=2).run(trials, 2, "fitness"))
    assert len({each[0] for each in found}) == len(trials)
    assert contents(Local(problem, MOMENTUM, device_count=1).run(trials[::-1], 2, "fitness")) == found[::-1]


def test_a_recurrent_unit_is_that_of_torch():
    import torch

    from evolr.problems.mixed.recurrent import gates, step

    arrays = gates(np.random.default_rng(0), 3, 5, 8, 1.0)
    unit = torch.nn.GRUCell(3, 5)
    names = {"of_input": "weight_ih", "of_state": "weight_hh"}
    for name, theirs in names.items():
        own = arrays[name][: unit.state_dict()[theirs].shape[1], :, :5]
        getattr(unit, theirs).data = torch.tensor(own.transpose(1, 2, 0).reshape(15, -1))
    unit.bias_ih.data, unit.bias_hh.data = (torch.tensor(b[:, :5].reshape(-1)) for b in arrays["biases"])
    state, value = (np.random.default_rng(1).normal(size=(4, n)).astype(np.float32) for n in (5, 3))
    padded = np.pad(state, ((0, 0), (0, 3)))
    expected = unit(torch.tensor(value), torch.tensor(state)).detach().numpy()
    np.testing.assert_allclose(step(arrays, padded, value), np.pad(expected, ((0, 0), (0, 3))), atol=1e-6)
