"""Time in Keras is the optimiser's count of steps: under accumulation, skipped steps, and where a training goes on."""

import json

import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.schedule import Schedule
from tests.contracts.traces import BATCH, EPOCHS, INPUTS, STEPS, samples
from tests.frameworks.keras_training import HORIZON, Rates, Stop, classifier, number, sync

LINE = Schedule(expression=parse("0.01*(1 - progress)"))
FED = Schedule(expression=parse("0.01*(1 - progress)*(1 + loss_ema + 0.1*loss)"))

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras', of torch's


def fit(model, *callbacks, **settings):
    """Trains; gives the learning rate of each batch."""
    rates = Rates()
    settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "epochs": EPOCHS, **settings}
    model.fit(*samples(), callbacks=[*callbacks, rates], **settings)
    return rates.seen


def line(steps, of=EPOCHS * STEPS):
    return [0.01 * (1 - step / of) for step in steps]


def feedback(schedule=FED, **horizon):
    told = {"loss": 1.0} if schedule is FED else {}
    return ExpressionCallback(schedule, **{**HORIZON, **horizon}, **told)


# Accumulation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_callback", [False, True])
def test_steps_of_several_batches_go_on_over_the_end_of_an_epoch(is_callback):
    # 5 batches an epoch, 2 a step: the third step has the last batch of one epoch and the first of the next.
    horizon = {"total_steps": 15, "steps_per_epoch": 2}
    rate = 0.01 if is_callback else ExpressionSchedule(LINE, **horizon)
    model = classifier(keras.optimizers.SGD(rate, gradient_accumulation_steps=2))
    seen = fit(model, *([feedback(LINE, **horizon)] if is_callback else []))
    assert seen == pytest.approx(line(np.arange(30) // 2, of=15), rel=1e-6)


def test_a_schedule_asked_for_a_step_by_its_number_knows_no_batches():
    schedule = ExpressionSchedule(LINE, total_steps=15)
    model = classifier(keras.optimizers.SGD(schedule, gradient_accumulation_steps=2))
    fit(model, epochs=2)
    assert number(model.optimizer.iterations) == 5
    rates = [
        number(rate) for rate in (schedule(model.optimizer.iterations), schedule(5), model.optimizer.learning_rate)
    ]
    assert rates == pytest.approx(line([5, 5, 5], of=15), rel=1e-6)


def test_optimisers_that_share_a_schedule_each_count_their_own_batches():
    schedule = ExpressionSchedule(LINE, total_steps=15)
    for accumulation, step in ((None, 5), (5, 1)):
        model = classifier(keras.optimizers.SGD(schedule, gradient_accumulation_steps=accumulation))
        fit(model, epochs=1)
        assert number(model.optimizer.learning_rate) == pytest.approx(line([step], of=15)[0], rel=1e-6)


def test_a_horizon_that_counts_batches_is_warned_of_where_steps_take_several():
    model = classifier(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    with pytest.warns(UserWarning, match="optimiser steps are total_steps=15, steps_per_epoch=2") as caught:
        fit(model, feedback(LINE))
    assert len([each for each in caught if each.category is UserWarning]) == 1


# Steps that are not taken -------------------------------------------------------------------------------------------


def fit_with_skipped(callback, accumulation=None):
    """Trains for 4 epochs whose last batches are each so far off that scaled gradients overflow; each batch's rate."""
    keras.utils.set_random_seed(0)
    inner = keras.optimizers.SGD(1e-3, gradient_accumulation_steps=accumulation)
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**124), "mse")
    inputs, targets, rates = samples()[0], np.ones((STEPS * BATCH, 1), np.float32), Rates()
    targets[-BATCH:] = 1e4
    model.fit(inputs, targets, batch_size=BATCH, shuffle=False, epochs=4, verbose=0, callbacks=[callback, rates])
    assert number(inner._iterations) == 16
    return rates.seen


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_that_loss_scaling_skips_is_none(accumulation):
    told = feedback(LINE, total_steps=50, steps_per_epoch=3)
    seen = fit_with_skipped(told, None if accumulation == 1 else accumulation)
    taken = np.array([0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16])
    assert seen == pytest.approx(line(taken // accumulation, of=50), rel=1e-6)
    assert told.loop.position == 16 // accumulation


def test_the_loss_of_a_step_that_is_skipped_is_not_told():
    seen = fit_with_skipped(ExpressionCallback(Schedule(expression=parse("1e-4*loss")), **HORIZON, loss=7.0))
    assert seen[0] == pytest.approx(7e-4, rel=1e-6)
    assert max(seen) < 0.1  # the loss of what was skipped is 1e8
    assert all(seen[epoch * STEPS] == seen[epoch * STEPS - 1] for epoch in range(1, 4))
    assert len(set(seen)) == 17


def test_an_optimiser_that_takes_no_step_is_warned_of():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=float("inf"))
    with pytest.warns(UserWarning, match="took no step in a whole epoch"):
        fit(classifier(optimizer), feedback(LINE), epochs=1)


# Trainings that go on -----------------------------------------------------------------------------------------------


def test_a_new_callback_begins_at_the_epoch_where_the_optimiser_is_new_too():
    model = classifier(keras.optimizers.SGD(0.01))
    assert fit(model, feedback(), initial_epoch=4)[0] == pytest.approx(0.01 * (1 - 4 / 6) * 2.1, rel=1e-6)


def test_a_new_callback_begins_at_the_epoch_whose_batches_share_steps():
    model = classifier(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    seen = fit(model, feedback(LINE, total_steps=15, steps_per_epoch=2), initial_epoch=4)
    assert seen[0] == pytest.approx(line([10], of=15)[0], rel=1e-6)


def test_a_loaded_model_goes_on_at_its_optimisers_count(tmp_path):
    model = classifier(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
    horizon = {"total_steps": 15, "steps_per_epoch": 2}
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    whole = fit(model, feedback(LINE, **horizon), checkpoint)
    for epoch in range(1, EPOCHS):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        seen = fit(loaded, feedback(LINE, **horizon), initial_epoch=epoch)
        if epoch % 2:  # half of a step has been taken
            assert seen[1:] == pytest.approx(whole[epoch * STEPS + 1 :], rel=1e-6)
        else:
            assert seen == pytest.approx(whole[epoch * STEPS :], rel=1e-6)


@pytest.mark.parametrize("accumulation", [None, 2])
def test_with_its_state_a_training_goes_on_as_if_it_had_not_ended(accumulation, tmp_path):
    horizon = {"total_steps": 30 // (accumulation or 1), "steps_per_epoch": 5 // (accumulation or 1)}
    states = []

    class Save(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.save(tmp_path / f"{epoch + 1}.keras")
            states.append(json.dumps(told.state_dict()))

    told = feedback(**horizon)
    model = classifier(keras.optimizers.SGD(0.01, gradient_accumulation_steps=accumulation))
    whole = fit(model, told, Save())
    for epoch in range(1, EPOCHS):
        again = feedback(**horizon)
        again.load_state_dict(json.loads(states[epoch - 1]))
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        seen = fit(loaded, again, initial_epoch=epoch)
        assert seen == pytest.approx(whole[epoch * STEPS :], rel=1e-5)
        assert again.loop.position == told.loop.position


def test_what_is_no_state_of_a_callback_is_refused():
    with pytest.raises(ScheduleError, match="not the state of an ExpressionCallback: it lacks factors, batch_losses"):
        feedback().load_state_dict(feedback().loop.state_dict())


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("comes_first", [True, False])
def test_a_training_that_keras_backs_up_goes_on_in_time(is_new, comes_first, tmp_path):
    model = classifier(keras.optimizers.SGD(0.5))
    told = feedback(LINE)

    def run(stop, callback):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        return fit(model, *([callback, backup] if comes_first else [backup, callback]), *stop)

    with pytest.raises(InterruptedError):
        run([Stop(2 * STEPS + 3)], told)
    seen = run([], feedback(LINE) if is_new else told)
    assert seen == pytest.approx(line(range(2 * STEPS, EPOCHS * STEPS)), rel=1e-6)


def test_a_training_that_keras_backs_up_may_read_the_loss(tmp_path):
    model = classifier(keras.optimizers.SGD(0.5))
    with pytest.raises(InterruptedError):
        fit(model, feedback(), keras.callbacks.BackupAndRestore(tmp_path / "backup"), Stop(2 * STEPS + 3))
    told = feedback()
    fit(model, told, keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert told.loop.position == EPOCHS * STEPS


def test_several_fits_of_one_callback_go_on_in_time():
    model, told = classifier(keras.optimizers.SGD(0.01)), feedback(LINE)
    seen = [rate for _ in range(EPOCHS) for rate in fit(model, told, epochs=1)]
    assert seen == pytest.approx(line(range(EPOCHS * STEPS)), rel=1e-6)


def test_steps_of_a_training_without_the_callback_do_not_count():
    model, told = classifier(keras.optimizers.SGD(0.01)), feedback(LINE)
    fit(model, epochs=3)
    seen = fit(model, told, epochs=1)
    fit(model, epochs=2)
    seen += fit(model, told, epochs=1)
    assert seen == pytest.approx(line(range(2 * STEPS)), rel=1e-6)


def test_a_model_that_is_compiled_anew_goes_on_in_time():
    model, told = classifier(keras.optimizers.SGD(0.01)), feedback(LINE)
    seen = fit(model, told, epochs=1)
    model.compile(keras.optimizers.Adam(0.3), "sparse_categorical_crossentropy")
    seen += fit(model, told, initial_epoch=1, epochs=2)
    assert seen == pytest.approx(line(range(2 * STEPS)), rel=1e-6)


# Compiled trainings -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="the torch backend has no steps_per_execution")
def test_several_steps_an_execution_are_for_a_schedule_and_refused_by_the_callback():
    model = classifier(keras.optimizers.SGD(ExpressionSchedule(LINE, **HORIZON)), steps_per_execution=5)
    fit(model)
    sync(model)
    assert number(model.optimizer.learning_rate) == pytest.approx(line([29])[0], rel=1e-6)
    model = classifier(steps_per_execution=2)
    with pytest.raises(ScheduleError, match="compile the model with steps_per_execution=1, got 2"):
        fit(model, feedback())


@pytest.mark.parametrize("is_callback", [False, True])
def test_a_compiled_training_counts_steps_as_another_does(is_callback):
    if keras.backend.backend() == "torch":
        pytest.skip("torch.compile takes half a minute for it")
    horizon = {"total_steps": 15, "steps_per_epoch": 2}
    rate = 0.01 if is_callback else ExpressionSchedule(LINE, **horizon)
    for compiled in (False, True):
        optimizer = keras.optimizers.SGD(rate, gradient_accumulation_steps=2)
        model = classifier(optimizer, jit_compile=compiled)
        seen = fit(model, *([feedback(LINE, **horizon)] if is_callback else []))
        assert seen == pytest.approx(line(np.arange(30) // 2, of=15), rel=1e-6)
