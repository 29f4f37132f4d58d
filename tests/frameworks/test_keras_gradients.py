"""Keras' trainings show gradients, updates and weights, as the reference computes them from the weights by hand."""

import keras
import numpy as np
import pytest

from evolr.keras import ExpressionCallback, ObservedOptimizer
from tests.frameworks.exported import exported
from tests.frameworks.keras_network import (
    ALL,
    BATCH,
    BATCHES,
    HORIZON,
    INPUTS,
    MAKERS,
    TARGETS,
    WARNINGS,
    adam,
    check,
    feedback,
    fit,
    gradient,
    model_of,
    reference,
    scaled,
    schedule,
    sgd,
)
from tests.frameworks.keras_training import number

pytestmark = WARNINGS


MEASURED = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance", "alignment")


@pytest.mark.parametrize("name", MEASURED)
def test_a_signal_of_the_network_is_the_references(name):
    rule = schedule(f"0.01*({name} + 1.5)")
    recorder = fit(model_of(ObservedOptimizer(sgd(), rule.signals)), feedback(rule))
    check(rule, recorder)


@pytest.mark.parametrize("name", MAKERS)
def test_all_of_them_are_the_references_with_any_optimiser(name):
    make, accumulation = MAKERS[name]
    recorder = fit(model_of(ObservedOptimizer(make(), ALL.signals)), feedback(ALL, accumulation))
    check(ALL, recorder, accumulation)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_gradients_are_seen_unscaled_under_a_loss_scale(accumulation):
    inner = adam(gradient_accumulation_steps=None if accumulation == 1 else accumulation)
    recorder = fit(model_of(scaled(ObservedOptimizer(inner, ALL.signals))), feedback(ALL, accumulation))
    check(ALL, recorder, accumulation)


@pytest.mark.parametrize("name", ["sgd", "steps of 2 batches"])
@pytest.mark.parametrize("text", ["0.05/grad_norm_rss", "0.1*(distance + 1e-3)*(2 + alignment)/update_norm"])
def test_the_exported_file_does_the_same(name, text, tmp_path):
    make, accumulation = MAKERS[name]
    rule = schedule(text)
    module = exported(rule, "keras", tmp_path)
    horizon = {each: count // accumulation for each, count in HORIZON.items()}
    recorder = fit(model_of(module.observed_optimizer(make())), module.callback(**horizon))
    check(rule, recorder, accumulation)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_compiled_step_sees_the_same(is_compiled):
    if is_compiled and keras.backend.backend() == "torch":
        pytest.skip("torch.compile takes half a minute for it")
    model = model_of(ObservedOptimizer(sgd(), ALL.signals), jit_compile=is_compiled, run_eagerly=not is_compiled)
    check(ALL, fit(model, feedback(ALL)))


def test_the_first_gradient_sets_the_first_learning_rate():
    rule = schedule("0.01/grad_norm")
    recorder = fit(model_of(ObservedOptimizer(sgd(), rule.signals)), feedback(rule))
    expected = 0.01 / np.linalg.norm(gradient(recorder.weights[0], INPUTS[:BATCH], TARGETS[:BATCH]))
    assert recorder.rates[0] == pytest.approx([expected], rel=1e-5)
    assert recorder.rates[1] == pytest.approx([expected], rel=1e-5)  # the batch before is the first one


def test_a_step_with_a_learning_rate_of_0_shows_no_update():
    rule = schedule("where(step > 3 and step < 7, 0, 0.01*(1 + alignment)*update_norm)")
    recorder = fit(model_of(ObservedOptimizer(sgd(), rule.signals)), feedback(rule))
    check(rule, recorder)
    assert recorder.of_steps()[4:7] == [0.0] * 3


@pytest.mark.parametrize("name", MAKERS)
def test_the_steps_are_the_inner_optimisers_bit_for_bit(name):
    make, _ = MAKERS[name]
    rule = schedule("distance*alignment*grad_norm*weight_norm*update_norm")
    plain, observed = (fit(model_of(optimizer)) for optimizer in (make(), ObservedOptimizer(make(), rule.signals)))
    for one, other in zip(plain.weights, observed.weights, strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))


def test_nothing_is_kept_that_the_schedule_does_not_read():
    optimizer = ObservedOptimizer(sgd(), ("progress", "loss", "grad_norm_ema"))
    model = model_of(optimizer)
    fit(model, epochs=1)
    assert optimizer.shown == ("grad_norm",)
    assert (
        sum(np.size(v) for v in optimizer.variables) - sum(np.size(v) for v in optimizer.inner_optimizer.variables) < 6
    )


def test_a_model_that_is_built_by_its_first_batch_has_begun_by_then():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    model.compile(ObservedOptimizer(sgd(), ALL.signals), "mse")
    check(ALL, fit(model, feedback(ALL)))


def test_weights_that_do_not_train_are_none_of_the_schedules():
    rule = schedule("0.01*(weight_norm + distance)/grad_norm")
    model = model_of(sgd())
    model.layers[0].trainable = False
    model.compile(ObservedOptimizer(sgd(), rule.signals), "mse")
    recorder = fit(model, feedback(rule))
    kernels = [np.concatenate([w[2].ravel(), w[3].ravel()]) for w in recorder.weights]
    places = [slice(b * BATCH, (b + 1) * BATCH) for b in recorder.batches]
    weights = zip(recorder.weights, places, strict=True)
    slopes = [np.linalg.norm(gradient(w, INPUTS[p], TARGETS[p])[-9:]) for w, p in weights]
    expected = [
        0.01 * (np.linalg.norm(kernels[step]) + np.linalg.norm(kernels[step] - kernels[0])) / slopes[step - 1]
        for step in (1, 2, 3)
    ]
    np.testing.assert_allclose(recorder.of_steps()[1:4], expected, rtol=1e-4)


def test_a_step_that_loss_scaling_skips_shows_nothing():
    rule = schedule("1e-4*grad_norm + 1e-6*step")
    inner = ObservedOptimizer(keras.optimizers.SGD(1e-3), rule.signals)
    model = model_of(keras.optimizers.LossScaleOptimizer(inner, initial_scale=3e38))
    told = ExpressionCallback(rule, total_steps=30)
    fit(model, told, epochs=6)
    steps = number(inner.iterations)
    assert 0 < steps < 30
    assert told.loop.position == steps


def test_what_reduce_on_plateau_cuts_stays_cut():
    rule = schedule("0.01/grad_norm_rss")
    cut = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e3)
    told = feedback(rule)
    recorder = fit(model_of(ObservedOptimizer(adam(), rule.signals)), told, cut)
    expected = np.array(reference(rule, recorder.told(), recorder.weights[0]))
    np.testing.assert_allclose(recorder.of_steps(), expected * np.repeat([1, 1, 0.5], BATCHES), rtol=1e-4)
