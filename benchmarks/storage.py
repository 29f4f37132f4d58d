"""What remembering costs: the share of a search, and how quickly a large study answers.

    .venv/bin/python benchmarks/storage.py [--trials 1000000]

Times every write of a search (preset original) against its wall time; then fills a study with a million trials,
by the same code that a search uses, and times `evolr runs` and `evolr show` as whole commands. Writes
benchmarks/results/storage.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from evolr.config import resolve
from evolr.search.archive import hall_of_fame
from evolr.search.evolution import next_population
from evolr.search.individual import Evaluation
from evolr.study.counts import Counts
from evolr.study.database import Database
from evolr.study.evolve import evolve
from evolr.study.records import Records
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study
from evolr.training.task import Outcome

RESULTS = Path(__file__).parent / "results" / "storage.json"
POPULATION, SEEDS = 1_000, 20
RECORDING = {
    Records: (
        "create", "begin_session", "end_session", "add_population", "add_outcomes", "finish_generation", "scores", "failures",
        "population", "evaluations",
    ),
    Counts: ("trainings", "epochs"),
}  # fmt: skip
"""What a search calls of its database: all its time there."""


class Stopwatch:
    """Times the outermost calls of some methods."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    def time_recording(self) -> None:
        for owner, names in RECORDING.items():
            self.time(owner, *names)

    def time(self, owner: type, *names: str) -> None:
        for name in names:
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function):
        def timed(*arguments, **options):
            start, self._depth = time.perf_counter(), self._depth + 1
            try:
                return function(*arguments, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - start

        return timed


def share_of_a_search() -> dict[str, float]:
    stopwatch = Stopwatch()
    stopwatch.time_recording()
    stopwatch.time(RunDirectory, "save_config", "save_champion", "save_front", "save_history")
    stopwatch.time(Database, "close")
    with tempfile.TemporaryDirectory() as folder:
        result = evolve(resolve("original"), Path(folder) / "warm")
        stopwatch.seconds = 0.0
        result = evolve(resolve("original"), Path(folder) / "run")
    return {
        "wall_seconds": result.seconds,
        "storage_seconds": stopwatch.seconds,
        "share": stopwatch.seconds / result.seconds,
    }


def fill(path: Path, trials: int) -> int:
    """A study of so many trials, each with its curves of ten epochs; their number."""
    settings = {"search.population": POPULATION, "search.seeds": SEEDS, "search.generations": 100_000}
    config = resolve("original", settings=settings)
    rng = np.random.default_rng(0)
    with Study(path, config) as study:
        records, current = study._open.records, study._open.state.current
        assert current is not None
        population, best, stored = current.population, [], 0
        while stored < trials:
            curves = rng.random((4, 10), np.float32)
            outcomes = [
                (individual.place, seed, Outcome(float(rng.random()), None, *curves))
                for individual in population
                for seed in range(SEEDS)
            ]
            records.add_outcomes(outcomes, "fitness", 10)
            stored += len(outcomes)
            evaluations = [
                Evaluation(i, f, f) for i, f in zip(population, rng.random(POPULATION).tolist(), strict=True)
            ]
            best = hall_of_fame([*best, *evaluations])
            records.finish_generation(evaluations, best)
            population = next_population(config.search, 0, evaluations)
            records.add_population(config, population)
    return stored


def seconds_of(*arguments: str) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "evolr", *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    trials = parser.parse_args().trials
    document: dict[str, object] = {"search": share_of_a_search()}
    with tempfile.TemporaryDirectory() as folder:
        stored = fill(Path(folder) / "large", trials)
        document["large"] = {
            "trials": stored,
            "database_mib": (Path(folder) / "large" / "study.db").stat().st_size / 2**20,
            "runs_seconds": seconds_of("runs", folder),
            "show_seconds": seconds_of("show", f"{folder}/large"),
        }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
