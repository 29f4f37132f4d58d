"""Others that set the learning rate beside the Keras callback: nothing that they do is undone in silence."""

import warnings

import keras
import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.keras import ExpressionCallback, ExpressionSchedule, ObservedOptimizer
from evolr.schedule import Schedule
from tests.contracts.traces import BATCH, EPOCHS, STEPS, samples
from tests.frameworks.keras_training import HORIZON, Rates, classifier, number, sync

LINE = Schedule(expression=parse("0.01*(1 - progress)"))
RATES = np.array([0.01 * (1 - step / (EPOCHS * STEPS)) for step in range(EPOCHS * STEPS)])

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras', of torch's
BOTH_ORDERS = pytest.mark.parametrize("comes_first", [True, False])


def ours(schedule=LINE):
    return ExpressionCallback(schedule, **HORIZON)


def fit(model, *callbacks, **settings):
    """Trains; gives the learning rate of each batch."""
    rates = Rates()
    settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0, "epochs": EPOCHS, **settings}
    model.fit(*samples(), callbacks=[*callbacks, rates], **settings)
    return rates.seen


def in_order(callback, other, comes_first):
    return [callback, other] if comes_first else [other, callback]


def plateau(factor=0.1):
    """Cuts the learning rate after each epoch but the first, since no loss is ever better by 10."""
    return keras.callbacks.ReduceLROnPlateau("loss", factor=factor, patience=1, min_delta=10.0)


@BOTH_ORDERS
def test_what_reduce_on_plateau_cuts_stays_cut(comes_first):
    seen = fit(classifier(), *in_order(ours(), plateau(0.5), comes_first))
    cuts = np.repeat(0.5 ** np.array([0, 0, 1, 2, 3, 4]), STEPS)
    assert seen == pytest.approx(RATES * cuts, rel=1e-5)


@BOTH_ORDERS
def test_the_history_has_the_learning_rate_that_was_used(comes_first):
    model, rates = classifier(), Rates()
    callbacks = [*in_order(ours(), plateau(0.5), comes_first), rates]
    history = model.fit(*samples(), batch_size=BATCH, epochs=3, verbose=0, callbacks=callbacks).history
    assert history["learning_rate"] == pytest.approx(rates.seen[STEPS - 1 :: STEPS], rel=1e-6)


@BOTH_ORDERS
def test_a_scheduler_that_multiplies_from_some_epoch_on_is_kept(comes_first):
    other = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate * 0.9)
    seen = fit(classifier(), *in_order(ours(), other, comes_first))
    assert seen == pytest.approx(RATES * np.repeat(0.9 ** np.array([0, 0, 1, 2, 3, 4]), STEPS), rel=1e-5)


@BOTH_ORDERS
def test_a_scheduler_that_says_the_learning_rate_itself_is_warned_of(comes_first):
    other = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.3)
    with pytest.warns(
        UserWarning, match="something else has set the learning rate to 0.3 before the first step"
    ) as got:
        seen = fit(classifier(), *in_order(ours(), other, comes_first), epochs=1)
    assert len([each for each in got if each.category is UserWarning]) == 1
    assert seen == pytest.approx(RATES[:STEPS], rel=1e-6)


def test_a_learning_rate_set_by_hand_between_two_fits_is_kept_as_a_factor():
    model, callback = classifier(), ours()
    fit(model, callback, epochs=1)
    model.optimizer.learning_rate = 0.1 * number(model.optimizer.learning_rate)
    assert fit(model, callback, epochs=1) == pytest.approx(0.1 * RATES[STEPS : 2 * STEPS], rel=1e-5)


def test_a_learning_rate_set_to_0_by_hand_is_kept_until_it_is_set_again():
    model, callback = classifier(), ours()
    fit(model, callback, epochs=1)
    before = number(model.optimizer.learning_rate)
    model.optimizer.learning_rate = 0.0
    assert fit(model, callback, epochs=1) == [0.0] * STEPS
    model.optimizer.learning_rate = before
    rates = fit(model, callback, epochs=1)
    assert min(rates) > 0
    assert rates == pytest.approx(before / RATES[2 * STEPS - 1] * RATES[2 * STEPS : 3 * STEPS], rel=1e-5)


def test_a_schedule_that_is_0_for_a_while_goes_on_afterwards():
    schedule = Schedule(expression=parse("where(step >= 5 and step < 10, 0, 0.01)"))
    seen = fit(classifier(), ours(schedule), plateau(0.5), epochs=4)
    expected = [0.01] * 5 + [0.0] * 5 + [0.01] * 5 + [0.005] * 5
    assert seen == pytest.approx(expected, rel=1e-6)


def test_what_others_have_made_of_it_is_in_the_state():
    model, callback = classifier(), ours()
    seen = fit(model, callback, plateau(0.5), epochs=4)
    again = ours()
    again.load_state_dict(callback.state_dict())
    assert seen[-1] == pytest.approx(0.25 * RATES[4 * STEPS - 1], rel=1e-5)
    model.optimizer.learning_rate = 0.7  # a new process sets it before each step in any case
    seen = fit(model, again, initial_epoch=4)
    # The cut at the end of the fourth epoch came after the last step: it is in the optimiser alone.
    assert seen == pytest.approx(0.25 * RATES[4 * STEPS :], rel=1e-5)


def test_the_first_number_of_the_optimiser_does_not_matter():
    for rate in (0.0, 1e-6, 30.0):
        assert fit(classifier(keras.optimizers.SGD(rate)), ours()) == pytest.approx(RATES, rel=1e-6)


@pytest.mark.parametrize("rate", [ExpressionSchedule(LINE, **HORIZON), lambda: 0.1])
def test_an_optimiser_with_a_schedule_of_its_own_is_refused(rate):
    with pytest.raises(ScheduleError, match="must be a number for that"):
        fit(classifier(keras.optimizers.SGD(rate)), ours())


# Several optimisers -------------------------------------------------------------------------------------------------


def several(first, second):
    keras.utils.clear_session()
    by_name = keras.optimizers.OptimizerMap(second, {".*kernel": first})
    return classifier(keras.optimizers.MultiOptimizer(by_name))


@BOTH_ORDERS
def test_several_optimisers_keep_their_ratio(comes_first):
    model = several(keras.optimizers.SGD(0.5, name="a"), keras.optimizers.Adam(0.05, name="b"))
    rates = Rates()
    callbacks = [*in_order(ours(), plateau(0.5), comes_first), rates]
    history = model.fit(*samples(), batch_size=BATCH, epochs=3, verbose=0, callbacks=callbacks).history
    expected = RATES[: 3 * STEPS] * np.repeat([1, 1, 0.5], STEPS)
    np.testing.assert_allclose(rates.seen, np.transpose([expected, 0.1 * expected]), rtol=1e-5)
    assert history["learning_rate_a"] == pytest.approx(expected[STEPS - 1 :: STEPS], rel=1e-5)
    assert history["learning_rate_b"] == pytest.approx(0.1 * expected[STEPS - 1 :: STEPS], rel=1e-5)


def test_several_optimisers_with_steps_of_as_many_batches_share_them():
    parts = (keras.optimizers.SGD(rate, gradient_accumulation_steps=2) for rate in (0.5, 0.5))
    callback = ExpressionCallback(LINE, total_steps=15, steps_per_epoch=2)
    seen = fit(several(*parts), callback)
    assert [rate for rate, _ in seen[::2]] == pytest.approx(RATES[::2], rel=1e-6)


def test_several_optimisers_with_steps_of_unlike_batches_are_refused():
    parts = (keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.5, gradient_accumulation_steps=2))
    with pytest.raises(ScheduleError, match="the same gradient_accumulation_steps, got 1, 2"):
        fit(several(*parts), ours())


class Epochs(keras.callbacks.Callback):
    """Calls a function at each epoch's end."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def on_epoch_end(self, epoch, logs=None):
        sync(self.model)
        self.act(self.model, epoch)


@pytest.mark.parametrize("is_observed", [False, True])
def test_weights_that_are_rolled_back_within_a_fit_take_time_back_and_leave_no_factor(is_observed, tmp_path):
    optimizer = keras.optimizers.SGD(0.5)
    falling = Schedule(expression=parse("0.1*(1 - progress)"))
    model = classifier(ObservedOptimizer(optimizer, ["grad_norm"]) if is_observed else optimizer)
    file = str(tmp_path / "w.weights.h5")

    def roll(model, epoch):
        if epoch == 0:
            model.save_weights(file)
        if epoch == 3:
            model.load_weights(file)

    (inputs, labels), rates = samples(), Rates()
    callbacks = [ExpressionCallback(falling, total_steps=6 * STEPS, steps_per_epoch=STEPS), Epochs(roll), rates]
    model.fit(inputs, labels, batch_size=BATCH, epochs=6, callbacks=callbacks, verbose=0)
    steps = [*range(4 * STEPS), *range(STEPS, 3 * STEPS)]  # as if the second epoch came again
    np.testing.assert_allclose(rates.seen, [0.1 * (1 - step / (6 * STEPS)) for step in steps], rtol=1e-5)


class Evaluation(keras.callbacks.Callback):
    """Evaluates the model after a batch, as who validates every few batches."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            sync(self.model)
            self.model.evaluate(*samples(1), verbose=0)


def test_an_evaluation_after_a_batch_leaves_the_loss_what_it_is():
    (inputs, labels), seen = samples(), []
    for others in ([], [Evaluation()]):
        keras.utils.set_random_seed(0)
        model, rates = classifier(keras.optimizers.SGD(0.1)), Rates()
        schedule = Schedule(expression=parse("0.1/(1 + loss)"))
        callback = ExpressionCallback(schedule, total_steps=STEPS, steps_per_epoch=STEPS, loss=3.0)
        model.fit(inputs, labels, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback, *others, rates])
        seen.append(rates.seen)
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5)


def test_an_evaluation_before_the_callback_is_refused():
    schedule = Schedule(expression=parse("0.1/(1 + loss)"))
    callback = ExpressionCallback(schedule, total_steps=STEPS, steps_per_epoch=STEPS, loss=3.0)
    with pytest.raises(ScheduleError, match="put ExpressionCallback first"):
        classifier(keras.optimizers.SGD(0.1)).fit(
            *samples(), batch_size=BATCH, verbose=0, callbacks=[Evaluation(), callback]
        )


def test_two_callbacks_in_one_fit_are_refused():
    with pytest.raises(ScheduleError, match="two ExpressionCallbacks set the learning rate of one optimiser"):
        fit(classifier(), ours(), ours())


def test_a_new_callback_may_follow_one_whose_fit_was_broken_off():
    class Breaks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = classifier()
    with pytest.raises(KeyboardInterrupt):
        fit(model, ours(), Breaks())
    model.optimizer.iterations.assign(0)
    assert fit(model, ours()) == pytest.approx(RATES, rel=1e-5)


def test_an_optimiser_that_takes_another_s_place_within_a_fit_goes_on_in_time():
    def replace(model, epoch):
        if epoch == 1:
            other = keras.optimizers.SGD(0.5)
            other.build(model.trainable_variables)
            model.optimizer = other

    model = classifier()
    change = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: replace(model, epoch))
    assert fit(model, ours(), change) == pytest.approx(RATES, rel=1e-5)


def test_a_roll_back_by_an_epoch_at_its_end_is_no_epoch_without_a_step():
    kept = {}

    def back(model, epoch):
        sync(model)
        if epoch == 0:
            kept["state"] = [np.array(keras.ops.convert_to_numpy(v)) for v in model.optimizer.variables]
        if epoch == 1:
            for variable, before in zip(model.optimizer.variables, kept["state"], strict=True):
                variable.assign(before)

    model = classifier()
    change = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: back(model, epoch))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*took no step in a whole epoch")
        used = fit(model, ours(), change)
    once = len(RATES) // EPOCHS
    expected = [*RATES[: 2 * once], *RATES[once : once * (EPOCHS - 1)]]
    assert used == pytest.approx(expected, rel=1e-5)
