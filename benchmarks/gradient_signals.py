"""What signals of the gradient are worth on a suite of tasks: one formula with one constant for all of them.

    .venv/bin/python benchmarks/gradient_signals.py

The tasks are those of mnist1d_suite.py, with SGD and momentum 0.9, 12 epochs. Each formula is a constant times a shape
(a warm-up, a plateau, a decay) times what it reads of the training. The constant is tuned on 48 tasks by a grid and a
finer one around its best; then all meet 24 tasks that nobody has seen, with the same initial weights and batches. For the
last row the peak of warm-up-stable-decay is tuned on each of the 24 tasks for itself, with other luck. Prints a table and
writes benchmarks/results/gradient_signals.json; some minutes on two cores.
"""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mnist1d_suite import Mnist1dSuite

from evolr.contest.statistics import corrected, mean_interval, paired
from evolr.expression import parse
from evolr.problems.problem import Pool
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

EPOCHS = 12
TUNED_ON = range(1_000, 1_048)
JUDGED_ON = range(2_000, 2_024)
SHAPE = "min(1, progress/0.2, (1 - progress)/0.3)"
BASE = "warm-up, stable, decay"
OWN_PEAK = "the same, a peak for each task"
FORMULAS = {
    # what multiplies constant and shape, and about where its constant lies
    BASE: ("1", 0.03),
    "/ grad_norm_rss": ("1/grad_norm_rss", 0.3),
    "/ grad_norm_ema": ("1/grad_norm_ema", 0.03),
    "loss_ema / grad_norm_ema²": ("loss_ema/grad_norm_ema**2", 0.03),
    "/ grad_norm": ("1/grad_norm", 0.03),
    "loss / grad_norm²": ("loss/grad_norm**2", 0.03),
    "distance / grad_norm_rss": ("distance/grad_norm_rss", 1.0),
    "weight_norm / update_norm": ("weight_norm/update_norm", 0.01),
}
COARSE = 10.0 ** np.arange(-2, 2.01, 0.5)
FINE = 10.0 ** np.array([-0.375, -0.25, -0.125, 0.125, 0.25, 0.375])
RESULTS = Path(__file__).parent / "results" / "gradient_signals.json"


def schedule(formula: str, constant: float) -> Schedule:
    return Schedule(expression=parse(f"constant*{SHAPE}*{FORMULAS[formula][0]}", {"constant": constant}))


class Laboratory:
    """Trains schedules on tasks, and counts the trainings."""

    def __init__(self) -> None:
        self.trainings = 0
        self._trainers: dict[tuple[Pool, int], Trainer] = {}

    def scores(self, schedules: list[Schedule], tasks: range, pool: Pool, repetition: int = 0) -> np.ndarray:
        """(schedules, tasks): accuracy; that of a training that diverged is 0.1, of chance."""
        if (pool, repetition) not in self._trainers:
            task = Mnist1dSuite(repetition=repetition).task(pool)
            self._trainers[pool, repetition] = Trainer(task, Optimizer(name="momentum"))
        trials = [Trial(one, seed) for one in schedules for seed in tasks]
        outcomes = self._trainers[pool, repetition].train(trials, EPOCHS)
        self.trainings += len(trials)
        return np.nan_to_num(np.array([o.score for o in outcomes]), nan=0.1).reshape(len(schedules), len(tasks))

    def tuned(self, formula: str) -> float:
        """The constant with the best mean over the tasks for tuning."""
        constants = FORMULAS[formula][1] * COARSE
        means = self._means(formula, constants)
        finer = constants[np.argmax(means)] * FINE
        all_, means = np.concatenate([constants, finer]), np.concatenate([means, self._means(formula, finer)])
        return float(all_[np.argmax(means)])

    def _means(self, formula: str, constants: np.ndarray) -> np.ndarray:
        return self.scores([schedule(formula, float(c)) for c in constants], TUNED_ON, "fitness").mean(axis=1)

    def own_peaks(self) -> list[float]:
        """The best peak of each task that is judged, by the mean of two trainings with other luck."""
        peaks = FORMULAS[BASE][1] * 10.0 ** np.arange(-2, 2.01, 0.25)
        tried = [schedule(BASE, float(peak)) for peak in peaks]
        scores = np.mean([self.scores(tried, JUDGED_ON, "fitness", luck) for luck in (1, 2)], axis=0)
        return [float(peaks[best]) for best in scores.argmax(axis=0)]


def main() -> None:
    began = time.perf_counter()
    laboratory = Laboratory()
    constants = {formula: laboratory.tuned(formula) for formula in FORMULAS}
    scores = {
        formula: laboratory.scores([schedule(formula, constant)], JUDGED_ON, "test")[0]
        for formula, constant in constants.items()
    }
    peaks = laboratory.own_peaks()
    own = laboratory.scores([schedule(BASE, peak) for peak in peaks], JUDGED_ON, "test")
    scores[OWN_PEAK] = own.diagonal()
    metric = Mnist1dSuite().metric
    others = [name for name in scores if name != BASE]
    pairs = dict(zip(others, corrected([paired(scores[n], scores[BASE], metric) for n in others]), strict=True))
    rows = {}
    for name, values in scores.items():
        mean, low, high = mean_interval(values)
        rows[name] = {
            "constant": constants.get(name),
            "mean": mean,
            "low": low,
            "high": high,
            "scores": values.tolist(),
            "against the first": pairs[name].document() if name in pairs else None,
        }
    seconds = time.perf_counter() - began
    document = {
        "machine": platform.platform(),
        "versions": {name: version(name) for name in ("jax", "numpy", "optax")},
        "epochs": EPOCHS,
        "tasks": {"tuned on": list(TUNED_ON), "judged on": list(JUDGED_ON)},
        "shape": SHAPE,
        "trainings": laboratory.trainings,
        "seconds": round(seconds),
        "peaks of tasks": peaks,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{'constant · shape · …':32}{'constant':>9}  {'accuracy':>8}  {'more, points':>22}  {'p (Holm)':>8}")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["mean"]):
        constant = "" if row["constant"] is None else f"{row['constant']:.3g}"
        line = f"{name:32}{constant:>9}  {100 * row['mean']:6.2f} %"
        if name in pairs:
            found = pairs[name]
            span = f"{100 * found.difference:+.2f} ({100 * found.low:+.2f} … {100 * found.high:+.2f})"
            line += f"  {span:>22}  {found.p_value:8.1g}"
        print(line)
    print(f"{len(JUDGED_ON)} tasks, {laboratory.trainings:,} trainings of {EPOCHS} epochs, {seconds:.0f} s")


if __name__ == "__main__":
    main()
