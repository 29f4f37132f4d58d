"""Small trainings in Keras that show gradients, updates and weights, and the reference, from the weights by hand."""

import keras
import numpy as np
import pytest

from evolr.expression import parse
from evolr.keras import ExpressionCallback
from evolr.loop import Loop
from evolr.schedule import Schedule
from tests.frameworks.keras_training import number, sync

BATCHES, BATCH, EPOCHS = 5, 16, 3
HORIZON = {"total_steps": BATCHES * EPOCHS, "steps_per_epoch": BATCHES}
INPUTS = np.random.default_rng(0).standard_normal((BATCHES * BATCH, 6)).astype(np.float32)
TARGETS = INPUTS[:, :1] * 2 + np.sin(INPUTS[:, 1:2])
WARNINGS = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras', of torch's
    pytest.mark.filterwarnings("ignore:Keras' momentum"),  # what is shown is held to what Keras does all the same
]


def schedule(text):
    return Schedule(expression=parse(text))


ALL = schedule("0.01*(distance + 1e-3)/grad_norm_rss*(2 + alignment)*weight_norm/update_norm + 0.001*grad_norm_ema")


def sgd(**settings):
    return keras.optimizers.SGD(0.5, momentum=0.9, **settings)


def adam(**settings):
    return keras.optimizers.Adam(0.5, **settings)


def scaled(optimizer):
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)


def split(**settings):
    """SGD for kernels, and Adam with a fifth of its learning rate for biases."""
    keras.utils.clear_session()
    by_name = keras.optimizers.OptimizerMap(
        keras.optimizers.Adam(0.1, **settings), {".*kernel": keras.optimizers.SGD(0.5, momentum=0.5, **settings)}
    )
    return keras.optimizers.MultiOptimizer(by_name)


def parts(optimizer):
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return getattr(optimizer, "optimizers", [optimizer])


def flat(arrays):
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def gradient(weights, inputs, targets):
    """Of the mean squared error, in float64."""
    w1, b1, w2, b2 = (np.asarray(w, np.float64) for w in weights)
    inputs, targets = inputs.astype(np.float64), targets.astype(np.float64)
    hidden = np.tanh(inputs @ w1 + b1)
    error = 2 * (hidden @ w2 + b2 - targets) / len(inputs)
    back = (error @ w2.T) * (1 - hidden**2)
    return flat([inputs.T @ back, back.sum(0), hidden.T @ error, error.sum(0)])


class Recorder(keras.callbacks.Callback):
    """The weights before each batch and after the last, and the learning rates with which each was trained."""

    def __init__(self):
        super().__init__()
        self.weights, self.rates, self.batches = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        sync(self.model)
        self.weights.append(self.model.get_weights())
        self.batches.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        sync(self.model)
        self.last = self.model.get_weights()
        self.rates.append([number(part.learning_rate) for part in parts(self.model.optimizer)])

    def told(self, accumulation=1):
        """What each optimiser step shows, by hand in float64; a batch that is not complete is left out."""
        weights, told, previous = [*self.weights, self.last], [], None
        for step in range(0, len(self.rates) - accumulation + 1, accumulation):
            places = [slice(b * BATCH, (b + 1) * BATCH) for b in self.batches[step : step + accumulation]]
            slope = np.mean([gradient(weights[step], INPUTS[p], TARGETS[p]) for p in places], axis=0)
            before, after = flat(weights[step]), flat(weights[step + accumulation])
            rates = self.rates[step + accumulation - 1]
            each = [np.full(np.size(w), rates[0 if w.ndim == 2 or len(rates) == 1 else 1]) for w in weights[0]]
            moved = (before - after) / np.concatenate(each) if min(rates) > 0 else None
            size = 0 if previous is None else np.linalg.norm(slope) * np.linalg.norm(previous)
            told.append(
                {
                    "grad_norm": np.linalg.norm(slope),
                    "update_norm": np.nan if moved is None else np.linalg.norm(moved),
                    "weight_norm": np.linalg.norm(after),
                    "distance": np.linalg.norm(after - flat(weights[0])),
                    "alignment": slope @ previous / size if size else 0.0,
                }
            )
            previous = previous if moved is None else moved
        return told

    def of_steps(self, accumulation=1):
        """The greatest learning rate of each optimiser step."""
        return [max(rates) for rates in self.rates[accumulation - 1 :: accumulation]]


def model_of(optimizer, **settings):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **settings)
    return model


def fit(model, *callbacks, **settings):
    recorder = Recorder()
    settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "epochs": EPOCHS, **settings}
    model.fit(INPUTS, TARGETS, callbacks=[*callbacks, recorder], **settings)
    return recorder


def feedback(rule, accumulation=1, **settings):
    return ExpressionCallback(rule, **{name: count // accumulation for name, count in HORIZON.items()}, **settings)


def reference(rule, told, weights, accumulation=1):
    first = {"grad_norm": told[0]["grad_norm"], "weight_norm": np.linalg.norm(flat(weights))}
    loop = Loop(rule, **{name: count // accumulation for name, count in HORIZON.items()}, **first)
    return [loop.learning_rate, *(loop.step(**each) for each in told[:-1])]


def check(rule, recorder, accumulation=1):
    expected = reference(rule, recorder.told(accumulation), recorder.weights[0], accumulation)
    np.testing.assert_allclose(recorder.of_steps(accumulation), expected, rtol=1e-4)
    assert len(set(expected)) > 2


MAKERS = {
    "sgd": (sgd, 1),
    "adam": (adam, 1),
    "adamw": (lambda: keras.optimizers.AdamW(0.5, weight_decay=0.1), 1),
    "each clipped": (lambda: sgd(clipnorm=0.1), 1),
    "all clipped": (lambda: adam(global_clipnorm=0.1), 1),
    "values clipped": (lambda: sgd(clipvalue=0.01), 1),
    "a fixed loss scale": (lambda: adam(loss_scale_factor=1024.0), 1),
    "steps of 2 batches": (lambda: sgd(gradient_accumulation_steps=2), 2),
    "steps of 5 clipped batches": (lambda: adam(gradient_accumulation_steps=5, clipnorm=0.1), 5),
    "two optimisers": (split, 1),
    "two optimisers, steps of 2 batches": (lambda: split(gradient_accumulation_steps=2), 2),
}
