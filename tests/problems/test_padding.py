"""What is computed at the least size that holds a task is what the whole arrays give."""

from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evolr
from evolr.execution.local import Local
from evolr.problems.mnist1d_suite import Drawn, Mnist1dSuite, evaluate, logits, loss
from evolr.problems.padding import at_size, sizes_to
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, [1]), (2, [1, 2]), (5, [2, 3, 5]), (64, [16, 32, 64]), (100, [25, 50, 100])]
)
def test_sizes_are_a_quarter_a_half_and_the_greatest(most: int, sizes: list[int]) -> None:
    assert sizes_to(most) == sizes


def test_the_least_size_that_holds_a_task_is_taken() -> None:
    taken = jax.jit(lambda needed: at_size(lambda size, _: jnp.int32(size), [100], [needed], 0.0))
    assert [int(taken(needed)) for needed in (1, 25, 26, 50, 51, 100)] == [25, 25, 50, 50, 100, 100]


def test_the_gradient_goes_through_the_size_that_was_taken() -> None:
    def squares(size: int, values: jax.Array) -> jax.Array:
        return (values[:size] ** 2).sum()

    gradient = jax.grad(lambda values: 3.0 * at_size(squares, [40], [jnp.int32(20)], values))
    assert gradient(jnp.ones(40)).tolist() == [6.0] * 20 + [0.0] * 20


def test_two_sizes_are_taken_independently() -> None:
    taken = jax.jit(lambda *needed: at_size(lambda a, b, _: jnp.array([a, b]), [64, 20], needed, 0.0))
    found = [taken(*needed).tolist() for needed in ((3, 17), (33, 16), (64, 20), (17, 1))]
    assert found == [[16, 20], [64, 20], [64, 20], [32, 5]]


@pytest.mark.parametrize("seed", range(8))
def test_a_task_of_the_suite_is_what_it_is_in_the_widest_arrays(seed: int) -> None:
    suite = Mnist1dSuite()
    task, (drawn,) = suite.task("monitor"), suite.drawn(seed)
    parameters = task.initial(seed)
    batch = jax.tree.map(lambda array: array[0], task.batches(seed, 0))

    def padded(parameters: list[tuple[jax.Array, jax.Array]], drawn: Drawn) -> jax.Array:
        found = jax.nn.log_softmax(logits(parameters, batch.inputs, drawn))
        each = -jnp.take_along_axis(found, batch.labels[:, None], axis=1)[:, 0]
        return each[: int(drawn.batch_size)].mean()

    found, gradient = jax.value_and_grad(loss)(parameters, batch, drawn)
    expected, padded_gradient = jax.value_and_grad(padded)(parameters, drawn)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(padded_gradient), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    _, accuracy = evaluate(parameters, task.monitor, drawn)
    all_logits = logits(parameters, task.monitor.inputs, drawn)
    assert float(accuracy) == pytest.approx(float((all_logits.argmax(axis=1) == task.monitor.labels).mean()))


def test_tasks_of_different_sizes_are_computed_together_where_a_device_trains_all_at_once() -> None:
    """As on an accelerator, whose program has no branches: all of them would be computed."""
    suite = Mnist1dSuite()
    task = suite.task("monitor")
    each = [(task.initial(k), jax.tree.map(lambda a: a[0], task.batches(k, 0)), suite.drawn(k)[0]) for k in range(4)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    together = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    for place, (value, one) in enumerate(zip(together(*stacked)[0], each, strict=True)):
        np.testing.assert_allclose(value, loss(*one), rtol=1e-5, err_msg=str(place))
    programs = {name: together.trace(*stacked).lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda")}
    assert len(programs["cuda"]) < len(programs["cpu"]) / 4


def test_sizes_that_cannot_be_halved_are_trained() -> None:
    suite = Mnist1dSuite(widths=(3, 50), batch_sizes=(5, 40))
    with closing(Local(suite, Optimizer(name="momentum"))) as executor:
        outcomes = executor.run([Trial(evolr.load("0.1*(1 - progress)"), seed) for seed in range(6)], 1, "monitor")
    assert all(0.05 < outcome.score < 0.6 for outcome in outcomes)
