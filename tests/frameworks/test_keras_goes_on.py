"""Keras' trainings whose schedule reads the network go on from a saved model, a backup or a state."""

import json

import keras
import numpy as np
import pytest

from evolr.keras import ObservedOptimizer
from tests.frameworks.exported import exported
from tests.frameworks.keras_network import (
    ALL,
    BATCHES,
    EPOCHS,
    HORIZON,
    INPUTS,
    TARGETS,
    WARNINGS,
    adam,
    check,
    feedback,
    fit,
    model_of,
    scaled,
    schedule,
    sgd,
)
from tests.frameworks.keras_training import Stop

pytestmark = WARNINGS


@pytest.fixture(autouse=True)
def _what_is_loaded_is_evolrs():
    """An exported file registers its optimiser under evolr's name, so that either loads; the latest one of a process does."""
    keras.saving.register_keras_serializable("evolr")(ObservedOptimizer)


@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("make", [sgd, lambda: adam(gradient_accumulation_steps=2)])
def test_a_loaded_model_goes_on_as_if_it_had_not_ended(make, is_scaled, tmp_path):
    optimizer = ObservedOptimizer(make(), ALL.signals)
    accumulation = optimizer.inner_optimizer.gradient_accumulation_steps or 1
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    model = model_of(scaled(optimizer) if is_scaled else optimizer)
    whole = fit(model, feedback(ALL, accumulation), checkpoint)
    for epoch in range(1, EPOCHS):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        again = fit(loaded, feedback(ALL, accumulation), initial_epoch=epoch)
        np.testing.assert_allclose(again.rates, whole.rates[epoch * BATCHES :], rtol=1e-5)


def test_a_schedule_that_reads_losses_alone_goes_on_from_what_was_saved_too(tmp_path):
    rule = schedule("0.01*(loss_ema + val_loss)")
    losses = {"loss": 3.0, "val_loss": 2.0}

    def go(model, **settings):
        checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
        return fit(model, feedback(rule, **losses), checkpoint, validation_data=(INPUTS, TARGETS), **settings).rates

    whole = go(model_of(ObservedOptimizer(sgd(), rule.signals)))
    for epoch in range(1, EPOCHS):
        again = go(keras.models.load_model(tmp_path / f"{epoch}.keras"), initial_epoch=epoch)
        np.testing.assert_allclose(again, whole[epoch * BATCHES :], rtol=1e-5)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_training_that_keras_backs_up_goes_on_as_if_it_had_not_ended(is_new, tmp_path):
    whole = fit(model_of(ObservedOptimizer(sgd(), ALL.signals)), feedback(ALL))
    model, told = model_of(ObservedOptimizer(sgd(), ALL.signals)), feedback(ALL)
    backup = [keras.callbacks.BackupAndRestore(tmp_path / "backup") for _ in range(2)]
    with pytest.raises(InterruptedError):
        fit(model, told, backup[0], Stop(BATCHES + 3))
    if is_new:
        model, told = model_of(ObservedOptimizer(sgd(), ALL.signals)), feedback(ALL)
    again = fit(model, told, backup[1])
    np.testing.assert_allclose(again.rates, whole.rates[BATCHES:], rtol=1e-5)


def test_the_state_that_is_kept_by_hand_goes_before_what_was_saved_with_the_model(tmp_path):
    model, told = model_of(ObservedOptimizer(sgd(), ALL.signals)), feedback(ALL)
    fit(model, told, epochs=1)
    model.save(tmp_path / "model.keras")
    state = json.loads(json.dumps(told.state_dict()))
    again = feedback(ALL)
    again.load_state_dict({**state, "learning_rate": 0.125})
    rates = fit(keras.models.load_model(tmp_path / "model.keras"), again, initial_epoch=1).rates
    assert rates[0] == [0.125]


def test_a_model_that_is_loaded_to_be_trained_anew_begins_anew(tmp_path):
    model = model_of(ObservedOptimizer(sgd(), ALL.signals))
    fit(model, feedback(ALL))
    model.save(tmp_path / "model.keras")
    check(ALL, fit(keras.models.load_model(tmp_path / "model.keras"), feedback(ALL)))


def test_without_what_was_saved_a_training_goes_on_by_its_first_gradient():
    rule = schedule("0.01*(distance + weight_norm)/grad_norm_rss*update_norm/grad_norm_ema")
    recorder = fit(model_of(ObservedOptimizer(sgd(), rule.signals)), feedback(rule), initial_epoch=1)
    assert min(rates[0] for rates in recorder.rates) > 0


def test_the_memory_of_another_schedule_is_warned_of(tmp_path):
    model = model_of(ObservedOptimizer(sgd(), ALL.signals))
    fit(model, feedback(ALL), epochs=1)
    model.save(tmp_path / "model.keras")
    rule = schedule("0.01/grad_norm*(1 + lr)")
    with pytest.warns(UserWarning, match="saved with the memory of another schedule, .* lacks before.grad_norm, "):
        fit(keras.models.load_model(tmp_path / "model.keras"), feedback(rule), initial_epoch=1)


def test_a_model_is_saved_with_the_optimiser_of_an_exported_file_and_loads_with_evolrs(tmp_path):
    module = exported(ALL, "keras", tmp_path)
    model = model_of(module.observed_optimizer(sgd()))
    whole = fit(model, module.callback(**HORIZON), keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"))
    keras.saving.register_keras_serializable("evolr")(ObservedOptimizer)
    loaded = keras.models.load_model(tmp_path / "1.keras")
    assert type(loaded.optimizer) is ObservedOptimizer
    np.testing.assert_allclose(fit(loaded, feedback(ALL), initial_epoch=1).rates, whole.rates[BATCHES:], rtol=1e-5)


def test_what_was_saved_of_other_signals_is_refused():
    one, other = (ObservedOptimizer(sgd(), (name,)) for name in ("distance", "weight_norm"))
    variables = model_of("sgd").trainable_variables
    one.build(variables)
    other.build(variables)
    store = {}
    one.save_own_variables(store)
    with pytest.raises(ValueError, match="has 8 variables, this ObservedOptimizer 4: build it, with the same signals"):
        other.load_own_variables(store)
