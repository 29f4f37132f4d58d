"""Whether one evolved schedule serves the many networks of a suite better than the tuned standard ones.

    .venv/bin/python benchmarks/suites.py [--preset suite] [--set NAME=VALUE …] [--runs runs] [--budget 600] [--tasks 96] [--name NAME]

Three independent studies of a preset (study seeds 1, 2, 3), each proven by a contest on tasks of the suite that nothing
has seen. Every contender is tuned with `budget` trainings; the unit of every statistic is the task. The run directories
are kept in `runs`, so that what was interrupted goes on, and what is there already is read. Prints a table of all
contenders and writes benchmarks/results/suites-NAME.json and the page of each contest beside it; studies of the same
settings, by a preset that was the same, with other seeds that are in there already stay.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import evolr
from evolr.config import Config
from evolr.contest.results import ContestResult, Entry
from evolr.contest.statistics import paired
from evolr.contest.verdict import verdict
from evolr.simplification import simplified
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

SEEDS = (1, 2, 3)
WSD = "{}*min(1, progress/0.2, (1 - progress)/0.3)"
PEAKS = tuple(float(f"{10 ** (k / 4):.2g}") for k in range(-12, 4))  # from 0.001 to 5.6
RESULTS = Path(__file__).parent / "results"


def seconds_of(run: Path) -> float:
    """How long a study was searched: from the begin to the end of its sessions."""
    connection = sqlite3.connect(f"file:{run / 'study.db'}?mode=ro", uri=True)
    sessions = connection.execute("SELECT started_at, ended_at FROM session WHERE id IN (SELECT session FROM trial)")
    spans = [(datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() for begin, end in sessions]
    connection.close()
    return sum(spans)


def entry_row(entry: Entry) -> dict[str, Any]:
    result, pairs = entry.result, entry.result.pairs
    row: dict[str, Any] = {
        "name": entry.name,
        "score": result.mean,
        "interval": [result.low, result.high],
        "diverged": result.diverged,
        "tuned_with": entry.trained,
        "constants": dict(entry.constants),
    }
    if pairs is not None:
        row |= {
            "evolved_minus_it": pairs.difference,
            "difference_interval": [pairs.low, pairs.high],
            "p_holm": pairs.p_value,
        }
    return row


def tuned_by_task(config: Config, result: ContestResult) -> dict[str, Any]:
    """WSD whose peak is tuned for each task of the final by itself: what no schedule that serves all tasks is given.

    Each task tries every peak; the one that is best on the examples of the selection pool is judged on those of the test pool.
    """
    metric, epochs = config.problem.metric, result.settings.epochs
    with closing(executor_for(config)) as executor:
        schedules = [evolr.load(WSD.format(peak)) for peak in PEAKS]
        trials = [Trial(schedule, seed) for seed in result.seeds for schedule in schedules]
        scores = np.array([outcome.score for outcome in executor.run(trials, epochs, "selection")])
        fitness = np.nan_to_num(metric.fitness(1.0) * scores.reshape(len(result.seeds), -1), nan=-np.inf)
        chosen = fitness.argmax(axis=1)
        best = [Trial(schedules[place], seed) for place, seed in zip(chosen, result.seeds, strict=True)]
        own = np.array([outcome.score for outcome in executor.run(best, epochs, "test")])
    pairs = paired(result.champion.result.scores, own, metric)
    return {
        "name": "WSD, its peak tuned for each task by itself",
        "score": float(np.nanmean(own)),
        "peaks": [PEAKS[place] for place in chosen],
        "evolved_minus_it": pairs.difference,
        "difference_interval": [pairs.low, pairs.high],
        "p": pairs.p_value,
    }


def study(config: Config, run: Path, budget: int, tasks: int) -> dict[str, Any]:
    evolr.evolve(config, run)
    result = evolr.prove(run, budget=budget, seeds=tasks)
    champion = result.champion.result.schedule
    return {
        "seed": config.seed,
        "trainings": result.evolved.trained,
        "search_seconds": seconds_of(run),
        "schedule": json.loads(champion.to_json()),
        "learning_rate": simplified(champion).text,
        "verdict": verdict(result),
        "contenders": [entry_row(entry) for entry in result.ranked],
        "tuned_by_task": tuned_by_task(config, result),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="suite")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--name", help="of the results; the preset's where none is given")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--tasks", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    given = parser.parse_args()
    name = given.name or given.preset
    settings = {key: json.loads(value) for key, value in (each.split("=", 1) for each in given.set)}
    written = RESULTS / f"suites-{name}.json"
    whole = json.loads(msgspec.json.encode(evolr.resolve(given.preset, settings=settings)))  # as the results have it
    of_all = {
        "settings": settings,
        "config": {name: value for name, value in whole.items() if name != "seed"},
        "preset": given.preset,
        "budget": given.budget,
        "tasks": given.tasks,
        "pool": "test",
    }
    before = json.loads(written.read_text()) if written.exists() else {}
    is_same = bool(before) and all(before.get(key, value) == value for key, value in of_all.items())
    studies = {study["seed"]: study for study in before["studies"]} if is_same else {}
    for seed in given.seeds:
        config = evolr.resolve(given.preset, settings={**settings, "seed": seed})
        run = given.runs / f"{name}-{seed}"
        document = study(config, run, given.budget, given.tasks)
        studies[seed] = document
        shutil.copy(run / "contest.md", RESULTS / f"contest-{name}-{seed}.md")
        print(f"\nseed {seed}: {document['learning_rate']}", *document["verdict"], sep="\n  ")
        for row in document["contenders"]:
            against = "" if "p_holm" not in row else f"  {row['evolved_minus_it']:+8.4f}  p {row['p_holm']:.1e}"
            print(f"  {row['name']:24} {row['score']:8.4f}{against}")
        by_task = document["tuned_by_task"]
        print(
            f"  {by_task['name']:44} {by_task['score']:8.4f}  {by_task['evolved_minus_it']:+8.4f}  p {by_task['p']:.1e}"
        )
        written.write_text(
            json.dumps(
                {
                    "date": datetime.now(UTC).date().isoformat(),
                    "machine": {"cores": os.cpu_count(), "system": platform.system()},
                    "versions": {p: version(p) for p in ("evolr", "jax", "numpy", "optuna")},
                    **of_all,
                    "metric": config.problem.metric.name,
                    "studies": [studies[number] for number in sorted(studies)],
                },
                indent=2,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
