"""What the live page costs: its first paint and its lag on a study of a million trials, and the search beside it.

    .venv/bin/python benchmarks/serving.py [--trials 1000000] [--study DIR] [--pairs 8] [--lags 60]

Serves a large study (made by benchmarks/storage.py's own code, or given) as a command of its own. First paint: of Chromium, of pages that are
opened for the first time after the server has started, and again. Lag: from a commit to the moment that an event with it has arrived, for a
reader of the stream, and until it stands on the page in Chromium. Then the same small search runs alone and with a page of it that is
watched, in turn: the ratio of their times with its interval, the processor time that the server took in that, and the time that the search
spent in its own writes. Writes benchmarks/results/serving.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from storage import fill

RESULTS = Path(__file__).parent / "results" / "serving.json"
CHROMIUM = shutil.which("chromium")
SEARCH = """
import sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
from storage import Stopwatch
from evolr.config import resolve
from evolr.study.evolve import evolve
config = resolve("original", settings={{"search.generations": {generations}}})
stopwatch = Stopwatch()
stopwatch.time_recording()
for folder in map(str.strip, sys.stdin):
    stopwatch.seconds = 0.0
    cpu, start = time.process_time(), time.perf_counter()
    evolve(config, Path(folder) / "run")
    print(time.perf_counter() - start, time.process_time() - cpu, stopwatch.seconds, flush=True)
"""


@contextmanager
def served(folder: Path):
    """A server of a folder, as a command: its address and process."""
    command = [sys.executable, "-m", "evolr", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            yield line.split()[2].rstrip("/"), process
        finally:
            process.terminate()


def cpu_seconds(process: subprocess.Popen) -> float:
    """What a process has taken of processors so far (Linux)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def events(address: str):
    """(moment, text) of each event of a stream."""
    with urllib.request.urlopen(address) as stream:  # noqa: S310 this machine's own
        for line in stream:
            if line.startswith(b"data:"):
                yield time.perf_counter(), line.decode()


def insert(connection: sqlite3.Connection) -> int:
    """Commits one more trial; its number."""
    with connection:
        (number,) = connection.execute("SELECT max(id) + 1 FROM trial").fetchone()
        connection.execute(
            "INSERT INTO trial (individual, session, pool, seed, epochs, status, score) "
            "SELECT max(individual.id), 1, 'fitness', ?, 10, 'finished', 0.5 FROM individual",
            (10**9 + number,),
        )
        connection.execute("UPDATE study SET active_at = '2026-01-01T00:00:00.000+00:00'")
    return number


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
    return {"q1": low, "median": middle, "q3": high, "greatest": max(values), "n": len(values)}


def lag_of_the_stream(address: str, name: str, path: Path, count: int) -> dict[str, float]:
    """Seconds from a commit to an event that has it."""
    seen: dict[int, float] = {}
    ready = threading.Event()

    def read() -> None:
        for moment, text in events(f"{address}/study/{name}/live"):
            ready.set()
            if "trainings/" in text:
                seen.setdefault(int(text.split("/trainings/")[1].split('\\"')[0]), moment)

    threading.Thread(target=read, daemon=True).start()
    ready.wait(60)
    time.sleep(2)
    rng, lags = np.random.default_rng(0), []
    connection = sqlite3.connect(path / "study.db", isolation_level="IMMEDIATE")
    for _ in range(count):
        time.sleep(rng.uniform(0.15, 0.35))
        number = insert(connection)
        committed = time.perf_counter()
        while number not in seen and time.perf_counter() - committed < 10:
            time.sleep(0.001)
        lags.append(seen.get(number, np.inf) - committed)
    connection.close()
    return quartiles(lags)


def in_chromium(folder: Path, name: str, path: Path, count: int) -> dict[str, object]:
    """First paint, cold and warm, and the lag to the page."""
    from playwright.sync_api import sync_playwright

    cold, warm, cpu, lags = [], [], [], []
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for _ in range(3):
            with served(folder) as (address, process):
                page = browser.new_page(bypass_csp=True)  # playwright asks by eval
                page.goto(f"{address}/static/live.css")  # what a browser does at its start is not the page's
                before = cpu_seconds(process)
                for painted in (cold, warm):
                    page.goto(f"{address}/study/{name}")
                    page.wait_for_function(paint)
                    painted.append(page.evaluate(paint) / 1000)
                    if painted is cold:
                        cpu.append(cpu_seconds(process) - before)
                page.close()
        with served(folder) as (address, _):
            page = browser.new_page(bypass_csp=True)  # playwright asks by eval
            page.goto(f"{address}/study/{name}")
            page.wait_for_timeout(3_000)
            connection = sqlite3.connect(path / "study.db", isolation_level="IMMEDIATE")
            for _ in range(count // 2):
                page.wait_for_timeout(200)
                number = insert(connection)
                committed = time.time()
                there = "(link) => document.querySelector(`a[href$='/trainings/${link}']`) && Date.now()"
                lags.append(page.wait_for_function(there, arg=number).json_value() / 1000 - committed)
            connection.close()
        browser.close()
    return {
        "first_paint_cold_seconds": cold,
        "first_paint_warm_seconds": warm,
        "server_cpu_of_the_cold_page_seconds": cpu,
        "lag_seconds": quartiles(lags),
    }


def sizes(address: str, name: str) -> dict[str, int]:
    """Bytes of a page and of the files that it loads."""
    places = {
        "page": f"/study/{name}",
        **{file: f"/static/{file}" for file in ("style.css", "live.css", "live.js", "icon.svg")},
    }
    found: dict[str, int] = {}
    for what, place in places.items():
        with urllib.request.urlopen(address + place) as answer:  # noqa: S310 this machine's own
            found[what] = len(answer.read())
    return found


def watch(address: str, path: Path, received: list[int]) -> None:
    """Reads the stream of a study that will be there soon, until its server is gone."""
    while not (path / "study.db").exists():
        time.sleep(0.02)
    try:
        for _ in events(f"{address}/study/run/live"):
            received[0] += 1
    except OSError:
        return


def beside(pairs: int, generations: int) -> dict[str, object]:
    """Searches of one process, alone and watched in turn; the first, which compiles, is left out."""
    code = SEARCH.format(here=str(Path(__file__).parent), generations=generations)
    alone, watched = [], []
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def search(folder: str) -> dict[str, float]:
            print(folder, file=process.stdin, flush=True)
            seconds, cpu, writing = (float(text) for text in process.stdout.readline().split())
            return {"seconds": seconds, "cpu": cpu, "writing": writing}

        def watched_search(folder: str) -> dict[str, float]:
            received = [0]
            with served(Path(folder)) as (address, server):
                threading.Thread(target=watch, args=(address, Path(folder) / "run", received), daemon=True).start()
                time.sleep(0.5)
                before = cpu_seconds(server)
                found = search(folder)
                return {**found, "server_cpu": cpu_seconds(server) - before, "events": received[0]}

        with tempfile.TemporaryDirectory() as folder:
            search(folder)
        for number in range(pairs):
            for is_watched in (False, True) if number % 2 else (True, False):
                with tempfile.TemporaryDirectory() as folder:
                    if is_watched:
                        watched.append(watched_search(folder))
                    else:
                        alone.append(search(folder))
        process.stdin.close()
    logs = np.log([w["seconds"] / a["seconds"] for w, a in zip(watched, alone, strict=True)])
    half = 2.0 * float(np.std(logs, ddof=1)) / len(logs) ** 0.5 if len(logs) > 1 else float("nan")
    return {
        "generations": generations,
        "alone": alone,
        "watched": watched,
        "ratio": float(np.exp(logs.mean())),
        "ratio_interval": [float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))],
        "server_cpu_share": sum(w["server_cpu"] for w in watched) / sum(w["cpu"] for w in watched),
        "writing_ratio": sum(w["writing"] for w in watched) / sum(a["writing"] for a in alone),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=1_000_000)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--generations", type=int, default=30)
    parser.add_argument("--lags", type=int, default=60)
    arguments = parser.parse_args()
    document: dict[str, object] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load_at_start": os.getloadavg()}
    }
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.study or Path(folder) / "large"
        if arguments.study is None:
            fill(path, arguments.trials)
        name = path.name
        with served(path.parent) as (address, _):
            with urllib.request.urlopen(f"{address}/study/{name}") as page:  # noqa: S310 this machine's own
                page.read()
            document["bytes"] = sizes(address, name)
            document["stream_lag_seconds"] = lag_of_the_stream(address, name, path, arguments.lags)
        if CHROMIUM is not None:
            document["chromium"] = in_chromium(path.parent, name, path, arguments.lags)
    if arguments.pairs:
        document["search"] = beside(arguments.pairs, arguments.generations)
    document["machine"]["load_at_end"] = os.getloadavg()
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
