"""What is kept of a user's training: its curves by parts of the training, and its steps where they are asked for."""

import math

import pytest

from evolr.execution.recording import PLACES, Calls


def recorded(calls, epochs, *, keep_steps=False):
    """calls: (progress, rate, signals) of each."""
    kept = Calls(keep_steps=keep_steps)
    for progress, rate, signals in calls:
        kept.add(rate, signals, progress)
    return kept.recording(epochs)


def test_a_part_of_a_training_has_the_means_of_its_rates_and_losses():
    calls = [(step / 80, float(step), {"loss": 2.0 * step}) for step in range(80)]
    found = recorded(calls, 40)
    assert found.learning_rate == [2 * place + 0.5 for place in range(40)]
    assert found.train_loss == [4 * place + 1 for place in range(40)]
    assert found.rates is None


def test_few_epochs_have_several_parts_each():
    calls = [(step / 64, 0.1, {}) for step in range(64)]
    assert [len(recorded(calls, epochs).learning_rate) for epochs in (1, 3, 31, 32, 33)] == [32, 33, 62, 32, 33]


def test_a_validation_is_of_the_epoch_before_it_is_told_and_the_last_one_is_unknown():
    calls = [(epoch / 40, 0.1, {"val_loss": 100.0 + epoch, "val_score": epoch / 40}) for epoch in range(40)]
    found = recorded(calls, 40)
    assert found.val_loss[:39] == [101.0 + epoch for epoch in range(39)]
    assert found.val_score[0] == 1 / 40
    assert math.isnan(found.val_loss[-1])
    assert math.isnan(found.val_score[-1])


def test_an_answer_holds_until_the_next():
    found = recorded([(0.0, 0.2, {"loss": 3.0}), (0.5, 0.1, {"loss": 1.0})], 2)
    assert found.learning_rate == [0.2] * 16 + [0.1] * 16
    assert found.train_loss == [3.0] * 16 + [1.0] * 16


def test_calls_without_a_clock_are_placed_by_their_number_and_so_are_those_of_a_clock_that_goes_back():
    rates = [float(number) for number in range(64)]
    expected = [2 * place + 0.5 for place in range(32)]
    assert recorded([(None, rate, {}) for rate in rates], 1).learning_rate == expected
    clock = [(number % 8) / 8 for number in range(64)]
    assert recorded([(at, rate, {}) for at, rate in zip(clock, rates, strict=True)], 1).learning_rate == expected


@pytest.mark.parametrize("scale", [100.0, -1.0, math.nan])
def test_calls_whose_clock_is_beyond_a_training_are_placed_by_their_number(scale):
    calls = [(scale * number / 64, float(number), {}) for number in range(64)]
    found = recorded(calls, 1, keep_steps=True)
    assert found.learning_rate == [2 * place + 0.5 for place in range(32)]
    assert (found.rates[0], found.rates[64], found.rates[-1]) == (0.0, 32.0, 63.0)


def test_losses_whose_sum_no_float_holds_have_a_mean():
    found = recorded([(0.0, 0.1, {"loss": 1.5e308}), (0.001, 0.1, {"loss": 1.7e308})], 1)
    assert found.train_loss[0] == pytest.approx(1.6e308)


def test_what_is_not_told_is_unknown_and_so_is_everything_of_a_training_that_never_asks():
    found = recorded([(None, 0.1, {})], 1)
    assert all(map(math.isnan, [*found.train_loss, *found.val_loss]))
    nothing = recorded([], 4, keep_steps=True)
    assert all(map(math.isnan, nothing.learning_rate))
    assert nothing.rates is None


def test_a_loss_that_is_not_finite_makes_its_part_unknown():
    calls = [(0.0, 0.1, {"loss": 1.0}), (0.01, 0.1, {"loss": math.inf}), (0.5, 0.1, {"loss": 2.0})]
    found = recorded(calls, 1)
    assert math.isnan(found.train_loss[0])
    assert found.train_loss[16] == 2.0


def test_steps_are_kept_at_so_many_places_where_they_are_asked_for():
    calls = [(step / 1000, step / 1000, {"loss": 1 - step / 1000, "own": 7.0}) for step in range(1000)]
    found = recorded(calls, 10, keep_steps=True)
    assert len(found.rates) == PLACES
    assert found.rates == pytest.approx([place / PLACES for place in range(PLACES)], abs=1e-3)
    assert list(found.signals) == ["loss", "own"]
    assert found.signals["own"] == [7.0] * PLACES


def test_of_very_many_calls_some_are_kept_and_the_curves_are_nearly_the_same():
    steps = 200_000
    found = recorded(((step / steps, step / steps, {}) for step in range(steps)), 32)
    assert found.learning_rate == pytest.approx([(place + 0.5) / 32 for place in range(32)], abs=1e-4)
