"""An optimiser around another one, which shows what its steps do to a network: norms of gradients, updates, weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import keras
import numpy as np

from evolr.errors import ScheduleError
from evolr.keras.network import cosine, float32, norm, ops, value_of, when
from evolr.loop import warn
from evolr.signals.memory import observed
from evolr.signals.table import OBSERVATIONS

GRADIENT: Final = "grad_norm"
"""What a step shows before it is taken."""
_STATE: Final = "schedule"  # what a saved optimiser calls the state of its schedule


@keras.saving.register_keras_serializable("evolr")
class ObservedOptimizer(keras.optimizers.Optimizer):
    """Takes the steps of another optimiser, bit for bit, and shows a schedule what they do to the network.

    inner_optimizer: any of Keras', a MultiOptimizer too. signals: those that the schedule reads, `schedule.signals`;
        what they do not need is neither computed nor kept.

    The gradient is that of an optimiser step, unscaled and before the inner optimiser clips it: under
    gradient_accumulation_steps the mean over the step's batches. An update is the change of the weights divided by
    the learning rate. `distance` keeps a copy of the weights, `alignment` another one, as optimiser variables.

    `ExpressionCallback` reads what is shown after each step. The first step's learning rate depends on its own
    gradient, so this asks the callback for it between the gradient and the step; in a step that JAX has compiled too.

    What a checkpoint of Keras holds of it holds the schedule's memory as well, so that a training goes on exactly.

    Raises ScheduleError for an optimiser that is around another itself: a LossScaleOptimizer belongs outside. And on
    other backends than torch and JAX.
    """

    def __init__(self, inner_optimizer: Any, signals: Iterable[str], name: str | None = None) -> None:
        if keras.backend.backend() not in ("torch", "jax"):
            raise ScheduleError(
                "an ObservedOptimizer sees a network on Keras' torch and JAX backends; this process has "
                f"{keras.backend.backend()}: set KERAS_BACKEND, or use a schedule that reads losses alone"
            )
        if hasattr(inner_optimizer, "inner_optimizer"):
            raise ScheduleError(
                "gradients are to be seen unscaled, and once: LossScaleOptimizer(ObservedOptimizer(Adam(0.001), "
                f"signals)); got a {type(inner_optimizer).__name__} inside an ObservedOptimizer"
            )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        if isinstance(signals, str):
            raise ScheduleError(f"signals is what the schedule reads, schedule.signals, got the text {signals!r}")
        self.signals = tuple(sorted(signals))
        needed = observed(self.signals)
        self.shown = tuple(name for name, one in OBSERVATIONS.items() if one.is_measured and name in needed)
        if getattr(inner_optimizer, "momentum", 0) and not {"update_norm", "alignment"}.isdisjoint(self.shown):
            warn(
                "Keras' momentum holds steps that are multiplied by their learning rates already, so what it moves "
                "the weights by is no direction that another learning rate could scale: update_norm and alignment "
                "differ from those of evolr's trainer, PyTorch and Optax, the more the learning rate falls. Use Adam, "
                "or a schedule that reads the gradient instead"
            )
        self._listener: Callable[[float], Sequence[float]] | None = None
        self._state_of: Callable[[], dict[str, Any]] | None = None
        self._loaded_state: str | None = None

    # What the callback calls, between steps -------------------------------------------------------------------------

    def begin(self) -> None:
        """A training begins: distances are those from the weights as they are now, and there was no step before."""
        self._build_now()
        self._seen.assign([float("nan")] * len(self.shown))
        for initial, variable in self._along(self._trainable_variables, self._initial):
            initial.assign(ops.copy(value_of(variable)))
        for direction in self._direction:
            if direction is not None:
                direction.assign(ops.zeros(direction.shape, direction.dtype))

    def at_first(self) -> dict[str, float]:
        """What is known before the first step."""
        self._build_now()
        values = [value_of(variable) for variable in self._trainable_variables]
        needs_weights = not {"weight_norm", "distance"}.isdisjoint(self.shown)
        return {"weight_norm": float(ops.convert_to_numpy(norm(values)))} if needs_weights else {}

    def latest(self) -> dict[str, float]:
        """What the latest step has shown, by one transfer; NaN for what no step has."""
        return dict(zip(self.shown, ops.convert_to_numpy(self._seen).tolist(), strict=True))

    def ask(self, listener: Callable[[float], Sequence[float]] | None) -> None:
        """Whom to ask for the learning rates of the coming step, by the norm of its gradient; None for nobody.

        listener: it gives one for each optimiser of a MultiOptimizer, else one alone.
        """
        if (listener is None) != (self._listener is None):
            self._build_now()
            self._is_asking.assign(int(listener is not None))
        self._listener = listener

    def keep_state_of(self, state_of: Callable[[], dict[str, Any]]) -> None:
        """What to save with the optimiser, whenever Keras saves it."""
        self._state_of = state_of

    def taken_state(self) -> dict[str, Any] | None:
        """The state of the schedule that was saved with what was loaded since the last call; None if there is none."""
        state, self._loaded_state = self._loaded_state, None
        return None if state is None else json.loads(state)

    # What Keras calls -----------------------------------------------------------------------------------------------

    def build(self, variables: Any) -> None:
        """Makes the variables of both optimisers."""
        self.inner_optimizer.build(variables)
        super().build(variables)
        self._seen = self.add_variable((len(self.shown),), dtype="float32", name="seen")
        self._is_asking = self.add_variable((), dtype="int32", name="is_asking")
        has = {"_initial": "distance" in self.shown, "_direction": "alignment" in self.shown}
        for name, is_kept in has.items():
            setattr(self, name, self.add_optimizer_variables(variables, name[1:]) if is_kept else [])

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """The inner optimiser's step, seen before it and after it."""
        if len(grads) == 0:
            return
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        elif not self.built:
            self.build(list(trainable_variables))
        inner, every = self.inner_optimizer, self._batches_a_step()
        is_step: Any = None if every == 1 else (inner._iterations + 1) % every == 0
        variables = [v for v in self._trainable_variables if not self._overwrite_variable_with_gradient(v)]
        seen = ops.convert_to_tensor(self._seen) + 0  # a copy, which an assignment leaves
        now = {name: seen[k] for k, name in enumerate(self.shown)}
        of_gradient = {name: now[name] for name in (GRADIENT, "alignment") if name in now}
        now |= when(is_step, lambda: self._gradient_now(grads, list(trainable_variables)), of_gradient)
        if GRADIENT in self.shown:
            self._ask_for_rates(now[GRADIENT], is_step)
        rates = [ops.cast(part.learning_rate, "float32") + 0 for part in self._parts()]
        needs_before = not {"update_norm", "alignment"}.isdisjoint(self.shown)
        before = [ops.copy(value_of(v)) for v in variables] if needs_before else []
        inner.apply(grads, list(trainable_variables))
        held = [value_of(tree) for tree in self._direction if tree is not None]
        after = when(
            is_step,
            lambda: self._weights_now(variables, before, rates, now, held),
            (now, held),
        )
        self._seen.assign(ops.stack([after[0][name] for name in self.shown]) if self.shown else [])
        for tree, direction in zip([t for t in self._direction if t is not None], after[1], strict=True):
            tree.assign(direction)

    @property
    def variables(self) -> Any:
        """Those of both optimisers."""
        return self._variables + self.inner_optimizer.variables

    @property
    def learning_rate(self) -> Any:
        """The inner optimiser's."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def loss_scale_factor(self) -> Any:
        """The inner optimiser's; a LossScaleOptimizer outside takes it away."""
        return self.inner_optimizer.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor: Any) -> None:
        if hasattr(self, "inner_optimizer"):  # not while Keras constructs this one
            self.inner_optimizer.loss_scale_factor = factor

    @property
    def iterations(self) -> Any:
        """The inner optimiser's count of steps."""
        return self.inner_optimizer.iterations

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the inner optimiser's loss_scale_factor."""
        return self.inner_optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list: Any) -> None:
        """What the inner optimiser does when a training ends: it takes up its moving average, say."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """What a saved model keeps of it."""
        inner = keras.saving.serialize_keras_object(self.inner_optimizer)
        return {"inner_optimizer": inner, "signals": list(self.signals), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The optimiser that a saved model kept."""
        inner = keras.saving.deserialize_keras_object(config["inner_optimizer"], custom_objects=custom_objects)
        return cls(inner, config["signals"], name=config["name"])

    def save_own_variables(self, store: Any) -> None:
        """Its own variables and the state of the schedule; Keras saves the inner optimiser by itself."""
        for number, variable in enumerate(self._variables):
            store[str(number)] = ops.convert_to_numpy(variable)
        if self._state_of is not None:
            store[_STATE] = np.frombuffer(json.dumps(self._state_of()).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Takes up what was saved. Raises ValueError if it is of another optimiser."""
        names, count = set(store.keys()), len(self._variables)
        numbers = names - {_STATE}
        if numbers != {str(number) for number in range(count)}:
            raise ValueError(
                f"the saved optimiser has {len(numbers)} variables, this ObservedOptimizer {count}: build it, with the "
                "same signals"
            )
        for number, variable in enumerate(self._variables):
            variable.assign(store[str(number)])
        self._loaded_state = bytes(np.asarray(store[_STATE])).decode() if _STATE in names else None
        self._is_asking.assign(int(self._listener is not None))

    # A step ---------------------------------------------------------------------------------------------------------

    def _build_now(self) -> None:
        if not self.built:
            raise ScheduleError("the optimiser is not built yet: call optimizer.build(model.trainable_variables)")

    def _parts(self) -> list[Any]:
        """The optimisers of a MultiOptimizer, or the inner one."""
        return list(getattr(self.inner_optimizer, "optimizers", [self.inner_optimizer]))

    def _part_of(self, variable: Any) -> int:
        """Which of the parts moves a variable."""
        has = [self._var_key(variable) in part._trainable_variables_indices for part in self._parts()]
        return has.index(True)

    def _batches_a_step(self) -> int:
        return int(self._parts()[0].gradient_accumulation_steps or 1)

    def _along(self, variables: Sequence[Any], tree: Sequence[Any]) -> list[tuple[Any, Any]]:
        """What is kept of each variable, and the variable; nothing if nothing is kept."""
        kept = [(tree[self._get_variable_index(v)], v) for v in variables] if tree else []
        return [(held, variable) for held, variable in kept if held is not None]

    def _gradient_now(self, grads: Sequence[Any], variables: Sequence[Any]) -> dict[str, Any]:
        """What the gradient of this step shows; of those of its batches the mean."""
        scale, every = self.inner_optimizer.loss_scale_factor or 1.0, self._batches_a_step()
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        pairs = [(g, v) for g, v in pairs if not self._overwrite_variable_with_gradient(v)]
        gradients = [ops.cast(g, "float32") / scale for g, _ in pairs]
        if every > 1:
            sums: list[Any] = []
            for _, variable in pairs:
                part = self._parts()[self._part_of(variable)]
                sums.append(part._accumulated_gradients[part._get_variable_index(variable)])
            gradients = [(g + float32(total)) / every for g, total in zip(gradients, sums, strict=True)]
        found = {GRADIENT: norm(gradients)}
        if "alignment" in self.shown:
            directions = [float32(held) for held, _ in self._along([v for _, v in pairs], self._direction)]
            found["alignment"] = cosine(gradients, directions)
        return {name: found[name] for name in found if name in self.shown}

    def _weights_now(
        self,
        variables: Sequence[Any],
        before: Sequence[Any],
        rates: Sequence[Any],
        now: dict[str, Any],
        held: Sequence[Any],
    ) -> tuple[dict[str, Any], list[Any]]:
        """What the weights show after this step, beside what is known `now`, and the optimiser's direction.

        before: the weights before the step, if an update is to be shown. rates: the learning rates of the parts. held:
        the direction before this one. A step with a learning rate of 0 shows no update.
        """
        values, found, directions = [float32(v) for v in variables], dict(now), list(held)
        if before:
            moves = ops.max(ops.stack(rates)) > 0  # a part that stands still has not moved
            parts = [rates[self._part_of(v)] for v in variables]
            used = [ops.where(rate > 0, rate, 1.0) for rate in parts]
            moved = [(float32(b) - v) / rate for b, v, rate in zip(before, values, used, strict=True)]
            if "update_norm" in found:
                found["update_norm"] = ops.where(moves, norm(moved), now["update_norm"])
            both = zip(moved if directions else [], directions, strict=True)
            directions = [ops.where(moves, ops.cast(new, old.dtype), old) for new, old in both]
        if "weight_norm" in found:
            found["weight_norm"] = norm(values)
        if "distance" in found:
            pairs = self._along(variables, self._initial)
            found["distance"] = norm([float32(v) - float32(initial) for initial, v in pairs])
        return found, directions

    def _ask_for_rates(self, grad_norm: Any, is_step: Any) -> None:
        """Sets the learning rates of this step, if somebody is to be asked for them."""
        parts = self._parts()
        held = ops.stack([ops.cast(part.learning_rate, "float32") + 0 for part in parts])
        asks = ops.convert_to_tensor(self._is_asking) > 0
        asks = asks if is_step is None else ops.logical_and(asks, is_step)
        rates = when(asks, lambda: self._asked(grad_norm, len(parts)), held)
        for number, part in enumerate(parts):
            if isinstance(part.learning_rate, keras.Variable):
                part.learning_rate.assign(rates[number])

    def _asked(self, grad_norm: Any, count: int) -> Any:
        """The learning rates that the listener says, shape (count,)."""
        if keras.backend.backend() == "jax":
            import jax

            return jax.pure_callback(self._answer, jax.ShapeDtypeStruct((count,), np.float32), grad_norm)
        return ops.convert_to_tensor(self._answer(ops.convert_to_numpy(grad_norm)))

    def _answer(self, grad_norm: Any) -> Any:
        if self._listener is None:
            raise ScheduleError("a step asks for its learning rate, and its ExpressionCallback is gone")
        return np.asarray(self._listener(float(grad_norm)), np.float32)


def observed_in(optimizer: Any) -> ObservedOptimizer | None:
    """The ObservedOptimizer that an optimiser is, or that is in a LossScaleOptimizer; None if there is none.

    That of an exported file is one too: Keras loads a model with whichever of them it has met last.
    """
    while optimizer is not None and not hasattr(optimizer, "shown"):
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return optimizer
