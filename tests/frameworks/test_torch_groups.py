"""What a schedule of absolute learning rates means for parameter groups, checkpoints, chains and habits of torch's users."""

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LambdaLR, LinearLR, SequentialLR

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

LEVEL = Schedule(expression=parse("0.01"))
FALLING = Schedule(expression=parse("0.01*(1 - progress)"))


def parameter():
    return torch.nn.Parameter(torch.ones(1))


def groups(*rates):
    return [{"params": [parameter()], "lr": rate} for rate in rates]


def now(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("default", [None, 1e-3, 7.0])
@pytest.mark.parametrize("order", [1, -1])
def test_the_greatest_group_has_the_schedules_rate_whatever_the_optimisers_own_and_the_order(default, order):
    settings = {} if default is None else {"lr": default}
    optimizer = torch.optim.AdamW(groups(1e-4, 1e-5)[::order], **settings)
    ExpressionLR(optimizer, LEVEL, total_steps=10)
    assert now(optimizer)[::order] == pytest.approx([0.01, 0.001])


def test_a_rate_set_by_hand_before_is_the_groups_own():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.003
    ExpressionLR(optimizer, LEVEL, total_steps=10)
    assert now(optimizer) == [0.01]


def test_it_goes_on_in_an_optimiser_that_was_constructed_with_another_rate():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    again = torch.optim.SGD([parameter()], lr=0.5)
    again.load_state_dict(optimizer.state_dict())
    ExpressionLR(again, FALLING, total_steps=10, last_epoch=1)
    assert now(again) == pytest.approx([0.008])
    anew = torch.optim.SGD([parameter()], lr=1e-3)
    anew.load_state_dict(optimizer.state_dict())
    ExpressionLR(anew, LEVEL, total_steps=10)
    assert now(anew) == pytest.approx([0.01])


def test_a_group_that_was_added_before_the_checkpoint_is_gone_on_with():
    def make():
        optimizer = torch.optim.SGD([parameter()], lr=0.1)
        scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
        optimizer.step()
        scheduler.step()
        optimizer.add_param_group({"params": [parameter()], "lr": 0.2})  # greater than the base
        return optimizer, scheduler

    optimizer, scheduler = make()
    optimizer.step()
    scheduler.step()
    before = now(optimizer)
    assert before == pytest.approx([0.008, 0.016])
    for made_with_both in (False, True):
        if made_with_both:  # then its base would be the greater one
            again = torch.optim.SGD(groups(0.1, 0.2), lr=0.1)
            resumed = ExpressionLR(again, FALLING, total_steps=10)
        else:
            again, resumed = make()
        again.load_state_dict(optimizer.state_dict())
        resumed.load_state_dict(scheduler.state_dict())
        assert now(again) == pytest.approx(before)
        again.step()
        resumed.step()
        assert now(again) == pytest.approx([0.007, 0.014])


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("other", "factor"),
    [
        (lambda optimizer: LinearLR(optimizer, 0.01, total_iters=5), lambda k: min(1, 0.01 + 0.99 * k / 5)),
        (lambda optimizer: ExponentialLR(optimizer, 0.5), lambda k: 0.5**k),
    ],
)
def test_in_a_chain_the_order_does_not_matter(is_first, other, factor):
    optimizer = torch.optim.SGD([parameter()], lr=0.01)
    makers = [lambda optimizer: ExpressionLR(optimizer, LEVEL, total_steps=100), other]
    chain = ChainedScheduler([make(optimizer) for make in (makers if is_first else makers[::-1])])
    rates = []
    for _ in range(7):
        rates += now(optimizer)
        optimizer.step()
        chain.step()
    assert rates == pytest.approx([0.01 * factor(k) for k in range(7)], rel=1e-9)


def test_a_second_schedule_after_one_of_torchs_is_absolute():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    before = ExponentialLR(optimizer, 0.1)
    for _ in range(3):
        optimizer.step()
        before.step()
    ExpressionLR(optimizer, LEVEL, total_steps=10)
    assert now(optimizer) == pytest.approx([0.01])


def test_in_a_sequence_it_is_absolute_when_its_turn_comes():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    warmup = LinearLR(optimizer, 0.01, total_iters=2)
    sequence = SequentialLR(optimizer, [warmup, ExpressionLR(optimizer, LEVEL, total_steps=10)], [2])
    rates = []
    for _ in range(4):
        rates += now(optimizer)
        optimizer.step()
        sequence.step()
    assert rates == pytest.approx([0.001, 0.0505, 0.01, 0.01])


def rates_in_a_sequence_that_begins_with_a_chain(is_first, since=-1):
    optimizer = torch.optim.SGD(groups(0.1, 0.05), lr=0.1)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    makers = [
        lambda: ExpressionLR(optimizer, FALLING, total_steps=10, last_epoch=since),
        lambda: LinearLR(optimizer, 0.1, total_iters=3),
    ]
    chain = ChainedScheduler([make() for make in (makers if is_first else makers[::-1])])
    sequence = SequentialLR(optimizer, [chain, ExponentialLR(optimizer, 0.5)], [5])
    rates = []
    for _ in range(7):
        rates.append(now(optimizer))
        optimizer.step()
        sequence.step()
    return rates


@pytest.mark.filterwarnings("ignore:Detected call of")  # torch's, of a chain in a sequence of its own schedulers too
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("since", [-1, 2])
def test_a_chain_that_a_sequence_begins_with_multiplies_whatever_its_order(is_first, since):
    warm = [min(1.0, 0.1 + 0.9 * k / 3) for k in range(5)]
    expected = [0.01 * (1 - (k + since + 1) / 10) * warm[k] for k in range(5)] + [0.1, 0.05]
    found = rates_in_a_sequence_that_begins_with_a_chain(is_first, since)
    assert [rates[0] for rates in found] == pytest.approx(expected)
    assert [rates[1] for rates in found] == pytest.approx([rate / 2 for rate in expected])


@pytest.mark.parametrize("told", [torch.tensor(0.7), 0.7])
def test_a_loss_by_position_is_refused(told):
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    scheduler = ExpressionLR(optimizer, LEVEL, total_steps=10)
    optimizer.step()
    with pytest.raises(ScheduleError, match=r"a loss is told by its name, step\(loss=…\)"):
        scheduler.step(told)
    assert scheduler.last_epoch == 0


def test_it_goes_on_by_last_epoch_with_a_schedule_that_reads_the_loss():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    scheduler = ExpressionLR(
        optimizer, Schedule(expression=parse("0.01*loss*(1 - progress)")), total_steps=100, loss=0.5, last_epoch=9
    )
    assert now(optimizer) == pytest.approx([0.01 * 0.5 * 0.9])
    optimizer.step()
    scheduler.step(loss=0.4)
    assert now(optimizer) == pytest.approx([0.01 * 0.4 * 0.89])


def test_the_last_rates_are_of_the_groups_own_type():
    optimizer = torch.optim.SGD([parameter()], lr=torch.tensor(0.1))
    scheduler = ExpressionLR(optimizer, Schedule(expression=parse("0.01*loss")), total_steps=10, loss=2.0)
    optimizer.step()
    scheduler.step(loss=1.0)
    (last,) = scheduler.get_last_lr()
    assert isinstance(last, torch.Tensor)
    assert last is not optimizer.param_groups[0]["lr"]
    assert float(last) == pytest.approx(0.01)


def stepped(optimizer, scheduler, times):
    for _ in range(times):
        optimizer.step()
        scheduler.step()


def test_a_group_that_is_set_to_zero_stays_there_with_one_warning_until_it_is_set_again():
    optimizer = torch.optim.SGD(groups(0.1, 0.2), lr=0.1)
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    stepped(optimizer, scheduler, 1)
    optimizer.param_groups[0]["lr"] = 0.0
    stepped(optimizer, scheduler, 1)  # whoever set it may yet set it again
    with pytest.warns(
        UserWarning, match="of parameter group 0 was set to 0, .* and stays 0: .* set its 'lr' to"
    ) as caught:
        stepped(optimizer, scheduler, 3)
    assert len(caught) == 1
    assert now(optimizer) == pytest.approx([0.0, 0.005])
    optimizer.param_groups[0]["lr"] = 0.0025
    stepped(optimizer, scheduler, 1)
    assert now(optimizer) == pytest.approx([0.002, 0.004])


@pytest.mark.parametrize("is_first", [True, False])
def test_another_scheduler_that_begins_at_zero_is_no_reason_to_warn(is_first):
    optimizer = torch.optim.SGD([parameter()], lr=0.01)
    makers = [
        lambda optimizer: ExpressionLR(optimizer, LEVEL, total_steps=100),
        lambda optimizer: LambdaLR(optimizer, lambda k: min(1.0, k / 4)),
    ]
    chain = ChainedScheduler([make(optimizer) for make in (makers if is_first else makers[::-1])])
    rates = []
    for _ in range(6):
        rates += now(optimizer)
        stepped(optimizer, chain, 1)
    assert rates == pytest.approx([0.01 * min(1.0, k / 4) for k in range(6)])


def test_a_schedule_that_is_zero_itself_is_no_reason_to_warn():
    optimizer = torch.optim.SGD([parameter()], lr=0.01)
    scheduler = ExpressionLR(optimizer, Schedule(expression=parse("0.01*max(0, step - 3)")), total_steps=10)
    stepped(optimizer, scheduler, 5)
    assert now(optimizer) == pytest.approx([0.02])


@pytest.mark.parametrize("text", ["0.01", "0.01*min(1, step/4)"], ids=["level", "from 0"])
@pytest.mark.parametrize("factor", [None, 0.5])
def test_a_second_one_takes_the_place_of_a_first_that_was_not_stepped(text, factor):
    optimizer = torch.optim.SGD(groups(0.1, 0.2), lr=0.1)
    if factor:
        LinearLR(optimizer, factor)  # which is never stepped
    for _ in range(3):
        scheduler = ExpressionLR(optimizer, Schedule(expression=parse(text)), total_steps=100)
    expected = [0.005 * (factor or 1.0), 0.01 * (factor or 1.0)]
    assert now(optimizer) == pytest.approx(expected if text == "0.01" else [0, 0])
    stepped(optimizer, scheduler, 4)
    assert now(optimizer) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Detected call of")  # torch's own, of any chain that begins a sequence
@pytest.mark.parametrize("is_last", [False, True])
def test_a_chain_that_begins_a_sequence_keeps_what_the_others_make_of_its_first_step(is_last):
    """The initial learning rates are set before: what has changed them when a chain begins is another one of it."""
    line, optimizer = Schedule(expression=parse("0.05*(1 - step/20)")), torch.optim.SGD([parameter()], lr=0.05)
    parts = [LinearLR(optimizer, 0.1, total_iters=5), ExpressionLR(optimizer, line, total_steps=20)]
    chain = ChainedScheduler(parts if is_last else parts[::-1])
    sequence = SequentialLR(optimizer, [chain, ExpressionLR(optimizer, line, total_steps=20)], [7])
    found = []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        sequence.step()
    expected = [0.05 * (1 - step / 20) * min(1.0, 0.1 + 0.18 * step) for step in range(7)]
    expected += [0.05 * (1 - step / 20) for step in range(5)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "order"),
    [("0.01*min(1, 0.4 + 0.2*step)", 1), ("0.01*min(1, 0.4 + 0.2*step)", -1), ("0.01*step", 1)],
)
def test_two_in_a_chain_multiply_what_they_make_of_the_groups_own(first, order):
    rules = [Schedule(expression=parse(text)) for text in (first, "0.02*0.9**step")]
    optimizer = torch.optim.SGD(groups(0.01, 0.005), lr=0.1)
    chain = ChainedScheduler([ExpressionLR(optimizer, rule, total_steps=100) for rule in rules][::order])
    rates = []
    for _ in range(6):
        rates.append(now(optimizer))
        stepped(optimizer, chain, 1)
    both = [rules[0].at(step=k) * rules[1].at(step=k) / 0.01 for k in range(6)]
    np.testing.assert_allclose(rates, [[rate, rate / 2] for rate in both], rtol=1e-12)


def test_a_chain_that_is_made_again_takes_the_place_of_the_first():
    optimizer = torch.optim.SGD(groups(0.01), lr=0.1)
    LinearLR(optimizer, 0.5, total_iters=100)  # which is never stepped
    rules = [Schedule(expression=parse(text)) for text in ("0.01*(0.2 + step/10)", "0.01*0.9**step")]
    for _ in range(3):
        chain = ChainedScheduler([ExpressionLR(optimizer, rule, total_steps=100) for rule in rules])
    assert now(optimizer) == pytest.approx([0.5 * 0.002])
    stepped(optimizer, chain, 2)
    assert now(optimizer) == pytest.approx([0.5 * 0.004 * 0.81])


def test_what_others_make_of_it_meanwhile_is_kept_when_one_takes_the_place_of_another():
    optimizer = torch.optim.SGD(groups(0.01, 0.02), lr=0.1)
    first = ExpressionLR(optimizer, Schedule(expression=parse("0.04")), total_steps=100)
    second = ExpressionLR(optimizer, LEVEL, total_steps=100)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.002})
    optimizer.param_groups[1]["lr"] /= 2
    assert now(optimizer) == pytest.approx([0.01, 0.01, 0.002])
    del first
    assert now(optimizer) == pytest.approx([0.005, 0.005, 0.001])
    stepped(optimizer, second, 1)
    assert now(optimizer)[:2] == pytest.approx([0.005, 0.005])


def test_one_that_was_stepped_alone_to_look_at_its_curve_is_replaced():
    optimizer = torch.optim.SGD(groups(0.1), lr=0.1)
    first = ExpressionLR(optimizer, FALLING, total_steps=10)
    with pytest.warns(UserWarning, match="Detected call of"):  # torch's own
        first.step()
    for _ in range(4):
        first.step()
    assert now(optimizer) == pytest.approx([0.005])
    ExpressionLR(optimizer, FALLING, total_steps=10)
    assert now(optimizer) == pytest.approx([0.01])
