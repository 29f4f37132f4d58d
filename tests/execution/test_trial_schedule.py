import math
import pickle
import warnings

import numpy as np
import pytest
import torch

from evolr.errors import ScheduleError
from evolr.execution.trial_schedule import TrialSchedule
from evolr.expression import parse
from evolr.keras import ExpressionCallback
from evolr.loop import Loop, open_loop_rates
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR


def trial(formula):
    return TrialSchedule(Schedule(expression=parse(formula)), epochs=8)


def test_it_says_the_learning_rate_as_a_float():
    schedule = trial("0.1 - 0.01*epoch + 0*loss")
    assert schedule(epoch=3, loss=1.0, val_loss=2.0) == schedule.at(epoch=3, loss=1.0) == pytest.approx(0.07)
    assert type(schedule(epoch=3, loss=1.0)) is float
    assert schedule.signals == {"epoch", "loss"}


def test_progress_is_the_epoch_by_the_epochs_where_it_is_not_given():
    schedule = trial("0.1*progress")
    assert schedule(epoch=2) == pytest.approx(0.1 * 2 / 8)
    assert schedule(epoch=2, progress=0.5) == pytest.approx(0.05)


def test_scalars_of_numpy_and_torch_are_numbers():
    schedule = trial("0.1*loss")
    given = torch.tensor(0.5, requires_grad=True)
    for loss in (0.5, np.float32(0.5), np.array(0.5), given, given * 1):
        assert schedule(epoch=0, loss=loss) == pytest.approx(0.05)


def test_a_loss_that_is_not_finite_gives_the_least_learning_rate():
    assert trial("0.1*loss")(loss=math.nan) == 0.0


def test_a_signal_that_is_missing_is_named_with_what_was_given():
    with pytest.raises(ScheduleError, match="reads val_loss; the signals given are: epoch, loss"):
        trial("0.1*val_loss")(epoch=0, loss=1.0)
    with pytest.raises(ScheduleError, match="reads progress; the signals given are: none"):
        trial("0.1*progress")()


def test_a_signal_of_the_study_has_to_be_given_whatever_the_formula_reads():
    schedule = TrialSchedule(Schedule(expression=parse("0.1")), 8, frozenset({"progress", "val_loss"}))
    assert schedule(epoch=0, val_loss=1.0) == pytest.approx(0.1)
    with pytest.raises(ScheduleError, match="the study reads val_loss; the signals given are: epoch"):
        schedule(epoch=0)
    with pytest.raises(ScheduleError, match="the signal 'val_loss' must be a number, got None"):
        schedule(epoch=0, val_loss=None)


def test_a_signal_that_is_no_number_is_refused():
    for value in (None, "much", 10**5000, [1.0, 2.0], torch.ones(2)):
        with pytest.raises(ScheduleError, match="the signal 'loss' must be a number"):
            trial("0.1*loss")(loss=value)


def test_it_travels():
    schedule = trial("0.1*loss")
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301


STUDY = ("progress", "epoch", "loss", "loss_ema", "val_loss", "stale_epochs", "lr")


def of_study(formula):
    return TrialSchedule(Schedule(expression=parse(formula)), 8, frozenset(STUDY))


def adapters(schedule, **first):
    """What a training function may make of its schedule."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    horizon = {"total_steps": 40, "steps_per_epoch": 5}
    return (
        Loop(schedule, **horizon, **first),
        ExpressionLR(optimizer, schedule, **horizon, **first),
        ExpressionCallback(schedule, **horizon, **first),
    )


def test_a_formula_that_does_not_read_every_signal_of_the_study_still_serves_a_loop_and_the_frameworks():
    assert of_study("0.1*(1 - progress)").at(progress=0.5) == pytest.approx(0.05)
    assert open_loop_rates(of_study("0.1*(1 - progress)"), 4) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    loop, scheduler, callback = adapters(of_study("0.1*(1 - progress)"))
    for each in (loop, callback.loop):
        assert each.learning_rate == pytest.approx(0.1)
        assert each.step() == pytest.approx(0.1 * 39 / 40)
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.1 * 39 / 40])


def test_a_signal_that_the_formula_reads_is_missed_by_each():
    with pytest.raises(ScheduleError, match="the formula reads loss; the signals given are: epoch"):
        of_study("0.1*loss").at(epoch=1)
    with pytest.raises(ScheduleError, match="the schedule reads the training loss: give loss="):
        adapters(of_study("0.1*loss"))


def test_a_loss_that_other_formulas_of_the_study_read_is_missed_by_the_middle_of_the_training():
    loop = Loop(of_study("0.1*(1 - progress)"), total_steps=40, steps_per_epoch=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(40):
            loop.step()
    assert [str(w.message).partition(",")[0] for w in caught] == [
        f"other schedules of this study read the {name} loss" for name in ("training", "validation")
    ]


def test_who_tells_the_losses_that_the_study_reads_is_not_warned():
    loop = Loop(of_study("0.1*(1 - progress)"), total_steps=40, steps_per_epoch=5)
    for step in range(1, 41):
        loop.step(loss=math.nan, val_loss=1.0 if step % 5 == 0 else None)
    loop = Loop(trial("0.1*(1 - progress)"), total_steps=40, steps_per_epoch=5)  # of no study
    for _ in range(40):
        loop.step()


def test_an_adapter_that_sees_gradients_does_not_miss_those_that_other_formulas_read():
    rule = TrialSchedule(Schedule(expression=parse("0.1*(1 - progress)")), 8, frozenset({"progress", "grad_norm"}))
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = ExpressionLR(optimizer, rule, total_steps=40, steps_per_epoch=5)
    for _ in range(40):
        weight.grad = torch.ones(1)
        optimizer.step()
        scheduler.step()
    loop = Loop(rule, total_steps=2)
    loop.step()
    with pytest.warns(UserWarning, match="other schedules of this study read the gradient"):
        loop.step()


def test_the_number_of_epochs_is_known():
    schedule = trial("0.1*(1 - epoch/total_epochs)")
    assert schedule(epoch=4) == pytest.approx(0.05)
    assert schedule(epoch=4, total_epochs=16) == pytest.approx(0.075)
