"""Kills studies and their judgements at random moments, again and again, and looks whether anything was lost.

    .venv/bin/python benchmarks/kill_sweep.py [--studies 200] [--kills 20]

Each study is a small search on the quadratic, run in a process that is killed with SIGKILL after a random time, and run
again until it is done. Lost: a trial that the process had been told was stored, and that is not there afterwards.
Identical: everything the study remembers, times and writers apart, and every derived file, byte for byte.

Then `prove`, `explain` and `compare` of a study that a function trained (judged.py), each killed with its process group so
many times, and at last left to its end. Identical: every file that it wrote, pictures too, byte for byte. What `compare`
trains is not remembered: it begins again.

Writes benchmarks/results/kill_sweep.json; with 0 studies, or 0 kills, what stands there of them is kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import evolr.training.trainer  # noqa: F401  loaded before the forks, and not yet used
from evolr.study.evolve import evolve
from evolr.study.summary import summarise
from tests.study.small import derived, remembered, small

RESULTS = Path(__file__).parent / "results" / "kill_sweep.json"
CONFIG = small(**{"search.generations": 20})
JUDGEMENTS = [("prove", "train"), ("prove", "train_or_fail"), ("explain", "train"), ("compare", "train")]
REMEMBERED = JUDGEMENTS[0], JUDGEMENTS[2]
"""Judgements of which each acknowledged training is in the ledger at once; failed ones are there when their batch is done."""


def search(path: Path, acknowledge) -> None:
    evolve(CONFIG, path, device_count=1, on_trial=lambda _: acknowledge.send(1))


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


def studies(count: int, folder: Path, rng: random.Random) -> dict[str, object]:
    whole = folder / "whole"
    attempt(whole, None)
    start = time.perf_counter()
    attempt(folder / "timed", None)
    span = time.perf_counter() - start
    expected = remembered(whole), derived(whole)
    identical = lost = 0
    kills: Counter[int] = Counter()
    moments = Counter[str]()
    for number in range(count):
        path = folder / str(number)
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
        say(f"{number + 1} studies, {kills.total()} kills, {identical} identical, {lost} trials lost")
    return {
        "studies": count,
        "kills": kills.total(),
        "kills_by_moment": dict(moments),
        "studies_killed_at_least_once": len(kills),
        "seconds_of_an_uninterrupted_study": span,
        "identical": identical,
        "trials_lost": lost,
    }


def judgement(command: str, path: Path, function: str, seconds: float | None = None) -> tuple[int, bool]:
    """Runs a judgement, for some seconds if a number is given; the trainings acknowledged, and whether it was killed."""
    words = [sys.executable, str(Path(__file__).with_name("judged.py")), command, str(path), function]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{command} ended with exit code {process.returncode}")
    return sum(int(line) for line in printed.splitlines() if line.isdigit()), process.returncode != 0


def documents(path: Path, study: Path) -> dict[str, bytes]:
    """What a judgement wrote beside the study, its memory apart."""
    names = {p.name for p in path.iterdir()} - {p.name for p in study.iterdir()}
    return {name: (path / name).read_bytes() for name in sorted(names) if not name.startswith("contest.db")}


def in_ledger(path: Path) -> int:
    if not (path / "contest.db").exists():
        return 0
    with closing(sqlite3.connect(path / "contest.db")) as connection:
        try:
            return connection.execute("SELECT count(*) FROM training").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # killed before there was a table


def judgements(command: str, function: str, count: int, folder: Path, rng: random.Random) -> dict[str, object]:
    """A judgement that is killed so many times, each within the time that it takes if nothing is left to train."""
    study = folder / "study"
    judgement("evolve", study, function)
    whole = Path(shutil.copytree(study, folder / "whole" / "study"))
    start = time.perf_counter()
    needed, _ = judgement(command, whole, function)
    seconds = time.perf_counter() - start
    expected = documents(whole, study)
    start = time.perf_counter()
    judgement(command, whole, function)
    span = time.perf_counter() - start
    if documents(whole, study) != expected:
        raise SystemExit(f"{command} by {function} writes other files if it is repeated, without any kill")
    identical = runs = kills = lost = 0
    moments = Counter[str]()
    while kills < count:
        path = Path(shutil.copytree(study, folder / str(runs) / "study"))
        acknowledged, killed = 0, True
        while killed:
            told, killed = judgement(command, path, function, rng.uniform(0.0, span) if kills < count else None)
            acknowledged += told
            if (command, function) in REMEMBERED:
                lost += max(0, acknowledged - in_ledger(path))
            if killed:
                kills += 1
                is_trained = told >= needed if command == "compare" else in_ledger(path) == in_ledger(whole)
                moments["after the last" if is_trained else "among trainings" if told else "before any"] += 1
            say(f"{command} by {function}: {kills} kills, {runs} runs, {identical} identical, {lost} trainings lost")
        runs += 1
        identical += documents(path, study) == expected
    return {
        "kills": kills,
        "kills_by_moment": dict(moments),
        "runs": runs,
        "identical": identical,
        "files": list(expected),
        "trainings": needed,
        "seconds_of_an_uninterrupted_one": seconds,
        **({"trainings_lost": lost} if (command, function) in REMEMBERED else {}),
    }


def say(text: str) -> None:
    print(f"\r{text}", end="", file=sys.stderr)


def write(document: dict[str, object]) -> dict[str, object]:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20, help="of each judgement")
    arguments = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    judged = document.pop("judgements", {})
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.studies:
            document = write({**studies(arguments.studies, folder, rng), "judgements": judged})
        for command, function in JUDGEMENTS if arguments.kills else ():
            place = folder / command / function
            judged[f"{command} by {function}"] = judgements(command, function, arguments.kills, place, rng)
            document = write({**document, "judgements": judged})
    print(f"\n{json.dumps(document, indent=2)}")


if __name__ == "__main__":
    main()
