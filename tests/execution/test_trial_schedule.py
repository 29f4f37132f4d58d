import math
import pickle

import numpy as np
import pytest
import torch

from evolr.errors import ScheduleError
from evolr.execution.trial_schedule import TrialSchedule
from evolr.expression import parse
from evolr.schedule import Schedule


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
    for value in (None, "much", [1.0, 2.0], torch.ones(2)):
        with pytest.raises(ScheduleError, match="the signal 'loss' must be a number"):
            trial("0.1*loss")(loss=value)


def test_it_travels():
    schedule = trial("0.1*loss")
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301
