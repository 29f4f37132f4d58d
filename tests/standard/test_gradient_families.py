"""The families that read gradients are optax's and their papers' rules, of the batch before, on a real training."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from jax.flatten_util import ravel_pytree

import evolr.optax
from evolr.signals.rules import EMA_DECAY
from evolr.standard import FAMILIES
from evolr.standard.feedback import FEEDBACK

STEPS = 40


@dataclass
class Training:
    """A network that was trained by a family with SGD: what was measured before each step."""

    rates: np.ndarray
    losses: np.ndarray
    gradients: list[jax.Array]
    weights: list[jax.Array]

    @property
    def norms(self):
        return np.array([float(jnp.linalg.norm(gradient)) for gradient in self.gradients])


def loss_of(weights, x, y):
    return jnp.mean((jnp.tanh(x @ weights["first"]) @ weights["last"] - y) ** 2)


def trained(family, **constants):
    rng = np.random.default_rng(0)
    first, last, teacher = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((8, 16), (16, 1), (8, 1)))
    start = {"first": first / 3, "last": last / 4}
    _, unravel = ravel_pytree(start)
    optimizer = evolr.optax.optimizer(FAMILIES[family].schedule(**constants), total_steps=STEPS)
    weights, state = start, optimizer.init(start)
    rates, losses, gradients, before = [], [], [], []
    step = jax.jit(jax.value_and_grad(loss_of))
    for _ in range(STEPS):
        x = jnp.asarray(rng.normal(size=(32, 8)), jnp.float32)
        loss, gradient = step(weights, x, jnp.sin(x @ teacher))
        losses.append(float(loss))
        gradients.append(ravel_pytree(gradient)[0])
        before.append(ravel_pytree(weights)[0])
        updates, state = optimizer.update(gradient, state, weights, value=loss)
        rates.append(float(state[1].learning_rate))
        weights = optax.apply_updates(weights, updates)
    assert unravel(before[0])["first"].shape == (8, 16)
    assert np.isfinite(losses).all()
    return Training(np.array(rates), np.array(losses), gradients, before)


def batch_before(values):
    """Of the same batch at the first step, and then of the one before."""
    return [values[0], *values[:-1]]


def scaled(updates, gradient):
    """The learning rate that a transformation of optax gave a gradient."""
    return float(jnp.linalg.norm(updates) / jnp.linalg.norm(gradient))


def test_dog_is_optaxs():
    run = trained("DoG", scale=3.0)
    rule = optax.contrib.dog(init_step=("heuristic", 1e-6))
    state = rule.init(run.weights[0])
    distances, sums = [], []
    for gradient, weights in zip(run.gradients, run.weights, strict=True):
        _, state = rule.update(gradient, state, weights)
        distances.append(float(state[1].max_dist))
        sums.append(float(state[1].sum_sq_norm_grads))
    expected = 3.0 * np.array(distances) / np.sqrt(np.array(batch_before(sums)) + 1e-8)
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4)
    assert run.rates[-1] > 1.5 * run.rates[0]  # the distance has grown


def test_adagrad_norm_is_its_papers():
    """Ward et al., algorithm 1: b² grows by the gradient's squared norm, and the step is η/b."""
    run = trained("AdaGrad-Norm", base=0.5, start=2.0)
    squares, b, expected = run.norms**2, 2.0**2, []
    for step in range(STEPS):
        b = 2.0**2 + (squares[0] if step == 0 else squares[:step].sum())
        expected.append(0.5 / np.sqrt(b))
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4)


def test_a_normalised_gradient_is_optaxs():
    run, rule = trained("normalised gradient", base=0.03), optax.contrib.normalize()
    expected = [0.03 * scaled(rule.update(g, rule.init(g))[0], g) for g in batch_before(run.gradients)]
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4)


@pytest.mark.parametrize("most", [0.05, 10.0])
def test_a_polyak_step_is_optaxs(most):
    run = trained("Polyak step", scale=0.5, most=most, least=0.01)
    rule = optax.polyak_sgd(max_learning_rate=most, f_min=0.01, variant="sps+")
    pairs = zip(batch_before(run.gradients), batch_before(run.losses.tolist()), strict=True)
    expected = [0.5 * scaled(rule.update(g, rule.init(g), g, value=jnp.asarray(loss))[0], g) for g, loss in pairs]
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4)


def test_a_trust_ratio_is_optaxs():
    run, rule = trained("trust ratio", base=0.01), optax.scale_by_trust_ratio(trust_coefficient=0.01)
    pairs = zip(batch_before(run.gradients), run.weights, strict=True)
    expected = [scaled(rule.update(g, rule.init(w), w)[0], g) for g, w in pairs]
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4)


def test_l4_is_its_papers():
    """Rolinek and Martius: η = α·(L − γ·L_min)/(gᵀv), where v is the gradient, and L_min the least average so far.

    Of a step with learning rate 0 no direction is seen, so that v is then the one before.
    """
    run = trained("L4", pace=0.1, kept=0.8)
    average = least = run.losses[0]
    expected, direction = [], run.norms[0]
    for step, (loss, norm) in enumerate(zip(batch_before(run.losses), batch_before(run.norms), strict=True)):
        if step > 0:
            average = EMA_DECAY * average + (1 - EMA_DECAY) * loss
            least = min(least, average)
            direction = norm if run.rates[step - 1] > 0 else direction
        expected.append(0.1 * max(0.0, loss - 0.8 * least) / (norm * direction))
    assert 0 in expected
    np.testing.assert_allclose(run.rates, expected, rtol=1e-4, atol=1e-8)


def test_every_one_of_them_is_checked():
    names = {family.name for family in FEEDBACK} - {"reduce on plateau"}
    assert names == {"DoG", "AdaGrad-Norm", "normalised gradient", "Polyak step", "trust ratio", "L4"}
