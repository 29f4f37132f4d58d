"""Keras' trainings show gradients, updates and weights, as the reference computes them from the weights by hand."""

import json

import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ObservedOptimizer
from evolr.loop import Loop
from evolr.schedule import Schedule
from tests.frameworks.exported import exported
from tests.frameworks.keras_training import Stop, number, sync

BATCHES, BATCH, EPOCHS = 5, 16, 3
HORIZON = {"total_steps": BATCHES * EPOCHS, "steps_per_epoch": BATCHES}
MEASURED = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance", "alignment")
INPUTS = np.random.default_rng(0).standard_normal((BATCHES * BATCH, 6)).astype(np.float32)
TARGETS = INPUTS[:, :1] * 2 + np.sin(INPUTS[:, 1:2])

pytestmark = [
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


# Traces -------------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("make", [sgd, adam])
def test_a_signal_of_the_network_is_the_references(name, make):
    rule = schedule(f"0.01*({name} + 1.5)")
    recorder = fit(model_of(ObservedOptimizer(make(), rule.signals)), feedback(rule))
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


# What is the inner optimiser's ------------------------------------------------------------------------------------------


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


# Trainings that go on -----------------------------------------------------------------------------------------------


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


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        sgd,
        lambda: scaled(sgd()),
        lambda: ObservedOptimizer(sgd(), ("weight_norm",)),
    ],
)
def test_a_schedule_that_nobody_shows_the_gradient_is_refused(make):
    with pytest.raises(
        ScheduleError, match=r"reads grad_norm of the network: compile the model with ObservedOptimizer\("
    ):
        fit(model_of(make()), feedback(schedule("0.01/grad_norm")))


@pytest.mark.parametrize("make", [lambda: scaled(sgd()), lambda: ObservedOptimizer(sgd(), ())])
def test_an_optimiser_that_is_to_be_outside_is_refused_inside(make):
    with pytest.raises(ScheduleError, match=r"got a (LossScale|Observed)Optimizer inside an ObservedOptimizer"):
        ObservedOptimizer(make(), ("grad_norm",))


def test_another_backend_is_refused(monkeypatch):
    optimizer = sgd()
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ScheduleError, match="on Keras' torch and JAX backends; this process has tensorflow"):
        ObservedOptimizer(optimizer, ("grad_norm",))


# Scores -------------------------------------------------------------------------------------------------------------


def test_a_metric_that_is_named_is_the_score():
    rule = schedule("0.01*(1 + val_score)")
    model = model_of("sgd", metrics=["mae"])
    recorder = fit(model, feedback(rule, score="val_mae", val_score=3.0), validation_data=(INPUTS, TARGETS))
    logged = model.history.history["val_mae"]
    expected = 0.01 * (1 + np.repeat([3.0, *logged[:-1]], BATCHES))
    np.testing.assert_allclose(recorder.of_steps(), expected, rtol=1e-6)


def test_a_score_without_a_name_is_refused():
    with pytest.raises(ScheduleError, match='give score="val_accuracy"'):
        feedback(schedule("0.01*val_score"), val_score=0.1)


def test_a_score_that_nothing_logs_is_named_with_what_is_there():
    told = feedback(schedule("0.01*val_score"), score="val_accuracy", val_score=0.1)
    with pytest.raises(ScheduleError, match="reads val_accuracy of each validation, and fit logs val_loss, val_mae"):
        fit(model_of("sgd", metrics=["mae"]), told, validation_data=(INPUTS, TARGETS))


@pytest.mark.filterwarnings("error:Keras' momentum")
def test_keras_momentum_is_warned_of_where_its_updates_are_read():
    with pytest.warns(UserWarning, match="no direction that another learning rate could scale"):
        ObservedOptimizer(sgd(), ["update_norm"])
    ObservedOptimizer(sgd(), ["grad_norm"])
    ObservedOptimizer(adam(), ["update_norm"])
    with pytest.raises(ScheduleError, match="got the text 'grad_norm'"):
        ObservedOptimizer(adam(), "grad_norm")
    with pytest.raises(ScheduleError, match="a signal of your own, which Keras' callbacks have nobody to tell"):
        ExpressionCallback(schedule("0.1*@x"), total_steps=3)
