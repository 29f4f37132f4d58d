"""The standard schedules agree with torch.optim.lr_scheduler."""

import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from evolr import standard

EPOCHS, STEPS = 30, 40


def torch_curve(make, base_lr, count):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base_lr)
    scheduler = make(optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimiser never steps
        for _ in range(count):
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return np.array(rates)


def test_constant():
    assert set(standard.constant(0.003).curve(EPOCHS, STEPS)) == {0.003}


def test_step_decay_is_steplr():
    expected = torch_curve(lambda o: lr_scheduler.StepLR(o, 10), 0.001, EPOCHS)
    np.testing.assert_allclose(standard.step_decay(0.001).curve(EPOCHS, 1), expected, rtol=1e-12)
    assert len(set(standard.step_decay(0.001).curve(EPOCHS, STEPS))) == 3


def test_cosine_is_cosineannealinglr_over_the_steps():
    expected = torch_curve(lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS), 0.001, EPOCHS * STEPS)
    np.testing.assert_allclose(standard.cosine(0.001).curve(EPOCHS, STEPS), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("family", standard.PUBLISHED_BASELINES.values())
@pytest.mark.parametrize("base_lr", [1e-4, 5.0])
def test_the_published_baselines_start_at_the_base_learning_rate(family, base_lr):
    assert family(base_lr).curve(EPOCHS, STEPS)[0] == pytest.approx(base_lr, rel=1e-15)
