"""Trainings that diverge, in the population trainer."""

import numpy as np

from evolr.training.task import Trial
from evolr.training.trainer import Trainer
from tests.training.tasks import MLP, SGD, SMALL, schedule


def test_a_diverged_run_is_an_outcome_with_its_epoch():
    breaks = schedule("0.01 + floor(epoch/2)*1e30", max_lr=1e30)
    fine = schedule("0.01")
    diverged, finished = Trainer(SMALL, SGD).train([Trial(breaks, 0), Trial(fine, 0)], 5, keep_steps=True)
    assert (diverged.diverged, diverged.diverged_at) == (True, 2)
    assert np.isnan(diverged.score)
    for curve in (diverged.train_loss, diverged.val_loss, diverged.val_score, diverged.learning_rate):
        assert np.isfinite(curve).tolist() == [True, True, False, False, False]
    assert np.isfinite(diverged.learning_rates[:15]).all()
    assert np.isnan(diverged.learning_rates[21:]).all()
    assert not finished.diverged
    assert np.isfinite(finished.score)


def test_a_diverged_run_takes_no_more_steps():
    """The learning rates are written in the step itself: where there are none, no step was taken."""
    breaks = schedule("1e30", max_lr=1e30)
    (outcome,) = Trainer(MLP, SGD).train([Trial(breaks, 0)], 20, keep_steps=True)
    assert outcome.diverged_at == 0
    assert np.count_nonzero(np.isfinite(outcome.learning_rates)) < 10


def test_divergence_in_the_last_step_is_seen():
    breaks = schedule(f"0.01 + floor(step/{3 * 7 - 1})*1e30", max_lr=1e30)
    (outcome,) = Trainer(SMALL, SGD).train([Trial(breaks, 0)], 3)
    assert outcome.diverged_at == 2
    assert np.isnan(outcome.score)
