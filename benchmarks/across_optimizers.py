"""The evolved schedules of one optimiser against the contenders of another's contests, on the same tasks.

    .venv/bin/python benchmarks/across_optimizers.py suite runs/adam-

The first is the name of results of `benchmarks/suites.py`, whose evolved schedules are trained again, with the optimiser and on
the tasks of the test pool that their own contests had; the second the run directories, without their numbers, of studies
with another optimiser that were judged on the same tasks. Prints, study by study, how far the evolved schedule is from
each contender of the other optimiser, in pairs by task, p-values corrected for their number; writes
benchmarks/results/across-optimizers.json.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import evolr
from evolr.contest.reading import read_contest
from evolr.contest.statistics import corrected, paired
from evolr.schedule import Schedule
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results"


def study(preset: str, settings: dict[str, Any], found: dict[str, Any], other: Path) -> dict[str, Any]:
    """A study's evolved schedule against the contenders of the other contest. Raises SystemExit if the tasks differ."""
    theirs, config = read_contest(other), evolr.resolve(preset, settings={**settings, "seed": found["seed"]})
    if theirs.config.seed != found["seed"] or theirs.config.problem != config.problem:
        raise SystemExit(f"{other} is not of the same tasks: of another study seed or problem")
    champion = Schedule.from_json(msgspec.json.encode(found["schedule"]))
    with closing(executor_for(config)) as executor:
        outcomes = executor.run([Trial(champion, seed) for seed in theirs.seeds], theirs.settings.epochs, "test")
    scores = np.array([outcome.score for outcome in outcomes])
    pairs = corrected([paired(scores, entry.result.scores, config.problem.metric) for entry in theirs.ranked])
    rows = [
        {
            "name": entry.name,
            "score": entry.result.mean,
            "evolved_minus_it": pair.difference,
            "interval": [pair.low, pair.high],
            "p_holm": pair.p_value,
        }
        for entry, pair in zip(theirs.ranked, pairs, strict=True)
    ]
    names = [config.training.optimizer.name, theirs.config.training.optimizer.name]
    (own,) = [row["score"] for row in found["contenders"] if row["name"] == "evolved"]
    return {"seed": found["seed"], "optimizers": names, "evolved": float(scores.mean()), "before": own, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evolved", help="results/suites-NAME.json of the schedules that are judged")
    parser.add_argument("other", help="the runs whose contenders they meet, without their numbers")
    given = parser.parse_args()
    document = json.loads((RESULTS / f"suites-{given.evolved}.json").read_text())
    studies: list[dict[str, Any]] = []
    for found in document["studies"]:
        other = Path(f"{given.other}{found['seed']}")
        if not (other / "contest.json").exists():
            continue
        each = study(document["preset"], document["settings"], found, other)
        print(
            f"\nseed {each['seed']}: evolved for {each['optimizers'][0]} {each['evolved']:.4f} (in its own contest ",
            end="",
        )
        print(f"{each['before']:.4f}); contenders with {each['optimizers'][1]}:")
        for row in each["rows"]:
            print(f"  {row['name']:28} {row['score']:8.4f}  {row['evolved_minus_it']:+8.4f}  p {row['p_holm']:.1e}")
        studies.append(each)
    found = {"pool": "test", "tasks": document["tasks"], "studies": studies}
    (RESULTS / "across-optimizers.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
