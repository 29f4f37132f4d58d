"""What a schedule that reads the network or a score needs in Keras, and what is refused."""

import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.keras import ExpressionCallback, ObservedOptimizer
from tests.frameworks.keras_network import (
    BATCHES,
    INPUTS,
    TARGETS,
    WARNINGS,
    adam,
    feedback,
    fit,
    model_of,
    scaled,
    schedule,
    sgd,
)

pytestmark = WARNINGS


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
