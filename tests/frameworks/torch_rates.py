"""An optimiser of groups with these learning rates, and the rates that its steps are taken with."""

import torch
from torch.optim import SGD

import evolr

LINE = evolr.load("0.1*(1 - progress)")
STEPS = {"total_steps": 10, "steps_per_epoch": 10}
RATES = [0.1 * (1 - step / 10) for step in range(10)]


def parameters():
    return [torch.nn.Parameter(torch.ones(2))]


def sgd(*rates, **settings):
    return SGD([{"params": parameters(), "lr": rate} for rate in rates], lr=0.1, **settings)


def stepped(optimizer, *schedulers):
    """Takes a step; the learning rates that it was taken with."""
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.grad = torch.ones_like(each)
    optimizer.step()
    used = [float(group["lr"]) for group in optimizer.param_groups]
    for scheduler in schedulers:
        scheduler.step()
    return used
