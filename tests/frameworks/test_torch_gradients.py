"""ExpressionLR sees gradients, updates and weights of a real training, as the reference computes them from its tensors."""

import copy
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from evolr.torch import ExpressionLR
from tests.frameworks.torch_network import ALL, MAKERS, STEPS, Training, schedule

MEASURED = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance", "alignment")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", MEASURED)
def test_a_signal_of_the_network_is_the_references(name, make):
    rule = schedule(f"0.01*({name} + 1.5)")
    training = Training(rule, MAKERS[make]).run(0, STEPS)
    np.testing.assert_allclose(training.rates, training.reference(rule), rtol=1e-4)
    assert len(set(training.rates)) > 3


def test_a_closure_is_seen_when_it_has_been_called():
    with_closure, without = (Training(ALL).run(0, STEPS, closure=closure) for closure in (True, False))
    assert with_closure.rates == without.rates


def test_gradients_that_are_seen_before_they_are_clipped_are_not_seen_again():
    rule = schedule("0.01*grad_norm")
    training = Training(rule).run(0, STEPS, clip=0.1)
    np.testing.assert_allclose(training.rates, training.reference(rule), rtol=1e-4)


@pytest.mark.parametrize("at", range(1, STEPS))
def test_it_goes_on_from_its_state_at_every_step(at, tmp_path):
    whole = Training(ALL).run(0, STEPS)
    first = Training(ALL).run(0, at)
    states = [copy.deepcopy(part.state_dict()) for part in (first.model, first.optimizer, first.scheduler)]
    torch.save(states, tmp_path / "state")
    second = Training(ALL)
    loaded = torch.load(tmp_path / "state", weights_only=True)
    for part, state in zip((second.model, second.optimizer, second.scheduler), loaded, strict=True):
        part.load_state_dict(state)
    assert first.rates + second.run(at, STEPS).rates == whole.rates


def test_a_step_that_is_skipped_leaves_the_signals_as_they_were():
    training = Training(schedule("0.01*grad_norm_ema")).run(0, 4)
    rate = training.optimizer.param_groups[0]["lr"]
    training.scheduler.step()  # of a GradScaler that has skipped the optimiser's
    assert training.optimizer.param_groups[0]["lr"] == rate


def test_a_gradient_that_is_not_finite_poisons_nothing():
    training = Training(schedule("0.01*grad_norm_ema/grad_norm_rss")).run(0, 4)
    rate = training.optimizer.param_groups[0]["lr"]
    training.scheduler.step(grad_norm=float("nan"))
    assert training.optimizer.param_groups[0]["lr"] == rate > 0


def test_an_optimiser_that_steps_without_gradients_for_long_is_told_of():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SGD([parameter], lr=0.1)
    scheduler = ExpressionLR(optimizer, schedule("0.01*grad_norm"), total_steps=90)
    for _ in range(28):  # and one when it was made
        optimizer.step()
        scheduler.step()
    with pytest.warns(UserWarning, match=r"one without a gradient shows none; tell the norm, step\(grad_norm=…\)"):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.0]


@pytest.mark.parametrize("is_told", [True, False])
def test_an_optimiser_that_steps_unseen_for_long_is_warned_of_once_unless_the_norm_is_told(is_told):
    training = Training(schedule("0.01*grad_norm")).run(0, 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(40):  # as a CUDA graph is replayed
            training.scheduler.step(**({"grad_norm": 1.0} if is_told else {}))
    said = [str(w.message) for w in caught if "beyond total_steps" not in str(w.message)]
    assert len(said) == (not is_told)
    assert all("replayed from a CUDA graph" in message for message in said)


def test_a_schedule_that_reads_no_gradient_watches_none():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SGD([parameter], lr=0.1)
    scheduler = ExpressionLR(optimizer, schedule("0.01*loss"), total_steps=9, loss=1.0)
    assert len(optimizer._optimizer_step_pre_hooks) == 1  # which looks for new groups
    assert not any(isinstance(value, list) and "network" in name for name, value in scheduler.state_dict().items())


SCRIPT = """
import os, sys, torch, torch.distributed as dist
from torch import nn
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
for text in sys.argv[3:]:
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rule = Schedule(expression=parse(text))
    scheduler = ExpressionLR(optimizer, rule, total_steps=20, steps_per_epoch=5, loss=1.0 + rank, val_loss=2.0 + rank)
    torch.manual_seed(rank + 1)
    for step in range(20):
        loss = ((model(torch.randn(8, 4)) - torch.randn(8, 1)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(loss=loss)
        if step % 5 == 4:
            scheduler.observe(val_loss=loss)
    state = torch.cat([p.detach().flatten() for p in model.parameters()] + [torch.tensor(scheduler.get_last_lr())])
    both = [torch.zeros_like(state) for _ in range(2)]
    dist.all_gather(both, state)
    assert torch.equal(*both), (text, both)
dist.barrier()
os._exit(0)  # gloo's threads may outlive the interpreter
"""


@pytest.mark.timeout(120)
def test_replicas_of_two_processes_stay_bit_equal(tmp_path):
    texts = ["0.01*loss + 0.001*val_loss", "0.01*loss_ema/grad_norm_rss*(1 + distance)"]
    (tmp_path / "train.py").write_text(SCRIPT)
    root = str(Path(__file__).parents[2] / "src")
    processes = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "train.py"), str(rank), str(tmp_path / "store"), *texts],
            env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


class Scaled:
    """A training under a GradScaler; the losses of the steps in `infinite` are."""

    def __init__(self, *, fused, infinite=(), unscales=False, is_on=True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
        optimizer = AdamW(model.parameters(), lr=0.1, fused=fused)
        scheduler = ExpressionLR(optimizer, schedule("0.01*(grad_norm_rss + grad_norm_ema)"), total_steps=STEPS)
        scaler = torch.amp.GradScaler("cpu", enabled=is_on, init_scale=1024.0)
        self.rates, self.is_moved = [], []
        for step in range(8):
            inputs, targets = torch.randn(16, 8), torch.randn(16, 1)
            optimizer.zero_grad()
            loss = ((model(inputs) - targets) ** 2).mean() * (math.inf if step in infinite else 1.0)
            scaler.scale(loss).backward()
            if unscales:
                scaler.unscale_(optimizer)
                scheduler.see_gradients()
            before = model[0].weight.detach().clone()
            scaler.step(optimizer)
            self.is_moved.append(not torch.equal(before, model[0].weight))
            self.rates.append(optimizer.param_groups[0]["lr"])
            scaler.update()
            scheduler.step()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscales", [False, True])
def test_a_gradient_under_a_scaler_is_seen_unscaled(fused, unscales):
    scaled, plain = Scaled(fused=fused, unscales=unscales), Scaled(fused=fused, is_on=False)
    assert scaled.rates == pytest.approx(plain.rates, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Detected call of")  # torch's own, where the first step is skipped
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscales", [False, True])
def test_steps_that_a_scaler_skips_poison_nothing_and_the_first_gradient_may_come_late(fused, unscales):
    skipped = Scaled(fused=fused, infinite=(3,), unscales=unscales)
    whole = Scaled(fused=fused, unscales=unscales)
    assert skipped.is_moved == [step != 3 for step in range(8)]
    assert skipped.rates[:4] == whole.rates[:4]
    assert np.isfinite(skipped.rates).all()
    assert skipped.rates[4] == skipped.rates[3]  # nothing was seen between them
    late = Scaled(fused=fused, infinite=(0, 1), unscales=unscales)
    assert late.is_moved == [False, False] + 6 * [True]
    assert late.rates[2] == late.rates[3] > 0  # of its own gradient, and then of the same as the batch before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler calls what torch deprecates
@pytest.mark.parametrize("compiled", ["nothing", "the loss", "the step"])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_compiled_training_has_the_same_rates_whether_the_norm_is_seen_or_told(compiled, is_told):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = AdamW(model.parameters(), lr=torch.tensor(0.1), foreach=False)
    scheduler = ExpressionLR(optimizer, schedule("0.01*(grad_norm_rss + 1)"), total_steps=STEPS)

    def loss_of(inputs, targets):
        return ((model(inputs) - targets) ** 2).mean()

    run = torch.compile(loss_of, backend="eager") if compiled == "the loss" else loss_of
    step = torch.compile(optimizer.step, backend="eager") if compiled == "the step" else optimizer.step
    rates, squares = [], []
    for number in range(6):
        inputs, targets = torch.randn(16, 8), torch.randn(16, 1)
        optimizer.zero_grad()
        run(inputs, targets).backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        told = {"grad_norm": norm} if is_told else {}
        if number == 0 and told:
            scheduler.observe(**told)
        squares.append(float(norm) ** 2)
        step()
        rates.append(float(optimizer.param_groups[0]["lr"]))
        scheduler.step(**told)
    seen = [squares[0], *np.cumsum(squares)[:-1]]
    np.testing.assert_allclose(rates, 0.01 * (np.sqrt(seen) + 1), rtol=1e-5)
