"""How many workers evolr keeps busy, and what the database does at 100,000 trials an hour.

    .venv/bin/python benchmarks/scaling.py [--parts workers,dispatch,ray,database] [--workers 1,2,8,32,64] [--rounds 16]

Workers: trainings that sleep (simulated.py) from 0.1 to 10 s, log-uniform by their seeds, `rounds` for each worker. All
workers are up before the clock starts; that is measured apart. Two shares of the ideal, in which nothing takes time but the
sleep:

- `throughput`: the seconds of training that were done until the queue was empty (the start of the last trial), by what so
  many workers can do in that time. What a sleep takes beyond its due counts as idle.
- `whole_run`: the time of the whole run in the ideal, by that which it took; in both, whoever is free first takes the next
  trial, so that the ideal has the tail of the last trainings too.

Dispatch: trainings that take no time on as many workers: the parent's processor time for a trial, which is what bounds the
number of workers. `limits`: with a limit of time and memory.

Database: a memetic search whose trainings take no time and land one by one, as those of workers do.

A part that is not run keeps its figures in benchmarks/results/scaling.json.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.simulated import GATHERING, instant, seconds_of, sleeping
from evolr.execution.executor import Executor
from evolr.execution.ray import Ray
from evolr.execution.workers import Workers
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results" / "scaling.json"
EPOCHS = 10
SIGNALS = frozenset({"progress", "loss", "val_loss"})
SCHEDULE = Schedule(expression=parse("0.01*(1 - progress)/(1 + loss)"))
LIMITS = {"time_limit": 600.0, "memory_limit": 8.0}
DISPATCHED = 8_000  # trials that take no time


def load() -> list[float]:
    """Of the machine, over 1 and 5 minutes: other programs' and, for a small part, the benchmark's own."""
    return [round(value, 1) for value in os.getloadavg()[:2]]


def ideal_seconds(durations: Sequence[float], workers: int) -> float:
    """Of a whole run in which nothing takes time but the trainings, and whoever is free first takes the next."""
    free = [0.0] * workers
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def gathered(executor: Executor, workers: int) -> dict[str, float]:
    """Has all workers train once at the same time; how long it takes until the first one does, and until all do."""
    start = time.monotonic()
    outcomes = executor.run([Trial(SCHEDULE, GATHERING + k) for k in range(workers)], EPOCHS, "fitness")
    begun = [outcome.score - start for outcome in outcomes]
    return {"start_of_one_seconds": min(begun), "start_of_all_seconds": max(begun)}


def busy(executor: Executor, workers: int, rounds: int) -> dict[str, Any]:
    """The shares of the ideal of a run on workers that are all there."""
    started = gathered(executor, workers)
    seeds = range(workers * rounds)
    durations = [seconds_of(seed) for seed in seeds]
    before, start, processor = load(), time.monotonic(), time.process_time()
    outcomes = executor.run([Trial(SCHEDULE, seed) for seed in seeds], EPOCHS, "fitness")
    end, processor = time.monotonic(), time.process_time() - processor
    begun = [outcome.score for outcome in outcomes]
    empty = max(begun)
    done = sum(min(duration, empty - at) for at, duration in zip(begun, durations, strict=True))
    return {
        "workers": workers,
        **started,
        "trials": len(seeds),
        "seconds": end - start,
        "seconds_until_the_queue_is_empty": empty - start,
        "throughput": done / (workers * (empty - start)),
        "whole_run": ideal_seconds(durations, workers) / (end - start),
        "trials_an_hour": 3600 * len(seeds) / (end - start),
        "parent_core_share": processor / (end - start),
        "load": [before, load()],
    }


def on_workers(workers: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        executor = Workers(functools.partial(sleeping, folder, workers), count=workers, signals=SIGNALS, **LIMITS)
        try:
            return busy(executor, workers, rounds)
        finally:
            executor.close()


def on_ray(workers: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        place = Ray("local", workers=workers, cpus_per_worker=0)
        executor = place.for_function(functools.partial(sleeping, folder, workers), SIGNALS, **LIMITS)
        try:
            start = time.monotonic()
            executor.prepare("fitness")
            return {"cluster_and_one_worker_seconds": time.monotonic() - start, **busy(executor, workers, rounds)}
        finally:
            executor.close()


def dispatch(workers: int, limits: dict[str, float]) -> dict[str, Any]:
    """What a trial costs the parent, when the next is handed out at once."""
    with tempfile.TemporaryDirectory() as folder:
        executor = Workers(functools.partial(instant, folder, workers), count=workers, signals=SIGNALS, **limits)
        try:
            gathered(executor, workers)
            trials = [Trial(SCHEDULE, seed) for seed in range(DISPATCHED)]
            before, start, processor = load(), time.monotonic(), time.process_time()
            executor.run(trials, EPOCHS, "fitness")
            seconds, processor = time.monotonic() - start, time.process_time() - processor
        finally:
            executor.close()
    return {
        "workers": workers,
        "limits": bool(limits),
        "parent_ms_a_trial": 1e3 * processor / len(trials),
        "trials_a_second": len(trials) / seconds,
        "load": [before, load()],
    }


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", default="workers,dispatch,ray,database")
    parser.add_argument("--workers", default="1,2,8,32,64")
    parser.add_argument("--ray-workers", default="2,8,32")
    parser.add_argument("--rounds", type=int, default=16)
    given = parser.parse_args()
    counts, ray_counts = ([int(n) for n in text.split(",")] for text in (given.workers, given.ray_workers))
    document: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document |= {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "processor": processor_name(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "ray", "evolr")}},
    }
    for part in given.parts.split(","):
        if part == "workers":
            document["workers"] = [on_workers(count, given.rounds) for count in counts]
        elif part == "dispatch":
            document["dispatch"] = [dispatch(count, limits) for count in counts for limits in ({}, LIMITS)]
        elif part == "ray":
            document["ray"] = [on_ray(count, given.rounds) for count in ray_counts]
        else:
            parser.error(f"there is no part {part!r}: workers, dispatch, ray, database")
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")
        print(part, json.dumps(document[part], indent=2), flush=True)


if __name__ == "__main__":
    main()
