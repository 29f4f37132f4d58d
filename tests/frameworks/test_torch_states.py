"""Saved states of an ExpressionLR that are none: each is refused, and nothing is changed."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR

import evolr
from evolr.errors import ScheduleError
from evolr.torch import ExpressionLR

FALLING = evolr.load("0.1*(1 - progress)")


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_a_state_of_something_else_is_refused():
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=8)
    with pytest.raises(ScheduleError, match="not the state of an ExpressionLR: it lacks step_count"):
        scheduler.load_state_dict(ExponentialLR(sgd(), 0.9).state_dict())
    state = scheduler.state_dict() | {"factors": [1.0, 1.0]}
    with pytest.raises(ScheduleError, match="of 2 parameter groups, the optimiser has 1"):
        scheduler.load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_lrs": [-3.0]}, r"group_lrs are finite numbers of at least 0, got \[-3.0\]"),
        ({"group_lrs": [math.nan]}, "group_lrs are finite numbers of at least 0"),
        ({"group_lrs": None}, "group_lrs are finite numbers of at least 0, got None"),
        ({"group_lrs": ["x"]}, "expected a number, or a tensor of one, got 'x'"),
        ({"group_lrs": [0.1, 0.1]}, "of 2 parameter groups, the optimiser has 1"),
        ({"factors": [None]}, "expected a number, or a tensor of one, got None"),
        ({"factors": 5}, "factors are finite numbers of at least 0, got 5"),
        ({"base": 0}, "base is a learning rate above 0, got 0"),
        ({"base": math.nan}, "base are finite numbers of at least 0"),
        ({"base": "x"}, "expected a number, or a tensor of one, got 'x'"),
        ({"base": 10**400}, "expected a number, or a tensor of one"),
        ({"learning_rate": -1.0}, "learning rate is at least 0, got -1.0"),
        ({"learning_rate": math.nan}, "learning rate is at least 0, got nan"),
        ({"last_epoch": -7}, "last_epoch must be a whole number of at least -1, got -7"),
        ({"last_epoch": "x"}, "last_epoch must be a whole number of at least -1, got 'x'"),
        ({"step_count": None}, "step_count must be a whole number of at least -1, got None"),
        (None, "not the state of an ExpressionLR: it lacks last_epoch"),
        (5, "not the state of an ExpressionLR: it lacks last_epoch"),
    ],
    ids=str,
)
def test_a_state_that_is_none_is_refused_and_changes_nothing(changes, message):
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    before = scheduler.state_dict()
    with pytest.raises(ScheduleError, match=message):
        scheduler.load_state_dict(before | changes if isinstance(changes, dict) else changes)
    assert scheduler.state_dict() == before
    scheduler.load_state_dict(before)
    assert scheduler.state_dict() == before
