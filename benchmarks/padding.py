"""What it saves to compute the tasks of a suite at the least size that holds them (problems/padding.py).

    .venv/bin/python benchmarks/padding.py

Processor time of one step of training, on tasks of the suite, with arrays of the least size and with those of the greatest;
measured in turn in one run, the least of three. Writes benchmarks/results/padding.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import numpy as np

import evolr
from evolr.problems import padding
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

RULE = "{}*min(1, progress/0.2, (1 - progress)/0.3)/grad_norm_rss"
SCHEDULES = [evolr.load(RULE.format(scale)) for scale in np.geomspace(0.2, 1, 10)]
TASKS, EPOCHS = 32, 3
KINDS = ("mlp", "cnn", "gru", "transformer", "language", "regression", "quadratic")


def microseconds(config: evolr.Config, *, padded: bool) -> float:
    """Of processor time, for a step of one network."""
    sizes = padding.sizes_to
    padding.sizes_to = (lambda most: [most]) if padded else sizes
    try:
        with closing(executor_for(config)) as executor:
            trials = [Trial(schedule, seed) for seed in range(TASKS) for schedule in SCHEDULES]
            executor.run(trials[:2], EPOCHS, "fitness")  # compiles
            spent: list[float] = []
            for _ in range(3):
                before = time.process_time()
                executor.run(trials, EPOCHS, "fitness")
                spent.append(time.process_time() - before)
    finally:
        padding.sizes_to = sizes
    return 1e6 * min(spent) / (len(trials) * EPOCHS * config.problem.steps_per_epoch)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    suites = {"mnist1d-suite": evolr.resolve("suite")}
    suites |= {f"mixed, {kind}": evolr.resolve("mixed", settings={"problem.kinds_drawn": [kind]}) for kind in KINDS}
    rows = {}
    print(f"{'µs of a step':20} {'greatest':>9} {'least':>9} {'ratio':>6}")
    for name, config in suites.items():
        greatest, least = (microseconds(config, padded=padded) for padded in (True, False))
        rows[name] = {"greatest_size": greatest, "least_size": least, "ratio": greatest / least}
        print(f"{name:20} {greatest:9.1f} {least:9.1f} {greatest / least:6.2f}", flush=True)
    document = {"cores": os.cpu_count(), "jax": version("jax"), "microseconds_a_step": rows}
    (Path(__file__).parent / "results" / "padding.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
