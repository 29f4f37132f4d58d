"""A schedule in Optax: an `optax.Schedule`, or a gradient transformation that listens to the loss.

    optimizer = optax.adam(schedule(champion, total_steps=3000))

    optimizer = optax.chain(optax.scale_by_adam(), scale_by_expression(champion, total_steps=3000, steps_per_epoch=100))
    updates, state = optimizer.update(gradients, state, parameters, value=loss, val_loss=val_loss)

Both are safe under jit, scan and vmap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from evolr.errors import ScheduleError
from evolr.expression.plateau import FIRST, PlateauCounts, validated
from evolr.expression.signals import EMA_DECAY, clock
from evolr.loop import checked_horizon, open_loop_rates, plateau_rule
from evolr.schedule import LOG_LIMIT, Schedule
from evolr.training.primitives import FUNCTIONS, unfolded

Scalar = jax.Array


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
    """The state of `scale_by_expression`: scalars.

    count: steps taken. learning_rate: of the latest. loss: given with it. loss_ema: as the signal has it.
    validations: what counts the stale epochs.
    """

    count: Scalar  # pyright: ignore[reportIncompatibleMethodOverride]  # optax's own name for it
    learning_rate: Scalar
    loss: Scalar
    loss_ema: Scalar
    validations: PlateauCounts


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
    stored = jnp.asarray(rates, jnp.float32)
    return lambda count: stored[jnp.clip(jnp.asarray(count).astype(jnp.int32), 0, len(stored) - 1)]


def scale_by_expression(
    champion: Schedule, *, total_steps: int, steps_per_epoch: int | None = None, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by the champion's learning rate; the last link of a chain, as optax.scale_by_learning_rate.

    Where the champion reads them, `update` wants `value=`, the loss of the batch that the gradients are of, as optax's
    reduce_on_plateau does, and `val_loss=`, of the latest validation; before the first, that of the untrained network.
    steps_per_epoch: as for `schedule`. flip_sign: whether to go down the gradient.
    Raises ScheduleError for a horizon below 1.
    """
    return scaled_by(_Traced(champion), total_steps=total_steps, steps_per_epoch=steps_per_epoch, flip_sign=flip_sign)


def scaled_by(
    rule: TracedRule, *, total_steps: int, steps_per_epoch: int | None, flip_sign: bool
) -> optax.GradientTransformationExtraArgs:
    """The transformation of any rule; see `scale_by_expression`."""
    total_steps, steps_per_epoch = checked_horizon(total_steps, steps_per_epoch, rule.signals)
    sign, plateau = -1.0 if flip_sign else 1.0, plateau_rule(rule)

    def init(params: Any) -> ExpressionState:
        del params
        counts = PlateauCounts(*(jnp.asarray(count, jnp.float32) for count in FIRST))
        # Each an array of its own: a state may be donated, and a buffer is donated once.
        rate, loss, loss_ema = (jnp.zeros([], jnp.float32) for _ in range(3))
        return ExpressionState(jnp.zeros([], jnp.int32), rate, loss, loss_ema, counts)

    def update(
        updates: Any, state: ExpressionState, params: Any = None, *, value: Any = None, val_loss: Any = None, **_: Any
    ) -> tuple[Any, ExpressionState]:
        del params
        told = _told(rule, value, val_loss)
        step = jnp.minimum(state.count, total_steps - 1)
        is_first = state.count == 0
        # The loss of the first batch is that of the untrained network on it.
        loss, loss_ema = (jnp.where(is_first, told["loss"], old) for old in (state.loss, state.loss_ema))
        has_validated = (state.count > 0) & (state.count % steps_per_epoch == 0)
        after = validated(state.validations, told["val_loss"], 1, plateau, jnp.where)
        counts = jax.tree.map(lambda new, old: jnp.where(has_validated, new, old), after, state.validations)
        signals = {
            **clock(step, unfolded(total_steps, step), unfolded(steps_per_epoch, step)),
            "loss": loss,
            "val_loss": told["val_loss"],
            "lr": state.learning_rate,
            "stale_epochs": counts.stale_epochs,
            "plateaus": counts.plateaus,
            "loss_ema": loss_ema,
        }
        rate = rule.traced(**{name: jnp.asarray(signals[name], jnp.float32) for name in rule.signals})
        new = ExpressionState(
            jnp.asarray(optax.safe_increment(state.count)),
            jnp.asarray(rate, jnp.float32),
            told["loss"],
            _averaged(loss_ema, told["loss"]),
            counts,
        )
        return jax.tree.map(lambda u: jnp.asarray(sign * rate, u.dtype) * u, updates), new

    return optax.GradientTransformationExtraArgs(init, update)  # pyright: ignore[reportArgumentType]


def _averaged(loss_ema: Scalar, loss: Scalar) -> Scalar:
    """The average after a loss; one that is not finite leaves it as it is."""
    mixed = jnp.where(jnp.isfinite(loss_ema), EMA_DECAY * loss_ema + (1 - EMA_DECAY) * loss, loss)
    return jnp.where(jnp.isfinite(loss), mixed, loss_ema)


def _told(rule: TracedRule, value: Any, val_loss: Any) -> dict[str, Scalar]:
    """The two losses that `update` was given. Raises ScheduleError where the rule reads one that it was not."""
    needed = {
        "value": (value, ("loss", "loss_ema"), "the loss of the batch"),
        "val_loss": (val_loss, ("val_loss", "stale_epochs", "plateaus"), "the latest validation loss"),
    }
    for name, (given, readers, meaning) in needed.items():
        read = sorted(rule.signals.intersection(readers))
        if given is None and read:
            raise ScheduleError(
                f"the schedule reads {', '.join(read)}: "
                f"call update(gradients, state, parameters, {name}=…) with {meaning}"
            )
    given = {"loss": value, "val_loss": val_loss}
    return {name: jnp.asarray(0.0 if told is None else told, jnp.float32) for name, told in given.items()}


class _Traced:
    """A schedule as a compiled step computes it."""

    def __init__(self, champion: Schedule) -> None:
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
        lambda token: signals[token] if isinstance(token, str) else jnp.float32(token),
        lambda name, arguments: FUNCTIONS[name](*arguments),
    )
