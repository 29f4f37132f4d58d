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
from torch.optim import LBFGS, SGD, AdamW
from torch.optim.lr_scheduler import ConstantLR, SequentialLR

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import Loop
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

STEPS = 12
MEASURED = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "weight_norm", "distance", "alignment")
MAKERS = {
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: AdamW(p, lr=0.1, weight_decay=0.1),
    "fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "groups": lambda p: SGD([{"params": [q], "lr": 0.1 * 2**-k} for k, q in enumerate(p)], momentum=0.5),
}


def schedule(text):
    return Schedule(expression=parse(text))


class Training:
    """A small regression; `told` holds what each step shows, measured by hand in float64."""

    def __init__(self, rule, make=MAKERS["sgd"], **first):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
        self.optimizer = make(list(self.model.parameters()))
        self.scheduler = ExpressionLR(self.optimizer, rule, total_steps=STEPS, steps_per_epoch=4, **first)
        self.rates, self.told, self.direction = [], [], None
        self.initial = self.weights()

    def weights(self):
        return np.concatenate([p.detach().double().numpy().ravel() for p in self.model.parameters()])

    def ratios(self):
        sizes = [(g["lr"], p.numel()) for g in self.optimizer.param_groups for p in g["params"]]
        return np.concatenate([np.full(n, float(lr)) for lr, n in sizes])

    def run(self, since, until, *, closure=False, clip=None):
        for step in range(since, until):
            torch.manual_seed(100 + step)
            inputs, targets = torch.randn(16, 8), torch.randn(16, 1)
            seen = {}

            def backward(inputs=inputs, targets=targets, seen=seen):
                self.optimizer.zero_grad()
                loss = ((self.model(inputs) - targets) ** 2).mean()
                loss.backward()
                seen["gradient"] = np.concatenate([p.grad.double().numpy().ravel() for p in self.model.parameters()])
                return loss

            if not closure:
                backward()
            if clip:
                self.scheduler.see_gradients()
                nn.utils.clip_grad_norm_(self.model.parameters(), clip)
            before = self.weights()
            self.optimizer.step(backward) if closure else self.optimizer.step()
            self.rates.append(max(float(g["lr"]) for g in self.optimizer.param_groups))
            after, gradient, previous = self.weights(), seen["gradient"], self.direction
            self.direction = (before - after) / self.ratios()
            size = 0 if previous is None else np.linalg.norm(gradient) * np.linalg.norm(previous)
            self.told.append(
                {
                    "grad_norm": np.linalg.norm(gradient),
                    "update_norm": np.linalg.norm(self.direction),
                    "weight_norm": np.linalg.norm(after),
                    "distance": np.linalg.norm(after - self.initial),
                    "alignment": gradient @ previous / size if size else 0.0,
                }
            )
            self.scheduler.step()
        return self

    def reference(self, rule):
        first = {"grad_norm": self.told[0]["grad_norm"], "weight_norm": np.linalg.norm(self.initial)}
        loop = Loop(rule, total_steps=STEPS, steps_per_epoch=4, **first)
        return [loop.learning_rate, *(loop.step(**told) for told in self.told[:-1])]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", MEASURED)
def test_a_signal_of_the_network_is_the_references(name, make):
    rule = schedule(f"0.01*({name} + 1.5)")
    training = Training(rule, MAKERS[make]).run(0, STEPS)
    np.testing.assert_allclose(training.rates, training.reference(rule), rtol=1e-4)
    assert len(set(training.rates)) > 3


ALL = schedule("0.01*(distance + 1e-3)/grad_norm_rss*(2 + alignment)*weight_norm/update_norm + 0.001*grad_norm_ema")


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


def test_an_optimiser_that_steps_without_gradients_is_told_of():
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SGD([parameter], lr=0.1)
    scheduler = ExpressionLR(optimizer, schedule("0.01*grad_norm"), total_steps=9)
    with pytest.raises(ScheduleError, match=r"no parameter has one .* step\(grad_norm=…\)"):
        optimizer.step()
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
    assert not optimizer._optimizer_step_pre_hooks
    assert not any(isinstance(value, list) and "network" in name for name, value in scheduler.state_dict().items())


SCRIPT = """
import os, sys, torch, torch.distributed as dist
from torch import nn
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
rule = Schedule(expression=parse(sys.argv[3]))
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
assert torch.equal(*both), both
dist.barrier()
os._exit(0)  # gloo's threads may outlive the interpreter
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", ["0.01*loss + 0.001*val_loss", "0.01*loss_ema/grad_norm_rss*(1 + distance)"])
def test_replicas_of_two_processes_stay_bit_equal(text, tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    root = str(Path(__file__).parents[2] / "src")
    processes = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "train.py"), str(rank), str(tmp_path / "store"), text],
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


# --- networks and loops of other kinds -----------------------------------------------------------------------------------


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
