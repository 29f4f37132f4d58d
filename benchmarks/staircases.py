"""Where stairs fall: a step at the step where integer arithmetic has it, over every (epochs, every) pair.

    .venv/bin/python benchmarks/staircases.py [--epochs 1000] [--every 1000] [--python-pairs 5000] [--horizons 12]

Stairs that fall every `every` epochs of `epochs` are written in the ways that people write them. For each pair with both
up to 1,000, the epochs around each stair (and up to 120, all epochs) are looked at in their first step and, of 1,000 steps
an epoch, in their last; a misplaced step is one whose stair is not that of epoch // every. Back ends: the NumPy reference
(float64); Python's own floats, for random pairs; the primitives of the population trainer (float32) on the clock that it
computes. Real trainings of random horizons check that this is what the trainer does. Writes
benchmarks/results/staircases.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import evolr
from evolr.expression import LANGUAGE_VERSION, PRIMITIVES, Expression, parse
from evolr.schedule import Schedule
from evolr.training.devices import prepare
from evolr.training.optimizers import Optimizer
from evolr.training.primitives import FUNCTIONS
from evolr.training.task import Task, Trial
from evolr.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results" / "staircases.json"
LONG = 1_000  # steps of an epoch whose last one is looked at
BATCH, CHUNK = 2_000, 1 << 18  # pairs whose epochs are made, and points that are looked at, at once
SLICE = 120  # up to so many epochs, every one is looked at; beyond, those around stairs

# Constants differ from pair to pair; in the formulas of a whole grid, signals that it does not need stand for them.
STAND_INS = {"every": "loss", "epochs": "val_loss", "part": "loss_ema"}  # part: every / epochs, worked out beforehand

SPELLINGS: dict[str, str] = {  # text: what its value is
    "floor(progress/part)": "stairs",
    "floor(progress/(every/epochs))": "stairs",
    "floor(progress*epochs/every)": "stairs",
    "floor(progress*total_epochs/every)": "stairs",
    "floor((epoch + epoch_progress)/every)": "stairs",
    "floor(epoch/every)": "stairs",
    "epoch // every": "stairs",
    "step // (every*total_steps/total_epochs)": "stairs",
    "(progress >= part) + (progress >= 2*part)": "milestones",
    "(progress >= 1*every/epochs) + (progress >= 2*every/epochs)": "milestones",
    "0 if progress < every/epochs else 1 if progress < 2*every/epochs else 2": "milestones",
    "(epoch >= every) + (epoch >= 2*every)": "milestones",
    "ceil((1 - progress)*epochs/every)": "stairs left",
    "progress % part": "part of the stair",
    "(epoch + epoch_progress) % every/epochs": "part of the stair",
}

Numbers = NDArray[Any]
Counts = dict[str, dict[str, int]]
"""By spelling: how many points were looked at, and how many are misplaced."""


@dataclass(frozen=True)
class Points:
    """Some steps of some pairs, as integers, each (n,). within: the step's number in its epoch."""

    epochs: Numbers
    every: Numbers
    epoch: Numbers
    within: Numbers
    steps_per_epoch: int

    @property
    def step(self) -> Numbers:
        return self.epoch * self.steps_per_epoch + self.within

    @property
    def total_steps(self) -> Numbers:
        return self.epochs * self.steps_per_epoch

    def wrong(self, values: Numbers, kind: str) -> int:
        """How many values are not what integer arithmetic has; a part of a stair is, up to half a step."""
        stair = self.epoch // self.every
        length = self.every * self.steps_per_epoch
        if kind == "part of the stair":
            return int((np.abs(values * self.total_steps - self.step % length) > 0.5).sum())
        left = -((self.step - self.total_steps) // length)
        right = {"stairs": stair, "milestones": np.minimum(stair, 2), "stairs left": left}[kind]
        return int((values != right).sum())

    def signals(self) -> dict[str, Numbers]:
        """What formulas see in float64, as `clock` in evolr/loop.py has it."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "progress": self.step / self.total_steps,
            "epoch_progress": self.within / self.steps_per_epoch,
            "total_steps": self.total_steps,
            "total_epochs": self.epochs,
            STAND_INS["every"]: self.every.astype(float),
            STAND_INS["epochs"]: self.epochs.astype(float),
            STAND_INS["part"]: self.every / self.epochs,
        }

    def signals_of_the_trainer(self) -> dict[str, jax.Array]:
        """The same in float32, by the arithmetic of `_signals` in evolr/training/programs.py."""
        clock = _clock_of_the_trainer(self.epoch, self.within, self.epochs, np.int32(self.steps_per_epoch))
        constants = {name: self.signals()[name] for name in STAND_INS.values()}
        return {name: jnp.asarray(value, jnp.float32) for name, value in (clock | constants).items()}


@jax.jit
def _clock_of_the_trainer(epoch: Any, within: Any, epochs: Any, steps: Any) -> dict[str, Any]:
    epoch, within, epochs = (jnp.asarray(a, jnp.int32) for a in (epoch, within, epochs))
    taken = epoch * steps + within
    return {
        "step": taken,
        "epoch": epoch,
        "progress": taken / (epochs * steps),
        "epoch_progress": within / steps,
        "total_steps": epochs * steps,
        "total_epochs": epochs,
    }


@cache
def formula(text: str) -> Expression:
    """A spelling, its stand-ins in the place of its constants."""
    for name, signal in STAND_INS.items():
        text = re.sub(rf"\b{name}\b", signal, text)
    return parse(text)


def in_numpy(text: str, points: Points) -> Numbers:
    return np.broadcast_to(formula(text)(points.signals()), points.epoch.shape)


_COMPILED = {name: jax.jit(function) for name, function in FUNCTIONS.items()}


def in_float32(text: str, points: Points) -> Numbers:
    """Primitive by primitive, each compiled by itself as the interpreter's branches are."""
    signals = points.signals_of_the_trainer()
    stack: list[Any] = []
    for token in reversed(formula(text).tokens):
        if not isinstance(token, str):
            stack.append(jnp.float32(token))
        elif token in signals:
            stack.append(signals[token])
        else:
            stack.append(_COMPILED[token](*(stack.pop() for _ in range(PRIMITIVES[token].arity))))
    return np.broadcast_to(np.asarray(stack.pop()), points.epoch.shape)


def in_python(text: str, points: Points) -> Numbers:
    schedule = Schedule(expression=formula(text))
    columns = [points.signals()[name].tolist() for name in sorted(schedule.signals)]
    rows = (dict(zip(sorted(schedule.signals), row, strict=True)) for row in zip(*columns, strict=True))
    return np.array([schedule.at(**row) for row in rows])


def pairs_up_to(most_epochs: int, most_every: int) -> Numbers:
    """All (epochs, every), (2, n)."""
    return np.stack(np.meshgrid(np.arange(1, most_epochs + 1), np.arange(1, most_every + 1), indexing="ij")).reshape(
        2, -1
    )


def every_epoch(pairs: Numbers) -> Numbers:
    """(epochs, every, epoch) of every epoch of some pairs, (3, n)."""
    chosen = np.repeat(pairs, pairs[0], axis=1)
    return np.concatenate((chosen, [_counted(pairs[0])]))


def around_stairs(pairs: Numbers) -> Numbers:
    """The same of the first epoch of each stair, the last one before it, and the very last.

    What lies between has no other stair, since all that the spellings do to the clock is monotone between two stairs.
    """
    epochs, every = pairs
    stairs = (epochs - 1) // every
    chosen = np.repeat(pairs, stairs, axis=1)
    first = (_counted(stairs) + 1) * chosen[1]
    ends = [np.concatenate((pairs, [epoch])) for epoch in (np.zeros_like(epochs), epochs - 1)]
    return np.concatenate((np.concatenate((chosen, [first])), np.concatenate((chosen, [first - 1])), *ends), axis=1)


def _counted(counts: Numbers) -> Numbers:
    """0 … n − 1 for each n, one after another."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def points(pairs: Numbers, epochs_of: Callable[[Numbers], Numbers]) -> Iterator[Points]:
    """The first step of those epochs and, of LONG steps an epoch, the last: CHUNK points at a time.

    Filled up with the first epoch of (1, 1), so that what is compiled has one shape.
    """
    batches = np.array_split(pairs, -(-pairs.shape[1] // BATCH), axis=1)
    waiting: list[Numbers] = []
    for number, batch in enumerate(batches, start=1):
        waiting.append(epochs_of(batch))
        count = sum(part.shape[1] for part in waiting)
        if count < CHUNK and number < len(batches):
            continue
        filled = np.concatenate((*waiting, np.tile([[1], [1], [0]], (1, -count % CHUNK))), axis=1)
        waiting = []
        for start in range(0, filled.shape[1], CHUNK):
            part = filled[:, start : start + CHUNK]
            for steps in (1, LONG):
                yield Points(*part, within=np.full(part.shape[1], steps - 1), steps_per_epoch=steps)


def misplaced(evaluate: Callable[[str, Points], Numbers], chunks: Iterator[Points]) -> Counts:
    """Holds all spellings to integer arithmetic at all points."""
    counts = {text: {"points": 0, "misplaced": 0} for text in SPELLINGS}
    for some in chunks:
        for text, kind in SPELLINGS.items():
            counts[text]["points"] += some.epoch.size
            counts[text]["misplaced"] += some.wrong(evaluate(text, some), kind)
    return counts


def in_trainings(horizons: int, everies: int, most_epochs: int, most_every: int, seed: int = 0) -> Counts:
    """Real trainings of random horizons, two steps an epoch, their constants in the text as a person types them."""
    steps = 2
    task = Task(
        steps_per_epoch=steps,
        initial=lambda _: jnp.zeros(1),
        batches=lambda *_: jnp.zeros((steps, 1)),
        loss=lambda parameters, batch: jnp.sum(parameters * batch) + 1.0,
        evaluate=lambda parameters, examples: (jnp.sum(parameters * examples) + 1.0, jnp.float32(0.0)),
        monitor=jnp.zeros(1),
    )
    trainer, rng = Trainer(task, Optimizer(name="sgd")), np.random.default_rng(seed)
    counts = {text: {"points": 0, "misplaced": 0} for text in SPELLINGS}
    for epochs in rng.integers(2, most_epochs, horizons, endpoint=True).tolist():
        trials = []
        for every in rng.integers(1, min(epochs, most_every), everies, endpoint=True).tolist():
            constants = {"every": every, "epochs": epochs, "part": every / epochs}
            trials += [(text, every, Schedule(expression=parse(text, constants))) for text in SPELLINGS]
        outcomes = trainer.train([Trial(schedule, 0) for *_, schedule in trials], epochs, keep_steps=True)
        epoch, within = np.divmod(np.arange(epochs * steps), steps)
        for (text, every, _), outcome in zip(trials, outcomes, strict=True):
            some = Points(np.full_like(epoch, epochs), np.full_like(epoch, every), epoch, within, steps)
            counts[text]["points"] += epoch.size
            counts[text]["misplaced"] += some.wrong(np.asarray(outcome.learning_rates), SPELLINGS[text])
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=1_000)
    parser.add_argument("--every", type=int, default=1_000)
    parser.add_argument("--horizons", type=int, default=12, help="of real trainings, 25 pairs each")
    parser.add_argument("--python-pairs", type=int, default=5_000, help="of random pairs, in Python's own floats")
    given = parser.parse_args()
    prepare()

    grid = pairs_up_to(given.epochs, given.every)
    slice_ = pairs_up_to(min(given.epochs, SLICE), min(given.every, SLICE))
    some = np.random.default_rng(0).choice(grid, min(given.python_pairs, grid.shape[1]), axis=1, replace=False)
    runs: dict[str, Callable[[], Counts]] = {
        "numpy float64, around all stairs": lambda: misplaced(in_numpy, points(grid, around_stairs)),
        f"numpy float64, every epoch up to {SLICE}": lambda: misplaced(in_numpy, points(slice_, every_epoch)),
        "trainer's float32, around all stairs": lambda: misplaced(in_float32, points(grid, around_stairs)),
        f"trainer's float32, every epoch up to {SLICE}": lambda: misplaced(in_float32, points(slice_, every_epoch)),
        f"python floats, around the stairs of {some.shape[1]} pairs": lambda: misplaced(
            in_python, points(some, around_stairs)
        ),
        "real trainings of random pairs": lambda: in_trainings(given.horizons, 25, given.epochs, given.every),
    }
    document: dict[str, Any] = {
        "epochs": given.epochs,
        "every": given.every,
        "evolr": evolr.__version__,
        "language": LANGUAGE_VERSION,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "numpy": np.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
    for name, run in runs.items():
        start = time.perf_counter()
        counts = run()
        seconds = time.perf_counter() - start
        total = {key: sum(count[key] for count in counts.values()) for key in ("points", "misplaced")}
        document[name] = total | {"seconds": round(seconds, 1), "spellings": counts}
        print(f"{name}: {total['misplaced']:,} of {total['points']:,} steps misplaced, {seconds:.0f} s", flush=True)
        for text, count in counts.items():
            if count["misplaced"]:
                print(f"    {text}: {count['misplaced']:,} of {count['points']:,}", flush=True)
    RESULTS.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
