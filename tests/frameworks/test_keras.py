import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.schedule import Schedule
from tests.contracts.traces import BATCH, FEEDBACK, OPEN_LOOP, STEPS, check, samples
from tests.frameworks.exported import exported
from tests.frameworks.keras_training import HORIZON, by_step, classifier, number, train


@pytest.mark.parametrize("accumulation", [1, 2, 4])
@pytest.mark.parametrize("is_exported", [False, True])
def test_a_real_training_follows_the_reference(is_exported, accumulation, tmp_path):
    make = exported(OPEN_LOOP, "keras", tmp_path).ChampionSchedule if is_exported else None
    schedule = make(**HORIZON) if make else ExpressionSchedule(OPEN_LOOP, **HORIZON)
    trained, _ = train(lambda *_: (schedule, []), accumulation)
    check(OPEN_LOOP, by_step(trained, accumulation))


@pytest.mark.parametrize("accumulation", [1, 2, 4])
@pytest.mark.parametrize("is_exported", [False, True])
def test_a_real_training_with_feedback_follows_the_reference(is_exported, accumulation, tmp_path):
    make = exported(FEEDBACK, "keras", tmp_path).callback if is_exported else None

    def with_feedback(loss, val_loss):
        told = {**HORIZON, "loss": loss, "val_loss": val_loss}
        return 0.01, [make(**told) if make else ExpressionCallback(FEEDBACK, **told)]

    trained, _ = train(with_feedback, accumulation)
    check(FEEDBACK, by_step(trained, accumulation))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, of torch tensors
@pytest.mark.parametrize("accumulation", [None, 2])
def test_a_model_is_saved_and_loads_with_its_schedule(accumulation, tmp_path):
    optimizer = keras.optimizers.SGD(ExpressionSchedule(OPEN_LOOP, **HORIZON), gradient_accumulation_steps=accumulation)
    model = classifier(optimizer)
    model.fit(*samples(), batch_size=BATCH, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    schedule = loaded.optimizer._learning_rate
    assert isinstance(schedule, ExpressionSchedule)
    assert schedule.schedule == OPEN_LOOP
    assert schedule.get_config() == ExpressionSchedule(OPEN_LOOP, **HORIZON).get_config()
    steps = STEPS // (accumulation or 1)
    assert number(loaded.optimizer.learning_rate) == pytest.approx(number(schedule(steps)), rel=1e-7)


def test_the_exported_schedule_is_saved_with_a_model(tmp_path):
    made = exported(OPEN_LOOP, "keras", tmp_path).ChampionSchedule(**HORIZON)
    document = keras.optimizers.schedules.serialize(made)
    again = keras.optimizers.schedules.deserialize(document)
    assert again.get_config() == made.get_config() == HORIZON


def test_the_first_and_the_last_step_are_those_of_the_horizon():
    schedule = ExpressionSchedule(Schedule(expression=parse("0.1*(1 - progress)")), total_steps=4)
    rates = [number(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.025, 0.025], rtol=1e-7)


def test_the_history_has_the_learning_rate_as_keras_own_callbacks_log_it():
    model, horizon = classifier(), {"total_steps": 2 * STEPS}
    feedback = ExpressionCallback(Schedule(expression=parse("0.1*(1 - progress)")), **horizon)
    history = model.fit(*samples(), batch_size=BATCH, verbose=0, epochs=2, callbacks=[feedback]).history
    expected = [0.1 * (1 - (STEPS - 1) / (2 * STEPS)), 0.1 * (1 - (2 * STEPS - 1) / (2 * STEPS))]
    assert history["learning_rate"] == pytest.approx(expected, rel=1e-6)


def test_a_loop_of_train_on_batch_tells_each_loss():
    model = classifier()
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
    class Silent(keras.Sequential):
        @property
        def metrics(self):
            return []

    monkeypatch.setattr(keras, "Sequential", Silent)
    model, given = classifier(), {**HORIZON, "loss": 0.5}
    feedback = ExpressionCallback(Schedule(expression=parse("0.01*(1 - progress)")), **given)
    model.fit(*samples(), batch_size=BATCH, verbose=0, callbacks=[feedback])
    assert feedback.loop.position == STEPS
    feedback = ExpressionCallback(Schedule(expression=parse("0.01*loss")), **given)
    with pytest.raises(ScheduleError, match="no metric of the name 'loss'"):
        model.fit(*samples(), batch_size=BATCH, verbose=0, callbacks=[feedback])


def test_a_schedule_that_reads_the_training_is_no_curve():
    with pytest.raises(ScheduleError, match="which only a running training can tell"):
        ExpressionSchedule(FEEDBACK, **HORIZON)
