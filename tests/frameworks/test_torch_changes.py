"""What happens to an optimiser in the middle of a training: groups come and go, states are loaded, it is copied."""

import copy
import gc
import pickle

import pytest
import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, SequentialLR

import evolr
from evolr.errors import ScheduleError
from evolr.torch import ExpressionLR

FALLING = evolr.load("0.1*(1 - progress)")


def parameter(*values):
    return torch.nn.Parameter(torch.tensor(values or (0.0,)))


def now(optimizer):
    return [float(group["lr"]) for group in optimizer.param_groups]


def stepped(optimizer, *schedulers, gradient=1.0, **told):
    """Takes a step; the learning rates that it was taken with."""
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.grad = torch.full_like(each, gradient)
    optimizer.step()
    used = now(optimizer)
    for scheduler in schedulers:
        scheduler.step(**told)
    return used


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_rate_of_few_digits_follows_the_schedule(dtype):
    optimizer = AdamW([parameter()], lr=torch.tensor(1e-3, dtype=dtype))
    schedule = evolr.load("0.001*(1 - progress)")
    scheduler = ExpressionLR(optimizer, schedule, total_steps=1000)
    for step in range(900):
        (used,) = stepped(optimizer, scheduler)
        assert used == float(torch.tensor(schedule.at(progress=step / 1000), dtype=dtype))


def test_a_rate_below_what_its_type_holds_comes_back():
    optimizer = SGD([parameter()], lr=torch.tensor(0.1))
    scheduler = ExpressionLR(
        optimizer, evolr.load("0.1*min(1, ((step + 1)/50)**40)"), total_steps=60, steps_per_epoch=1
    )
    used = [stepped(optimizer, scheduler)[0] for _ in range(60)]
    assert used[0] == 0
    assert used[-1] == pytest.approx(0.1)


def test_what_is_made_of_a_rate_of_few_digits_by_hand_is_kept():
    optimizer = SGD([parameter()], lr=torch.tensor(0.1, dtype=torch.bfloat16))
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=100)
    stepped(optimizer, scheduler)
    optimizer.param_groups[0]["lr"].mul_(0.5)
    for step in range(1, 50):
        assert stepped(optimizer, scheduler)[0] == pytest.approx(0.05 * (1 - step / 100), rel=0.01)


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_a_state_that_is_loaded_beside_the_scheduler_is_no_factor(lr):
    def made():
        optimizer = SGD([parameter()], lr=copy.copy(lr), momentum=0.9)
        return optimizer, ExpressionLR(optimizer, FALLING, total_steps=100)

    former, scheduler = made()
    for _ in range(99):
        stepped(former, scheduler)
    optimizer, scheduler = made()
    optimizer.load_state_dict(copy.deepcopy(former.state_dict()))
    used = [stepped(optimizer, scheduler)[0] for _ in range(4)]
    assert used == pytest.approx([0.1, 0.099, 0.098, 0.097])


def test_a_state_that_is_rolled_back_leaves_the_schedule_where_it_is():
    optimizer = SGD([parameter()], lr=0.1, momentum=0.9)
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    for step in range(10):
        if step == 2:
            best = copy.deepcopy(optimizer.state_dict())
        if step == 4:
            optimizer.param_groups[0]["lr"] /= 2  # by hand
        if step == 6:
            optimizer.load_state_dict(best)
        factor = 1 if step < 4 else 0.5
        assert stepped(optimizer, scheduler) == pytest.approx([factor * 0.1 * (1 - step / 10)])


def test_in_a_chain_a_state_that_is_loaded_is_no_factor():
    optimizer = SGD([parameter()], lr=0.1)
    chain = ChainedScheduler([ExpressionLR(optimizer, FALLING, total_steps=10), ExponentialLR(optimizer, 0.5)])
    for step in range(10):
        if step == 2:
            best = copy.deepcopy(optimizer.state_dict())
        if step == 6:
            optimizer.load_state_dict(best)
        assert stepped(optimizer, chain) == pytest.approx([0.5**step * 0.1 * (1 - step / 10)])


def test_in_a_sequence_the_one_whose_turn_is_over_says_nothing_of_a_state():
    optimizer = SGD([parameter()], lr=0.1)
    parts = [ExpressionLR(optimizer, evolr.load(text), total_steps=4) for text in ("0.1*(1 - step/3)", "0.02")]
    sequence = SequentialLR(optimizer, parts, [4])
    for step in range(8):
        if step == 6:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        (used,) = stepped(optimizer, sequence)
        assert used == pytest.approx(0.1 * (1 - step / 3) if step < 4 else 0.02)


@pytest.mark.filterwarnings("ignore:Seems like .optimizer.step")  # torch's own, of any scheduler that is copied
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])  # noqa: S301
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.1/grad_norm", lambda g: 0.1 / g), ("0.1/(1 + distance)", None), ("0.1/(1 + update_norm)", None)],
)
def test_a_copy_sees_the_steps_of_its_own_optimiser(copied, before, text, expected):
    def trained(optimizer, scheduler, gradients):
        return [stepped(optimizer, scheduler, gradient=g)[0] for g in gradients]

    made = [SGD([parameter()], lr=0.1, momentum=0.5) for _ in range(2)]
    both = [(optimizer, ExpressionLR(optimizer, evolr.load(text), total_steps=50)) for optimizer in made]
    for pair in both:
        trained(*pair, [1.0] * before)
    wanted = trained(*both[0], [2.0, 4.0, 8.0])
    assert trained(*copied(both[1]), [2.0, 4.0, 8.0]) == wanted
    if expected and not before:
        assert wanted == pytest.approx([0.1 / 2.0, 0.1 / 2.0, 0.1 / 4.0])


def test_a_group_that_is_added_takes_its_first_step_by_the_schedule():
    optimizer = SGD([{"params": [parameter()], "lr": 0.01}], lr=10.0)
    scheduler = ExpressionLR(optimizer, evolr.load("0.001*(step + 1)"), total_steps=10)
    assert stepped(optimizer, scheduler) == pytest.approx([0.001])
    optimizer.add_param_group({"params": [parameter()]})  # its own is a thousand times the other's
    assert stepped(optimizer, scheduler) == pytest.approx([0.002, 2.0])
    optimizer.param_groups[1]["lr"] /= 2  # by hand
    assert stepped(optimizer, scheduler) == pytest.approx([0.003, 1.5])
    assert stepped(optimizer, scheduler) == pytest.approx([0.004, 2.0])


def test_a_group_that_is_removed_or_replaced_takes_its_part_with_it():
    first, second = parameter(), parameter()
    optimizer = SGD([{"params": [first]}, {"params": [second], "lr": 0.05}], lr=0.1)
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    stepped(optimizer, scheduler)
    del optimizer.param_groups[0]
    assert stepped(optimizer, scheduler) == pytest.approx([0.045])
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": [second], "lr": 0.1})
    optimizer.add_param_group({"params": [first], "lr": 0.01})
    assert stepped(optimizer, scheduler) == pytest.approx([0.08, 0.008])
    optimizer.param_groups[1] = {**optimizer.param_groups[1], "params": [parameter()], "lr": 0.05, "initial_lr": 0.05}
    assert stepped(optimizer, scheduler) == pytest.approx([0.07, 0.035])
    assert stepped(optimizer, scheduler) == pytest.approx([0.06, 0.03])


def test_groups_that_share_a_tensor_have_rates_of_their_own():
    groups = [{"params": [parameter()], "lr_scale": 0.5}, {"params": [parameter()]}]
    optimizer = Adam(groups, lr=torch.tensor(0.1))
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    assert stepped(optimizer, scheduler) == pytest.approx([0.05, 0.1])
    assert stepped(optimizer, scheduler) == pytest.approx([0.045, 0.09])


def test_a_rate_that_is_not_finite_is_refused():
    with pytest.raises(ScheduleError, match="must be positive and finite; got inf"):
        ExpressionLR(SGD([parameter()], lr=float("inf")), FALLING, total_steps=10)


def test_each_epoch_has_the_rate_that_its_first_gradient_says():
    optimizer = SGD([parameter()], lr=0.1)
    schedule = evolr.load("0.1/grad_norm")
    scheduler = ExpressionLR(optimizer, schedule, total_steps=8, steps_per_epoch=4, interval="epoch")
    used = [stepped(optimizer, gradient=1.0 + k) for k in range(4)]
    scheduler.step()
    used += [stepped(optimizer, gradient=1.0) for _ in range(4)]
    assert used == [[0.1]] * 4 + [[0.025]] * 4


def test_a_step_without_a_gradient_shows_nothing():
    """As where a batch is skipped: Lightning's training_step gives None for it."""
    weight = parameter(1.0)
    optimizer = SGD([weight], lr=0.1)
    scheduler = ExpressionLR(optimizer, evolr.load("0.1/(1 + grad_norm)"), total_steps=9)
    used = []
    for gradient in (None, 1.0, 4.0, None, None, 9.0):
        weight.grad = None if gradient is None else torch.tensor([gradient])
        optimizer.step()
        used += now(optimizer)
        scheduler.step()
    assert used == pytest.approx([0.0, 0.05, 0.05, 0.02, 0.02, 0.02])


def test_what_took_the_place_of_a_parameter_begins_where_it_is():
    first, second = parameter(1.0, 2.0), parameter(3.0)
    optimizer = SGD([{"params": [first]}, {"params": [second]}], lr=0.1)
    scheduler = ExpressionLR(optimizer, evolr.load("0.1/(1 + distance)"), total_steps=20)
    for change in (None, "another", "shape", "joined"):
        if change == "another":
            optimizer.param_groups[0]["params"][0] = parameter(5.0, 5.0, 5.0)
        if change == "shape":
            optimizer.param_groups[1]["params"][0].data = torch.ones(2, 2)
        if change == "joined":
            optimizer.param_groups[0]["params"].append(parameter(7.0))
        before = [p.detach().clone() for g in optimizer.param_groups for p in g["params"]]
        known = {id(p): q for p, q in zip(scheduler._network._known, scheduler._network._trees["initial"], strict=True)}
        weights = [p for g in optimizer.param_groups for p in g["params"]]
        initial = [
            q if (q := known.get(id(p))) is not None and q.shape == p.shape else b
            for p, b in zip(weights, before, strict=True)
        ]
        for p in weights:
            p.grad = torch.ones_like(p)
        optimizer.step()
        moved = sum(float(((p.detach() - q) ** 2).sum()) for p, q in zip(weights, initial, strict=True)) ** 0.5
        assert float(scheduler._network._pending["distance"]) == pytest.approx(moved, rel=1e-6)
        scheduler.step()


@pytest.mark.parametrize("signal", ["distance", "update_norm", "alignment", "grad_norm"])
def test_groups_that_come_between_the_gradient_and_the_step_are_met(signal):
    optimizer = SGD([parameter()], lr=0.1)
    scheduler = ExpressionLR(optimizer, evolr.load(f"0.1/(2 + {signal})"), total_steps=20)
    for _ in range(3):
        stepped(optimizer, scheduler)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    scheduler.see_gradients()
    optimizer.add_param_group({"params": [parameter()]})
    optimizer.step()
    scheduler.step()
    stepped(optimizer, scheduler)
    assert len(set(now(optimizer))) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update({"network.initial": None}) or state.update({"network.initial": 5}),
        lambda state: state.update({"network.initial": "abc"}),
        lambda state: state.update({"network.initial": [torch.zeros(3)]}),
        lambda state: state.update({"network.initial": []}),
        lambda state: state.update({"network.pending.distance": "far"}),
    ],
)
def test_a_state_of_another_network_is_refused_and_nothing_is_changed(change):
    optimizer = SGD([parameter()], lr=0.1)
    scheduler = ExpressionLR(optimizer, evolr.load("0.1/(1 + distance)"), total_steps=20)
    stepped(optimizer, scheduler)
    state = scheduler.state_dict()
    change(state)
    before = scheduler.state_dict()
    with pytest.raises(ScheduleError):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before
    stepped(optimizer, scheduler)


def test_a_checkpoint_between_the_two_steps_goes_on_to_the_bit():
    def made():
        optimizer = SGD([parameter(1.0, 2.0)], lr=0.1, momentum=0.9)
        return optimizer, ExpressionLR(optimizer, evolr.load("0.1/(1 + grad_norm_ema + distance)"), total_steps=50)

    def took(optimizer, gradient):
        optimizer.param_groups[0]["params"][0].grad = torch.tensor([gradient, 1.0])
        optimizer.step()

    optimizer, scheduler = made()
    for gradient in (1.0, 3.0, 2.0):
        took(optimizer, gradient)
        scheduler.step()
    took(optimizer, 9.0)
    weights = optimizer.param_groups[0]["params"][0].detach().clone()
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    scheduler.step()
    again, resumed = made()
    again.param_groups[0]["params"][0].data.copy_(weights)
    again.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    resumed.step()
    for gradient in (4.0, 0.5):
        assert now(again) == now(optimizer)
        for pair in ((optimizer, scheduler), (again, resumed)):
            took(pair[0], gradient)
            pair[1].step()


def test_the_norm_of_many_gradients_of_half_precision_is_what_it_is():
    weight = torch.nn.Parameter(torch.zeros(100_000, dtype=torch.float16))
    optimizer = SGD([weight], lr=0.1)
    scheduler = ExpressionLR(optimizer, evolr.load("0.1/grad_norm"), total_steps=20)
    weight.grad = torch.full_like(weight, 1000.0)
    optimizer.step()
    scheduler.step()
    assert now(optimizer)[0] == pytest.approx(0.1 / (1000 * 100_000**0.5), rel=1e-3)


def test_one_that_is_made_again_leaves_no_hooks():
    optimizer = SGD([parameter()], lr=0.1)
    for _ in range(4):
        scheduler = ExpressionLR(optimizer, evolr.load("0.1/(1 + distance)"), total_steps=20)
    gc.collect()
    assert len(optimizer._optimizer_step_pre_hooks) == 2
    del scheduler
    gc.collect()
    assert len(optimizer._optimizer_step_pre_hooks) == 0
    assert len(optimizer._optimizer_load_state_dict_post_hooks) == 0
