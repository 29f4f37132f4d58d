"""Kills a study at random moments, again and again, and looks whether anything was lost.

    .venv/bin/python benchmarks/kill_sweep.py [--studies 200]

Each study is a small search on the quadratic, run in a process that is killed with SIGKILL after a random time, and run
again until it is done. Lost: a trial that the process had been told was stored, and that is not there afterwards.
Identical: everything the study remembers, times and writers apart, and every derived file, byte for byte. Writes
benchmarks/results/kill_sweep.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import evolr.training.trainer  # noqa: F401  loaded before the forks, and not yet used
from evolr.study.evolve import evolve
from evolr.study.summary import summarise
from tests.study.small import derived, remembered, small

RESULTS = Path(__file__).parent / "results" / "kill_sweep.json"
CONFIG = small(**{"search.generations": 20})


def search(path: Path, acknowledge) -> None:
    evolve(CONFIG, path, device_count=1, on_trained=acknowledge.send)


def attempt(path: Path, seconds: float | None) -> tuple[int, bool]:
    """Runs the study, for some seconds where a number is given; the trials acknowledged, and whether it was killed."""
    context = multiprocessing.get_context("fork")  # JAX is imported and has made nothing yet, so a fork is safe
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=search, args=(path, sender))
    process.start()
    sender.close()
    process.join(seconds)
    if process.is_alive():
        process.kill()
    process.join()
    acknowledged = 0
    try:
        while True:
            acknowledged += receiver.recv()
    except (EOFError, OSError):
        pass
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the search ended with exit code {process.exitcode}")
    return acknowledged, process.exitcode != 0


def stored(path: Path) -> int:
    if not (path / "study.db").exists():
        return 0
    return summarise(path).trainings  # as a reader sees it, right after the kill


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    count = parser.parse_args().studies
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        attempt(whole, None)
        start = time.perf_counter()
        attempt(Path(folder) / "timed", None)
        span = time.perf_counter() - start
        expected = remembered(whole), derived(whole)
        identical = lost = 0
        kills: Counter[int] = Counter()
        moments = Counter[str]()
        for number in range(count):
            path = Path(folder) / str(number)
            acknowledged, killed = 0, True
            while killed:
                before = stored(path)
                told, killed = attempt(path, rng.uniform(0.0, span))
                acknowledged += told
                now = stored(path)
                lost += max(0, acknowledged - now)
                if killed:
                    kills[number] += 1
                    moments[
                        "before the study"
                        if not (path / "study.db").exists()
                        else "without a trial"
                        if now == before
                        else "among trials"
                    ] += 1
            identical += (remembered(path), derived(path)) == expected
            print(
                f"\r{number + 1} studies, {kills.total()} kills, {identical} identical, {lost} trials lost",
                end="",
                file=sys.stderr,
            )
    document = {
        "studies": count,
        "kills": kills.total(),
        "kills_by_moment": dict(moments),
        "studies_killed_at_least_once": len(kills),
        "seconds_of_an_uninterrupted_study": span,
        "identical": identical,
        "trials_lost": lost,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\n{json.dumps(document, indent=2)}")


if __name__ == "__main__":
    main()
