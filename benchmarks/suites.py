"""Whether one evolved schedule serves the many networks of a suite better than the tuned standard ones.

    .venv/bin/python benchmarks/suites.py [--preset suite] [--set NAME=VALUE …] [--runs runs] [--budget 600] [--tasks 96] [--name NAME]

Three independent studies of a preset (study seeds 1, 2, 3), each proven by a contest on tasks of the suite that nothing
has seen. Every contender is tuned with `budget` trainings; the unit of every statistic is the task. The run directories
are kept in `runs`, so that what was interrupted goes on, and what is there already is read. Prints a table of all
contenders and writes benchmarks/results/suites-NAME.json and the page of each contest beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import evolr
from evolr.config import Config
from evolr.contest.results import Entry
from evolr.contest.verdict import verdict
from evolr.simplification import simplified

SEEDS = (1, 2, 3)
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
    studies = []
    for seed in given.seeds:
        config = evolr.resolve(given.preset, settings={**settings, "seed": seed})
        run = given.runs / f"{name}-{seed}"
        document = study(config, run, given.budget, given.tasks)
        studies.append(document)
        shutil.copy(run / "contest.md", RESULTS / f"contest-{name}-{seed}.md")
        print(f"\nseed {seed}: {document['learning_rate']}", *document["verdict"], sep="\n  ")
        for row in document["contenders"]:
            against = "" if "p_holm" not in row else f"  {row['evolved_minus_it']:+8.4f}  p {row['p_holm']:.1e}"
            print(f"  {row['name']:24} {row['score']:8.4f}{against}")
        (RESULTS / f"suites-{name}.json").write_text(
            json.dumps(
                {
                    "date": datetime.now(UTC).date().isoformat(),
                    "machine": {"cores": os.cpu_count(), "system": platform.system()},
                    "versions": {p: version(p) for p in ("evolr", "jax", "numpy", "optuna")},
                    "settings": settings,
                    "preset": given.preset,
                    "metric": config.problem.metric.name,
                    "budget": given.budget,
                    "tasks": given.tasks,
                    "pool": "test",
                    "studies": studies,
                },
                indent=2,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
