"""Cases of ours on what Optax tests of its transformations, for the one that listens to the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.peers.runner import Cases, close, refused
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import follow
from evolr.optax import scale_by_expression
from evolr.schedule import Schedule

cases = Cases()

STEPS, EPOCH = 24, 4
PARAMETERS = {"w": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
LISTENING = Schedule(
    expression=parse("0.01*(1 + loss/loss_ema)*(1 - progress)/(1 + stale_epochs) + 0.1*lr + 0.001*val_loss/(1 + epoch)")
)
BY_LOSS = Schedule(expression=parse("0.1*loss/(1 + loss_ema)"))
LOSSES = [2.0 * 0.9**step + 0.1 * math.sin(3 * step) for step in range(STEPS)]
VAL_LOSSES = [2.5, 2.0, 2.1, 1.7, 1.8, 1.9, 1.6]
Told = dict[str, Any]


def ours(one: Schedule = LISTENING, **more: Any) -> optax.GradientTransformationExtraArgs:
    return scale_by_expression(one, total_steps=STEPS, steps_per_epoch=EPOCH, **more)


def told(step: int) -> Told:
    return {"value": jnp.float32(LOSSES[step]), "val_loss": jnp.float32(VAL_LOSSES[step // EPOCH])}


def expected(one: Schedule = LISTENING, losses: Sequence[float] = LOSSES) -> list[float]:
    return follow(one, losses, VAL_LOSSES, steps_per_epoch=EPOCH)


def rate_of(state: Any) -> float:
    return float(optax.tree.get(state, "learning_rate"))


def rates(optimiser: Any, steps: int = STEPS, wrap: Callable[[Any], Any] = jax.jit, state: Any = None) -> list[float]:
    """The learning rate of each step, from the state."""
    update = wrap(optimiser.update)
    state = optimiser.init(PARAMETERS) if state is None else state
    found = []
    for step in range(steps):
        _, state = update(PARAMETERS, state, PARAMETERS, **told(step))
        found.append(rate_of(state))
    return found


CHAINED = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(), ours())
HALF = {"w": True, "b": False}
AROUND = {
    "alone": ours(),
    "last in a chain": CHAINED,
    "in a named chain": optax.named_chain(("adam", optax.scale_by_adam()), ("rate", ours())),
    "in a chain in a chain": optax.chain(CHAINED, optax.identity()),
    "masked": optax.masked(ours(), HALF),
    "one part of a partition": optax.partition({"a": ours(), "z": optax.set_to_zero()}, {"w": "a", "b": "z"}),
    "trained selectively": optax.transforms.selective_transform(ours(), freeze_mask={"w": False, "b": True}),
    "with non-finite updates skipped": optax.apply_if_finite(CHAINED, 3),
    "with flat parameters": optax.flatten(ours()),
    "with weight decay": optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-2), ours()),
    "before a reduction on plateau": optax.chain(ours(), optax.contrib.reduce_on_plateau(patience=100)),
    "in one optimiser of several steps of one": optax.MultiSteps(ours(), 1),
}


@cases.of_each(AROUND)
def the_rates_are_those_of_the_reference(optimiser: Any) -> None:
    close(rates(optimiser), expected())


@cases.of_each({"eager": lambda update: update, "donated": lambda update: jax.jit(update, donate_argnums=1)})
def the_rates_are_the_same(wrap: Callable[[Any], Any]) -> None:
    close(rates(CHAINED, wrap=wrap), expected())


@cases
def a_scan_has_the_same_rates() -> None:
    losses = {"value": jnp.array(LOSSES), "val_loss": jnp.repeat(jnp.array(VAL_LOSSES), EPOCH)[:STEPS]}

    def step(state: Any, now: Told) -> Any:
        _, state = CHAINED.update(PARAMETERS, state, PARAMETERS, **now)
        return state, optax.tree.get(state, "learning_rate")

    close(jax.jit(lambda state: jax.lax.scan(step, state, losses))(CHAINED.init(PARAMETERS))[1], expected())


@cases
def a_while_loop_ends_with_the_same_rate() -> None:
    optimiser = ours(BY_LOSS)

    def body(state: Any) -> Any:
        return optimiser.update(PARAMETERS, state, value=jnp.array(LOSSES)[state.count])[1]

    state = jax.lax.while_loop(lambda state: state.count < 9, body, optimiser.init(PARAMETERS))
    close(rate_of(state), expected(BY_LOSS)[8])


@cases
def trainings_side_by_side_each_see_their_own_loss() -> None:
    optimiser, scales = ours(BY_LOSS), jnp.array([1.0, 0.5, 3.0])
    states = jax.vmap(lambda _: optimiser.init(PARAMETERS))(scales)
    update = jax.jit(jax.vmap(lambda state, value: optimiser.update(PARAMETERS, state, value=value)[1]))
    for loss in LOSSES:
        states = update(states, scales * loss)
    wanted = [expected(BY_LOSS, [scale * loss for loss in LOSSES])[-1] for scale in scales.tolist()]
    close(states.learning_rate, wanted)


@cases
def the_state_does_not_change_its_structure_types_or_shapes() -> None:
    state = CHAINED.init(PARAMETERS)
    later = jax.eval_shape(lambda s: CHAINED.update(PARAMETERS, s, PARAMETERS, **told(0))[1], state)
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (state, later)]
    assert shapes[0] == shapes[1]
    weak = [leaf.weak_type for leaf in jax.tree.leaves(state)]
    assert weak == [leaf.weak_type for leaf in jax.tree.leaves(later)], "a scan would trace it twice"


@cases
def the_state_is_made_by_jit_and_by_shapes_alone() -> None:
    close(rates(CHAINED, state=jax.jit(CHAINED.init)(PARAMETERS)), expected())
    assert jax.tree.structure(jax.eval_shape(CHAINED.init, PARAMETERS)) == jax.tree.structure(CHAINED.init(PARAMETERS))


@cases
def a_step_is_compiled_once() -> None:
    update = jax.jit(CHAINED.update)
    rates(CHAINED, wrap=lambda _: update)
    assert update._cache_size() == 1


@cases
def no_two_leaves_of_a_state_share_a_buffer() -> None:
    leaves = jax.tree.leaves(ours().init(PARAMETERS))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@cases
def a_training_goes_on_from_numbers_at_every_step() -> None:
    update, state, structure = jax.jit(CHAINED.update), CHAINED.init(PARAMETERS), None
    found = []
    for step in range(STEPS):
        leaves, structure = jax.tree.flatten(state)
        state = jax.tree.unflatten(structure, [np.array(leaf) for leaf in leaves])
        _, state = update(PARAMETERS, state, PARAMETERS, **told(step))
        found.append(rate_of(state))
    assert found == rates(CHAINED)


@cases
def the_tree_functions_of_optax_find_and_set_the_rate() -> None:
    state = CHAINED.init(PARAMETERS)
    assert rate_of(optax.tree.set(state, learning_rate=jnp.float32(0.5))) == 0.5
    mapped = optax.tree.map_params(CHAINED, lambda leaf: leaf * 0, state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)


@cases
def without_the_loss_the_error_names_the_argument() -> None:
    with refused(ScheduleError, "value="):
        ours(BY_LOSS).update(PARAMETERS, ours(BY_LOSS).init(PARAMETERS))
    with refused(ScheduleError, "val_loss="):
        ours().update(PARAMETERS, ours().init(PARAMETERS), value=1.0)


@cases
def arguments_for_others_in_the_chain_are_no_trouble() -> None:
    optimiser = ours(BY_LOSS)
    _, state = optimiser.update(PARAMETERS, optimiser.init(PARAMETERS), value=1.0, grad=PARAMETERS, value_fn=len)
    close(rate_of(state), expected(BY_LOSS, [1.0])[0])


VALUES = {
    "a float": 2.0,
    "an integer": 2,
    "NumPy's float64": np.float64(2.0),
    "bfloat16": jnp.bfloat16(2.0),
    "NumPy's array": np.array(2.0),
}


@cases.of_each(VALUES)
def a_loss_may_be(value: Any) -> None:
    optimiser = ours(BY_LOSS)
    _, state = optimiser.update(PARAMETERS, optimiser.init(PARAMETERS), value=value)
    close(rate_of(state), expected(BY_LOSS, [2.0])[0])


@cases.of_each({"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16, "complex64": jnp.complex64})
def updates_keep_their_type(dtype: Any) -> None:
    gradients = jax.tree.map(lambda leaf: leaf.astype(dtype), PARAMETERS)
    updates, state = jax.jit(ours().update)(gradients, ours().init(gradients), gradients, **told(0))
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(updates))
    assert optax.tree.get(state, "learning_rate").dtype == jnp.float32


@cases
def in_64_bits_the_rates_are_the_same() -> None:
    with jax.enable_x64(True):
        close(rates(ours()), expected())


@cases
def it_goes_down_the_gradient_or_up_if_asked() -> None:
    for sign, optimiser in ((-1, ours(BY_LOSS)), (1, ours(BY_LOSS, flip_sign=False))):
        updates, state = optimiser.update(PARAMETERS, optimiser.init(PARAMETERS), value=1.0)
        close(updates["b"], sign * rate_of(state) * PARAMETERS["b"])


@cases
def without_parameters_nothing_is_missed() -> None:
    updates, state = ours(BY_LOSS).update({}, ours(BY_LOSS).init({}), value=1.0)
    assert updates == {}
    assert rate_of(state) > 0


@cases
def a_loss_that_is_no_number_leaves_the_average_alive() -> None:
    losses = [*LOSSES[:5], math.nan, *LOSSES[6:]]
    optimiser = ours(BY_LOSS)
    state, found = optimiser.init(PARAMETERS), []
    for loss in losses:
        _, state = optimiser.update(PARAMETERS, state, value=loss)
        found.append(rate_of(state))
    close(found, expected(BY_LOSS, losses))
    assert found[-1] > 0


@cases
def updates_that_are_not_finite_and_skipped_are_no_steps() -> None:
    optimiser = optax.apply_if_finite(ours(BY_LOSS), 3)
    bad = jax.tree.map(lambda leaf: leaf * jnp.nan, PARAMETERS)
    state, found = optimiser.init(PARAMETERS), []
    for step, loss in enumerate(LOSSES[:8]):
        for gradients in [bad, PARAMETERS] if step == 3 else [PARAMETERS]:
            _, state = optimiser.update(
                gradients, state, PARAMETERS, value=loss if gradients is PARAMETERS else jnp.nan
            )
        found.append(rate_of(state))
    close(found, expected(BY_LOSS)[:8])


@cases
def gradients_that_are_accumulated_are_one_step_with_the_last_loss() -> None:
    optimiser = optax.MultiSteps(ours(BY_LOSS), 3)
    state, found = optimiser.init(PARAMETERS), []
    for loss in LOSSES[:8]:
        for part in (0.1, 0.2, loss):
            _, state = optimiser.update(PARAMETERS, state, PARAMETERS, value=part)
        found.append(rate_of(state))
    close(found, expected(BY_LOSS)[:8])


@cases
def two_devices_that_share_the_batch_have_one_rate() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    data = jax.device_put(jnp.arange(8.0), NamedSharding(mesh, PartitionSpec("batch")))
    optimiser = ours(BY_LOSS)

    @jax.jit
    def step(parameters: Any, state: Any, batch: Any) -> Any:
        loss, gradients = jax.value_and_grad(lambda w: jnp.mean((w * batch - 1) ** 2))(parameters)
        updates, state = optimiser.update(gradients, state, parameters, value=loss)
        return optax.apply_updates(parameters, updates), state

    ends = []
    for batch in (data, jnp.arange(8.0)):
        weights, state = jnp.float32(0.1), optimiser.init(jnp.float32(0.1))
        for _ in range(5):
            weights, state = step(weights, state, batch)
        ends.append((float(weights), rate_of(state)))
    close(ends[0], ends[1], 1e-5)


@cases
def each_shard_of_a_mapped_step_has_the_same_rate_from_a_mean_loss() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("batch",))
    optimiser = ours(BY_LOSS)
    state = optimiser.init(PARAMETERS)

    def step(loss: Any) -> Any:
        _, after = optimiser.update(PARAMETERS, state, value=jax.lax.pmean(loss[0], "batch"))
        return optax.tree.get(after, "learning_rate")[None]

    mapped = jax.shard_map(step, mesh=mesh, in_specs=PartitionSpec("batch"), out_specs=PartitionSpec("batch"))
    close(mapped(jnp.array([1.0, 3.0])), [expected(BY_LOSS, [2.0])[0]] * 2)


@cases
def a_gradient_through_an_update_is_finite() -> None:
    optimiser = ours(BY_LOSS)
    state = optimiser.init(PARAMETERS)
    slope = jax.grad(lambda loss: optimiser.update(PARAMETERS, state, value=loss)[0]["b"].sum())(1.0)
    assert math.isfinite(slope)
    assert slope != 0
