"""Trials in workers of their own, and whether a process is gone."""

import math
import time
from pathlib import Path

from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial


def run(train, trials=3, epochs=2, **options):
    workers = Workers(train, **{"count": 2, **options})
    try:
        return workers.run([Trial(constant(0.1), seed) for seed in range(trials)], epochs, "fitness")
    finally:
        workers.close()


def failures(train, trials=2, **options):
    outcomes = run(train, trials, **options)
    assert all(math.isnan(outcome.score) for outcome in outcomes)
    return [outcome.failure for outcome in outcomes]


def is_alive(process):
    """Whether a process runs; a zombie, which has ended and is not reaped yet, does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(process):
    """Waits until a process that was killed is gone, which takes the system a moment."""
    for _ in range(500):
        if not is_alive(process):
            return True
        time.sleep(0.01)
    return False
