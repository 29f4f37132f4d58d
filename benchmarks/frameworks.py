"""How near the learning rates of real trainings in five frameworks are to the reference, and what a step costs in PyTorch.

    python benchmarks/frameworks.py        # writes benchmarks/results/frameworks.json

The trainings are those of the tests: a small classifier, 30 steps, by each framework's own loop; three schedules, one that
reads no loss, one that reads every live signal, and examples/champion.json. A deviation is the greatest over the steps,
relative.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KERAS_BACKEND", "torch")
warnings.filterwarnings("ignore")

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

import evolr
import evolr.standard
from evolr.keras import ExpressionCallback, ExpressionSchedule
from evolr.lightning import TellLosses
from evolr.loop import Loop
from evolr.optax import scale_by_expression, schedule
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR
from tests.contracts.traces import EPOCHS, FEEDBACK, OPEN_LOOP, STEPS, Trained, reference
from tests.frameworks import test_keras, test_lightning, test_optax, test_torch

OUT = ROOT / "benchmarks" / "results" / "frameworks.json"
HORIZON = {"total_steps": EPOCHS * STEPS, "steps_per_epoch": STEPS}


def in_python(one: Schedule) -> Trained:
    """A training whose losses are those of PyTorch's, followed by evolr.Loop."""
    told = in_torch(one)
    loop = Loop(one, **HORIZON, loss=told.losses[0], val_loss=told.first_val_loss)
    rates = [loop.learning_rate]
    for step, loss in enumerate(told.losses[:-1], start=1):
        loop.step(loss=loss, val_loss=told.val_losses[step // STEPS - 1] if step % STEPS == 0 else None)
        rates.append(loop.learning_rate)
    return Trained(told.first_val_loss, rates, told.losses, told.val_losses)


def in_torch(one: Schedule) -> Trained:
    return test_torch.Training(test_torch.own(one), is_fed=not one.expression.is_open_loop).run(EPOCHS * STEPS)


def in_lightning(one: Schedule) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        return test_lightning.fit(test_lightning.by_evolr(one), [TellLosses()], folder)[0]


def in_keras(one: Schedule) -> Trained:
    def make(loss: float, val_loss: float) -> tuple[object, list[object]]:
        if one.expression.is_open_loop:
            return ExpressionSchedule(one, **HORIZON), []
        return 0.01, [ExpressionCallback(one, **HORIZON, loss=loss, val_loss=val_loss)]

    return test_keras.train(make)[0]


def in_optax(one: Schedule) -> Trained:
    if one.expression.is_open_loop:
        made = test_optax.open_loop(schedule(one, **HORIZON))
    else:
        made = test_optax.feedback(scale_by_expression(one, **HORIZON))
    return test_optax.train(*made, is_scanned=True)


def step_cost(make: Callable[[torch.optim.Optimizer], object], steps: int = 20_000, **told: float) -> float:
    """Microseconds of a scheduler's step, the optimiser's own left out."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    optimizer.step()
    start = time.perf_counter()
    for _ in range(steps):
        scheduler.step(**told)  # pyright: ignore[reportAttributeAccessIssue]
    return (time.perf_counter() - start) / steps * 1e6


def main() -> None:
    champion = Schedule.load(ROOT / "examples" / "champion.json")
    schedules = {"open loop": OPEN_LOOP, "feedback": FEEDBACK, "champion": champion}
    frameworks = {
        "python": in_python,
        "torch": in_torch,
        "lightning": in_lightning,
        "keras": in_keras,
        "optax": in_optax,
    }
    print(f"greatest relative deviation from the reference, {EPOCHS * STEPS} steps\n")
    print(f"{'':10}" + "".join(f"{name:>12}" for name in schedules))
    deviations: dict[str, dict[str, float]] = {}
    for framework, train in frameworks.items():
        deviations[framework] = {}
        for name, one in schedules.items():
            trained = train(one)
            expected = reference(one, trained)
            deviations[framework][name] = float(np.max(np.abs(np.array(trained.rates) / expected - 1)))
        print(f"{framework:10}" + "".join(f"{value:12.1e}" for value in deviations[framework].values()))
    horizon = {"total_steps": 100_000, "steps_per_epoch": 100}
    costs = {
        "CosineAnnealingLR": step_cost(lambda optimizer: CosineAnnealingLR(optimizer, 100_000)),
        "ExpressionLR, cosine": step_cost(
            lambda optimizer: ExpressionLR(optimizer, evolr.standard.COSINE.schedule(), **horizon)
        ),
        "ExpressionLR, champion": step_cost(
            lambda optimizer: ExpressionLR(optimizer, champion, **horizon, val_loss=2.3), val_loss=1.0
        ),
        "ExpressionLR, every live signal": step_cost(
            lambda optimizer: ExpressionLR(optimizer, FEEDBACK, **horizon, loss=2.3, val_loss=2.3),
            loss=1.0,
            val_loss=1.0,
        ),
    }
    print("\na scheduler's step in PyTorch")
    for name, cost in costs.items():
        print(f"{name:34} {cost:7.1f} µs   {cost / costs['CosineAnnealingLR']:5.2f} of CosineAnnealingLR's")
    names = ("torch", "lightning", "keras", "optax", "jax", "numpy")
    document = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"evolr": evolr.__version__, **{name: version(name) for name in names}},
        "steps": EPOCHS * STEPS,
        "greatest_relative_deviation": deviations,
        "microseconds_of_a_scheduler_step": costs,
    }
    OUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"\nsaved: {OUT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
