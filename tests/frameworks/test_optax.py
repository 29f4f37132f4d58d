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
from tests.contracts.traces import (
    BATCH,
    CLASSES,
    EPOCHS,
    FEEDBACK,
    INPUTS,
    OPEN_LOOP,
    STEPS,
    Trained,
    check,
    samples,
)
from tests.frameworks.exported import exported

TOTAL = EPOCHS * STEPS


def loss_of(parameters, inputs, labels):
    logits = jnp.tanh(inputs @ parameters["hidden"]) @ parameters["out"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train(optimizer, rate_of, *, is_scanned):
    """An ordinary Optax training, its steps compiled one by one or a whole epoch in a scan."""
    keys = jax.random.split(jax.random.key(0), 2)
    parameters = {
        "hidden": 0.3 * jax.random.normal(keys[0], (INPUTS, 16)),
        "out": 0.3 * jax.random.normal(keys[1], (16, CLASSES)),
    }
    inputs, labels = (jnp.asarray(a).reshape(STEPS, BATCH, *a.shape[1:]) for a in samples())
    validation = tuple(map(jnp.asarray, samples(1)))
    state = optimizer.init(parameters)

    def step(carry, batch):
        parameters, state, val_loss = carry
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *batch)
        updates, after = optimizer.update(gradients, state, parameters, value=loss, val_loss=val_loss)
        return (optax.apply_updates(parameters, updates), after, val_loss), (loss, rate_of(state, after))

    val_loss = loss_of(parameters, *validation)
    trained = Trained(float(val_loss))
    scan, compiled = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches)), jax.jit(step)
    for _ in range(EPOCHS):
        carry = parameters, state, val_loss
        if is_scanned:
            carry, (losses, rates) = scan(carry, (inputs, labels))
        else:
            outs = []
            for batch in zip(inputs, labels, strict=True):
                carry, out = compiled(carry, batch)
                outs.append(out)
            losses, rates = zip(*outs, strict=True)
        parameters, state, _ = carry
        val_loss = loss_of(parameters, *validation)
        trained.losses += map(float, losses)
        trained.rates += map(float, rates)
        trained.val_losses.append(float(val_loss))
    return trained


HORIZON = {"total_steps": TOTAL, "steps_per_epoch": STEPS}


def open_loop(schedule):
    def rate_of(before, _):
        return schedule(before[0].count)  # of scale_by_adam

    return optax.with_extra_args_support(optax.adam(schedule)), rate_of


def feedback(transformation):
    return optax.chain(optax.scale_by_adam(), transformation), lambda _, after: after[1].learning_rate


@pytest.mark.parametrize("is_scanned", [False, True], ids=["step by step", "scanned"])
def test_a_real_training_follows_the_reference(is_scanned):
    optimizer, rate_of = open_loop(evolr.optax.schedule(OPEN_LOOP, **HORIZON))
    check(OPEN_LOOP, train(optimizer, rate_of, is_scanned=is_scanned))
    optimizer, rate_of = feedback(evolr.optax.scale_by_expression(FEEDBACK, **HORIZON))
    check(FEEDBACK, train(optimizer, rate_of, is_scanned=is_scanned))


def test_a_real_training_follows_the_reference_by_the_exported_file(tmp_path):
    optimizer, rate_of = open_loop(exported(OPEN_LOOP, "optax", tmp_path).schedule(**HORIZON))
    check(OPEN_LOOP, train(optimizer, rate_of, is_scanned=True))
    optimizer, rate_of = feedback(exported(FEEDBACK, "optax", tmp_path).scale_by_champion(**HORIZON))
    check(FEEDBACK, train(optimizer, rate_of, is_scanned=True))


def test_the_first_and_the_last_step_are_those_of_the_horizon():
    schedule = evolr.optax.schedule(Schedule(expression=parse("0.1*(1 - progress)")), total_steps=4)
    rates = jax.vmap(schedule)(jnp.arange(6))
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.025, 0.025], rtol=1e-7)
    transformation = evolr.optax.scale_by_expression(Schedule(expression=parse("0.1*(1 - progress)")), total_steps=4)
    state, rates = transformation.init(jnp.ones(2)), []
    for _ in range(6):
        update, state = transformation.update(jnp.ones(2), state)
        rates.append(-float(update[0]))
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.025, 0.025], rtol=1e-6)


def test_updates_keep_their_type_and_direction():
    transformation = evolr.optax.scale_by_expression(Schedule(expression=parse("0.5")), total_steps=4, flip_sign=False)
    updates, _ = transformation.update(jnp.ones(2, jnp.bfloat16), transformation.init(jnp.ones(2)))
    assert updates.dtype == jnp.bfloat16
    assert updates.tolist() == [0.5, 0.5]


def test_a_loss_that_nobody_tells_is_missed():
    transformation = evolr.optax.scale_by_expression(FEEDBACK, **HORIZON)
    state = transformation.init(jnp.ones(2))
    with pytest.raises(
        ScheduleError, match=r"reads loss, loss_ema: call update\(gradients, state, parameters, value=…\)"
    ):
        transformation.update(jnp.ones(2), state, val_loss=1.0)
    with pytest.raises(ScheduleError, match="reads stale_epochs, val_loss: call update"):
        transformation.update(jnp.ones(2), state, value=1.0)


def test_a_schedule_that_reads_the_training_is_no_curve():
    with pytest.raises(ScheduleError, match="reads loss, loss_ema, lr, stale_epochs, val_loss, which only a running"):
        evolr.optax.schedule(FEEDBACK, **HORIZON)


def test_an_equal_negative_loss_is_stale():
    reads = Schedule(expression=parse("stale_epochs"), min_lr=0.0, max_lr=9.0)
    transformation = evolr.optax.scale_by_expression(reads, total_steps=7, steps_per_epoch=1)
    state, rates = transformation.init(jnp.ones(1)), []
    for val_loss in (0.0, -1.0, -1.0, -1.0, -0.5, -1.5, -1.5):
        _, state = transformation.update(jnp.ones(1), state, val_loss=val_loss)
        rates.append(float(state.learning_rate))
    assert rates == [0, 0, 1, 2, 3, 0, 1]


def test_a_division_by_a_constant_is_rounded_once_in_a_compiled_step():
    """A compiler that multiplies by the reciprocal makes 700/700 less than 1, and the square root of what is left large."""
    schedule = Schedule(expression=parse("(1 - min(step, 700)/700)**0.5"))
    transformation = evolr.optax.scale_by_expression(schedule, total_steps=1000, flip_sign=False)

    def step(state, _):
        rate, state = transformation.update(jnp.float32(1.0), state)
        return state, rate

    _, rates = jax.jit(lambda state: jax.lax.scan(step, state, None, 1000))(transformation.init(jnp.float32(1.0)))
    assert (np.asarray(rates[700:]) == 0).all()
    wanted = np.float32(1) - np.arange(700, dtype=np.float32) / np.float32(700)
    np.testing.assert_allclose(np.asarray(rates[:700]) ** 2, wanted, rtol=1e-6)


@pytest.mark.parametrize(("text", "wanted"), [("progress", lambda k: k / 700), ("epoch_progress", lambda k: k % 7 / 7)])
def test_the_clock_of_a_compiled_step_is_exact(text, wanted):
    transformation = evolr.optax.scale_by_expression(
        Schedule(expression=parse(text)), total_steps=700, steps_per_epoch=7, flip_sign=False
    )

    def step(state, _):
        rate, state = transformation.update(jnp.float32(1.0), state)
        return state, rate

    _, rates = jax.jit(lambda state: jax.lax.scan(step, state, None, 700))(transformation.init(jnp.float32(1.0)))
    np.testing.assert_array_equal(rates, wanted(np.arange(700)).astype(np.float32))


@pytest.mark.parametrize("made", ["evolr", "exported"])
def test_counts_are_taken_as_optaxs_own_schedules_take_them(made, tmp_path):
    falling = Schedule(expression=parse("0.1*(1 - progress)"))
    if made == "evolr":
        one = evolr.optax.schedule(falling, total_steps=20)
    else:
        one = exported(falling, "optax", tmp_path).schedule(total_steps=20)
    for count in (-5, 0, 3, 3.0, jnp.float32(3), jnp.int32(19)):
        own = optax.linear_schedule(0.1, 0.0, 20)(count)
        np.testing.assert_allclose(float(one(count)), float(own), rtol=1e-6)
    assert float(one(1_000)) == float(one(19))


def test_one_loss_that_is_no_number_does_not_stay_in_the_average():
    averaging = Schedule(expression=parse("0.01*loss_ema"))
    transform, loop = (
        evolr.optax.scale_by_expression(averaging, total_steps=20),
        Loop(averaging, total_steps=20, loss=1.0),
    )
    state = transform.init({"w": jnp.ones(2)})
    for told in (1.0, 2.0, float("nan"), 3.0, float("inf"), 1.0, 1.0):
        _, state = transform.update({"w": jnp.ones(2)}, state, value=told)
        assert float(state.learning_rate) == pytest.approx(loop.learning_rate, rel=1e-6)
        loop.step(loss=told)
    assert 0.01 < float(state.learning_rate) < 0.02


def test_an_average_that_began_with_no_number_begins_with_the_first_one():
    averaging = Schedule(expression=parse("0.01*loss_ema"))
    transform, loop = (
        evolr.optax.scale_by_expression(averaging, total_steps=20),
        Loop(averaging, total_steps=20, loss=float("nan")),
    )
    state = transform.init({"w": jnp.ones(2)})
    for told in (float("nan"), 2.0, 2.0):
        _, state = transform.update({"w": jnp.ones(2)}, state, value=told)
        loop.step(loss=told)
    assert loop.learning_rate == pytest.approx(0.02)
    assert float(state.memory["loss_ema"]) == pytest.approx(2.0)


@pytest.mark.parametrize("begin", [lambda init: init, jax.jit], ids=["init", "jit(init)"])
def test_its_state_may_be_donated(begin):
    transform = evolr.optax.scale_by_expression(Schedule(expression=parse("0.01*loss_ema")), total_steps=20)
    parameters = {"w": jnp.ones(3)}
    state = begin(transform.init)(parameters)
    update = jax.jit(lambda updates, state, value: transform.update(updates, state, value=value), donate_argnums=1)
    for value in (1.0, 2.0, 3.0):
        _, state = update(parameters, state, value)
    assert float(state.memory["loss_ema"]) == pytest.approx(0.95 * (0.95 + 0.05 * 2) + 0.05 * 3, rel=1e-6)


@pytest.mark.parametrize("value", [np.array([1.0, 3.0]), "a", 1j, np.complex64(1), None.__class__])
def test_what_is_no_single_number_is_not_told(value):
    transformation = evolr.optax.scale_by_expression(evolr.load("0.1/(1 + loss)"), total_steps=10)
    parameters = jnp.zeros(2)
    with pytest.raises(ScheduleError, match=r"one (real )?number as loss"):
        transformation.update(parameters, transformation.init(parameters), value=value)


def test_an_array_of_one_number_is_told_as_that():
    transformation = evolr.optax.scale_by_expression(evolr.load("0.1/(1 + loss)"), total_steps=10)
    parameters = jnp.ones(3)
    updates, _ = transformation.update(parameters, transformation.init(parameters), value=jnp.ones((1, 1)))
    np.testing.assert_allclose(updates, np.full(3, -0.05), rtol=1e-6)


def test_more_steps_than_a_compiled_step_counts_are_refused():
    with pytest.raises(ScheduleError, match="total_steps is at most 2,147,483,647, got 2,147,483,648"):
        evolr.optax.scale_by_expression(evolr.load("0.1"), total_steps=2**31)


def test_a_schedule_in_the_place_of_a_function_of_the_count_says_so():
    with pytest.raises(ScheduleError, match=r"by their names, schedule\(progress=0.5\), got 3 by position"):
        evolr.load("0.1*(1 - progress)")(3)
