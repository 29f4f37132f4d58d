import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule
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

HORIZON = {"total_steps": EPOCHS * STEPS, "steps_per_epoch": STEPS}


def number(tensor):
    return float(keras.ops.stop_gradient(keras.ops.convert_to_tensor(tensor)))


class Recorder(keras.callbacks.Callback):
    """What a training did: the learning rates that the optimiser was given, and each batch's loss, measured apart."""

    def __init__(self, trained, inputs, labels):
        super().__init__()
        self.trained = trained
        self.inputs, self.labels = inputs, labels

    def on_train_batch_begin(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self.trained.rates.append(number(self.model.optimizer.learning_rate))
        part = slice(batch * BATCH, (batch + 1) * BATCH)
        loss = self.model.compute_loss(y=self.labels[part], y_pred=self.model(self.inputs[part]))
        self.trained.losses.append(number(loss))

    def on_epoch_end(self, epoch, logs=None):
        self.trained.val_losses.append(logs["val_loss"])


def train(make):
    """A small classifier by `fit`. make: (first loss, first validation loss) → learning rate, callbacks."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((INPUTS,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(CLASSES, "softmax")]
    )
    (inputs, labels), validation = samples(), samples(1)

    def compile_with(rate):
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")

    compile_with(0.01)
    first = model.evaluate(inputs[:BATCH], labels[:BATCH], verbose=0)
    trained = Trained(model.evaluate(*validation, verbose=0))
    rate, callbacks = make(first, trained.first_val_loss)
    compile_with(rate)
    callbacks = [*callbacks, Recorder(trained, inputs, labels)]
    options = {"epochs": EPOCHS, "batch_size": BATCH, "shuffle": False, "verbose": 0}
    model.fit(inputs, labels, validation_data=validation, callbacks=callbacks, **options)
    return trained, model


def check_all(folder):
    """A real training follows the reference: by evolr's classes and the exported files, open loop and with feedback."""
    by_file = exported(OPEN_LOOP, "keras", folder).ChampionSchedule
    for schedule in (ExpressionSchedule(OPEN_LOOP, **HORIZON), by_file(**HORIZON)):
        check(OPEN_LOOP, train(lambda *_, schedule=schedule: (schedule, []))[0])
    by_file = exported(FEEDBACK, "keras", folder).callback
    for feedback in (lambda **given: ExpressionCallback(FEEDBACK, **given), by_file):
        made = []

        def make(loss, val_loss, feedback=feedback, made=made):
            made.append(feedback(**HORIZON, loss=loss, val_loss=val_loss))
            return 0.01, made

        check(FEEDBACK, train(make)[0])


def check_steps_per_execution():
    """Several steps an execution are refused; the torch backend has none."""
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", steps_per_execution=2)
    feedback = ExpressionCallback(FEEDBACK, **HORIZON, loss=1.0, val_loss=1.0)
    with pytest.raises(ScheduleError, match="compile the model with steps_per_execution=1, got 2"):
        model.fit(*samples(), batch_size=BATCH, verbose=0, callbacks=[feedback])


def test_a_real_training_follows_the_reference(tmp_path):
    check_all(tmp_path)


def test_a_real_training_follows_the_reference_on_the_jax_backend(tmp_path):
    code = "from pathlib import Path\nfrom tests.frameworks.test_keras import check_all, "
    code += f"check_steps_per_execution\ncheck_all(Path({str(tmp_path)!r}))\ncheck_steps_per_execution()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of torch tensors
def test_a_model_is_saved_and_loads_with_its_schedule(tmp_path):
    _, model = train(lambda *_: (ExpressionSchedule(OPEN_LOOP, **HORIZON), []))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    schedule = loaded.optimizer._learning_rate
    assert isinstance(schedule, ExpressionSchedule)
    assert schedule.schedule == OPEN_LOOP
    assert schedule.get_config() == ExpressionSchedule(OPEN_LOOP, **HORIZON).get_config()


def test_the_exported_schedule_is_saved_with_a_model(tmp_path):
    made = exported(OPEN_LOOP, "keras", tmp_path).ChampionSchedule(**HORIZON)
    document = keras.optimizers.schedules.serialize(made)
    again = keras.optimizers.schedules.deserialize(document)
    assert again.get_config() == made.get_config() == HORIZON


def test_the_first_and_the_last_step_are_those_of_the_horizon():
    schedule = ExpressionSchedule(Schedule(expression=parse("0.1*(1 - progress)")), total_steps=4)
    rates = [number(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.025, 0.025], rtol=1e-7)


def test_a_training_that_goes_on_from_an_epoch_is_there_in_time():
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    feedback = ExpressionCallback(Schedule(expression=parse("0.01*(1 + epoch) + 0*lr")), **HORIZON)
    model.fit(*samples(), batch_size=BATCH, verbose=0, epochs=4, initial_epoch=2, callbacks=[feedback])
    assert number(model.optimizer.learning_rate) == pytest.approx(0.04)


def test_a_training_that_goes_on_from_an_epoch_may_read_the_loss():
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    schedule = Schedule(expression=parse("0.01*loss"))
    for first, last in ((0, 1), (1, 3)):
        feedback = ExpressionCallback(schedule, **HORIZON, loss=0.5)
        model.fit(*samples(), batch_size=BATCH, verbose=0, epochs=last, initial_epoch=first, callbacks=[feedback])
    assert feedback.loop.position == 3 * HORIZON["steps_per_epoch"]


def small_model():
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(CLASSES, "softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def test_the_history_has_the_learning_rate_as_keras_own_callbacks_log_it():
    model, horizon = small_model(), {"total_steps": 2 * HORIZON["steps_per_epoch"]}
    feedback = ExpressionCallback(Schedule(expression=parse("0.1*(1 - progress)")), **horizon)
    history = model.fit(*samples(), batch_size=BATCH, verbose=0, epochs=2, callbacks=[feedback]).history
    steps = HORIZON["steps_per_epoch"]
    expected = [0.1 * (1 - (steps - 1) / (2 * steps)), 0.1 * (1 - (2 * steps - 1) / (2 * steps))]
    assert history["learning_rate"] == pytest.approx(expected, rel=1e-6)


def test_a_loop_of_train_on_batch_tells_each_loss():
    model = small_model()
    feedback = ExpressionCallback(Schedule(expression=parse("0.01*loss")), **HORIZON, loss=0.5)
    callbacks = keras.callbacks.CallbackList([feedback], model=model)
    inputs, labels = samples()
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for step in range(3):
        callbacks.on_train_batch_begin(step)
        loss = model.train_on_batch(inputs[:BATCH], labels[:BATCH])
        callbacks.on_train_batch_end(step)
        assert feedback.loop.learning_rate == pytest.approx(0.01 * float(np.asarray(loss).ravel()[0]), rel=1e-5)


def test_a_model_without_a_metric_of_its_loss_is_refused_where_the_schedule_reads_it(monkeypatch):
    monkeypatch.setattr(keras.Sequential, "metrics", property(lambda model: []))
    for text, is_read in (("0.01*(1 - progress)", False), ("0.01*loss", True)):
        model = small_model()
        feedback = ExpressionCallback(Schedule(expression=parse(text)), **HORIZON, loss=0.5)
        feedback.set_model(model)
        if not is_read:
            feedback.on_train_batch_end(0)
            assert feedback.loop.position == 1
            continue
        with pytest.raises(ScheduleError, match="no metric of the name 'loss'"):
            feedback.on_train_batch_end(0)


def test_a_schedule_that_reads_the_training_is_no_curve():
    with pytest.raises(ScheduleError, match="which only a running training can tell"):
        ExpressionSchedule(FEEDBACK, **HORIZON)
