"""A signal is one definition: one that is added to the table is found everywhere."""

import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch import nn

import evolr.optax
from evolr import signal_bank as bank_module
from evolr.advice import made_up_trace
from evolr.exports.targets import TARGETS, source
from evolr.expression import parse
from evolr.loop import Loop
from evolr.problems import Quadratic
from evolr.schedule import Schedule
from evolr.signals import SIGNALS, Signal, table
from evolr.simplification.ranges import range_of
from evolr.torch import ExpressionLR
from evolr.training.measures import Level, level_of
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer


def first_worst(value):
    return value


def worst(memory, value, moment, ops):
    return ops.where(value > memory, value, memory)


WORST = Signal(
    "worst_norm",
    "the greatest grad_norm so far",
    "grad_norm",
    first_worst,
    worst,
    begins_with="grad_norm",
    low=0.5,
    example=lambda e: 3 + e.progress,
)


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    monkeypatch.setitem(table._ROWS, WORST.name, WORST)
    bank_module.signal_bank.cache_clear()
    yield
    bank_module.signal_bank.cache_clear()


def rule():
    return Schedule(expression=parse("0.01*worst_norm"))


def test_the_language_reads_it_and_the_comparison_of_formulas_knows_it():
    assert rule().signals == {WORST.name}
    assert rule().expression.live_signals == [WORST.name]
    assert (bank_module.signal_bank()[WORST.name] >= 3).all()
    assert made_up_trace(3, 4)[WORST.name].shape == (12,)
    assert range_of(WORST.name, ()) == (0.5, np.inf)


def test_the_trainer_computes_it():
    assert level_of([WORST.name]) == Level.GRADIENT
    task = Quadratic(dimension=5, steps_per_epoch=6).task("fitness")
    outcomes = Trainer(task, Optimizer(name="sgd")).train(
        [Trial(Schedule(expression=parse(f"0.01*{text}")), 1) for text in ("worst_norm", "grad_norm")],
        2,
        keep_steps=True,
    )
    worst_seen = outcomes[0].learning_rates
    assert (np.diff(worst_seen) >= 0).all()
    assert worst_seen[0] == outcomes[1].learning_rates[0]
    assert outcomes[0].signals.keys() == SIGNALS.keys()
    assert outcomes[0].signals[WORST.name].shape == (2,)


NORMS = [2.0, 3.0, 1.0, 4.0]


def test_a_loop_and_optax_remember_it():
    loop = Loop(rule(), total_steps=9, grad_norm=2.0)
    rates = [loop.learning_rate, *(loop.step(grad_norm=norm) for norm in NORMS)]
    assert rates == pytest.approx([0.02, 0.02, 0.03, 0.03, 0.04])
    again = Loop(rule(), total_steps=9, grad_norm=1.0)
    again.load_state_dict(loop.state_dict())
    assert again.step(grad_norm=1.0) == pytest.approx(0.04)
    optimizer = evolr.optax.optimizer(rule(), optax.scale_by_adam(), total_steps=9)
    parameters = jnp.ones(1)
    state, found = optimizer.init(parameters), []
    for norm in [*NORMS, 1.0]:
        _, state = optimizer.update(jnp.array([norm]), state, parameters)
        found.append(float(state[1].learning_rate))
    assert found == pytest.approx(rates)


def trained(make):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler, rates = make(optimizer), []
    for norm in [*NORMS, 1.0]:
        parameter.grad = torch.tensor([norm])
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    return rates


def test_torch_measures_it_and_an_exported_file_holds_its_rule(tmp_path):
    assert trained(lambda o: ExpressionLR(o, rule(), total_steps=9)) == pytest.approx([0.02, 0.02, 0.03, 0.03, 0.04])
    text = source(rule(), "torch")
    assert "def worst(" in text
    assert "loss_ema" not in re.findall(r'Signal\(\s+"(\w+)"', text)
    exported = {"__name__": "exported"}
    exec(compile(text, "exported", "exec"), exported)  # noqa: S102
    assert trained(lambda o: exported["scheduler"](o, total_steps=9)) == pytest.approx([0.02, 0.02, 0.03, 0.03, 0.04])


def test_each_target_says_whether_it_can_supply_it():
    able = {name for name, target in TARGETS.items() if not target.lacks([WORST.name])}
    assert able == {"python", "torch", "optax", "keras", "lightning"}


def test_a_signal_of_the_users_own_is_remembered_by_its_name():
    """What a rule reads and no table has is told under its name."""

    class Own:
        signals = frozenset(("temperature",))

        @staticmethod
        def at(*, temperature):
            return 0.1 * temperature

    loop = Loop(Own, total_steps=3, temperature=1.0)
    assert [loop.learning_rate, loop.step(temperature=3.0)] == pytest.approx([0.1, 0.3])


def test_nothing_of_it_is_left_in_a_new_process():
    known = subprocess.run(
        [sys.executable, "-c", "from evolr.signals import SIGNALS; print(*SIGNALS)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert WORST.name not in known.stdout
