"""What a former run is worth to the next: a search that begins with its front, and its champion tuned on a changed task.

    .venv/bin/python benchmarks/transfer.py [--parts "warm start" "batches of 25" "16 hidden units"] [--seeds 8] [--runs runs]

Warm start: a study spends 150 trainings; another, of another seed, begins with its front (`initial=`) and spends 50; a third spends 50 from
nothing. Their champions are trained from the same fresh seeds.
Tuning: the first study's champion with another batch size, and on another network: as it is, and its scale tuned by ten trainings
(`evolr.tune`); standard families tuned by ten trainings beside it.

Intervals are over the studies, whose runs are kept. Writes benchmarks/results/transfer.json, a part at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evolr
from evolr.config import Config, changed, plan
from evolr.contest.statistics import mean_interval
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results" / "transfer.json"
FORMER, NEXT, TUNING = 150, 50, 10
FINAL = 32  # fresh seeds that a schedule is judged on
PARTS = ("warm start", "batches of 25", "16 hidden units")
FAMILIES = ("warm-up + cosine", "one-cycle", "WSD (linear)")


def narrow() -> Config:
    """A network of 16 hidden units and one hidden layer, with Adam, on the same data in batches of 32."""
    fixed = {
        "problem.widths": (16, 16),
        "problem.two_layers": 0.0,
        "problem.batch_sizes": (32, 32),
        "problem.label_noise": (0.0, 0.0),
        "problem.input_scale": (1.0, 1.0),
        "problem.weight_scale": (1.0, 1.0),
        "training.optimizer.name": "adam",
        "training.epochs": 30,
    }
    return evolr.resolve("suite", settings=fixed)


class Bench:
    """A configuration with its executor."""

    def __init__(self, config: Config, devices: int | None) -> None:
        self.config, self._devices = config, devices
        self._executor = executor_for(config, options={"device_count": devices})

    def searched(self, folder: Path, seed: int, trainings: int, initial: Any = None) -> Schedule:
        config = changed(self.config, {**plan(trainings), "seed": seed})
        result = evolr.evolve(config, folder, initial=initial, device_count=self._devices)
        assert result.schedule is not None
        return result.schedule

    def tuned(self, what: str | Schedule, seed: int) -> Schedule:
        config = changed(self.config, {"seed": seed})
        return evolr.tune(config, what, trainings=TUNING, device_count=self._devices).schedule

    def judged(self, schedules: Sequence[Schedule]) -> NDArray[np.float64]:
        """The mean score of each on fresh seeds, of the test pool."""
        seeds = [seed_from(number, "transfer, final") for number in range(FINAL)]
        trials = [Trial(schedule, seed) for schedule in schedules for seed in seeds]
        outcomes = self._executor.run(trials, self.config.training.epochs, "test")
        return np.array([outcome.score for outcome in outcomes]).reshape(len(schedules), FINAL).mean(axis=1)

    def close(self) -> None:
        self._executor.close()


def summary(scores: dict[str, NDArray[np.float64]], first: str) -> dict[str, Any]:
    """Of each, its mean over studies; how far the first is above it, with an interval over studies."""
    rows: dict[str, Any] = {}
    for name, own in scores.items():
        above, low, high = mean_interval(scores[first] - own)
        rows[name] = {"scores": own.tolist(), "mean": float(own.mean()), "first_above_it": [above, low, high]}
        against = "" if name == first else f"   {first} is above it by {above:+.4f} ({low:+.4f} … {high:+.4f})"
        print(f"  {name:34} {own.mean():.4f}{against}", flush=True)
    return rows


def warm_start(former: list[Schedule], runs: Sequence[Path], folder: Path, devices: int | None) -> dict[str, Any]:
    with closing(Bench(evolr.resolve("memetic"), devices)) as bench:
        seeds = range(len(runs))
        found = {
            f"begun with it, {NEXT}": [bench.searched(folder / f"warm-{s}", 100 + s, NEXT, runs[s]) for s in seeds],
            f"former run, {FORMER} trainings": former,
            f"begun with nothing, {NEXT}": [bench.searched(folder / f"cold-{s}", 100 + s, NEXT) for s in seeds],
        }
        print("mnist1d-mlp, accuracy", flush=True)
        scores = {name: bench.judged(schedules) for name, schedules in found.items()}
    return summary(scores, next(iter(scores)))


def tuning(former: list[Schedule], config: Config, devices: int | None) -> dict[str, Any]:
    seeds = range(len(former))
    with closing(Bench(config, devices)) as bench:
        candidates = {f"champion, {TUNING} trainings": [bench.tuned(former[s], s) for s in seeds]}
        candidates["champion, as it is"] = former
        for family in FAMILIES:
            candidates[f"{family}, {TUNING} trainings"] = [bench.tuned(family, s) for s in seeds]
        scores = {name: bench.judged(schedules) for name, schedules in candidates.items()}
    return summary(scores, next(iter(scores)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, default=8, help="studies")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--devices", type=int, help="to train on; all where not given")
    given = parser.parse_args()
    folder = given.runs / "transfer"
    runs = [folder / f"former-{seed}" for seed in range(given.seeds)]
    with closing(Bench(evolr.resolve("memetic"), given.devices)) as bench:
        former = [bench.searched(run, seed, FORMER) for seed, run in enumerate(runs)]
    changed_tasks = {
        "batches of 25": lambda: evolr.resolve("memetic", settings={"problem.batch_size": 25}),
        "16 hidden units": narrow,
    }
    for part in given.parts:
        if part == "warm start":
            keep(given.seeds, part, warm_start(former, runs, folder, given.devices))
        else:
            print(part, flush=True)
            keep(given.seeds, part, tuning(former, changed_tasks[part](), given.devices))


def keep(studies: int, part: str, rows: dict[str, Any]) -> None:
    """Writes a part's results beside those of the others that are of as many studies."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = before["results"] if before.get("studies") == studies else {}
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.system()},
        "versions": {package: version(package) for package in ("evolr", "jax", "numpy", "optuna")},
        "studies": studies,
        "final_seeds": FINAL,
        "pool": "test",
        "results": {**results, part: rows},
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
