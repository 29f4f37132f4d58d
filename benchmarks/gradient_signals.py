"""Many tasks under one schedule: what a formula gains by reading the gradient.

    python benchmarks/gradient_signals.py

The tasks are the problem mnist1d-suite's: 12 epochs of 31 steps, SGD with momentum 0.9. A method is a formula with one
constant c, the same for all tasks. Each gets the same budget: c on 48 tasks by a grid of 9 values, half a decade
apart, and 4 more around the best of them, by accuracy on the fitness pool. Then it trains 24 tasks that nothing has seen, judged
on the test pool; and 96 further ones, since 24 tasks are few. The reference is the shape alone (WSD), as it is and with its peak
tuned for each of the 24 tasks by itself: on three trainings of that task from other initial weights, other batches and other
wrong labels; and, as a bound that nobody reaches, on the very training that is judged. A training that diverges counts as chance.

Differences are of the same tasks, with bootstrap intervals; p is Wilcoxon's signed-rank test, corrected by Holm for all rows of
a table. Prints the tables and writes benchmarks/results/gradient_signals.json.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from evolr.contest.statistics import holm, mean_interval, signed_rank_test
from evolr.expression import parse
from evolr.problems import Mnist1dSuite, Pool
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

EPOCHS = 12
CHANCE = 0.1  # of ten classes: the accuracy of a training that diverged
TUNING, UNSEEN, FURTHER = range(48), range(3_000, 3_024), range(4_000, 4_096)  # seeds, each of them a task
REPETITIONS = (1, 2, 3)  # of an unseen task, on which a peak is tuned for it alone; it is judged on repetition 0
COARSE = [10 ** (half / 2) for half in range(-4, 5)]  # times a method's middle
FINE = [10**eighth for eighth in (-0.25, -0.125, 0.125, 0.25)]  # times the best of these
RESULTS = ROOT / "benchmarks" / "results" / "gradient_signals.json"
SHAPE = "min(1, min(progress/0.2, (1 - progress)/0.3))"


@dataclass(frozen=True, slots=True)
class Method:
    """A formula of the constant c, and the middle of c's grid."""

    name: str
    formula: str
    middle: float

    def schedule(self, c: float) -> Schedule:
        return Schedule(expression=parse(self.formula, {"c": c}))

    @property
    def grid(self) -> list[float]:
        return [self.middle * factor for factor in COARSE]


WSD = Method("WSD: the shape alone", f"c*{SHAPE}", 0.05)
METHODS = (
    WSD,
    Method("/grad_norm_rss", f"c*{SHAPE}/grad_norm_rss", 0.5),  # AdaGrad-Norm
    Method("/grad_norm_ema", f"c*{SHAPE}/grad_norm_ema", 0.05),
    Method("*loss_ema/grad_norm_ema²", f"c*{SHAPE}*loss_ema/grad_norm_ema**2", 0.02),  # after Polyak
    Method("AdaGrad-Norm, no shape", "c/grad_norm_rss", 0.5),
    Method("DoG: *distance/…rss", f"c*{SHAPE}*distance/grad_norm_rss", 0.2),
    Method("normalised: /grad_norm", f"c*{SHAPE}/grad_norm", 0.05),
    Method("Polyak: *loss/grad_norm²", f"c*{SHAPE}*loss/grad_norm**2", 0.01),
    Method("trust: *weight/update", f"c*{SHAPE}*weight_norm/update_norm", 0.01),
)
FOR_EACH = "WSD, peak for each task"
BY_ITSELF = "… by the training itself"

Want = tuple[Method, float, int]
"""A method, its constant, and the seed of the task."""


@cache
def trainer(pool: Pool, repetition: int) -> Trainer:
    return Trainer(Mnist1dSuite(repetition=repetition).task(pool), Optimizer(name="momentum", momentum=0.9))


class Trainings:
    """Accuracies of trainings; none is trained twice. seconds: by what they were for; count: how many."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.count: dict[str, int] = {}
        self.diverged: dict[tuple[Want, Pool, int], bool] = {}
        self._known: dict[tuple[Want, Pool, int], float] = {}

    def accuracies(self, purpose: str, wants: Sequence[Want], pool: Pool, repetition: int = 0) -> list[float]:
        start = time.perf_counter()
        new = [want for want in dict.fromkeys(wants) if (want, pool, repetition) not in self._known]
        trials = [Trial(method.schedule(c), seed) for method, c, seed in new]
        outcomes = trainer(pool, repetition).train(trials, EPOCHS) if trials else []
        for want, outcome in zip(new, outcomes, strict=True):
            if outcome.failure is not None:
                raise RuntimeError(f"a training failed: {outcome.failure}")
            self.diverged[want, pool, repetition] = outcome.diverged
            self._known[want, pool, repetition] = CHANCE if outcome.diverged else outcome.score
        self.seconds[purpose] = self.seconds.get(purpose, 0.0) + time.perf_counter() - start
        self.count[purpose] = self.count.get(purpose, 0) + len(new)
        return [self._known[want, pool, repetition] for want in wants]


def tuned(values: Callable[[dict[str, list[float]]], dict[str, list[float]]], grids: dict[str, list[float]]) -> Any:
    """Of each name, every constant that was tried with its value, by a grid and then around its best."""
    tried = {name: dict(zip(grid, found, strict=True)) for (name, grid), found in _items(grids, values(grids))}
    finer = {name: [max(found, key=found.__getitem__) * factor for factor in FINE] for name, found in tried.items()}
    for (name, grid), found in _items(finer, values(finer)):
        tried[name] |= dict(zip(grid, found, strict=True))
    return tried


def _items(grids: dict[str, list[float]], found: dict[str, list[float]]) -> Any:
    return zip(grids.items(), found.values(), strict=True)


def best(tried: dict[float, float]) -> float:
    return max(tried, key=tried.__getitem__)


def tuned_for_all(trainings: Trainings) -> dict[str, dict[float, float]]:
    """Of each method, the mean accuracy over the tuning tasks by constant."""

    def values(grids: dict[str, list[float]]) -> dict[str, list[float]]:
        by_name = {method.name: method for method in METHODS}
        wants = [(by_name[name], c, seed) for name, grid in grids.items() for c in grid for seed in TUNING]
        found = iter(np.reshape(trainings.accuracies("tuning", wants, "fitness"), (-1, len(TUNING))).mean(axis=1))
        return {name: [float(next(found)) for _ in grid] for name, grid in grids.items()}

    return tuned(values, {method.name: method.grid for method in METHODS})


def peaks_for_each(trainings: Trainings, repetitions: Sequence[int]) -> list[float]:
    """WSD's peak for each unseen task, by its mean accuracy over repetitions of that task."""

    def values(grids: dict[str, list[float]]) -> dict[str, list[float]]:
        wants = [(WSD, c, int(seed)) for seed, grid in grids.items() for c in grid]
        means = iter(np.mean([trainings.accuracies("for each task", wants, "fitness", r) for r in repetitions], axis=0))
        return {seed: [float(next(means)) for _ in grid] for seed, grid in grids.items()}

    tried = tuned(values, {str(seed): WSD.grid for seed in UNSEEN})
    return [best(tried[str(seed)]) for seed in UNSEEN]


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracies of a method on the unseen tasks and on the further ones, in per cent; constants: one, or one a task."""

    name: str
    constants: list[float]
    unseen: list[float]
    further: list[float]
    diverged: int


def judged(trainings: Trainings, name: str, method: Method, constants: list[float]) -> Row:
    """A method on the unseen tasks; on the further ones too, if it has one constant for all."""
    each = constants * len(UNSEEN) if len(constants) == 1 else constants
    wants = [(method, c, seed) for c, seed in zip(each, UNSEEN, strict=True)]
    further = [(method, constants[0], seed) for seed in FURTHER] if len(constants) == 1 else []
    found = 100 * np.array(trainings.accuracies("final", [*wants, *further], "test"))
    diverged = sum(trainings.diverged[want, "test", 0] for want in [*wants, *further])
    return Row(name, constants, found[: len(wants)].tolist(), found[len(wants) :].tolist(), diverged)


def differences(scores: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """The mean of paired differences, its interval, and p before correction."""
    values = np.array(scores) - np.array(reference)
    mean, low, high = mean_interval(values)
    return {"mean": mean, "interval": [low, high], "p": signed_rank_test(values)}


def compared(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each row as JSON takes it, with its differences from the first one, p corrected for all rows."""
    first = rows[0]
    documents: list[dict[str, Any]] = []
    for row in rows:
        document: dict[str, Any] = {"name": row.name, "constants": row.constants, "diverged": row.diverged}
        for tasks in ("unseen", "further"):
            scores, reference = getattr(row, tasks), getattr(first, tasks)
            if scores:
                document[tasks] = {"accuracy": float(np.mean(scores)), "accuracies": scores}
                if row is not first:
                    document[tasks]["difference"] = differences(scores, reference)
        documents.append(document)
    for tasks in ("unseen", "further"):
        found = [d[tasks]["difference"] for d in documents[1:] if tasks in d]
        for difference, p in zip(found, holm([difference["p"] for difference in found]), strict=True):
            difference["p"] = p
    return documents


def table(documents: Sequence[dict[str, Any]], tasks: str) -> str:
    """The rows that trained some tasks, in 80 columns."""
    shown = [document for document in documents if tasks in document]
    title = f"{len(shown[0][tasks]['accuracies'])} {tasks} tasks"
    lines = [f"{title:24} {'c':>7} {'accuracy, %':>11} {'difference':>10}{'':17} {'p':>6}"]
    for document in shown:
        constants, of = document["constants"], document[tasks]
        line = f"{document['name']:24} {f'{constants[0]:.3g}' if len(constants) == 1 else 'each':>7} {of['accuracy']:11.2f}"
        if "difference" in of:
            low, high = of["difference"]["interval"]
            line += (
                f" {of['difference']['mean']:+10.2f} {f'({low:+.2f}, {high:+.2f})':16} {of['difference']['p']:>6.1g}"
            )
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    start = time.perf_counter()
    trainings = Trainings()
    tried = tuned_for_all(trainings)
    rows = [judged(trainings, method.name, method, [best(tried[method.name])]) for method in METHODS]
    rows.append(judged(trainings, FOR_EACH, WSD, peaks_for_each(trainings, REPETITIONS)))
    rows.append(judged(trainings, BY_ITSELF, WSD, peaks_for_each(trainings, [0])))
    documents = compared(rows)
    by_name = {row.name: row for row in rows}
    gradient, for_each = by_name["/grad_norm_rss"], by_name[FOR_EACH]
    print(table(documents, "unseen"), table(documents, "further"), sep="\n\n", end="\n\n")
    left = differences(gradient.unseen, for_each.unseen)
    low, high = left["interval"]
    print(f"/grad_norm_rss − {FOR_EACH}: {left['mean']:+.2f} ({low:+.2f}, {high:+.2f})")
    edges = [m.name for m in METHODS if best(tried[m.name]) in (min(tried[m.name]), max(tried[m.name]))]
    if edges:
        print(f"the best constant is at the end of what was tried: {', '.join(edges)}")
    seconds = time.perf_counter() - start
    processor = time.process_time()
    print(f"{sum(trainings.count.values()):,} trainings in {seconds:.0f} s ({processor:.0f} s of processor time)")
    print(f"a method's constant has {len(COARSE) + len(FINE)} values on {len(TUNING)} tasks")
    result = {
        "machine": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "numpy", "mnist1d")},
        "epochs": EPOCHS,
        "tuning tasks": len(TUNING),
        "seconds": {"all": seconds, "processor": processor} | trainings.seconds,
        "trainings": trainings.count,
        "rows": documents,
        "formulas": {method.name: method.formula for method in METHODS},
        "tuning": {name: [[c, found[c]] for c in sorted(found)] for name, found in tried.items()},
        "grad_norm_rss − WSD for each task": left,
    }
    RESULTS.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
