"""Cases of ours on what transformers and accelerate test of schedulers, with evolr's in their place.

    python benchmarks/peers/transformers_schedules.py    # writes benchmarks/results/peers_transformers.json

Real trainings by transformers.Trainer, of a network of four numbers. The exit code is 1 if a case fails.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import optimization

from benchmarks.peers import transformers_accelerate, transformers_trainer
from benchmarks.peers.runner import Cases, refused, report
from benchmarks.peers.transformers_trainer import (
    BY_LOSS,
    HORIZON,
    OPEN,
)
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR, lr_lambda

cases = Cases(strict=False)
BASE, WARM, END = 0.05, 5, 40


@dataclass(frozen=True)
class Pair:
    """Transformers' function that makes a schedule, and the formula of the same one."""

    make: Callable[[Any], Any]
    formula: str

    @property
    def schedule(self) -> Schedule:
        return Schedule(expression=parse(self.formula, {"base": BASE, "warm": WARM, "total": END}))


def warmed(after: str) -> str:
    return f"base*(step/warm if step < warm else {after})"


GIVEN: dict[str, Any] = {"num_warmup_steps": WARM, "num_training_steps": END}
PART = "(step - warm)/(total - warm)"
CYCLES = f"(3*{PART})"
DECAYED = "(step - warm - 15)/20"
WSD = partial(optimization.get_wsd_schedule, num_warmup_steps=WARM, num_stable_steps=15, num_decay_steps=20)
PAIRS = {
    "constant": Pair(optimization.get_constant_schedule, "base"),
    "constant after a warm-up": Pair(
        partial(optimization.get_constant_schedule_with_warmup, num_warmup_steps=WARM), warmed("1")
    ),
    "linear": Pair(partial(optimization.get_linear_schedule_with_warmup, **GIVEN), warmed(f"1 - {PART}")),
    "cosine": Pair(partial(optimization.get_cosine_schedule_with_warmup, **GIVEN), warmed(f"(1 + cos(pi*{PART}))/2")),
    "cosine of several waves": Pair(
        partial(optimization.get_cosine_schedule_with_warmup, num_cycles=1.5, **GIVEN),
        warmed(f"(1 + cos(3*pi*{PART}))/2"),
    ),
    "cosine with hard restarts": Pair(
        partial(optimization.get_cosine_with_hard_restarts_schedule_with_warmup, num_cycles=3, **GIVEN),
        warmed(f"(1 + cos(pi*({CYCLES} % 1)))/2"),
    ),
    "polynomial": Pair(
        partial(optimization.get_polynomial_decay_schedule_with_warmup, lr_end=1e-4, power=2.0, **GIVEN),
        f"base*step/warm if step < warm else 0.0001 + (base - 0.0001)*(1 - {PART})**2",
    ),
    "inverse square root": Pair(
        partial(optimization.get_inverse_sqrt_schedule, num_warmup_steps=WARM), warmed("1/sqrt((step + 0)/warm)")
    ),
    "cosine with a floor": Pair(
        partial(optimization.get_cosine_with_min_lr_schedule_with_warmup, min_lr_rate=0.1, **GIVEN),
        warmed(f"0.1 + 0.9*(1 + cos(pi*{PART}))/2"),
    ),
    **{
        f"warm-up, stable, decay by {kind}": Pair(
            partial(WSD, decay_type=kind, min_lr_ratio=0.1),
            "base*(0.1 + 0.9*step/warm if step < warm else 1 if step < warm + 15 else 0.1 + 0.9*(" + left + "))",
        )
        for kind, left in (
            ("linear", f"1 - {DECAYED}"),
            ("cosine", f"(1 + cos(pi*{DECAYED}))/2"),
            ("1-sqrt", f"1 - sqrt({DECAYED})"),
        )
    },
}


def close(one: Any, other: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=1e-9)


def optimiser(rate: float = BASE) -> Any:
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))], lr=rate)


def rates(one: Any, steps: int = END) -> list[float]:
    """The rate of each step, as transformers' own tests unroll a schedule."""
    found = []
    for _ in range(steps):
        found.append(one.get_last_lr()[0])
        one.optimizer.step()
        one.step()
    return found


def by_lambda(one: Schedule, to: Any, steps: int = END, each: int = END) -> Any:
    rate = to.param_groups[0]["lr"]
    return LambdaLR(to, lr_lambda(one, rate, total_steps=steps, steps_per_epoch=each))


# --- schedules ----------------------------------------------------------------------------------------------------------


@cases.of_each(PAIRS)
def a_lambda_has_the_rates_of_transformers(pair: Pair) -> None:
    close(rates(by_lambda(pair.schedule, optimiser())), rates(pair.make(optimiser())))


@cases.of_each(PAIRS)
def an_expression_scheduler_has_the_rates_of_transformers(pair: Pair) -> None:
    ours = ExpressionLR(optimiser(), pair.schedule, total_steps=END)
    close(rates(ours), rates(pair.make(optimiser())))


@cases.of_each(PAIRS)
def a_schedule_goes_on_after_it_was_saved_in_the_middle(pair: Pair) -> None:
    for make in (by_lambda, lambda one, to: ExpressionLR(to, one, total_steps=END)):
        whole = rates(make(pair.schedule, optimiser()))
        first = make(pair.schedule, optimiser())
        assert rates(first, 17) == whole[:17]
        with tempfile.TemporaryDirectory() as folder:
            torch.save(first.state_dict(), f"{folder}/scheduler.pt")
            state = torch.load(f"{folder}/scheduler.pt", weights_only=True)
        second = make(pair.schedule, optimiser())
        second.load_state_dict(state)
        for group in second.optimizer.param_groups:
            group["lr"] = first.get_last_lr()[0]
        close(rates(second, END - 17), whole[17:])


@cases
def groups_with_rates_of_their_own_keep_their_ratio() -> None:
    to = torch.optim.AdamW(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (BASE, BASE / 10)], lr=1.0
    )
    ours = LambdaLR(to, lr_lambda(PAIRS["linear"].schedule, BASE, total_steps=END))
    for _ in range(END - 1):
        to.step()
        ours.step()
        close(to.param_groups[1]["lr"], to.param_groups[0]["lr"] / 10)


@cases
def beyond_its_end_a_lambda_keeps_the_last_rate() -> None:
    factor = lr_lambda(OPEN, BASE, **HORIZON)
    assert factor(10**6) == factor(HORIZON["total_steps"] - 1)


@cases
def a_lambda_refuses_a_schedule_that_reads_the_loss() -> None:
    with refused(ScheduleError, "loss"):
        lr_lambda(BY_LOSS, BASE, **HORIZON)


cases.does_not_apply("get_scheduler by its name, and arguments that do not fit it", "transformers' own table of names")
cases.does_not_apply(
    "GreedyLR, AdafactorSchedule, optimisers of one layer each", "no scheduler whose rate is a formula"
)

if __name__ == "__main__":
    outcomes = [*cases.run(), *transformers_trainer.cases.run(), *transformers_accelerate.cases.run()]
    sys.exit(report("transformers", outcomes, ["transformers", "accelerate", "torch"]) > 0)
