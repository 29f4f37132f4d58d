"""Cases of ours on what accelerate tests of schedulers, in one process."""

from __future__ import annotations

import logging
import tempfile
from typing import Any
from unittest import mock

import accelerate
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from benchmarks.peers.runner import Cases, close
from benchmarks.peers.transformers_trainer import (
    BATCH,
    BATCHES,
    BY_LOSS,
    DATA,
    EPOCHS,
    HORIZON,
    INPUTS,
    OPEN,
    REFERENCE,
    TARGETS,
    Line,
)
from evolr.expression import parse
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR

logging.getLogger("accelerate").setLevel(logging.ERROR)
cases = Cases(strict=False)


def accelerator(**options: Any) -> Any:
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    return accelerate.Accelerator(cpu=True, **options)


def accelerated(one: Schedule, accumulate: int = 1, prepare: bool = True, tell: bool = False) -> tuple[Any, Any]:
    """The rates of each optimiser step and the mean losses, in a loop as accelerate's pages write it."""
    with_it = accelerator(gradient_accumulation_steps=accumulate)
    model = Line()
    to = torch.optim.SGD(model.parameters(), lr=0.1)
    steps = HORIZON["total_steps"] // accumulate
    first = sum(
        model(INPUTS[BATCH * k :][:BATCH], TARGETS[BATCH * k :][:BATCH])["loss"].item() for k in range(accumulate)
    )
    told = {"loss": first / accumulate} if tell else {}
    scheduler = ExpressionLR(to, one, total_steps=steps, steps_per_epoch=BATCHES, **told)
    model, to, data = with_it.prepare(model, to, torch.utils.data.DataLoader(DATA, batch_size=BATCH))
    if prepare:
        scheduler = with_it.prepare_scheduler(scheduler)
    found, losses, pending = [], [], []
    for _ in range(EPOCHS):
        for batch in data:
            with with_it.accumulate(model):
                loss = model(**batch)["loss"]
                with_it.backward(loss)
                pending.append(loss.item())
                if with_it.sync_gradients:
                    found.append(to.param_groups[0]["lr"])
                    losses.append(sum(pending) / len(pending))
                    pending.clear()
                to.step()
                if prepare or with_it.sync_gradients:
                    scheduler.step(**({"loss": losses[-1]} if tell and losses else {}))
                to.zero_grad()
    return found, losses


@cases.of_each({"prepared": True, "left out of prepare": False})
def under_accelerate_the_rates_are_those_of_the_reference(prepare: bool) -> None:
    close(accelerated(OPEN, prepare=prepare)[0], REFERENCE)


@cases.of_each({"prepared": True, "left out of prepare": False})
def under_accelerate_a_loss_is_told_by_its_name(prepare: bool) -> None:
    found, losses = accelerated(BY_LOSS, prepare=prepare, tell=True)
    close(found, follow(BY_LOSS, losses, steps_per_epoch=BATCHES))


@cases
def gradients_that_accelerate_accumulates_are_one_step() -> None:
    # The data loader's last batch of an epoch synchronises too: 3 steps an epoch of 5 batches.
    one = Schedule(expression=parse("0.1*0.9**step"))
    found, _ = accelerated(one, accumulate=2)
    assert len(found) == 12
    close(found, [0.1 * 0.9 ** min(step, 9) for step in range(12)])


@cases
def a_scheduler_is_made_for_an_optimiser_that_is_prepared() -> None:
    to = accelerator().prepare_optimizer(torch.optim.SGD(Line().parameters(), lr=0.1))
    ours = ExpressionLR(to, OPEN, **HORIZON)
    found = []
    for _ in range(HORIZON["total_steps"]):
        found.append(to.param_groups[0]["lr"])
        to.step()
        ours.step()
    close(found, REFERENCE)


@cases
def a_step_that_the_optimiser_skips_is_none_of_the_scheduler() -> None:
    with_it = accelerator()
    to = torch.optim.SGD(Line().parameters(), lr=0.1)
    ours = ExpressionLR(to, OPEN, **HORIZON)
    to, scheduler = with_it.prepare(to, ours)
    seen = []
    for skipped in (False, True, True, False, False):
        to.step()
        with mock.patch.object(type(to), "step_was_skipped", skipped):
            scheduler.step()
        seen.append(ours.last_epoch)
    assert seen == [1, 1, 1, 2, 3]


@cases
def a_state_of_accelerate_holds_the_scheduler() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_it = accelerator()
        model, to = Line(), None
        to = torch.optim.SGD(model.parameters(), lr=0.1)
        ours = ExpressionLR(to, OPEN, **HORIZON)
        model, to, scheduler = with_it.prepare(model, to, ours)
        for _ in range(7):
            to.step()
            scheduler.step()
        with_it.save_state(folder)
        expected = []
        for again in (False, True):
            if again:
                with_it.load_state(folder)
            seen = []
            for _ in range(6):
                seen.append(to.param_groups[0]["lr"])
                to.step()
                scheduler.step()
            expected.append(seen)
    close(expected[0], REFERENCE[7:13])
    close(expected[1], expected[0])


cases.does_not_apply("accelerate with several processes", "the tests of evolr run two processes of their own")
