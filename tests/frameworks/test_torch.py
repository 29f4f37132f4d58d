import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LambdaLR, LinearLR, SequentialLR

from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR, lr_lambda
from tests.contracts.traces import (
    BATCH,
    CLASSES,
    EPOCHS,
    FEEDBACK,
    INPUTS,
    OPEN_LOOP,
    STEPS,
    Trained,
    check,
    reference,
    samples,
)
from tests.frameworks.exported import exported

TOTAL = EPOCHS * STEPS
FALLING = Schedule(expression=parse("0.1*(1 - progress)"))


class Training:
    """A small classifier in an ordinary PyTorch loop, which can be left and gone on with at any step."""

    def __init__(self, make, *, is_fed, optimizer=torch.optim.Adam):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(INPUTS, 16), torch.nn.Tanh(), torch.nn.Linear(16, CLASSES))
        self.train = [torch.from_numpy(a) for a in samples()]
        self.validation = [torch.from_numpy(a) for a in samples(1)]
        self.optimizer = optimizer(self.model.parameters(), lr=0.05)
        self.is_fed = is_fed
        self.trained = Trained(self.validate())
        first = self.loss(0).item()
        self.scheduler = make(self.optimizer, loss=first, val_loss=self.trained.first_val_loss)
        self.done = 0

    def loss(self, step):
        batch = slice(step % STEPS * BATCH, (step % STEPS + 1) * BATCH)
        inputs, labels = self.train
        return torch.nn.functional.cross_entropy(self.model(inputs[batch]), labels[batch])

    def validate(self):
        inputs, labels = self.validation
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(self.model(inputs), labels).item()

    def run(self, steps):
        for _ in range(steps):
            loss = self.loss(self.done)
            self.optimizer.zero_grad()
            loss.backward()
            self.trained.rates.append(float(self.optimizer.param_groups[0]["lr"]))
            self.trained.losses.append(loss.item())
            self.optimizer.step()
            self.done += 1
            if self.is_fed:
                self.scheduler.step(loss=loss)
            else:
                self.scheduler.step()
            if self.done % STEPS == 0:
                self.trained.val_losses.append(self.validate())
                if self.is_fed:
                    self.scheduler.observe(val_loss=self.trained.val_losses[-1])
        return self.trained

    def state(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "trained": vars(self.trained),
        }

    def load(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.trained = Trained(**state["trained"])
        self.done = len(self.trained.losses)


def own(schedule):
    return lambda optimizer, **first: ExpressionLR(
        optimizer, schedule, total_steps=TOTAL, steps_per_epoch=STEPS, **first
    )


@pytest.mark.parametrize("schedule", [OPEN_LOOP, FEEDBACK], ids=["open loop", "feedback"])
def test_a_real_training_follows_the_reference(schedule):
    training = Training(own(schedule), is_fed=schedule is FEEDBACK)
    check(schedule, training.run(TOTAL))


@pytest.mark.parametrize("schedule", [OPEN_LOOP, FEEDBACK], ids=["open loop", "feedback"])
def test_a_real_training_follows_the_reference_by_the_exported_file(schedule, tmp_path):
    module = exported(schedule, "torch", tmp_path)
    training = Training(
        lambda optimizer, **first: module.scheduler(optimizer, total_steps=TOTAL, steps_per_epoch=STEPS, **first),
        is_fed=schedule is FEEDBACK,
    )
    check(schedule, training.run(TOTAL))


RESUME = """
import sys, torch
from tests.frameworks.test_torch import OPEN_LOOP, FEEDBACK, TOTAL, Training, own

for line in sys.stdin:
    path, name = line.split()
    schedule = {"open": OPEN_LOOP, "feedback": FEEDBACK}[name]
    training = Training(own(schedule), is_fed=schedule is FEEDBACK)
    training.load(torch.load(path, weights_only=True))
    print(*[repr(rate) for rate in training.run(TOTAL - training.done).rates])
"""


def test_a_training_that_goes_on_in_a_new_process_has_the_same_learning_rates_whatever_the_step(tmp_path):
    root = Path(__file__).parents[2]
    wanted, lines = [], []
    for name, schedule in (("open", OPEN_LOOP), ("feedback", FEEDBACK)):
        whole = Training(own(schedule), is_fed=schedule is FEEDBACK).run(TOTAL)
        training = Training(own(schedule), is_fed=schedule is FEEDBACK)
        for step in range(TOTAL + 1):
            path = tmp_path / f"{name}{step}.pt"
            torch.save(training.state(), path)
            wanted.append(whole.rates)
            lines.append(f"{path} {name}\n")
            if step < TOTAL:
                training.run(1)
    done = subprocess.run(
        [sys.executable, "-c", RESUME], input="".join(lines), capture_output=True, text=True, cwd=root, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [[float(rate) for rate in line.split()] for line in done.stdout.splitlines()]
    assert found == wanted


def test_the_state_holds_numbers_only():
    state = Training(own(FEEDBACK), is_fed=True).scheduler.state_dict()
    assert repr(pickle.loads(pickle.dumps(state))) == repr(state)  # noqa: S301
    flat = [v for value in state.values() for v in (value if isinstance(value, list) else [value])]
    assert all(isinstance(value, int | float) for value in flat)


def rates_of(optimizer, scheduler, steps, group=0):
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[group]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def sgd(lr=0.05, **settings):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr, **settings)


def test_the_first_and_the_last_step_are_those_of_the_horizon():
    optimizer = sgd()
    rates = rates_of(optimizer, ExpressionLR(optimizer, FALLING, total_steps=4), 4)
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


def test_beyond_its_horizon_a_training_keeps_its_learning_rate_and_is_warned_once():
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=4)
    rates_of(optimizer, scheduler, 4)
    with pytest.warns(UserWarning, match="beyond total_steps=4; .*counts epochs.*several processes") as caught:
        assert rates_of(optimizer, scheduler, 3) == pytest.approx([0.025] * 3)
    assert len(caught) == 1


def test_stepped_once_an_epoch_it_is_at_the_epochs_first_step():
    schedule = Schedule(expression=parse("0.001*step + 0.1*progress + 0.01*epoch"))
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, schedule, total_steps=40, steps_per_epoch=10, interval="epoch")
    expected = [0.001 * 10 * e + 0.1 * e / 4 + 0.01 * e for e in range(4)]
    assert rates_of(optimizer, scheduler, 4) == pytest.approx([0.0, *expected[1:]])


def test_parameter_groups_keep_their_ratio():
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))]},
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.005},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.05)
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=4)
    for expected in (0.1, 0.075, 0.05, 0.025):
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([expected, expected / 10])
        assert scheduler.get_last_lr() == pytest.approx([expected, expected / 10])
        optimizer.step()
        scheduler.step()


def test_a_learning_rate_that_is_a_tensor_stays_one():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], lr=torch.tensor(0.05))
    tensor = optimizer.param_groups[0]["lr"]
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=1000)
    expected = 0.1 * (1 - np.arange(1000) / 1000)
    np.testing.assert_allclose(rates_of(optimizer, scheduler, 1000), expected, rtol=2e-7)
    assert optimizer.param_groups[0]["lr"] is tensor


def test_it_follows_a_warm_up_in_a_sequence():
    optimizer = sgd()
    sequence = SequentialLR(
        optimizer, [LinearLR(optimizer, 0.1, total_iters=3), ExpressionLR(optimizer, FALLING, total_steps=4)], [3]
    )
    assert rates_of(optimizer, sequence, 7) == pytest.approx([0.005, 0.02, 0.035, 0.1, 0.075, 0.05, 0.025])


def test_it_goes_before_another_in_a_sequence():
    optimizer = sgd()
    sequence = SequentialLR(
        optimizer, [ExpressionLR(optimizer, FALLING, total_steps=4), ExponentialLR(optimizer, 0.5)], [2]
    )
    assert rates_of(optimizer, sequence, 5) == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.0125])


def test_a_sequence_is_saved_and_gone_on_with():
    def make():
        optimizer = sgd()
        parts = [LinearLR(optimizer, 0.1, total_iters=3), ExpressionLR(optimizer, FALLING, total_steps=4)]
        return optimizer, SequentialLR(optimizer, parts, [3])

    whole = rates_of(*make(), 7)
    for step in range(7):
        optimizer, sequence = make()
        rates_of(optimizer, sequence, step)
        states = optimizer.state_dict(), sequence.state_dict()
        optimizer, sequence = make()
        optimizer.load_state_dict(states[0])
        sequence.load_state_dict(states[1])
        assert rates_of(optimizer, sequence, 7 - step) == whole[step:]


@pytest.mark.parametrize("is_first", [True, False])
def test_in_a_chain_its_learning_rates_are_multiplied(is_first):
    optimizer = sgd()
    makers = [lambda: ExpressionLR(optimizer, FALLING, total_steps=8), lambda: ExponentialLR(optimizer, 0.9)]
    chain = ChainedScheduler([make() for make in (makers if is_first else makers[::-1])])
    expected = [0.1 * (1 - k / 8) * 0.9**k for k in range(8)]
    assert rates_of(optimizer, chain, 8) == pytest.approx(expected, rel=1e-12)


def test_in_a_chain_it_is_told_the_loss_apart():
    schedule = Schedule(expression=parse("0.1/(1 + loss)"))
    optimizer = sgd()
    ours = ExpressionLR(optimizer, schedule, total_steps=8, loss=1.0)
    chain = ChainedScheduler([ours, ExponentialLR(optimizer, 0.9)])
    rates = []
    for step in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        chain.step()
        ours.observe(loss=float(step))
    assert rates == pytest.approx([0.05, 0.1 * 0.9, 0.05 * 0.81, 0.1 / 3 * 0.729])


def test_with_a_gradient_scaler_there_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training = Training(own(FEEDBACK), is_fed=True)
        scaler = torch.amp.GradScaler("cpu")
        for step in range(4):
            loss = training.loss(step)
            training.optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(training.optimizer)
            scaler.update()
            training.scheduler.step(loss=loss)


def test_lambda_lr_takes_an_open_loop_schedule(tmp_path):
    expected = reference(OPEN_LOOP, Trained(0.0, [], [1.0] * TOTAL, [1.0] * EPOCHS))
    optimizer = sgd()
    scheduler = LambdaLR(optimizer, lr_lambda(OPEN_LOOP, 0.05, total_steps=TOTAL, steps_per_epoch=STEPS))
    assert rates_of(optimizer, scheduler, TOTAL) == pytest.approx(expected, rel=1e-12)
    optimizer = sgd()
    module = exported(OPEN_LOOP, "huggingface", tmp_path)
    scheduler = module.scheduler(optimizer, 0.05, total_steps=TOTAL, steps_per_epoch=STEPS)
    assert rates_of(optimizer, scheduler, TOTAL + 2) == pytest.approx(
        [*expected, expected[-1], expected[-1]], rel=1e-12
    )


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "before it is made"])
@pytest.mark.parametrize("kind", ["alone", "in a chain", "after a warm-up"])
def test_whatever_the_order_of_loading_it_goes_on(order, kind):
    def scheduler_of(optimizer):
        ours = ExpressionLR(optimizer, FALLING, total_steps=10)
        if kind == "in a chain":
            return ChainedScheduler([ours, ExponentialLR(optimizer, 0.9)])
        if kind == "after a warm-up":
            return SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=3), ours], [3])
        return ours

    optimizer = sgd()
    whole = rates_of(optimizer, scheduler_of(optimizer), 9)
    for step in range(9):
        optimizer = sgd()
        scheduler = scheduler_of(optimizer)
        rates_of(optimizer, scheduler, step)
        states = optimizer.state_dict(), scheduler.state_dict()
        optimizer = sgd()
        if order == "before it is made":
            optimizer.load_state_dict(states[0])
        scheduler = scheduler_of(optimizer)
        if order == "optimizer first":
            optimizer.load_state_dict(states[0])
        scheduler.load_state_dict(states[1])
        if order == "scheduler first":
            optimizer.load_state_dict(states[0])
        assert rates_of(optimizer, scheduler, 9 - step) == pytest.approx(whole[step:], rel=1e-12)


def test_a_second_schedule_begins_anew():
    optimizer = sgd()
    for _ in range(2):
        scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
        assert rates_of(optimizer, scheduler, 9) == pytest.approx([0.1 * (1 - k / 10) for k in range(9)])


def test_a_learning_rate_that_is_a_tensor_survives_a_warm_up():
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], lr=torch.tensor(1e-3))
    parts = [LinearLR(optimizer, 0.1, total_iters=2), ExpressionLR(optimizer, FALLING, total_steps=4)]
    rates = rates_of(optimizer, SequentialLR(optimizer, parts, [2]), 5)
    assert rates == pytest.approx([1e-4, 5.5e-4, 0.1, 0.075, 0.05], rel=1e-6)


def test_what_is_observed_before_its_turn_waits():
    optimizer = sgd(lr=1e-3)
    ours = ExpressionLR(optimizer, Schedule(expression=parse("0.1*loss")), total_steps=8, loss=1.0)
    sequence = SequentialLR(optimizer, [LinearLR(optimizer, 0.1, total_iters=4), ours], [4])
    rates = []
    for step in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        sequence.step()
        ours.observe(loss=2.0 + step)
    assert rates == pytest.approx([1e-4, 3.25e-4, 5.5e-4, 7.75e-4, 0.5, 0.6, 0.7])


def test_groups_that_are_added_later_keep_their_ratio():
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, FALLING, total_steps=10)
    rates_of(optimizer, scheduler, 2)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.005})
    assert rates_of(optimizer, scheduler, 2, group=1) == pytest.approx([0.005, 0.007])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("loss", {}, "reads the training loss: give loss="),
        ("loss_ema", {}, "reads the training loss: give loss="),
        ("val_loss", {}, "reads the validation loss: give val_loss="),
        ("progress", {"total_steps": 0}, "total_steps must be a whole number of at least 1, got 0"),
        ("progress", {"total_steps": 1.5}, "total_steps must be a whole number of at least 1, got 1.5"),
        ("progress", {"steps_per_epoch": 0}, "steps_per_epoch must be a whole number of at least 1, got 0"),
        ("progress", {"interval": "batch"}, "interval is 'step' or 'epoch', got 'batch'"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(text, settings, message):
    with pytest.raises(ScheduleError, match=message):
        ExpressionLR(sgd(), Schedule(expression=parse(text)), **{"total_steps": 4, **settings})


def test_an_optimiser_without_a_learning_rate_is_refused():
    with pytest.raises(ScheduleError, match="which must be positive and finite; got 0"):
        ExpressionLR(sgd(lr=0.0), FALLING, total_steps=4)


def test_a_loss_that_nobody_tells_is_missed():
    optimizer = sgd()
    scheduler = ExpressionLR(optimizer, Schedule(expression=parse("0.1/(1 + loss)")), total_steps=8, loss=1.0)
    optimizer.step()
    scheduler.step()
    optimizer.step()
    with pytest.raises(ScheduleError, match=r"was told no loss since step 1: step\(loss=…\)"):
        scheduler.step()


def test_a_validation_loss_that_nobody_tells_is_missed():
    optimizer = sgd()
    schedule = Schedule(expression=parse("0.1/(1 + val_loss)"))
    scheduler = ExpressionLR(optimizer, schedule, total_steps=40, steps_per_epoch=2, val_loss=1.0)
    with pytest.warns(UserWarning, match="half of the training has told none") as caught:
        rates_of(optimizer, scheduler, 40)
    assert len(caught) == 1
