"""A scheduler that is stepped at another rate than it was made for says so; no other does."""

import copy
import gc
import pickle
import warnings
import weakref

import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LinearLR, SequentialLR
from torch.optim.swa_utils import SWALR

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

FALLING = Schedule(expression=parse("0.1*(1 - progress)"))


def sgd(*rates, lr=0.05):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": rate} for rate in rates or (lr,)]
    return torch.optim.SGD(groups, lr=lr)


def falling(optimizer, **settings):
    return ExpressionLR(optimizer, FALLING, **{"total_steps": 1000, **settings})


def warned(optimizer, scheduler, pattern):
    """What is said while an optimiser (o) and a scheduler (s) are stepped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for which in pattern:
            (optimizer if which == "o" else scheduler).step()
    return [str(w.message) for w in caught if w.filename == __file__]  # and not torch's own


def test_stepped_once_an_epoch_it_asks_to_be_stepped_each_step():
    optimizer = sgd()
    (message,) = warned(optimizer, falling(optimizer), ("o" * 10 + "s") * 5)
    assert message.startswith("the scheduler was stepped after 10 optimiser steps and decides on each: call its step()")
    assert 'interval="epoch"' in message
    assert '"interval": "step"' in message


def test_made_for_epochs_and_stepped_each_step_it_asks_to_be_stepped_once_an_epoch():
    optimizer = sgd()
    (message,) = warned(optimizer, falling(optimizer, interval="epoch", steps_per_epoch=10), "os" * 10)
    assert message.startswith(
        'the scheduler has interval="epoch", with 10 optimiser steps each, and is stepped after every'
    )


def test_made_for_epochs_of_which_nobody_said_the_steps_it_asks_for_them():
    optimizer = sgd()
    (message,) = warned(optimizer, falling(optimizer, interval="epoch"), ("o" * 7 + "s") * 5)
    assert "give steps_per_epoch=7, or steps_per_epoch=1 if total_steps counts epochs" in message
    optimizer = sgd()
    assert warned(optimizer, falling(optimizer, interval="epoch", steps_per_epoch=1), ("o" * 7 + "s") * 5) == []


@pytest.mark.parametrize("times", [2, 4, 8])
def test_stepped_for_each_process_it_says_how_often(times):
    optimizer = sgd()
    (message,) = warned(optimizer, falling(optimizer), ("o" + "s" * times) * 10)
    assert message.startswith(f"the scheduler is stepped {times} times for each optimiser step")
    assert "accelerate" in message
    assert "number of processes" in message


@pytest.mark.parametrize(
    "pattern",
    [
        "os" * 30,
        "o" + "s" + "s" + "os" * 20,  # one step skipped
        "oss" + "os" * 3 + "oss" + "os" * 20 + "oss" + "os" * 5,  # some
        "os" + "ssssss" + "os" * 20,  # the first ones of a gradient scaler
        "oooooooo" + "s" + "os" * 20,  # a warm-up by hand before
        "osos" + "oss" * 3 + "os" * 20,  # three in a row
    ],
)
def test_an_ordinary_training_is_not_warned(pattern):
    optimizer = sgd(0.05, 0.005)
    assert warned(optimizer, falling(optimizer), pattern) == []


def test_an_ordinary_training_by_epochs_is_not_warned():
    for steps in ((10,) * 6, (10, 9, 10, 9, 10), (3, 10, 10), (1, 10, 10)):
        optimizer = sgd()
        scheduler = falling(optimizer, interval="epoch", steps_per_epoch=10)
        assert warned(optimizer, scheduler, "".join("o" * n + "s" for n in steps)) == []


def test_within_a_sequence_or_a_chain_it_is_not_warned():
    optimizer = sgd()
    parts = [LinearLR(optimizer, 0.1, total_iters=5), falling(optimizer)]
    assert warned(optimizer, SequentialLR(optimizer, parts, [5]), "os" * 30) == []
    optimizer = sgd()
    parts = [falling(optimizer), ExponentialLR(optimizer, 0.9)]
    assert warned(optimizer, SequentialLR(optimizer, parts, [5]), "os" * 30) == []
    optimizer = sgd()
    assert warned(optimizer, ChainedScheduler([falling(optimizer), ExponentialLR(optimizer, 0.9)]), "os" * 30) == []


def test_within_a_sequence_that_is_stepped_once_an_epoch_it_is_warned():
    optimizer = sgd()
    sequence = SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=2), falling(optimizer)], [2])
    (message,) = warned(optimizer, sequence, ("o" * 10 + "s") * 6)
    assert message.startswith("the scheduler was stepped after 10 optimiser steps")


def test_a_training_that_goes_on_is_not_warned():
    optimizer = sgd()
    scheduler = falling(optimizer)
    assert warned(optimizer, scheduler, "os" * 7 + "ooo") == []
    states = optimizer.state_dict(), scheduler.state_dict()
    for before in ("", "ooo", "os" * 3):
        optimizer = sgd()
        scheduler = falling(optimizer)
        assert warned(optimizer, scheduler, before) == []
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        assert warned(optimizer, scheduler, "os" * 20) == []
        (message,) = warned(optimizer, scheduler, "ooos" * 3)
        assert "after 3 optimiser steps" in message
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 0.05
    assert warned(optimizer, falling(optimizer, last_epoch=6), "os" * 20) == []


def test_another_scheduler_may_take_over():
    optimizer = sgd()
    scheduler, averaged = falling(optimizer), SWALR(optimizer, swa_lr=0.01)
    assert warned(optimizer, scheduler, "os" * 10) == []
    assert warned(optimizer, averaged, "os" * 10) == []


def test_a_second_scheduler_counts_for_itself():
    optimizer = sgd()
    first = falling(optimizer)
    assert warned(optimizer, first, "os" * 10) == []
    assert warned(optimizer, falling(optimizer), "os" * 10) == []


def test_closures_are_one_step():
    optimizer = torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))], lr=0.1, max_iter=7)
    parameter = optimizer.param_groups[0]["params"][0]
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = (parameter**2).sum() + parameter.exp().sum()
        loss.backward()
        calls.append(1)
        return loss

    scheduler = falling(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            optimizer.step(closure)
            scheduler.step()
    assert len(calls) > 10


def test_a_gradient_scaler_may_skip_steps():
    optimizer = sgd()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    parameter, scheduler = optimizer.param_groups[0]["params"][0], falling(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(40):
            optimizer.zero_grad()
            factor = float("inf") if step in (3, 4, 5, 20) else 1.0
            scaler.scale((parameter * factor).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * (1 - 40 / 1000))


def copies(optimizer, scheduler):
    pickled = pickle.loads(pickle.dumps((optimizer, scheduler)))  # noqa: S301
    return [copy.deepcopy((optimizer, scheduler)), pickled]


def test_copies_count_for_themselves():
    for number in range(2):
        optimizer = sgd()
        scheduler = falling(optimizer)
        warned(optimizer, scheduler, "ososo")
        optimizer, scheduler = copies(optimizer, scheduler)[number]
        assert scheduler.optimizer is optimizer
        assert warned(optimizer, scheduler, "s" + "os" * 10) == []
        (message,) = warned(optimizer, scheduler, "ooos" * 3)
        assert "after 3 optimiser steps" in message


def test_another_optimiser_is_counted_in_its_place():
    scheduler = falling(sgd())
    scheduler.optimizer = sgd()
    assert warned(scheduler.optimizer, scheduler, "os" * 10) == []


def test_an_optimiser_that_is_copied_alone_is_not_counted():
    optimizer = sgd()
    scheduler = falling(optimizer)
    other = copy.deepcopy(optimizer)
    assert warned(other, scheduler, "os" * 10) == []


def test_nothing_is_kept_alive():
    optimizer = sgd()
    scheduler = falling(optimizer)
    gone = weakref.ref(scheduler)
    warned(optimizer, scheduler, "os")
    del scheduler
    gc.collect()
    assert gone() is None
    scheduler, gone = falling(optimizer), weakref.ref(optimizer)
    del optimizer, scheduler
    gc.collect()
    assert gone() is None


def test_the_state_says_nothing_of_the_pace():
    optimizer = sgd()
    scheduler = falling(optimizer)
    warned(optimizer, scheduler, "os")
    assert all(isinstance(value, int | float | list) for value in scheduler.state_dict().values())


# --- timm's groups ----------------------------------------------------------------------------------------------------


def scaled(*scales, lr=0.05):
    """An optimiser with groups of timm's, and one without a scale."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": scale} for scale in scales]
    groups.append({"params": [torch.nn.Parameter(torch.zeros(1))]})
    return torch.optim.SGD(groups, lr=lr)


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_a_groups_scale_multiplies_its_learning_rate():
    optimizer = scaled(0.5, 0.25)
    scheduler = falling(optimizer, total_steps=4)
    for rate in (0.1, 0.075, 0.05, 0.025):
        assert rates(optimizer) == pytest.approx([rate * 0.5, rate * 0.25, rate])
        assert scheduler.get_last_lr() == rates(optimizer)
        optimizer.step()
        scheduler.step()


def test_a_groups_scale_and_its_own_learning_rate_multiply_as_in_timm():
    """timm: `lr_scale` times what the schedule makes of the group's own learning rate."""
    optimizer = scaled(0.5, 0.25, lr=0.05)
    optimizer.param_groups[0]["lr"] = 0.005
    scheduler = falling(optimizer, total_steps=4)
    for rate in (0.1, 0.075):
        assert rates(optimizer) == pytest.approx([rate / 10 * 0.5, rate * 0.25, rate])
        optimizer.step()
        scheduler.step()


def test_scales_are_kept_when_a_training_goes_on_and_for_groups_that_are_added():
    def train(optimizer, scheduler, steps):
        found = []
        for _ in range(steps):
            found.append(rates(optimizer))
            optimizer.step()
            scheduler.step()
        return found

    def made():
        optimizer = scaled(0.5, 0.25)
        return optimizer, falling(optimizer, total_steps=20)

    whole = train(*made(), 9)
    for step in range(9):
        optimizer, scheduler = made()
        train(optimizer, scheduler, step)
        states = optimizer.state_dict(), scheduler.state_dict()
        optimizer, scheduler = made()
        optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        assert train(optimizer, scheduler, 9 - step) == whole[step:]
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr_scale": 0.1})
    optimizer.step()
    scheduler.step()
    assert rates(optimizer) == pytest.approx([0.05 * s for s in (0.5, 0.25, 1.0, 0.1)])


def test_a_chain_multiplies_scaled_groups_too():
    optimizer = scaled(0.5)
    chain = ChainedScheduler([falling(optimizer, total_steps=8), ExponentialLR(optimizer, 0.9)])
    for step in range(5):
        rate = 0.1 * (1 - step / 8) * 0.9**step
        assert rates(optimizer) == pytest.approx([rate * 0.5, rate])
        optimizer.step()
        chain.step()


def test_steps_that_were_said_to_be_epochs_may_hold_many_of_the_optimisers():
    optimizer = sgd()
    assert warned(optimizer, falling(optimizer, steps_per_epoch=1), ("o" * 7 + "s") * 5) == []
