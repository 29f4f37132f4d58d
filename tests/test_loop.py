import math
import warnings

import numpy as np
import pytest

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import Loop, follow, open_loop_rates
from evolr.schedule import Schedule
from tests.contracts.traces import FEEDBACK, STEPS, Trained, reference


def schedule(text, **settings):
    return Schedule(expression=parse(text), **{"min_lr": 0.0, "max_lr": 1e9, **settings})


def test_the_losses_of_a_recorded_training_give_the_learning_rates_of_the_reference():
    rng = np.random.default_rng(1)
    trained = Trained(2.0, [], rng.uniform(0.5, 2, 6 * STEPS).tolist(), rng.uniform(0.5, 2, 6).tolist())
    losses = [trained.losses[0], *trained.losses[:-1]]  # what is known before each step
    expected = reference(FEEDBACK, trained)
    loop = Loop(FEEDBACK, total_steps=6 * STEPS, steps_per_epoch=STEPS, loss=losses[0], val_loss=2.0)
    rates = [loop.learning_rate]
    for step, loss in enumerate(trained.losses[:-1], start=1):
        loop.step(loss=loss)
        if step % STEPS == 0:
            loop.observe(val_loss=trained.val_losses[step // STEPS - 1])
        rates.append(loop.learning_rate)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    followed = follow(FEEDBACK, trained.losses, [2.0, *trained.val_losses], steps_per_epoch=STEPS)
    np.testing.assert_allclose(followed, expected, rtol=1e-12)


def test_a_validation_loss_may_come_with_the_step_before_or_after_it():
    told = {}
    for way in ("with", "after"):
        loop = Loop(schedule("val_loss + 10*stale_epochs"), total_steps=12, steps_per_epoch=2, val_loss=9.0)
        rates = [loop.learning_rate]
        for step in range(1, 12):
            ends = step % 2 == 0
            loss = {2: 5.0, 4: 6.0, 6: 7.0, 8: 4.0, 10: 4.0}.get(step)
            loop.step(val_loss=loss if way == "with" else None)
            if ends and way == "after":
                loop.observe(val_loss=loss)
            rates.append(loop.learning_rate)
        told[way] = rates
    assert told["with"] == told["after"] == [9, 9, 5, 5, 16, 16, 27, 27, 4, 4, 14, 14]


def test_epochs_without_a_validation_count_as_stale():
    loop = Loop(schedule("stale_epochs"), total_steps=9, steps_per_epoch=1)
    stale = []
    for step in range(1, 9):
        loop.step(val_loss=1.0 if step in (1, 2, 5, 7) else None)
        stale.append(loop.learning_rate)
    assert stale == [0, 1, 1, 1, 4, 4, 6, 6]


def test_validations_in_the_middle_of_an_epoch_do_not_count():
    loop = Loop(schedule("stale_epochs"), total_steps=40, steps_per_epoch=10)
    stale = []
    for step in range(1, 40):
        loop.step(val_loss={5: 1.0, 10: 1.5, 15: 0.1, 20: 1.6, 25: 0.2, 30: 1.4}.get(step))
        stale.append(loop.learning_rate)
    assert stale == [0] * 19 + [1] * 10 + [0] * 10


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert open_loop_rates(schedule("0.5"), np.int64(3), np.int32(1)) == [0.5] * 3


def test_a_loss_that_is_told_again_takes_the_place_of_the_one_before():
    loop = Loop(schedule("loss_ema"), total_steps=9, loss=1.0)
    loop.step(loss=3.0)
    loop.observe(loss=2.0)
    assert loop.learning_rate == pytest.approx(0.95 + 0.05 * 2)


def test_a_loss_that_is_not_finite_is_left_out_of_the_moving_average_and_gives_the_least_learning_rate():
    loop = Loop(schedule("loss_ema"), total_steps=9, loss=1.0)
    assert loop.step(loss=math.inf) == 1.0
    loop = Loop(schedule("loss", min_lr=1e-3), total_steps=9, loss=1.0)
    assert loop.step(loss=math.nan) == 1e-3
    assert loop.step(loss=0.5) == 0.5


def test_a_loop_goes_on_from_its_state_at_every_step():
    losses = np.random.default_rng(2).uniform(0.5, 2, 12).tolist()

    def run(loop, since):
        told = ({"loss": losses[k], "val_loss": losses[k] if k % 3 == 2 else None} for k in range(since, 12))
        return [loop.step(**each) for each in told]

    def new():
        return Loop(FEEDBACK, total_steps=12, steps_per_epoch=3, loss=1.0, val_loss=1.0)

    whole = run(new(), 0)
    for step in range(12):
        first = new()
        for k in range(step):
            first.step(loss=losses[k], val_loss=losses[k] if k % 3 == 2 else None)
        second = new()
        second.load_state_dict(first.state_dict())
        assert run(second, step) == whole[step:]
    with pytest.raises(ScheduleError, match=r"not the state of this loop: it lacks before\.loss, "):
        new().load_state_dict({})


def test_the_rates_of_an_open_loop_rule_are_its_curve():
    one = schedule("0.1*(1 - progress) + 0.01*epoch + 0.001*epoch_progress + step")
    assert open_loop_rates(one, 12, 4) == pytest.approx(one.curve(3, 4))
    assert len(open_loop_rates(one, 10, 4)) == 10
    assert open_loop_rates(schedule("0.5"), 3) == [0.5] * 3


def test_a_record_that_is_too_short_is_refused():
    for losses, val_losses in (([], []), ([1.0] * 6, [1.0]), ([1.0] * 5, [1.0, 1.0])):
        with pytest.raises(ScheduleError, match="a recorded training has the loss of each step"):
            follow(schedule("val_loss"), losses, val_losses, steps_per_epoch=2)


def test_a_schedule_is_drawn_over_a_horizon_or_a_record():
    figure = schedule("0.1*(1 - progress)").plot(40)
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), 0.1 * (1 - np.arange(40) / 40))
    assert figure.axes[0].get_xlabel() == "step"
    figure = schedule("0.1/loss").plot(losses=[2.0, 1.0, 0.5, 0.25], steps_per_epoch=2)
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_ydata(), [0.05, 0.05, 0.1, 0.2])
    assert figure.axes[0].get_xlabel() == "epoch"
    with pytest.raises(ScheduleError, match="reads loss: its curve is drawn over a recorded training"):
        schedule("loss").plot(40)
    with pytest.raises(ScheduleError, match="a curve has a horizon: give total_steps="):
        schedule("progress").plot()
    with pytest.raises(ScheduleError, match="a horizon may have 9,007,199,254,740,992 steps at most"):
        schedule("progress").plot(10**16)
    with pytest.raises(ScheduleError, match="total_steps is 1000, the losses are of 3 steps"):
        schedule("loss").plot(1000, losses=[1.0] * 3)


@pytest.mark.parametrize(
    ("text", "settings", "note"),
    [
        (
            "0.1/(1 + grad_norm)",
            {"total_steps": 40},
            "assuming losses that fall from 2.3 to 0.5, and a made-up grad_norm",
        ),
        ("loss/(1 + grad_norm)", {"losses": [1.0] * 40}, "over the losses, and a made-up grad_norm"),
        ("val_loss + @heat", {"losses": [1.0] * 40, "val_losses": [2.0] * 4}, "over the losses, and a made-up heat"),
        ("0.01 + 0.9*lr", {"total_steps": 40}, ""),
    ],
)
def test_a_schedule_that_reads_what_no_record_knows_is_drawn_over_what_is_made_up_and_says_so(text, settings, note):
    figure = schedule(text).plot(steps_per_epoch=10, **settings)
    title, *said = figure.axes[0].get_title().split("\n")
    assert title.startswith("learning rate: ")
    assert said == ([note] if note else [])
    rates = figure.axes[0].get_lines()[0].get_ydata()
    assert len(rates) == 40
    assert len(set(rates)) > 10
    assert min(rates) > 0


def test_what_the_record_itself_lacks_is_still_refused():
    with pytest.raises(ScheduleError, match="reads grad_norm, loss: its curve is drawn over a recorded training"):
        schedule("loss/grad_norm").plot(40)
    with pytest.raises(ScheduleError, match="4 validation losses, the first of the untrained network; got 40 and 2"):
        schedule("val_loss/grad_norm").plot(losses=[1.0] * 40, val_losses=[1.0] * 2, steps_per_epoch=10)
    with pytest.raises(ScheduleError, match="a curve has a horizon: give total_steps="):
        schedule("0.1/grad_norm").plot()


@pytest.mark.parametrize("way", ["with the step", "after it", "before it"])
@pytest.mark.parametrize("interval", [1, 10])
@pytest.mark.parametrize("total_steps", [5, 10, 15, 20, 21, 29, 30, 35, 40])
def test_whoever_validates_after_each_epoch_is_never_told_that_none_came(total_steps, interval, way):
    loop = Loop(schedule("0.1/(1 + val_loss)"), total_steps=total_steps, steps_per_epoch=10, val_loss=1.0)
    ended = 0
    for step in range(interval, total_steps + 1, interval):
        ended += interval
        is_told = ended % 10 == 0
        if is_told and way == "before it":
            loop.observe(val_loss=0.9)
        loop.move_to(step)
        if is_told and way != "before it":
            loop.observe(val_loss=0.9)


@pytest.mark.parametrize(
    ("total_steps", "steps_per_epoch", "late"), [(20, 10, 10), (40, 10, 20), (15, 10, 10), (9, 1, 4)]
)
def test_a_validation_loss_that_nobody_tells_is_missed_once(total_steps, steps_per_epoch, late):
    loop = Loop(schedule("0.1/(1 + val_loss)"), total_steps=total_steps, steps_per_epoch=steps_per_epoch, val_loss=1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(late):
            loop.step()
        assert not caught
        for _ in range(total_steps - late):
            loop.step()
    assert [str(w.message).partition(":")[0] for w in caught] == [
        "the schedule reads the validation loss, and half of the training has told none"
    ]


def test_a_training_that_goes_on_late_has_missed_no_validation():
    loop = Loop(schedule("0.1/(1 + val_loss)"), total_steps=40, steps_per_epoch=10, val_loss=1.0)
    loop.move_to(30)
    loop.observe(val_loss=0.5)
    assert loop.learning_rate == pytest.approx(0.1 / 1.5)


def test_an_equal_negative_loss_is_stale():
    losses = [-1.0, -1.0, -1.0, -0.5, -1.5, -1.5]
    rates = follow(schedule("stale_epochs"), [1.0] * 7, [0.0, *losses], steps_per_epoch=1)
    assert rates == [0, 0, 1, 2, 3, 0, 1]


def test_a_state_without_plateaus_is_gone_on_with():
    loop = Loop(schedule("stale_epochs"), total_steps=9, steps_per_epoch=1)
    state = {"position": 0, "steps_moved": 1, "lr": 0.0, "lr_before": 0.0, "was_told_loss": True, "loss": math.nan}
    state |= {"loss_ema": math.nan, "loss_ema_before": math.nan, "val_loss": math.nan, "validated_epoch": 0}
    state |= {"validations": 0, "best_val_loss": math.inf, "stale_epochs": 0}
    loop.load_state_dict(state)
    assert loop.step(val_loss=1.0) == 0
    assert loop.step(val_loss=1.0) == 1
