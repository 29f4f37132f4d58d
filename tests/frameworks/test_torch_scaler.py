"""Under a GradScaler the gradient signals are unscaled, and a step that it skips is no step to them."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

STEPS = 8
SCALE = 2.0**16
RULE = Schedule(
    expression=parse("0.01*grad_norm_ema*(2 + alignment)/(grad_norm_rss + 0.1*update_norm)*weight_norm + 0*distance")
)
# Of the fused one no momentum: torch leaves its buffer uninitialised where the first step is skipped.
MAKERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "fused adam": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
}


def trained(make, *, scale=SCALE, skipped=(), left_out=(), see=False, clip=None, dtype=None, rule=RULE):
    """The learning rates of the steps that were taken; of those that are skipped, a gradient is infinite."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = make(model.parameters())
    scheduler = ExpressionLR(optimizer, rule, total_steps=100, steps_per_epoch=10)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
    rates = []
    for step in range(STEPS):
        if step in left_out:
            continue
        torch.manual_seed(step)
        inputs = torch.randn(8, 4)
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            outputs = model(inputs)
        optimizer.zero_grad()
        scaler.scale((outputs.float() - 1).square().mean()).backward()
        if step in skipped:
            next(model.parameters()).grad[0] = float("inf")
        if clip:
            scaler.unscale_(optimizer)
        if see or clip:
            scheduler.see_gradients()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        before = [p.detach().clone() for p in model.parameters()]
        scaler.step(optimizer)
        if step in skipped:
            assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
        else:
            rates.append(float(optimizer.param_groups[0]["lr"]))
        scaler.update()
        with warnings.catch_warnings():  # torch's own, where the very first step is skipped
            warnings.filterwarnings("ignore", "Detected call of")
            scheduler.step()
    assert len(set(rates)) == len(rates) > 1
    assert min(rates) > 0
    return rates


@pytest.mark.parametrize("make", MAKERS)
def test_signals_are_of_the_unscaled_gradients(make):
    np.testing.assert_allclose(trained(MAKERS[make]), trained(MAKERS[make], scale=None), rtol=1e-6)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_that_are_seen_before_they_are_clipped_are_unscaled(make):
    found = trained(MAKERS[make], clip=0.05)
    np.testing.assert_allclose(found, trained(MAKERS[make], clip=0.05, scale=None), rtol=1e-6)
    assert not np.allclose(found, trained(MAKERS[make]), rtol=1e-2)


@pytest.mark.parametrize("skipped", [(0,), (3,), (0, 1, 4, 5)])
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("make", MAKERS)
def test_a_skipped_step_is_no_step_to_the_signals(make, clip, skipped):
    found = trained(MAKERS[make], skipped=skipped, clip=clip)
    np.testing.assert_allclose(found, trained(MAKERS[make], left_out=skipped, clip=clip), rtol=1e-6)


@pytest.mark.parametrize("make", ["fused sgd", "fused adam"])
def test_of_a_fused_optimiser_scaled_gradients_that_were_seen_before_are_seen_again(make):
    # Lightning calls on_before_optimizer_step with them, since the optimiser unscales them itself.
    np.testing.assert_allclose(trained(MAKERS[make], see=True), trained(MAKERS[make]), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_they_are_those_without_a_scaler(dtype):
    found = trained(MAKERS["sgd"], dtype=dtype, scale=2.0**8)
    np.testing.assert_allclose(found, trained(MAKERS["sgd"], dtype=dtype, scale=None), rtol=2e-2)


def test_the_clock_goes_on_with_each_step_of_the_scheduler():
    found = trained(MAKERS["sgd"], skipped=(2, 3), rule=Schedule(expression=parse("0.01*(1 + step) + 0*grad_norm")))
    assert found == pytest.approx([0.01, 0.02, 0.05, 0.06, 0.07, 0.08])


def test_an_optimiser_that_calls_no_hooks_is_told_of():
    class Silent(torch.optim.SGD):
        def register_step_pre_hook(self, hook):
            return None

    parameter = nn.Parameter(torch.ones(2))
    optimizer = Silent([parameter], lr=0.1)
    scheduler = ExpressionLR(optimizer, Schedule(expression=parse("0.01*grad_norm")), total_steps=9)
    parameter.grad = torch.ones(2)
    optimizer._optimizer_step_post_hooks.clear()
    optimizer.step()
    with pytest.raises(Exception, match="taken unseen, by an optimiser that calls no hooks"):
        scheduler.step()
