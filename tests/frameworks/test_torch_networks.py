"""Schedules that read the network, of networks and loops of other kinds."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD
from torch.optim.lr_scheduler import ConstantLR, SequentialLR

from evolr.errors import ScheduleError
from evolr.torch import ExpressionLR
from tests.frameworks.torch_network import schedule


def test_a_group_that_stands_still_does_not_hold_the_update_of_the_others():
    moving, still = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = SGD([{"params": [moving], "lr": 1.0}, {"params": [still], "lr": 0.0}])
    scheduler = ExpressionLR(optimizer, schedule("0.05*weight_norm/update_norm"), total_steps=9)
    for _ in range(5):
        optimizer.zero_grad()
        (moving**2).sum().backward()
        (5 * still).sum().backward()
        direction = 2 * moving.detach().norm()
        optimizer.step()
        scheduler.step()
    weights = torch.cat([moving, still]).detach().norm()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * float(weights / direction), rel=1e-4)


def test_a_group_that_is_added_begins_where_it_is():
    first, later = nn.Parameter(torch.ones(3)), nn.Parameter(2 * torch.ones(2))
    optimizer = SGD([first], lr=1.0)
    scheduler = ExpressionLR(optimizer, schedule("0.01*(1 + distance)"), total_steps=9)
    for step in range(6):
        if step == 3:
            optimizer.add_param_group({"params": [later], "lr": 1.0})
        optimizer.zero_grad()
        (first.sum() + later.sum()).backward()
        optimizer.step()
        scheduler.step()
    moved = torch.cat([first.detach() - 1, later.detach() - 2]).norm()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * (1 + float(moved)), rel=1e-5)


def test_lbfgs_which_takes_its_rate_before_its_closure_wants_the_first_norm_told():
    inputs, targets = torch.linspace(-1, 1, 16)[:, None], torch.linspace(0, 2, 16)[:, None]

    def begun():
        model = nn.Linear(1, 1)
        optimizer = LBFGS(model.parameters(), max_iter=2)
        scheduler = ExpressionLR(optimizer, schedule("0.1/(1 + grad_norm)"), total_steps=4)

        def closure():
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(inputs), targets)
            loss.backward()
            return loss

        return model, optimizer, scheduler, closure

    _, optimizer, _, closure = begun()
    with pytest.raises(ScheduleError, match="LBFGS takes its learning rate before its closure"):
        optimizer.step(closure)
    model, optimizer, scheduler, closure = begun()
    closure()
    first = float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]))
    scheduler.observe(grad_norm=first)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / (1 + first), rel=1e-6)
    before = closure().item()
    for _ in range(3):
        optimizer.step(closure)
        scheduler.step()
    assert closure().item() < before


def test_sparse_gradients_are_seen_and_weights_without_a_gradient():
    table = nn.Embedding(10, 4, sparse=True)
    optimizer = SGD(table.parameters(), lr=1.0)
    scheduler = ExpressionLR(optimizer, schedule("0.01*grad_norm"), total_steps=9)
    table(torch.tensor([1, 1, 3])).sum().backward()
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 20**0.5)
    idle = SGD([nn.Parameter(torch.ones(4))], lr=1.0)
    of_weights = ExpressionLR(idle, schedule("0.01*weight_norm"), total_steps=9)
    idle.step()
    of_weights.step()
    assert idle.param_groups[0]["lr"] == pytest.approx(0.02)


def test_alignment_has_its_sign_where_an_optimiser_maximises():
    rates = []
    for sign in (1.0, -1.0):
        parameter = nn.Parameter(torch.tensor([3.0, 1.0]))
        optimizer = SGD([parameter], lr=0.1, maximize=sign < 0)
        scheduler = ExpressionLR(optimizer, schedule("0.01*(2 + alignment)"), total_steps=9)
        for _ in range(4):
            optimizer.zero_grad()
            (sign * parameter**2).sum().backward()
            optimizer.step()
            scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(rates[1]) == pytest.approx(0.03, rel=1e-3)


def test_what_a_sequence_did_before_counts_neither_for_distance_nor_for_gradients():
    def rates(warms_up):
        torch.manual_seed(0)
        parameter = nn.Parameter(torch.tensor([3.0, 1.0]))
        optimizer = SGD([parameter], lr=0.05)
        if warms_up:
            ours = ExpressionLR(optimizer, schedule("0.5*(distance + 0.1)/grad_norm_rss"), total_steps=9)
            scheduler = SequentialLR(optimizer, [ConstantLR(optimizer, 1.0, total_iters=4), ours], [4])
        else:
            for _ in range(4):
                parameter.data -= 0.05 * 2 * parameter.data
            scheduler = ExpressionLR(optimizer, schedule("0.5*(distance + 0.1)/grad_norm_rss"), total_steps=9)
        found = []
        for _ in range(9 if warms_up else 5):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
            found.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
        return found[-5:]

    assert rates(warms_up=True) == pytest.approx(rates(warms_up=False), rel=1e-4)


@pytest.mark.parametrize("kind", ["float32", "channels last", "float64", "bfloat16", "one of each"])
def test_the_norm_of_many_numbers_is_near_whatever_the_tensors(kind):
    generator = np.random.default_rng(0)
    whole = torch.from_numpy(generator.normal(size=(64, 32, 30, 30)))
    made = {
        "float32": lambda a: a.float(),
        "channels last": lambda a: a.float().contiguous(memory_format=torch.channels_last),
        "float64": lambda a: a.double(),
        "bfloat16": lambda a: a.bfloat16(),
    }
    tensors = [make(whole) for name, make in made.items() if kind in (name, "one of each")]
    parameters = [nn.Parameter(torch.zeros_like(tensor)) for tensor in tensors]
    optimizer = SGD(parameters, lr=0.1)
    scheduler = ExpressionLR(optimizer, schedule("0.001*grad_norm"), total_steps=9)
    for parameter, tensor in zip(parameters, tensors, strict=True):
        parameter.grad = tensor
    optimizer.step()
    expected = np.sqrt(sum(float((tensor.double() ** 2).sum()) for tensor in tensors))
    tolerance = 1e-5 if kind == "float32" else 1e-2 if "b" in kind or "each" in kind else 1e-3
    assert scheduler.get_last_lr()[0] == pytest.approx(0.001 * expected, rel=tolerance)


@pytest.mark.parametrize(("text", "expected"), [("0.1*weight_norm", 1.4142136), ("0.1*(1 + distance)", 0.1)])
def test_weights_that_are_loaded_after_the_scheduler_was_made_are_those_that_it_begins_with(text, expected):
    network = torch.nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scheduler = ExpressionLR(optimizer, schedule(text), total_steps=10, steps_per_epoch=10)
    network.load_state_dict({"weight": torch.full((1, 2), 10.0)})
    used = []
    for _ in range(3):
        network.weight.grad = torch.full((1, 2), 1e-3)
        optimizer.step()
        used.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert used == pytest.approx([expected] * 3, rel=0.002)


@pytest.mark.parametrize("text", ["0.1*(2 + alignment)", "1/grad_norm", "0.1/(1 + weight_norm + distance)"])
def test_complex_parameters_are_pairs_of_numbers(text):
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(6, 4, 2)).astype(np.float32)
    used = []
    for is_complex in (True, False):
        start = torch.ones(4, 2)
        weight = torch.nn.Parameter(torch.view_as_complex(start) if is_complex else start)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        scheduler = ExpressionLR(optimizer, schedule(text), total_steps=10, steps_per_epoch=10)
        used.append([])
        for gradient in map(torch.tensor, gradients):
            weight.grad = torch.view_as_complex(gradient) if is_complex else gradient
            optimizer.step()
            used[-1].append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    assert used[0] == pytest.approx(used[1], rel=1e-5)
    assert len(set(used[1])) > 2
