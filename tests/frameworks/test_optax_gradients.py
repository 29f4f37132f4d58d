"""evolr.optax.optimizer sees gradients, directions and weights, as the reference computes them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import evolr.optax
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import Loop
from evolr.schedule import Schedule
from tests.frameworks.exported import exported

STEPS = 10
CHAINS = {
    "sgd": lambda: None,
    "momentum": lambda: optax.trace(0.9),
    "adam": optax.scale_by_adam,
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.trace(0.5)),
}
MEASURED = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance", "alignment")


def schedule(text):
    return Schedule(expression=parse(text))


def gradient(parameters, step):
    return jax.tree.map(lambda p: p * 0.7 + 0.1 * np.sin(step + np.arange(p.size)).reshape(p.shape), parameters)


def flat(tree):
    return np.concatenate([np.ravel(leaf).astype(float) for leaf in jax.tree.leaves(tree)])


def trained(rule, direction, *, donates=False, make=None):
    """The learning rates, and what each step told, by hand."""
    parameters = {"a": jnp.ones((3, 2)), "b": jnp.arange(4.0)}
    make = make or (lambda *arguments, **horizon: evolr.optax.optimizer(rule, *arguments, **horizon))
    optimizer = make(direction, total_steps=STEPS, steps_per_epoch=5)
    update = jax.jit(optimizer.update, donate_argnums=1 if donates else ())
    state, initial, before = optimizer.init(parameters), flat(parameters), None
    rates, told = [], []
    for step in range(STEPS):
        gradients = gradient(parameters, step)
        updates, state = update(gradients, state, parameters)
        rates.append(float(state[1].learning_rate))
        parameters = optax.apply_updates(parameters, updates)
        directions, g = -flat(updates) / rates[-1], flat(gradients)
        size = 0 if before is None else np.linalg.norm(g) * np.linalg.norm(before)
        told.append(
            {
                "grad_norm": np.linalg.norm(g),
                "update_norm": np.linalg.norm(directions),
                "alignment": g @ before / size if size else 0.0,
                "weight_norm": np.linalg.norm(flat(parameters)),
                "distance": np.linalg.norm(flat(parameters) - initial),
            }
        )
        before = directions
    loop = Loop(
        rule, total_steps=STEPS, steps_per_epoch=5, grad_norm=told[0]["grad_norm"], weight_norm=np.linalg.norm(initial)
    )
    return rates, [loop.learning_rate, *(loop.step(**each) for each in told[:-1])]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", MEASURED)
def test_a_signal_of_the_network_is_the_references(name, chain):
    rates, expected = trained(schedule(f"0.01*({name} + 1.5)"), CHAINS[chain]())
    np.testing.assert_allclose(rates, expected, rtol=1e-4)
    assert len(set(rates)) > 3


def test_an_exported_file_sees_the_same(tmp_path):
    rule = schedule("0.01*distance/grad_norm_rss*(2 + alignment) + 1e-3*update_norm + 1e-3*weight_norm")
    file = exported(rule, "optax", tmp_path)
    rates, _ = trained(rule, optax.scale_by_adam(), make=file.champion_optimizer)
    np.testing.assert_allclose(rates, trained(rule, optax.scale_by_adam())[0], rtol=1e-6)


def test_its_state_may_be_donated():
    rule = schedule("0.01*distance/grad_norm_rss*(2 + alignment) + 1e-3*update_norm + 1e-3*grad_norm_ema")
    assert trained(rule, optax.scale_by_adam(), donates=True) == trained(rule, optax.scale_by_adam())


def test_a_gradient_that_is_not_finite_poisons_nothing():
    optimizer = evolr.optax.optimizer(schedule("0.01*grad_norm_ema/grad_norm_rss"), optax.zero_nans(), total_steps=9)
    parameters = jnp.ones(2)
    state = optimizer.init(parameters)
    for value in (1.0, float("nan"), 1.0, 1.0):
        updates, state = optimizer.update(jnp.full(2, value), state, parameters)
    assert np.isfinite(updates).all()
    assert float(state[1].learning_rate) == pytest.approx(0.01 / np.sqrt(2))


def test_what_reads_the_weights_wants_the_parameters():
    optimizer = evolr.optax.optimizer(schedule("0.01*weight_norm"), total_steps=9)
    with pytest.raises(ScheduleError, match=r"reads the weights: call update\(gradients, state, parameters\)"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


def test_the_last_link_of_a_chain_is_told_a_norm_or_says_who_measures_it():
    rule, parameters = schedule("0.01*grad_norm"), jnp.ones(2)
    chain = optax.chain(optax.scale_by_adam(), evolr.optax.scale_by_expression(rule, total_steps=9))
    with pytest.raises(ScheduleError, match=r"grad_norm=…\) with the gradient; evolr\.optax\.optimizer measures"):
        chain.update(parameters, chain.init(parameters), parameters)
    _, state = chain.update(parameters, chain.init(parameters), parameters, grad_norm=3.0)
    assert float(state[1].learning_rate) == pytest.approx(0.03)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_norms_are_of_float32_whatever_the_parameters_are(dtype):
    rule = schedule("1/grad_norm + 1e-3*distance + 1e-6*weight_norm + alignment*0")
    optimizer, parameters = evolr.optax.optimizer(rule, total_steps=9), jnp.ones(100_000, dtype)
    state = optimizer.init(parameters)
    _, state = optimizer.update(parameters, state, parameters)
    small = 1e-3 * 1e-6 * (1 + 100_000**0.5)
    assert float(state[1].learning_rate) == pytest.approx(100_000**-0.5 + small + 1e-6 * 100_000**0.5, rel=1e-3)


@pytest.mark.parametrize("text", ["0.1*(2 + alignment)", "1/grad_norm", "0.1/(1 + weight_norm + distance)"])
def test_complex_parameters_are_pairs_of_numbers(text):
    gradients = np.random.default_rng(1).normal(size=(6, 4, 2)).astype(np.float32)
    used = []
    for is_complex in (True, False):
        weight = jnp.ones((4, 2), jnp.float32)
        weight = weight[:, 0] + 1j * weight[:, 1] if is_complex else weight
        moves = evolr.optax.optimizer(schedule(text), total_steps=10, steps_per_epoch=10)
        state = moves.init(weight)
        used.append([])
        for gradient in gradients:
            given = gradient[:, 0] + 1j * gradient[:, 1] if is_complex else gradient
            updates, state = moves.update(jnp.asarray(given), state, weight)
            weight = optax.apply_updates(weight, updates)
            used[-1].append(float(optax.tree.get(state, "learning_rate")))
    assert used[0] == pytest.approx(used[1], rel=1e-5)
    assert len(set(used[1])) > 2
