"""A schedule in Optax: an `optax.Schedule`, or a gradient transformation that listens to the loss.

    optimizer = optax.adam(schedule(champion, total_steps=3000))

    optimizer = optax.chain(optax.scale_by_adam(), scale_by_expression(champion, total_steps=3000, steps_per_epoch=100))
    updates, state = optimizer.update(gradients, state, parameters, value=loss, val_loss=val_loss)

Both are safe under jit, scan and vmap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from evolr.errors import MissingExtraError, ScheduleError, shown
from evolr.loop import checked_horizon, open_loop_rates, plateau_rule
from evolr.schedule import LOG_LIMIT, Schedule, require_schedule
from evolr.signals.memory import begun, clock, observed, remembered, updated, values
from evolr.signals.own import signal_of
from evolr.signals.signal import OWN_OBSERVATION, Moment
from evolr.signals.table import observation_named, signal_named

try:
    import jax
    import jax.numpy as jnp
    import optax

    from evolr.training.measures import ARRAYS, Network, measured, unless_still
    from evolr.training.primitives import FUNCTIONS, unfolded
except ModuleNotFoundError as error:
    if error.name not in {"jax", "optax"}:
        raise
    raise MissingExtraError("evolr.optax", "jax") from error

Scalar = jax.Array
_MOST_STEPS = 2**31 - 1


class TracedRule(Protocol):
    """What gives a learning rate inside a compiled step."""

    @property
    def signals(self) -> frozenset[str]:
        """The signals that it reads."""
        ...

    def traced(self, **signals: Scalar) -> Scalar:
        """The learning rate where its signals have these values."""
        ...


class ExpressionState(NamedTuple):
    """The state of `scale_by_expression` and `optimizer`.

    count: steps taken. learning_rate: of the latest. memory: what the signals remember. kept: the initial parameters,
    and the latest direction, as far as the schedule's signals need them.
    """

    count: Scalar  # pyright: ignore[reportIncompatibleMethodOverride]  # optax's own name for it
    learning_rate: Scalar
    memory: dict[str, Any]
    kept: dict[str, Any]


def schedule(champion: Schedule, *, total_steps: int, steps_per_epoch: int | None = None) -> optax.Schedule:
    """The learning rate of each count, for any optimiser of optax; from total_steps on, that of the last step.

    Exact: the rates are computed in float64 and stored in float32, one a step. steps_per_epoch: 1 if None, with a
    warning where the champion reads the epoch.
    Raises ScheduleError where the champion reads the training: `scale_by_expression` is for that.
    """
    return table(open_loop_rates(champion, total_steps, steps_per_epoch))


def table(rates: Sequence[float]) -> optax.Schedule:
    """A schedule of these learning rates, in float32, the first one before count 0 and the last one beyond their end.

    count: a whole number, of a float type too, as optax's own schedules take it.
    """
    stored = jnp.asarray(np.asarray(rates, np.float32))  # NumPy reads a list of a million ten times as fast
    return lambda count: stored[jnp.clip(jnp.asarray(count).astype(jnp.int32), 0, len(stored) - 1)]


def scale_by_expression(
    champion: Schedule, *, total_steps: int, steps_per_epoch: int | None = None, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by the champion's learning rate; the last link of a chain, as optax.scale_by_learning_rate.

    Where the champion reads them, `update` wants `value=`, the loss of the batch that the gradients are of, as optax's
    reduce_on_plateau does, and `val_loss=`, of the latest validation; before the first, that of the untrained network;
    `grad_norm=` and any other told observation by its name. `optimizer` sees the gradients and weights by itself.
    steps_per_epoch: as for `schedule`. flip_sign: whether to go down the gradient.
    Raises ScheduleError for a horizon below 1.
    """
    return scaled_by(_Traced(champion), total_steps=total_steps, steps_per_epoch=steps_per_epoch, flip_sign=flip_sign)


def optimizer(
    champion: Schedule,
    direction: optax.GradientTransformation | None = None,
    *,
    total_steps: int,
    steps_per_epoch: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """A whole optimiser, whose schedule sees the gradients, the directions and the weights.

    direction: from gradients to directions, such as optax.scale_by_adam() or optax.trace(0.9); the gradients themselves
        if None. What clips gradients belongs into it, so that the schedule sees them before: optax.chain(
        optax.clip_by_global_norm(1.0), optax.scale_by_adam()).
    `update` wants the parameters, and `value=` and `val_loss=` as `scale_by_expression` does.
    Raises ScheduleError for a horizon below 1.
    """
    return scaled_by(
        _Traced(champion),
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        flip_sign=True,
        direction=optax.identity() if direction is None else direction,
    )


def scaled_by(
    rule: TracedRule,
    *,
    total_steps: int,
    steps_per_epoch: int | None,
    flip_sign: bool,
    direction: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The transformation of any rule; see `scale_by_expression`, and `optimizer`, whose gradients it sees."""
    total_steps, steps_per_epoch = checked_horizon(total_steps, steps_per_epoch, rule.signals)
    if total_steps > _MOST_STEPS:
        raise ScheduleError(
            f"a compiled step counts in 32 bits: total_steps is at most {_MOST_STEPS:,}, got {total_steps:,}"
        )
    sign, plateau = -1.0 if flip_sign else 1.0, plateau_rule(rule)
    names, read = remembered(rule.signals), observed(rule.signals)
    inner = None if direction is None else optax.with_extra_args_support(direction)
    seen = frozenset(name for name in read if observation_named(name).is_measured and inner is not None)
    kept_names = {"initial": "distance" in seen, "direction": "alignment" in seen}

    def init(params: Any) -> Any:
        # Each an array of its own: a state may be donated, and a buffer is donated once.
        memory = jax.tree.map(_float32, begun(names, dict.fromkeys(read, 0.0)))
        trees = {"initial": jnp.copy, "direction": jnp.zeros_like}
        kept = {name: jax.tree.map(trees[name], params) for name, is_kept in kept_names.items() if is_kept}
        state = ExpressionState(jnp.zeros([], jnp.int32), jnp.zeros([], jnp.float32), memory, kept)
        return state if inner is None else (inner.init(params), state)

    def update(updates: Any, states: Any, params: Any = None, **told: Any) -> tuple[Any, Any]:
        pair: tuple[Any, ExpressionState] = (None, states) if inner is None else states
        inner_state, state = pair
        if "value" in told:
            told["loss"] = told["value"]
        given = {name: _scalar(name, told[name]) for name in read if told.get(name) is not None}
        gradients, is_first = updates, state.count == 0
        if inner is not None:
            updates, inner_state = inner.update(gradients, inner_state, params, **told)
        if seen:
            if params is None and any(observation_named(name).source == "weights" for name in seen):
                raise ScheduleError("the schedule reads the weights: call update(gradients, state, parameters)")
            network = Network(gradients, updates, params, state.kept.get("initial"), state.kept.get("direction"))
            given |= measured(seen, network)
        _require(rule, names, given)
        step = jnp.minimum(state.count, total_steps - 1)
        # What is known of the first batch before its step is of the untrained network.
        first = jax.tree.map(_float32, begun(names, dict.fromkeys(read, 0.0) | given))
        memory = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), first, state.memory)
        has_validated = (state.count > 0) & (state.count % steps_per_epoch == 0)
        known = {name: value for name, value in given.items() if _is_known_before(name)}
        memory = updated(memory, known, Moment(1, jnp.where(has_validated, 1, 0), plateau), ARRAYS)
        signals = {
            **clock(step, unfolded(total_steps, step), unfolded(steps_per_epoch, step)),
            **values(memory),
        }
        rate = _float32(rule.traced(**{name: _float32(signals[name]) for name in rule.signals}))
        learned = unless_still({name: value for name, value in given.items() if name not in known}, rate)
        memory = updated(memory, {**learned, OWN_OBSERVATION: rate + 0.0}, Moment(), ARRAYS)
        kept = {name: updates if name == "direction" else tree for name, tree in state.kept.items()}
        new = ExpressionState(
            jnp.asarray(optax.safe_increment(state.count)), rate, jax.tree.map(_float32, memory), kept
        )
        scaled = jax.tree.map(lambda u: jnp.asarray(sign * rate, u.dtype) * u, updates)
        return scaled, new if inner is None else (inner_state, new)

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _scalar(name: str, value: Any) -> Scalar:
    """What is told, as one number. Raises ScheduleError for anything else."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        array = jnp.asarray(value)
        is_one = array.size == 1 and not jnp.issubdtype(array.dtype, np.complexfloating)
    except (TypeError, ValueError) as error:
        raise ScheduleError(f"the schedule is told one number as {name}, got {shown(value)}") from error
    if not is_one:
        raise ScheduleError(
            f"the schedule is told one real number as {name}, got an array of {array.dtype}{array.shape}"
        )
    return _float32(array.reshape(()))


def _float32(value: Any) -> Scalar:
    return jnp.asarray(value, jnp.float32)


def _is_known_before(name: str) -> bool:
    """Whether an observation is of the time before the coming step: a validation's, the weights'."""
    observation = observation_named(name)
    return observation.is_of_validation or observation.source == "weights"


def _require(rule: TracedRule, names: Sequence[str], given: Mapping[str, Scalar]) -> None:
    """Raises ScheduleError if the rule reads what `update` was not given."""
    for name in sorted(observed(rule.signals) - given.keys() - {OWN_OBSERVATION}):
        read = [n for n in sorted(names) if name in (signal_named(n).of, signal_named(n).begins_with)]
        observation = observation_named(name)
        which = "latest " if observation.is_of_validation else ""
        advice = "; evolr.optax.optimizer measures it by itself" if observation.is_measured else ""
        raise ScheduleError(
            f"the schedule reads {', '.join(read)}: call update(gradients, state, parameters, "
            f"{'value' if name == 'loss' else name}=…) with the {which}{observation.source}{advice}"
        )


class _Traced:
    """A schedule as a compiled step computes it."""

    def __init__(self, champion: Schedule) -> None:
        require_schedule(champion)
        self._champion = champion
        self.signals = champion.signals
        self.plateau_rule = champion.plateau_rule

    def traced(self, **signals: Scalar) -> Scalar:
        champion = self._champion
        value = jnp.asarray(_value(champion, signals), jnp.float32)
        rate = value
        if champion.transform == "log":
            rate = champion.reference_lr * jnp.exp(jnp.clip(value, -LOG_LIMIT, LOG_LIMIT))
        return jnp.where(jnp.isfinite(value), jnp.clip(rate, champion.min_lr, champion.max_lr), champion.min_lr)


def _value(champion: Schedule, signals: Mapping[str, Scalar]) -> Any:
    return champion.expression.fold(
        lambda token: signals[signal_of(token)] if isinstance(token, str) else jnp.float32(token),
        lambda name, arguments: FUNCTIONS[name](*arguments),
    )
