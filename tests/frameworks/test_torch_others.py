"""Groups, states and hands that change learning rates in a training, each against its own arithmetic."""

import copy
import gc

import pytest
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import SGD
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, SequentialLR

import evolr
from evolr.torch import ExpressionLR
from tests.frameworks.torch_rates import LINE, RATES, STEPS, parameters, sgd, stepped


@pytest.mark.parametrize("loads_first", ["optimiser", "scheduler"])
@pytest.mark.parametrize("resumed", [(2, 5), (5,), (5, 6)])
def test_a_training_goes_on_at_a_step_where_the_schedule_says_0(loads_first, resumed):
    triangle = evolr.load("0.1*abs(2*progress - 1)")
    optimizer = SGD(parameters(), lr=0.1)
    scheduler = ExpressionLR(optimizer, triangle, **STEPS)
    for step in range(10):
        if step in resumed:
            saved = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
            optimizer = SGD(parameters(), lr=0.001)
            scheduler = ExpressionLR(optimizer, triangle, **STEPS)
            both = [(optimizer, saved[0]), (scheduler, saved[1])]
            for each, state in both if loads_first == "optimiser" else both[::-1]:
                each.load_state_dict(state)
        assert stepped(optimizer, scheduler) == [pytest.approx(0.1 * abs(2 * step / 10 - 1), abs=1e-12)]


@pytest.mark.parametrize("has_state", [True, False])
def test_a_scheduler_s_state_says_the_ratios_of_groups_whatever_the_optimiser_was_made_with(has_state):
    optimizer = sgd(0.1, 0.05)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    stepped(optimizer, scheduler)
    again = sgd(0.002, 0.001)
    resumed = ExpressionLR(again, LINE, **STEPS)
    resumed.load_state_dict(scheduler.state_dict())
    if has_state:
        again.load_state_dict(optimizer.state_dict())
    for rate in RATES[1:4]:
        assert stepped(again, resumed) == pytest.approx([rate, rate / 2])


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
def test_a_group_that_is_added_with_the_default_has_a_rate_of_its_own(rate):
    optimizer = SGD(parameters(), lr=copy.copy(rate))
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for step in range(7):
        if step == 4:
            optimizer.add_param_group({"params": parameters()})
        used = stepped(optimizer, scheduler)
        assert used == pytest.approx([RATES[step]] * (1 if step < 4 else 2))
    optimizer.param_groups[1]["lr"] /= 2
    assert stepped(optimizer, scheduler) == pytest.approx([RATES[7], RATES[7] / 2])


def test_groups_that_a_loaded_state_lets_share_a_tensor_have_rates_of_their_own():
    optimizer = SGD([{"params": parameters()}, {"params": parameters(), "lr_scale": 0.1}], lr=torch.tensor(0.1))
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    stepped(optimizer, scheduler)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][1]["lr"] = state["param_groups"][0]["lr"]
    optimizer.load_state_dict(state)
    for rate in RATES[1:4]:
        assert stepped(optimizer, scheduler) == pytest.approx([rate, rate / 10])


def _put_back(optimizer, kept):
    optimizer.param_groups.append(kept.pop())


def _replace(optimizer, _):
    optimizer.param_groups[1] = {**optimizer.param_groups[1], "params": parameters()}


def _copy(optimizer, _):
    optimizer.param_groups = [dict(group) for group in optimizer.param_groups]


def _turn_round(optimizer, _):
    optimizer.param_groups.reverse()


@pytest.mark.parametrize("change", [_put_back, _replace, _copy, _turn_round], ids=lambda change: change.__name__)
@pytest.mark.parametrize("by_hand", [1.0, 0.5])
def test_a_group_is_known_again(change, by_hand):
    optimizer = sgd(0.1, 0.05)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    kept = []
    for step in range(9):
        if step == 2:
            optimizer.param_groups[1]["lr"] *= by_hand
        if step == 3 and change is _put_back:
            kept.append(optimizer.param_groups.pop(1))
        if step == 5:
            change(optimizer, kept)
        used = stepped(optimizer, scheduler)
        if step >= 5 and change is _turn_round:
            used.reverse()
        assert used[0] == pytest.approx(RATES[step])
        assert used[1:] in ([], [pytest.approx(RATES[step] / 2 * (1 if step < 2 else by_hand))])


def test_a_copy_of_a_group_that_is_added_beside_it_has_a_part_of_its_own():
    optimizer = sgd(0.1)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    stepped(optimizer, scheduler)
    optimizer.add_param_group({**optimizer.param_groups[0], "params": parameters()})
    assert stepped(optimizer, scheduler) == pytest.approx([RATES[1]] * 2)
    optimizer.param_groups[1]["lr"] /= 2
    assert stepped(optimizer, scheduler) == pytest.approx([RATES[2], RATES[2] / 2])
    assert stepped(optimizer, scheduler) == pytest.approx([RATES[3], RATES[3] / 2])


def test_a_group_that_is_added_before_a_state_is_loaded_is_in_it():
    def made():
        optimizer = sgd(0.1)
        return optimizer, ExpressionLR(optimizer, LINE, **STEPS)

    former, scheduler = made()
    for step in range(3):
        if step == 1:
            former.add_param_group({"params": parameters(), "lr": 0.05})
        stepped(former, scheduler)
    optimizer, scheduler = made()
    stepped(optimizer, scheduler)
    optimizer.add_param_group({"params": parameters(), "lr": 0.05})
    optimizer.load_state_dict(copy.deepcopy(former.state_dict()))
    for rate in RATES[1:4]:
        assert stepped(optimizer, scheduler) == pytest.approx([rate, rate / 2])


def test_a_group_that_is_added_in_a_warm_up_has_its_part_when_the_schedule_s_turn_comes():
    optimizer = sgd(0.1)
    warm = LinearLR(optimizer, 0.1, 1.0, 5)
    sequence = SequentialLR(optimizer, [warm, ExpressionLR(optimizer, LINE, **STEPS)], [5])
    for step in range(9):
        if step == 2:
            optimizer.add_param_group({"params": parameters(), "lr": 0.1})
        used = stepped(optimizer, sequence)
        if step >= 5:
            assert used == pytest.approx([RATES[step - 5]] * 2)


@pytest.mark.parametrize("asks", [True, False])
def test_a_group_that_is_added_where_another_has_changed_the_rates_takes_its_first_step_by_the_schedule(asks):
    optimizer = sgd(0.1)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for step in range(6):
        if step == 3:
            optimizer.param_groups[0]["lr"] *= 0.5
            optimizer.add_param_group({"params": parameters(), "lr": 0.1})
            if asks:
                scheduler.state_dict()
        factors = [1.0] if step < 3 else [0.5, 1.0]
        assert stepped(optimizer, scheduler) == pytest.approx([RATES[step] * factor for factor in factors])


@pytest.mark.parametrize("halved", [(), (2,), (4,), (2, 4)])
@pytest.mark.parametrize("has_chain", [True, False])
def test_a_state_that_is_rolled_back_changes_no_rate_and_loses_no_change(halved, has_chain):
    """Halved by hand at step 2, at step 4 after the load, both, or never."""
    optimizer = sgd(0.1)
    scheduler, warm = ExpressionLR(optimizer, LINE, **STEPS), LinearLR(optimizer, 0.1, 1.0, 10)
    both = ChainedScheduler([scheduler, warm], optimizer=optimizer) if has_chain else scheduler
    if not has_chain:
        optimizer.param_groups[0]["lr"] = 0.1
    factor = 1.0
    for step in range(8):
        if step == 1:
            saved = copy.deepcopy(optimizer.state_dict())
        if step == 2 and 2 in halved:
            optimizer.param_groups[0]["lr"] *= 0.5
            factor *= 0.5
        if step == 4:
            optimizer.load_state_dict(copy.deepcopy(saved))
        if step == 4 and 4 in halved:
            optimizer.param_groups[0]["lr"] *= 0.5
            factor *= 0.5
        other = 0.1 + 0.09 * step if has_chain else 1.0
        assert stepped(optimizer, both) == pytest.approx([RATES[step] * factor * other])


def test_a_change_just_before_a_state_is_loaded_is_kept():
    optimizer = sgd(0.1)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    saved = copy.deepcopy(optimizer.state_dict())
    for step in range(6):
        if step == 3:
            optimizer.param_groups[0]["lr"] *= 0.5
            optimizer.load_state_dict(saved)
            optimizer.param_groups[0]["lr"] *= 0.5
        assert stepped(optimizer, scheduler) == pytest.approx([RATES[step] * (1 if step < 3 else 0.25)])


def test_a_scale_that_is_changed_in_the_training_is_taken_up():
    optimizer = sgd(0.1)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for step in range(6):
        if step == 3:
            optimizer.param_groups[0]["lr_scale"] = 0.1
        assert stepped(optimizer, scheduler) == pytest.approx([RATES[step] * (1 if step <= 3 else 0.1)])


def test_a_group_that_was_made_with_0_has_its_own_rate_once_it_is_set_above():
    optimizer = sgd(0.1, 0.0)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for step in range(6):
        if step == 3:
            optimizer.param_groups[1]["lr"] = 0.035
        used = stepped(optimizer, scheduler)
        assert used == pytest.approx([RATES[step], 0.0 if step < 3 else RATES[step] / 2])


@pytest.mark.parametrize("change", ["removed", "turned round"])
def test_groups_that_change_before_the_first_step_are_known_again_when_a_cell_is_run_twice(change):
    optimizer = sgd(0.1, 0.01)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    if change == "removed":
        optimizer.param_groups.pop(0)
    else:
        optimizer.param_groups.reverse()
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for rate in RATES[:3]:
        assert stepped(optimizer, scheduler) == pytest.approx([rate] if change == "removed" else [rate / 10, rate])


def test_on_accelerate_s_optimiser_it_sees_the_steps_of_the_one_within():
    accelerate = pytest.importorskip("accelerate")
    model = torch.nn.Linear(3, 1)
    model, optimizer = accelerate.Accelerator(cpu=True).prepare(model, SGD(model.parameters(), lr=0.1))
    scheduler = ExpressionLR(optimizer, evolr.load("0.1/grad_norm"), **STEPS)
    norms = []
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])))
        optimizer.step()
        used = optimizer.param_groups[0]["lr"]
        scheduler.step()
        assert used == pytest.approx(0.1 / norms[max(len(norms) - 2, 0)], rel=1e-5)


def test_a_group_that_lost_what_torch_remembers_of_it_keeps_its_rate():
    optimizer = sgd(0.1, 0.01)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for step in range(5):
        assert stepped(optimizer, scheduler) == pytest.approx([RATES[step], RATES[step] / 10])
        for group in optimizer.param_groups if step == 1 else ():
            del group["initial_lr"]


def test_groups_that_come_and_go_leave_nothing_behind():
    optimizer = sgd(0.1)
    for _ in range(5):
        scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    gc.collect()
    assert len(optimizer._optimizer_step_post_hooks) == 1
    for _ in range(300):
        optimizer.add_param_group({"params": parameters()})
        stepped(optimizer)
        optimizer.param_groups.pop()
    assert len(scheduler._all._given) <= 102


@pytest.mark.parametrize(("text", "expected"), [("0.1*loss", 0.05), ("0.1/grad_norm", 0.1 / 2**0.5)])
def test_a_checkpoint_that_is_taken_before_the_first_step_decides_nothing(text, expected):
    """torch takes a step that moves nothing, with gradients of 0, to have a state to be read."""
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    first = {"loss": 1.0} if "loss" in text else {}
    scheduler = ExpressionLR(optimizer, evolr.load(text), **STEPS, **first)
    get_optimizer_state_dict(model, optimizer)
    if first:
        scheduler.observe(loss=0.5)
    assert stepped(optimizer)[0] == pytest.approx(expected)


def test_a_state_of_evolr_0_1_is_gone_on_with():
    optimizer = sgd(0.1, 0.05)
    scheduler = ExpressionLR(optimizer, LINE, **STEPS)
    for _ in range(3):
        stepped(optimizer, scheduler)
    state = scheduler.state_dict()
    del state["ratios"]
    for older in (state, {**state, "base": 0.1}):
        again = sgd(0.1, 0.05)
        resumed = ExpressionLR(again, LINE, **STEPS)
        resumed.load_state_dict(older)
        assert stepped(again, resumed) == pytest.approx([RATES[3], RATES[3] / 2])
        assert stepped(again, resumed) == pytest.approx([RATES[4], RATES[4] / 2])
