"""A small training by Keras that notes what it did, for the cases on its schedules and callbacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from evolr.expression import parse
from evolr.keras import ExpressionCallback
from evolr.loop import follow
from evolr.schedule import Schedule

BACKEND = keras.backend.backend()
ROWS, BATCH, EPOCHS = 40, 10, 4
BATCHES = ROWS // BATCH
HORIZON = {"total_steps": EPOCHS * BATCHES, "steps_per_epoch": BATCHES}
LISTENING = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)/(1 + stale_epochs) + 0.001*val_loss + 0.1*lr"))
BY_LOSS = Schedule(expression=parse("0.02*loss/loss_ema"))
OPEN = Schedule(expression=parse("0.01*(1 - progress)*(1 + epoch)"))
draw = np.random.default_rng(0)
INPUTS = draw.normal(size=(ROWS, 3)).astype("float32")
LABELS = (INPUTS @ np.array([[1.0], [-2.0], [0.5]]) + 0.1).astype("float32")
OPTIMISERS = ("SGD", "Adam", "AdamW", "RMSprop", "Nadam", "Adagrad", "Lion", "Adafactor", "Ftrl", "Lamb")


def number(value: Any) -> float:
    return float(keras.ops.convert_to_numpy(keras.ops.stop_gradient(keras.ops.convert_to_tensor(value))))


def error(model: Any, part: slice) -> float:
    """The mean squared error on some of the rows, which is the loss that the models are compiled with."""
    return number(keras.ops.mean((model(INPUTS[part]) - keras.ops.convert_to_tensor(LABELS[part])) ** 2))


@dataclass
class Fit:
    """What a training did, step by step."""

    model: Any
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    logged: list[dict[str, Any]] = field(default_factory=list)

    def expected(self, one: Schedule) -> list[float]:
        return follow(one, self.losses, self.val_losses, steps_per_epoch=BATCHES)


class Recorder(keras.callbacks.Callback):
    """Stands last among the callbacks."""

    def __init__(self, fit: Fit) -> None:
        super().__init__()
        self.fit = fit

    def on_train_batch_begin(self, batch: int, **_: Any) -> None:
        if BACKEND == "jax":
            self.model.jax_state_sync()
        self.fit.rates.append(number(self.model.optimizer.learning_rate))
        part = slice(batch * BATCH, (batch + 1) * BATCH)
        self.fit.losses.append(error(self.model, part))

    def on_epoch_end(self, _epoch: int, logs: Any = None) -> None:
        self.fit.logged.append(dict(logs or {}))
        self.fit.val_losses.append((logs or {}).get("val_loss", 0.0))


def network() -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def begin(optimiser: Any = None, **more: Any) -> Fit:
    model = network()
    model.compile(keras.optimizers.SGD(0.01) if optimiser is None else optimiser, "mse", **more)
    fit = Fit(model)
    fit.val_losses.append(error(model, slice(ROWS)))
    return fit


def feedback(fit: Fit, one: Schedule = LISTENING, **more: Any) -> ExpressionCallback:
    first = error(fit.model, slice(BATCH))
    return ExpressionCallback(one, **(HORIZON | {"loss": first, "val_loss": fit.val_losses[0]} | more))


def go(fit: Fit, *callbacks: Any, epochs: int = EPOCHS, **more: Any) -> Fit:
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "validation_data": (INPUTS, LABELS)} | more
    fit.model.fit(INPUTS, LABELS, epochs=epochs, callbacks=[*callbacks, Recorder(fit)], **options)
    return fit


def weights(model: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(one) for one in model.weights]
