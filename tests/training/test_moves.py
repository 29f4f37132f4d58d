"""The optimisers that find their own step size, against optax in a loop by hand, and against the papers' own recursions."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from evolr.config import resolve
from evolr.errors import ConfigError, ScheduleError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.training.moves import moves_of
from evolr.training.optimizers import OPTIMIZERS, Optimizer, OptimizerName
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer

STEPS = 16
RATES = np.linspace(1.0, 0.3, 2 * STEPS).astype(np.float32)
DECAY = 0.1


def initial(seed):
    rng = np.random.default_rng(seed)
    return {"first": rng.normal(size=(3, 5)).astype(np.float32), "last": rng.normal(size=5).astype(np.float32)}


def batches(seed, epoch):
    rng = np.random.default_rng((seed, epoch))
    return rng.normal(size=(STEPS, 8, 3)).astype(np.float32)


def loss(parameters, batch):
    """Of a small network that learns the greatest of three numbers."""
    told = jnp.tanh(batch @ parameters["first"]) @ parameters["last"]
    return ((told - batch.max(axis=-1)) ** 2).mean()


MONITOR = np.random.default_rng(9).normal(size=(64, 3)).astype(np.float32)
TASK = Task(
    steps_per_epoch=STEPS,
    initial=initial,
    batches=batches,
    loss=loss,
    evaluate=lambda parameters, examples: (loss(parameters, examples), -loss(parameters, examples)),
    monitor=MONITOR,
)


def with_base(base, rate):
    return contrib.mechanize(optax.chain(base, optax.scale_by_learning_rate(rate)))


ADAMW = (optax.scale_by_adam(), optax.add_decayed_weights(DECAY))
BY_HAND = {
    "dog": contrib.dog,
    "dadapt_adam": contrib.dadapt_adamw,
    "dadapt_adamw": lambda rate: contrib.dadapt_adamw(rate, weight_decay=DECAY),
    "prodigy_adam": contrib.prodigy,
    "prodigy_adamw": lambda rate: contrib.prodigy(rate, weight_decay=DECAY),
    "mechanic_sgd": lambda rate: contrib.mechanize(optax.sgd(rate)),
    "mechanic_momentum": lambda rate: contrib.mechanize(optax.sgd(rate, momentum=0.9)),
    "mechanic_adam": lambda rate: contrib.mechanize(optax.adam(rate)),
    "mechanic_adamw": lambda rate: contrib.mechanize(optax.adamw(rate, weight_decay=DECAY)),
    "momo": contrib.momo,
    "momo_adam": contrib.momo_adam,
    "momo_adamw": lambda rate: contrib.momo_adam(rate, weight_decay=DECAY),
    "schedule_free_sgd": contrib.schedule_free_sgd,
    "schedule_free_adam": contrib.schedule_free_adamw,
    "schedule_free_adamw": lambda rate: contrib.schedule_free_adamw(rate, weight_decay=DECAY),
}
"""Of each, what a user of optax writes; rate: a number, or a function of the number of the step."""


def optimizer(name):
    return Optimizer(name=name, weight_decay=DECAY)


def given_rate(name):
    """What optax is given as the learning rate. It has schedule-free weigh a step by the rate of the next one, so that has a constant."""
    return 0.3 if name.startswith("schedule_free") else lambda count: jnp.asarray(RATES)[count]


def trained_by_hand(name, epochs=2):
    """(losses of the batches, parameters that train, those that judge) by optax alone."""
    made = optax.with_extra_args_support(BY_HAND[name](given_rate(name)))

    @jax.jit
    def step(parameters, state, batch):
        value, gradients = jax.value_and_grad(loss)(parameters, batch)
        changes, state = made.update(gradients, state, parameters, value=value)
        return optax.apply_updates(parameters, changes), state, value

    parameters, losses = jax.tree.map(jnp.asarray, initial(1)), []
    state, average, number = made.init(parameters), parameters, 0
    for epoch in range(epochs):
        for batch in batches(1, epoch):
            parameters, state, value = step(parameters, state, batch)
            number += 1
            share = 9 / (8 + number)
            average = jax.tree.map(lambda a, p, c=share: a + c * (p - a), average, parameters)
            losses.append(float(value))
    judged = parameters
    if name == "dog":
        judged = average
    elif name.startswith("schedule_free"):
        judged = contrib.schedule_free_eval_params(state, parameters)
    return losses, parameters, judged


def moved(name, rates):
    """(losses, parameters that train, those that judge) by evolr's functions alone, in one compiled loop."""
    moves = moves_of(optimizer(name))
    every = np.concatenate([batches(1, epoch) for epoch in range(2)])

    def step(carry, given):
        parameters, state = carry
        batch, rate = given
        value, gradients = jax.value_and_grad(loss)(parameters, batch)
        parameters, _, state = moves.move(gradients, state, parameters, rate, value)
        return (parameters, state), value

    begun = jax.tree.map(jnp.asarray, initial(1))
    start = (begun, moves.init(begun))
    (parameters, state), losses = jax.jit(lambda s, g: jax.lax.scan(step, s, g))(start, (every, rates))
    return losses, parameters, moves.judged(state, parameters)


def close(one, other, rtol=1e-4):
    for own, others in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(own, others, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("name", BY_HAND)
def test_each_moves_as_optax_moves(name):
    rate = given_rate(name)
    losses, parameters, judged = moved(name, np.full(2 * STEPS, rate, np.float32) if rate == 0.3 else RATES)
    expected, others, judges = trained_by_hand(name)
    close((losses, parameters, judged), (np.array(expected), others, judges))
    assert float(loss(parameters, MONITOR)) != float(loss(initial(1), MONITOR))


def test_every_name_has_its_case():
    assert {*BY_HAND, "sgd", "momentum", "adam", "adamw"} == set(OPTIMIZERS) == set(get_args(OptimizerName))


FALLING = "1 - 0.7*step/31"  # RATES


@pytest.mark.parametrize("name", ["dog", "prodigy_adamw", "momo", "schedule_free_adamw"])
def test_a_training_agrees_with_optax_and_does_not_depend_on_its_company(name):
    text = "0.3" if name.startswith("schedule_free") else FALLING
    trial, plain = (
        Trial(Schedule(expression=parse(text)), 1, optimizer(name)),
        Trial(Schedule(expression=parse("0.1")), 1),
    )
    trainer = Trainer(TASK, Optimizer(name="sgd"), device_count=2)
    alone, other = trainer.train([trial], 2)[0], trainer.train([plain], 2)[0]
    beside, company = Trainer(TASK, Optimizer(name="sgd"), device_count=1).train([plain, trial], 2)[::-1]
    losses, _, judged = trained_by_hand(name)
    np.testing.assert_allclose(alone.train_loss, np.reshape(losses, (2, -1)).mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(alone.val_loss[-1], float(loss(judged, MONITOR)), rtol=1e-4)
    assert (alone.score, other.score) == (beside.score, company.score)
    assert np.array_equal(alone.train_loss, beside.train_loss)


def test_runs_that_train_all_at_once_have_their_own_averages_and_estimates(monkeypatch):
    """The way of an accelerator, on a mesh of CPUs."""
    texts = ("0.3", "0.1")
    trials = [Trial(Schedule(expression=parse(t)), s, optimizer("schedule_free_adamw")) for t in texts for s in (1, 2)]
    expected = Trainer(TASK, Optimizer(name="sgd"), device_count=2).train(trials, 2)
    trainer = Trainer(TASK, Optimizer(name="sgd"), device_count=2)
    monkeypatch.setattr(trainer, "_batched", True)
    for one, other in zip(trainer.train(trials, 2), expected, strict=True):
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=1e-4)
        np.testing.assert_allclose(one.score, other.score, rtol=1e-4)
    assert len({outcome.score for outcome in expected}) == 4


def test_schedule_free_is_the_papers_recursion_with_a_warm_up_from_zero():
    """y = (1 − β)z + βx; z ← z − γ∇f(y); x ← (1 − c)x + cz, c = γ²/Σγ² for the greatest γ so far (Defazio et al. 2024)."""
    rates = np.minimum(1, np.arange(2 * STEPS) / 8).astype(np.float32) * 0.2
    x = z = jax.tree.map(jnp.asarray, initial(1))
    total, greatest = 0.0, 0.0
    for batch, rate in zip(np.concatenate([batches(1, 0), batches(1, 1)]), rates, strict=True):
        y = jax.tree.map(lambda a, b: 0.1 * a + 0.9 * b, z, x)
        gradients = jax.grad(loss)(y, batch)
        z = jax.tree.map(lambda a, g, r=rate: a - r * g, z, gradients)
        greatest = max(greatest, float(rate))
        total += greatest**2
        c = greatest**2 / total if total else 0.0
        x = jax.tree.map(lambda a, b, c=c: (1 - c) * a + c * b, x, z)
    _, _, judged = moved("schedule_free_sgd", rates)
    close(judged, x, rtol=1e-3)


def test_the_factor_of_prodigy_is_its_d_coef_from_an_estimate_that_is_larger_by_it():
    factor = 2.0
    _, parameters, _ = moved("prodigy_adam", np.full(2 * STEPS, factor, np.float32))
    made = contrib.prodigy(1.0, estim_lr_coef=factor, estim_lr0=factor * 1e-6)
    others = jax.tree.map(jnp.asarray, initial(1))
    state = made.init(others)
    update = jax.jit(lambda parameters, state, batch: made.update(jax.grad(loss)(parameters, batch), state, parameters))
    for batch in np.concatenate([batches(1, 0), batches(1, 1)]):
        changes, state = update(others, state, batch)
        others = optax.apply_updates(others, changes)
    close(parameters, others, rtol=1e-2)


@pytest.mark.parametrize("name", ["dadapt_adam", "prodigy_adam"])
def test_a_learning_rate_of_zero_is_no_step_and_no_end(name):
    """optax divides 0 by 0 there, and its estimate is NaN for ever."""
    rates = np.concatenate([[0.0], np.ones(2 * STEPS - 1)]).astype(np.float32)
    losses, parameters, _ = moved(name, rates)
    assert np.isfinite(losses).all()
    assert float(loss(parameters, MONITOR)) != float(loss(initial(1), MONITOR))
    _, still, _ = moved(name, np.zeros(2 * STEPS, np.float32))
    close(still, initial(1))


def outcomes(text, *names, seed=1):
    trials = [Trial(Schedule(expression=parse(text), max_lr=1e38), seed, optimizer(name)) for name in names]
    return Trainer(TASK, Optimizer(name="sgd"), device_count=1).train(trials, 1, keep_steps=True)


def test_what_diverges_is_an_outcome():
    (outcome,) = outcomes("1e30", "dog")
    assert outcome.diverged_at == 0
    assert np.isnan(outcome.score)
    assert outcome.failure is None


def test_what_reads_the_update_is_refused_where_a_step_is_not_in_proportion_to_the_rate():
    (proportional,) = outcomes("0.1/(1 + update_norm)", "prodigy_adam")
    assert proportional.failure is None
    assert proportional.signals["update_norm"][0] > 0
    with pytest.raises(ScheduleError, match="reads alignment, update_norm, which is not defined under momo"):
        outcomes("0.1/(1 + update_norm + alignment)", "momo")
    (other,) = outcomes("0.1/(1 + weight_norm)", "momo")
    assert other.signals["weight_norm"][0] > 0
    assert other.signals["alignment"][0] == 0
    settings = {"search.terminals": ["progress", "update_norm", "constant"]}
    with pytest.raises(
        ConfigError, match=r"update_norm is not defined under the optimizer 'mechanic_adam'.*leave it out"
    ):
        resolve("memetic", settings={**settings, "training.optimizer.name": "mechanic_adam"})
    resolve("memetic", settings={**settings, "training.optimizer.name": "prodigy_adam"})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": "schedule_free_sgd", "momentum": 0.0}, r"momentum must be in \(0, 1\) for schedule_free_sgd"),
        ({"name": "schedule_free_adam", "beta1": 0.0}, r"beta1 must be in \(0, 1\) for schedule_free_adam"),
        ({"name": "prodigy_adam", "beta2": 1.0}, r"beta2 must be in \[0, 1\)"),
        ({"name": "momo", "momentum": -0.1}, r"momentum must be in \[0, 1\)"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, problem):
    with pytest.raises(ConfigError, match=problem):
        Optimizer(**settings)
    assert Optimizer(name="momo", momentum=0.0).decay == 0.0
