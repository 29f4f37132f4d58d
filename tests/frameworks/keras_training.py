"""Small trainings in Keras, and what they did; on whichever backend the process has."""

import keras
import numpy as np

from tests.contracts.traces import CLASSES, EPOCHS, INPUTS, STEPS, Trained, samples

HORIZON = {"total_steps": EPOCHS * STEPS, "steps_per_epoch": STEPS}


def sync(model):
    """On the JAX backend a training keeps its state outside the model; this puts it back."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def number(tensor):
    return float(keras.ops.stop_gradient(keras.ops.convert_to_tensor(tensor)))


def classifier(optimizer="sgd", **settings):
    """A linear classifier of the samples. settings: of `compile`."""
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", **settings)
    return model


class Rates(keras.callbacks.Callback):
    """The learning rate that the optimiser holds when each batch begins; of a MultiOptimizer, a tuple.

    It stands last among the callbacks, so that the others have set theirs.
    """

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        sync(self.model)
        optimizer = self.model.optimizer
        if hasattr(optimizer, "optimizers"):
            self.seen.append(tuple(number(part.learning_rate) for part in optimizer.optimizers))
        else:
            self.seen.append(number(optimizer.learning_rate))


class Recorder(Rates):
    """What a training did: the learning rates that the optimiser was given, and each batch's loss, measured apart."""

    def __init__(self, trained, inputs, labels, batch):
        super().__init__()
        self.trained, self.batch = trained, batch
        self.inputs, self.labels = inputs, labels

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch)
        self.trained.rates = self.seen
        part = slice(batch * self.batch, (batch + 1) * self.batch)
        loss = self.model.compute_loss(y=self.labels[part], y_pred=self.model(self.inputs[part]))
        self.trained.losses.append(number(loss))

    def on_epoch_end(self, epoch, logs=None):
        self.trained.val_losses.append(logs["val_loss"])


def train(make, accumulation=1):
    """A small classifier by `fit`; what it did, batch for batch, and the model.

    make: (first loss, first validation loss) → learning rate, callbacks. accumulation: batches that share a step.
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((INPUTS,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(CLASSES, "softmax")]
    )
    (inputs, labels), validation = samples(), samples(1)
    batch = len(inputs) // STEPS // accumulation

    def compile_with(rate):
        steps = None if accumulation == 1 else accumulation
        model.compile(keras.optimizers.Adam(rate, gradient_accumulation_steps=steps), "sparse_categorical_crossentropy")

    compile_with(0.01)
    together = batch * accumulation
    first = model.evaluate(inputs[:together], labels[:together], batch_size=together, verbose=0)
    trained = Trained(model.evaluate(*validation, verbose=0))
    rate, callbacks = make(first, trained.first_val_loss)
    compile_with(rate)
    callbacks = [*callbacks, Recorder(trained, inputs, labels, batch)]
    options = {"epochs": EPOCHS, "batch_size": batch, "shuffle": False, "verbose": 0}
    model.fit(inputs, labels, validation_data=validation, callbacks=callbacks, **options)
    return trained, model


def by_step(trained, accumulation):
    """A training whose steps take several batches, told by the step: one learning rate, the mean of the losses."""
    rates, losses = (np.reshape(values, (-1, accumulation)) for values in (trained.rates, trained.losses))
    assert (rates == rates[:, :1]).all()
    told = Trained(trained.first_val_loss, val_losses=trained.val_losses)
    told.rates, told.losses = list(rates[:, 0]), list(losses.mean(axis=1))
    return told


class Stop(keras.callbacks.Callback):
    """Ends a training before a batch, as a crash does."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_begin(self, batch, logs=None):
        if not self.left:
            raise InterruptedError
        self.left -= 1
