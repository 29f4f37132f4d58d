"""How many workers evolr keeps busy, and what the database does at 100,000 trials an hour.

    .venv/bin/python benchmarks/scaling.py [--parts workers,dispatch,ray,database] [--workers 1,2,8,32,64] [--rounds 12] [--trials 100000]

Workers: trainings that sleep (simulated.py) from 0.1 to 10 s, log-uniform by their seeds, `rounds` for each worker. All
workers are up before the clock starts; that is measured apart. Two shares of the ideal, in which nothing takes time but the
sleep:

- `throughput`: the seconds of training that were done until the queue was empty (the start of the last trial), by what so
  many workers can do in that time. What a sleep takes beyond its due counts as idle.
- `whole_run`: the time of the whole run in the ideal, by that which it took; in both, whoever is free first takes the next
  trial, so that the ideal has the tail of the last trainings too.

`parent_core_share` is the processor time of the program that searches; on Ray, other processes do most of the work.

Dispatch: trainings that take no time, on the fewest and on the most workers: the parent's processor time for a trial, which is what bounds the
number of workers. `limits`: with a limit of time and memory.

Database: a memetic search whose trainings take no time and land one by one, as those of workers do. What it stores, how long
each transaction of a trial takes (what makes its row included), and how long opening the study again takes, which replays it.

A part that is not run keeps its figures in benchmarks/results/scaling.json.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from this_machine import processor

from benchmarks.simulated import GATHERING, instant, seconds_of, sleeping
from benchmarks.storage import Stopwatch
from evolr.execution.executor import Executor
from evolr.execution.ray import Ray
from evolr.execution.training_function import name_of
from evolr.execution.workers import Workers
from evolr.expression import parse
from evolr.run_files import DATABASE
from evolr.schedule import Schedule
from evolr.study.evolve import evolve
from evolr.study.records import Records
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from evolr.training.task import Outcome, Trial

RESULTS = Path(__file__).parent / "results" / "scaling.json"
EPOCHS = 10
SIGNALS = frozenset({"progress", "loss", "val_loss"})
SCHEDULE = Schedule(expression=parse("0.01*(1 - progress)/(1 + loss)"))
LIMITS = {"time_limit": 600.0, "memory_limit": 8.0}
DISPATCHED = 8_000  # trials that take no time
STORED = 100_000  # trials of the study
AN_HOUR = 100_000  # of them, at which the database's share is told
GENERATION = {"search.population": 100, "search.samples": 8, "search.children": 200, "search.random_structures": 100}
PLACES = 40  # of the curves of a function's training of 10 epochs


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


def untrained(schedule, seed, epochs):
    """Higher the nearer the learning rate is to a cosine, and a little of the seed's luck."""
    rates = [schedule.at(progress=epoch / epochs, loss=1.0, val_loss=1.0) for epoch in range(epochs)]
    wanted = [0.005 * (1 + math.cos(math.pi * epoch / epochs)) for epoch in range(epochs)]
    return -math.fsum(abs(rate - want) for rate, want in zip(rates, wanted, strict=True)) + seed % 100 * 1e-6


class Untrained(Executor):
    """Has the outcomes of `untrained` at once, and hands them over one by one, with curves."""

    identity = title = name_of(untrained)
    knows_pools, keeps_failures = False, True
    signals, context = SIGNALS | {"total_epochs"}, {}

    def __init__(self) -> None:
        self.seconds, self.trainings = 0.0, 0
        self._curves = np.random.default_rng(0).random((4, PLACES), np.float32)

    def prepare(self, pool: str) -> None:
        pass

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        _pool: str,
        *,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
        **_: bool,
    ) -> list[Outcome]:
        outcomes = []
        for number, trial in enumerate(trials):
            start = time.perf_counter()
            outcomes.append(Outcome(untrained(trial.schedule, trial.seed, epochs), None, *self._curves))
            self.seconds += time.perf_counter() - start
            self.trainings += 1
            if on_outcomes:
                on_outcomes({number: outcomes[-1]})
        return outcomes

    def close(self) -> None:
        pass


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    def measured(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - start)

    return measured


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    values = 1e3 * np.array(seconds)
    return {
        "median": float(np.median(values)),
        "p99": float(np.percentile(values, 99)),
        "most": float(values.max()),
        "mean": float(values.mean()),
    }


def database(stored: int) -> dict[str, Any]:
    """A study of so many trials and some, each stored in a transaction of its own."""
    transactions: list[float] = []
    stopwatch = Stopwatch()
    Records.add_outcomes = timed(Records.add_outcomes, transactions)
    stopwatch.time_recording()
    settings = {**GENERATION, "search.generations": 10 * stored // 1_000 + 1, "search.finalists": 0}
    with tempfile.TemporaryDirectory() as folder:
        path, before, executor = Path(folder) / "study", load(), Untrained()
        start = time.perf_counter()
        result = evolve(untrained, path, Limits(trainings=stored), epochs=EPOCHS, executor=executor, settings=settings)
        seconds, in_database = time.perf_counter() - start, stopwatch.seconds
        start = time.perf_counter()
        Study(path).close()
        opening = time.perf_counter() - start
        start = time.perf_counter()
        summarise(path)
        return {
            "trials": result.trainings,
            "seconds": seconds,
            "of_them_made_up_trainings": executor.seconds,
            "of_them_database": in_database,
            "database_ms_a_trial": 1e3 * in_database / result.trainings,
            "database_share_at_100000_an_hour": in_database / result.trainings * AN_HOUR / 3600,
            "transaction_ms": milliseconds(transactions),
            "transaction_ms_of_the_first_10000": milliseconds(transactions[:10_000]),
            "transaction_ms_of_the_last_10000": milliseconds(transactions[-10_000:]),
            "bytes_a_trial": (path / DATABASE).stat().st_size / result.trainings,
            "of_them_curves": 4 * 4 * PLACES,
            "opening_again_seconds": opening,
            "summary_seconds": time.perf_counter() - start,
            "load": [before, load()],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", default="workers,dispatch,ray,database")
    parser.add_argument("--workers", default="1,2,8,32,64")
    parser.add_argument("--ray-workers", default="2,8,32")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--trials", type=int, default=STORED)
    given = parser.parse_args()
    counts, ray_counts = ([int(n) for n in text.split(",")] for text in (given.workers, given.ray_workers))
    document: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document |= {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "processor": processor(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "ray", "evolr")}},
    }
    for part in given.parts.split(","):
        if part == "workers":
            document["workers"] = [on_workers(count, given.rounds) for count in counts]
        elif part == "dispatch":
            document["dispatch"] = [
                dispatch(count, limits) for count in (counts[0], counts[-1]) for limits in ({}, LIMITS)
            ]
        elif part == "ray":
            document["ray"] = [on_ray(count, given.rounds) for count in ray_counts]
        elif part == "database":
            document["database"] = database(given.trials)
        else:
            parser.error(f"there is no part {part!r}: workers, dispatch, ray, database")
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")
        print(part, json.dumps(document[part], indent=2), flush=True)


if __name__ == "__main__":
    main()
