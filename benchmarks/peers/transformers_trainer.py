"""Cases of ours on what transformers tests of schedulers in its Trainer: real trainings of a network of four numbers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import transformers
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks.peers.runner import Cases, refused
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.loop import follow
from evolr.schedule import Schedule
from evolr.torch import ExpressionLR, lr_lambda

transformers.logging.set_verbosity_error()
from benchmarks.peers.runner import close

cases = Cases(strict=False)
ROWS, BATCH, EPOCHS = 20, 4, 4
BATCHES = ROWS // BATCH
HORIZON = {"total_steps": EPOCHS * BATCHES, "steps_per_epoch": BATCHES}
OPEN = Schedule(expression=parse("0.02*(1 - progress)*(1 + epoch)"))
BY_LOSS = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)"))
LISTENING = Schedule(expression=parse("0.02*loss/loss_ema*(1 - progress)/(1 + stale_epochs) + 0.001*val_loss + 0.1*lr"))


torch.manual_seed(0)
INPUTS = torch.randn(ROWS, 3)
TARGETS = INPUTS @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
DATA = [{"x": x, "labels": y} for x, y in zip(INPUTS, TARGETS, strict=True)]


class Line(torch.nn.Module):
    """The mean squared error of a linear model, as Trainer wants it. losses: of each batch that was trained on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Linear(3, 1)
        self.losses: list[float] = []

    def forward(self, x: Any, labels: Any) -> dict[str, Any]:
        loss = torch.nn.functional.mse_loss(self.net(x)[:, 0], labels)
        if self.training:
            self.losses.append(loss.item())
        return {"loss": loss, "logits": self.net(x)[:, 0]}


@dataclass
class Run(TrainerCallback):
    """What a training did: the rate of each optimiser step, what was logged, each evaluation."""

    rates: list[float] = field(default_factory=list)
    logged: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
        self.rates.append(float(optimizer.param_groups[0]["lr"]))

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "learning_rate" in logs:
            self.logged.append(logs["learning_rate"])

    def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
        self.val_losses.append(metrics["eval_loss"])


class InOrder(Trainer):
    """Takes the rows in their order, so that a training repeats."""

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(DATA)


Make = Callable[[Any, dict[str, float]], Any]
"""A scheduler for an optimiser and the losses of the untrained network."""


def train(make: Make, *callbacks: Any, folder: str | None = None, resume: str | None = None, **options: Any) -> Run:
    """A training by Trainer; a callback of type `Telling` is told its scheduler."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return train(make, *callbacks, folder=made, resume=resume, **options)
    settings: dict[str, Any] = {
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": EPOCHS,
        "eval_strategy": "epoch",
        "max_grad_norm": 1e9,
    } | options
    model, run = Line(), Run()
    with torch.no_grad():
        model.eval()
        first = {
            "loss": model(INPUTS[:BATCH], TARGETS[:BATCH])["loss"].item(),
            "val_loss": model(INPUTS, TARGETS)["loss"].item(),
        }
    run.val_losses.append(first["val_loss"])
    to = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = make(to, first)
    for one in callbacks:
        if isinstance(one, Telling):
            one.scheduler = scheduler
    trainer = InOrder(
        model,
        TrainingArguments(folder, **settings),
        train_dataset=DATA,
        eval_dataset=DATA,
        optimizers=(to, scheduler),
        callbacks=[*callbacks, run],
    )
    trainer.train(resume_from_checkpoint=resume)
    run.losses = model.losses
    return run


@dataclass
class Telling(TrainerCallback):
    """Tells a scheduler what Trainer logs, as evolr's page on Hugging Face says it."""

    scheduler: Any = None

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "loss" in logs:
            self.scheduler.observe(loss=logs["loss"])

    def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
        self.scheduler.observe(val_loss=metrics["eval_loss"])


def lambda_of(one: Schedule, **horizon: int) -> Make:
    return lambda to, _: LambdaLR(to, lr_lambda(one, 0.1, **(HORIZON | horizon)))


def expression_of(one: Schedule, **horizon: int) -> Make:
    return lambda to, first: ExpressionLR(to, one, **(HORIZON | horizon), **({} if one is OPEN else first))


REFERENCE = follow(OPEN, [0.0] * HORIZON["total_steps"], steps_per_epoch=BATCHES)
MAKERS = {"by a lambda": lambda_of(OPEN), "by ExpressionLR": expression_of(OPEN)}


@cases.of_each(MAKERS)
def a_training_has_the_rates_of_the_reference(make: Make) -> None:
    close(train(make).rates, REFERENCE)


OPTIONS: dict[str, dict[str, Any]] = {
    "ended by max_steps": {"max_steps": HORIZON["total_steps"]},
    "with gradients clipped": {"max_grad_norm": 0.01},
    "logged every third step": {"logging_steps": 3},
    "without an evaluation": {"eval_strategy": "no"},
    "evaluated every second step": {"eval_strategy": "steps", "eval_steps": 2},
    "in bfloat16": {"bf16": True},
    "with checkpoints": {"save_strategy": "steps", "save_steps": 3},
}


@cases.of_each(OPTIONS)
def a_training_has_the_same_rates(options: dict[str, Any]) -> None:
    close(train(expression_of(OPEN), **options).rates, REFERENCE)


@cases.of_each({"by a lambda": lambda_of, "by ExpressionLR": expression_of})
def accumulated_gradients_are_one_step(make: Callable[..., Make]) -> None:
    horizon = {"total_steps": 12, "steps_per_epoch": 3}
    run = train(make(OPEN, **horizon), gradient_accumulation_steps=2)
    close(run.rates, follow(OPEN, [0.0] * 12, steps_per_epoch=3))


@cases.of_each(MAKERS)
def the_log_has_the_rate_that_transformers_logs_of_its_own(make: Make) -> None:
    run = train(make)
    assert set(np.round(run.logged, 9)) <= set(np.round([*REFERENCE, 0.0], 9))
    assert len(run.logged) == len(REFERENCE)


@cases.of_each(
    {
        "by a lambda": (lambda_of(OPEN), OPEN),
        "by ExpressionLR": (expression_of(OPEN), OPEN),
        "listening to the training": (expression_of(BY_LOSS), BY_LOSS),
    }
)
def a_training_goes_on_from_each_checkpoint(case: tuple[Make, Schedule]) -> None:
    make, one = case
    with tempfile.TemporaryDirectory() as folder:
        whole = train(make, Telling() if one is BY_LOSS else Run(), folder=folder, save_strategy="steps", save_steps=3)
        for step in (3, 9, 18):
            tellers = [Telling()] if one is BY_LOSS else []
            again = train(make, *tellers, folder=folder, resume=f"{folder}/checkpoint-{step}")
            close(again.rates, whole.rates[step:], 1e-4)


@cases.of_each({"the loss": BY_LOSS, "both losses": LISTENING})
def a_schedule_that_reads_is_told_what_is_logged(one: Schedule) -> None:
    run = train(expression_of(one), Telling())
    close(run.rates, follow(one, run.losses, run.val_losses, steps_per_epoch=BATCHES), 1e-3)


@cases
def where_nobody_tells_the_loss_the_second_step_says_so() -> None:
    with refused(ScheduleError, "loss"):
        train(expression_of(BY_LOSS))


@cases
def a_training_that_is_stopped_early_ends_well() -> None:
    stopper = transformers.EarlyStoppingCallback(1, 100.0)
    options = {"save_strategy": "epoch", "load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
    run = train(expression_of(BY_LOSS), Telling(), stopper, greater_is_better=False, **options)
    assert len(run.rates) == 2 * BATCHES
    close(run.rates[:5], follow(BY_LOSS, [*run.losses, *[1.0] * 10], steps_per_epoch=BATCHES)[:5], 1e-3)
