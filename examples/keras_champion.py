"""A champion of mnist1d-mlp, which was evolved and proven in JAX, trains the same network in Keras; beside cosine.

    KERAS_BACKEND=torch python examples/keras_champion.py        # or jax, or tensorflow: whichever is installed

champion.json came out of `evolr evolve --seed 2` and `evolr prove`. It reads the validation loss, so
evolr.keras gives it to `fit` as a callback. Cosine is the tuned one of that contest.
"""

import os
import sys
from pathlib import Path
from statistics import mean

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import matplotlib.pyplot as plt

import evolr
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.problems.mnist1d_data import fresh, published
from evolr.standard import COSINE

CHAMPION = evolr.Schedule.load(Path(__file__).parent / "champion.json")
EPOCHS, SEEDS = (2, [0]) if "--quick" in sys.argv else (30, [0, 1, 2])
BATCH, STEPS = 100, 40
HORIZON = {"total_steps": EPOCHS * STEPS, "steps_per_epoch": STEPS}
(train, validation), test = published(), fresh(10_000, 2_001)


class LearningRates(keras.callbacks.Callback):
    """Notes the learning rate of each epoch's last step."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(float(keras.ops.convert_to_tensor(self.model.optimizer.learning_rate)))


def network():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((40,)), layers.Dense(100, "relu"), layers.Dense(100, "relu"), layers.Dense(10, "softmax")]
    )


def trained(name, seed):
    """The test accuracy of a training, and its learning rates."""
    keras.utils.set_random_seed(seed)
    model = network()
    rates = LearningRates()
    callbacks, rate = [rates], 0.01
    if name == "cosine":
        rate = ExpressionSchedule(COSINE.schedule(base=0.0175), **HORIZON)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    if name == "champion":
        loss, _ = model.evaluate(*validation, verbose=0)  # of the untrained network
        callbacks = [ExpressionCallback(CHAMPION, **HORIZON, val_loss=loss), rates]
    options = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0}
    model.fit(*train, validation_data=tuple(validation), callbacks=callbacks, **options)
    return model.evaluate(*test, verbose=0)[1], rates.seen


if __name__ == "__main__":
    print("champion:", CHAMPION.expression)
    for name in ("cosine", "champion"):
        runs = [trained(name, seed) for seed in SEEDS]
        print(f"{name:9} {100 * mean(accuracy for accuracy, _ in runs):.2f} % on 10,000 fresh samples")
        plt.plot(range(1, EPOCHS + 1), runs[0][1], marker=".", label=name)
    plt.xlabel("epoch")
    plt.ylabel("learning rate of its last step")
    plt.yscale("log")
    plt.legend()
    plt.savefig("keras_champion.png")
    print("picture: keras_champion.png")
