"""The learning rates that every back end gives a schedule, and how far they are from its source's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
import torch

from evolr.loop import Loop
from evolr.optax import scale_by_expression
from evolr.optax import schedule as optax_schedule
from evolr.schedule import Schedule
from evolr.signals import CLOCK, clock
from evolr.torch import ExpressionLR
from evolr.training.optimizers import Optimizer
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer
from tests.contracts.published.case import EPOCHS, STEPS_PER_EPOCH, TOTAL_STEPS, Rates
from tests.frameworks.exported import exported

HORIZON: Final = {"total_steps": TOTAL_STEPS, "steps_per_epoch": STEPS_PER_EPOCH}
NEGLIGIBLE: Final = 1e-12  # of the peak: what is zero up to a source's rounding


def numpy_reference(schedule: Schedule) -> Rates:
    """The curve; where the formula reads the learning rate before, one step after another."""
    if schedule.signals <= set(CLOCK):
        return schedule.curve(EPOCHS, STEPS_PER_EPOCH)
    return _stepped(lambda **signals: float(schedule(**signals)), schedule.signals)


def plain_python(schedule: Schedule) -> Rates:
    """`Schedule.at`, as a Loop calls it."""
    loop = Loop(schedule, **HORIZON)
    rates = []
    for _ in range(TOTAL_STEPS):
        rates.append(loop.learning_rate)
        if len(rates) < TOTAL_STEPS:
            loop.step()
    return np.array(rates)


def exported_python(schedule: Schedule) -> Rates:
    """The file that `evolr export --to python` writes."""
    with tempfile.TemporaryDirectory() as folder:
        module = exported(schedule, "python", Path(folder))
    return _stepped(module.learning_rate, schedule.signals)


def in_torch(schedule: Schedule) -> Rates:
    """What a real optimiser of PyTorch has as its learning rate at each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ExpressionLR(optimizer, schedule, **HORIZON)
    rates = []
    for _ in range(TOTAL_STEPS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if len(rates) < TOTAL_STEPS:
            scheduler.step()
    return np.array(rates)


def in_optax(schedule: Schedule) -> Rates:
    """An optax.Schedule, of each count."""
    rate_of = jax.vmap(optax_schedule(schedule, **HORIZON))
    return np.asarray(rate_of(jnp.arange(TOTAL_STEPS)), np.float64)


def traced_in_optax(schedule: Schedule) -> Rates:
    """The transformation that computes the formula inside a compiled step, float32: by what updates of 1 become."""
    transformation = scale_by_expression(schedule, **HORIZON, flip_sign=False)
    one = jnp.float32(1.0)

    def step(state, _):
        scaled, state = transformation.update(one, state)
        return state, scaled

    _, rates = jax.jit(lambda state: jax.lax.scan(step, state, None, TOTAL_STEPS))(transformation.init(one))
    return np.asarray(rates, np.float64)


def in_population(schedules: Sequence[Schedule]) -> list[Rates]:
    """The learning rates of a real training of a population, float32, by the outcomes that it leaves."""
    outcomes = _trainer().train([Trial(schedule, 0) for schedule in schedules], EPOCHS, keep_steps=True)
    return [np.asarray(outcome.learning_rates, np.float64) for outcome in outcomes]


def serves(back_end: str, schedule: Schedule) -> bool:
    """Whether a back end can: an optax.Schedule is a function of the count, and of no learning rate before."""
    return back_end != "optax" or schedule.signals <= set(CLOCK)


BACK_ENDS: Final[Mapping[str, Callable[[Schedule], Rates]]] = {
    "numpy": numpy_reference,
    "python": plain_python,
    "export": exported_python,
    "torch": in_torch,
    "optax": in_optax,
    "optax, traced": traced_in_optax,
    "trainer": lambda schedule: in_population([schedule])[0],
}


def differences(found: Rates, wanted: Rates) -> tuple[float, float]:
    """The greatest relative difference, and the greatest in parts of the peak.

    Where the source's is zero, or as good as that by its own rounding, what is no further away has no relative difference.
    """
    assert found.shape == wanted.shape == (TOTAL_STEPS,)
    peak = np.abs(wanted).max()
    apart = np.abs(found - wanted)
    is_zero = (np.abs(wanted) <= NEGLIGIBLE * peak) & (apart <= NEGLIGIBLE * peak)
    relative = np.where(is_zero, 0.0, apart / np.maximum(np.abs(wanted), np.finfo(float).tiny))
    return (np.inf, np.inf) if not np.isfinite(found).all() else (float(relative.max()), float(apart.max() / peak))


def _stepped(rate: Callable[..., float], signals: frozenset[str]) -> Rates:
    rates, before = [], 0.0
    for step in range(TOTAL_STEPS):
        now = clock(step, **HORIZON) | {"lr": before}
        before = rate(**{name: now[name] for name in signals})
        rates.append(before)
    return np.array(rates)


@cache
def _trainer() -> Trainer:
    """Of a network that no learning rate moves: what is looked at is the learning rate alone."""
    task = Task(
        steps_per_epoch=STEPS_PER_EPOCH,
        initial=lambda seed: jnp.zeros(1),
        batches=lambda seed, epoch: jnp.zeros((STEPS_PER_EPOCH, 1)),
        loss=lambda parameters, batch: jnp.sum(parameters * batch) + 1.0,
        evaluate=lambda parameters, examples: (jnp.sum(parameters * examples) + 1.0, jnp.float32(0.0)),
        monitor=jnp.zeros(1),
    )
    return Trainer(task, Optimizer(name="sgd"))
