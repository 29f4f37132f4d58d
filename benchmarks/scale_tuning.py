"""What ten trainings are worth for the scale of a discovered schedule.

    python benchmarks/scale_tuning.py

The 16 tasks are of the problem mnist1d-suite. On each of them the schedule momentum-norm of the gallery trains at 33 scales from 0.01 to 100,
once judged on the fitness pool, and once more, with another luck, on the test pool. A tuner then looks for the scale of one task by the
scores of the first, as `evolr.tune` does, and is judged by the second at the scale that it takes. A user's problem has another
scale than the suite, so each task is met seven times, with scales that are to be 0.03 to 32 times the schedule's. A training that diverges, and a scale
beyond the 33, count as chance.

Prints a table and writes benchmarks/results/scale_tuning.json.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from evolr.contest.tuning import PER_ROUND, FamilyTuner
from evolr.discovered import gallery
from evolr.problems import Mnist1dSuite
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

ENTRY = gallery["momentum-norm"]
TASKS = range(7_000, 7_016)
SCALES = 10.0 ** np.linspace(-2, 2, 33)
SHIFTS = 10.0 ** np.array([-1.5, -0.75, -0.25, 0, 0.25, 0.75, 1.5])
BUDGETS = (4, 8, 10, 12, 20)
CHANCE = 0.1
RESULTS = ROOT / "benchmarks" / "results" / "scale_tuning.json"


@dataclass(frozen=True, slots=True)
class Alone:
    """The entry with no start but 1, of a name that seeds the tuner anew."""

    name: str
    starts: Any = ({"scale": 1.0},)
    constants: Any = ENTRY.constants

    def schedule(self, **values: float) -> Any:
        return values


def scores(pool: Any, repetition: int) -> np.ndarray:
    """(tasks, scales): the score of one training each."""
    trainer = Trainer(Mnist1dSuite(repetition=repetition).task(pool), ENTRY.optimizer)
    schedules = [ENTRY.schedule(scale=float(scale)) for scale in SCALES]
    outcomes = trainer.train([Trial(schedule, task) for task in TASKS for schedule in schedules], 12)
    found = [CHANCE if outcome.diverged else outcome.score for outcome in outcomes]
    return np.array(found).reshape(len(TASKS), len(SCALES))


def at(table: np.ndarray, task: int, scale: float) -> float:
    place = round(float(np.log10(scale) + 2) * 8)
    return float(table[task, place]) if 0 <= place < len(SCALES) else CHANCE


def tuned(tuner: FamilyTuner, fitness: np.ndarray, task: int, shift: float, budget: int) -> float:
    """The scale that a tuner takes after so many trainings, times the shift."""
    tried: dict[float, float] = {}
    for start in range(0, budget, PER_ROUND):
        asked = [values["scale"] * shift for _, values in tuner.ask(min(PER_ROUND, budget - start))]
        found = [at(fitness, task, scale) for scale in asked]
        tuner.tell(found)
        tried |= dict(zip(asked, found, strict=True))
    return max(tried, key=tried.__getitem__)


def main() -> None:
    start = time.perf_counter()
    fitness, test = scores("fitness", 0), scores("test", 1)
    result: dict[str, Any] = {
        "machine": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "numpy", "optuna")},
        "scale 1": float(test[:, len(SCALES) // 2].mean()),
        "best scale for all": float(test.mean(axis=0).max()),
        "best of 33 scales by one training each": float(test[range(len(TASKS)), fitness.argmax(axis=1)].mean()),
        "tuned": {},
    }
    for name, starts in (("from 1 on", ({"scale": 1.0},)), ("with starts", ENTRY.starts)):
        for budget in BUDGETS:
            found = [
                [
                    at(test, task, tuned(FamilyTuner(Alone(f"{task}", starts)), fitness, task, float(shift), budget))
                    for task in range(len(TASKS))
                ]
                for shift in SHIFTS
            ]
            means = np.mean(found, axis=1)
            result["tuned"].setdefault(name, {})[str(budget)] = {
                "mean": float(means.mean()),
                "worst": float(means.min()),
            }
            print(f"{name:12} {budget:3} trainings: {100 * means.mean():.2f} %, worst shift {100 * means.min():.2f} %")
    result["seconds"] = time.perf_counter() - start
    print({key: value for key, value in result.items() if isinstance(value, float)})
    RESULTS.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
