"""What a training by a function of the user's costs beyond the function, and what becomes of functions that fail.

    .venv/bin/python benchmarks/functions.py

Overhead: a trivial function under warm workers, the time from one outcome to the next; by the executor alone, and in a
whole search that stores every one. Failures: a search of preset `function` whose function crashes, hangs, raises or eats
memory in one trial of ten, for each kind. Prints and writes benchmarks/results/functions.json.
"""

from __future__ import annotations

import functools
import json
import math
import os
import platform
import signal
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from this_machine import processor

from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.study.evolve import evolve
from evolr.study.summary import summarise
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results" / "functions.json"
TRIALS, EPOCHS = 2_000, 10
TIME_LIMIT, MEMORY_LIMIT = 2.0, 1.0  # seconds, GB


def trivial(*trial):
    return float(len(trial))


def like_a_cosine(schedule, seed, epochs):
    """Higher the nearer the learning rate is to a cosine: no training, but something to find."""
    rates = [schedule(epoch=epoch, loss=1.0, val_loss=1.0) for epoch in range(epochs)]
    wanted = [0.005 * (1 + math.cos(math.pi * epoch / epochs)) for epoch in range(epochs)]
    return -math.fsum(abs(rate - want) for rate, want in zip(rates, wanted, strict=True)) + seed % 100 * 1e-6


def fail(kind):
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "raise":
        raise ValueError("one in ten")
    if kind == "hang":
        while True:
            time.sleep(60)
    eaten = []
    while True:
        eaten.append(b"x" * 50_000_000)


def failing(kind, schedule, seed, epochs):
    score = like_a_cosine(schedule, seed, epochs)
    if int(abs(score) * 1e12) % 10 == 0:
        fail(kind)
    return score


def spread(moments) -> dict[str, float]:
    milliseconds = 1e3 * np.diff(moments)
    return {"mean_ms": float(milliseconds.mean()), "p99_ms": float(np.percentile(milliseconds, 99))}


def overhead(count: int, train=trivial) -> dict[str, float]:
    """By the executor alone."""
    workers = Workers(train, count=count, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT)
    trials, moments = [Trial(constant(0.1), seed) for seed in range(TRIALS)], []
    workers.run(trials[: 5 * count], EPOCHS, "fitness")
    start = time.perf_counter()
    workers.run(trials, EPOCHS, "fitness", on_outcomes=lambda new: moments.extend([time.perf_counter()] * len(new)))
    workers.close()
    return {**spread([start, *moments]), "workers": count}


def search(path: Path) -> dict[str, float]:
    """In a whole search: breeding, the database, all."""
    moments: list[float] = []
    result = evolve(
        like_a_cosine,
        path,
        epochs=EPOCHS,
        workers=1,
        settings={"search.generations": 40},
        on_trial=lambda _: moments.append(time.perf_counter()),
    )
    return {**spread(moments), "trainings": result.trainings, "search_seconds": moments[-1] - moments[0]}


def survival(kind: str, path: Path) -> dict[str, object]:
    start = time.perf_counter()
    result = evolve(
        functools.partial(failing, kind), path, epochs=EPOCHS, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT
    )
    summary = summarise(path)
    assert result.champion is not None
    assert math.isfinite(result.champion.score)
    return {
        "seconds": time.perf_counter() - start,
        "trainings": summary.trainings,
        "failed": summary.failed,
        "last_failure": summary.last_failure,
        "champion": str(result.champion.individual.expression),
        "score": result.champion.score,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        document = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {"cores": os.cpu_count(), "processor": processor(), "system": platform.system()},
            "versions": {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "evolr")}},
            "limits": {"seconds": TIME_LIMIT, "gigabytes": MEMORY_LIMIT},
            "overhead_of_a_trial": {
                "executor": [overhead(count) for count in (1, 2)],
                "executor_of_ten_calls": [overhead(count, like_a_cosine) for count in (1, 2)],
                "search": search(Path(folder) / "search"),
            },
            "one_trial_in_ten": {
                kind: survival(kind, Path(folder) / kind) for kind in ("segfault", "hang", "raise", "eat_memory")
            },
        }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
