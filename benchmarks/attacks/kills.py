"""Kills whatever writes at random moments, again and again, and looks whether anything was lost or left.

Each study is a small search on the quadratic, run in a process that is killed with SIGKILL after a random time, and run again until it
is done. Lost: a trial that the process had been told was stored, and that is not there afterwards. Identical: everything the study
remembers, times and writers apart, and every derived file, byte for byte.

Then `prove`, `explain`, `compare` and `tune` by a function (judged.py), each killed with its process group so many times, and at last
left to its end. Identical: every file that it wrote, pictures too, byte for byte. What `compare` trains is not remembered: it begins again.

And `export -o` and `show -o`, which write one file again and again: after each kill it is one of the two that are written, whole; what the
kill left beside it is gone with the next write.
"""

from __future__ import annotations

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
from typing import Any

import evolr.training.trainer  # noqa: F401  loaded before the forks, and not yet used
from evolr.study.evolve import evolve
from evolr.study.summary import summarise
from evolr.writing import is_leftover
from tests.study.small import derived, remembered, small

JUDGED = Path(__file__).with_name("judged.py")
CONFIG = small(**{"search.generations": 20})
STUDIES, JUDGED_KILLS, WRITTEN_KILLS = 100, 40, 40
"""Kills at full scale: of the studies, and of each of the others."""

JUDGEMENTS = [
    ("prove", "train"),
    ("prove", "train_or_fail"),
    ("explain", "train"),
    ("compare", "train"),
    ("tune", "train"),
]
REMEMBERED = JUDGEMENTS[0], JUDGEMENTS[2], JUDGEMENTS[4]
"""Judgements of which each acknowledged training is in the ledger at once; failed ones are there when their batch is done."""


class AnotherEndError(Exception):
    """A process that ended by itself, and not as it should."""


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
        raise AnotherEndError(f"the search ended with exit code {process.exitcode}")
    return acknowledged, process.exitcode != 0


def stored(path: Path) -> int:
    if not (path / "study.db").exists():
        return 0
    return summarise(path).trainings  # as a reader sees it, right after the kill


def leftovers(path: Path) -> int:
    return sum(is_leftover(name) for name in os.listdir(path))


def studies(count: int, folder: Path, rng: random.Random) -> dict[str, Any]:
    """Studies that are killed so many times in all."""
    whole = folder / "whole"
    attempt(whole, None)
    start = time.perf_counter()
    attempt(folder / "timed", None)
    span = time.perf_counter() - start
    expected = remembered(whole), derived(whole)
    runs = identical = lost = left = 0
    kills: Counter[int] = Counter()
    moments = Counter[str]()
    while kills.total() < count:
        path = folder / str(runs)
        acknowledged, killed = 0, True
        while killed:
            before = stored(path)
            told, killed = attempt(path, rng.uniform(0.0, span))
            acknowledged += told
            now = stored(path)
            lost += max(0, acknowledged - now)
            if killed:
                kills[runs] += 1
                moments[
                    "before the study"
                    if not (path / "study.db").exists()
                    else "without a trial"
                    if now == before
                    else "among trials"
                ] += 1
        identical += (remembered(path), derived(path)) == expected
        left += leftovers(path)
        runs += 1
        say(f"evolve: {kills.total()} kills, {runs} runs, {identical} identical, {lost} trials lost")
    return {
        "kills": kills.total(),
        "kills_by_moment": dict(moments),
        "runs": runs,
        "seconds_of_an_uninterrupted_one": span,
        "identical": identical,
        "lost": lost,
        "left": left,
    }


def judgement(command: str, path: Path, function: str, seconds: float | None = None) -> tuple[int, bool]:
    """Runs a judgement, for some seconds if a number is given; the trainings acknowledged, and whether it was killed."""
    words = [sys.executable, str(JUDGED), command, str(path), function]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            printed, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, _ = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise AnotherEndError(f"{command} ended with exit code {process.returncode}")
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


def judgements(command: str, function: str, count: int, folder: Path, rng: random.Random) -> dict[str, Any]:
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
        raise AnotherEndError(f"{command} by {function} writes other files if it is repeated, without any kill")
    identical = runs = kills = lost = left = 0
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
        left += leftovers(path)
    return {
        "kills": kills,
        "kills_by_moment": dict(moments),
        "runs": runs,
        "identical": identical,
        "files": list(expected),
        "trainings": needed,
        "seconds_of_an_uninterrupted_one": seconds,
        "left": left,
        **({"lost": lost} if (command, function) in REMEMBERED else {}),
    }


def written(command: str, count: int, folder: Path, rng: random.Random) -> dict[str, Any]:
    """A file that is written again and again, by processes that are killed at some moment of a write."""
    known: set[bytes] = set()
    path, half, left, beside = folder / command, 0, 0, 0
    span = 0.0
    for kills in range(count):
        words = [sys.executable, str(JUDGED), command, str(folder), "train"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdout is not None
            for number in range(3 if kills == 0 else 1):
                start = time.perf_counter()
                if not process.stdout.readline():
                    raise AnotherEndError(f"{command} ended by itself")
                if kills == 0:  # the first writes show what there is to write, and how long it takes
                    known |= {path.read_bytes()} if number < 2 else set()
                    span = time.perf_counter() - start
            left += leftovers(folder)  # of the process before, after a write of this one
            time.sleep(rng.uniform(0.0, span))
            os.killpg(process.pid, signal.SIGKILL)
        half += path.read_bytes() not in known
        beside += leftovers(folder)
        say(f"{command} -o: {kills + 1} kills, {half} half-written, {left} left")
    return {"kills": count, "contents": len(known), "half_written": half, "left_by_kills": beside, "left": left}


def say(text: str) -> None:
    print(f"\r{text}", end="", file=sys.stderr)


FAULTS = {
    "lost": "trainings lost",
    "left": "leftovers",
    "half_written": "half-written files",
}


def _findings(of: str, document: dict[str, Any]) -> list[dict[str, str]]:
    found = {what: document.get(name, 0) for name, what in FAULTS.items()}
    found["results that a kill changed"] = document.get("runs", 0) - document.get("identical", 0)
    return [{"what": what, "of": of, "detail": str(number)} for what, number in found.items() if number]


def attack(scale: float, seed: int) -> dict[str, Any]:
    """Counts what kills of every writer come to."""
    rng = random.Random(seed)
    document: dict[str, Any] = {}
    findings: list[dict[str, str]] = []

    def kills(full: int) -> int:
        return max(1, round(scale * full))

    with tempfile.TemporaryDirectory() as name:
        attacks = {
            "evolve": lambda: studies(kills(STUDIES), Path(name), rng),
            **{
                f"{command} by {function}": lambda command=command, function=function: judgements(
                    command, function, kills(JUDGED_KILLS), Path(name) / command / function, rng
                )
                for command, function in JUDGEMENTS
            },
            **{
                f"{command} -o": lambda command=command: written(
                    command, kills(WRITTEN_KILLS), Path(tempfile.mkdtemp(dir=name)), rng
                )
                for command in ("export", "show")
            },
        }
        for of, made in attacks.items():
            try:
                document[of] = made()
                findings += _findings(of, document[of])
            except AnotherEndError as error:
                findings.append({"what": "another end", "of": of, "detail": str(error)})
            print(file=sys.stderr)
    return {
        "count": sum(each["kills"] for each in document.values()),
        **document,
        "found": dict(Counter(finding["what"] for finding in findings)),
        "findings": findings,
    }
