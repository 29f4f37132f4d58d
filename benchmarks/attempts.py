"""What else was tried on the six kinds of `mixed`, beside the study of benchmarks/suites.py.

    .venv/bin/python benchmarks/attempts.py search [--attempts again adam prodigy powers samples] [--runs runs] [--devices N]
    .venv/bin/python benchmarks/attempts.py judge

Each attempt looks for one schedule for MLPs, CNNs, transformers, language models, regressions and quadratics:

again: the same search from study seed 2, momentum.
adam, prodigy: the same search, the schedule under Adam, and on top of Prodigy's own estimate of the step size.
powers: no search of structures: CMA-ES tunes a warm-up, a fall and powers of seven signals (benchmarks/powers.py), momentum.
samples: the search of today's preset, its last generations on one structure and with 16 points each in the place of two and 8, momentum.

`judge` trains what each ended at on 128 tasks of the selection pool, in pairs with Prodigy and D-Adaptation as advised, the best family
and the best curve of the contest (benchmarks/results/suites-mixed.json), and the schedule that was proven there; and on 64 GRUs, a kind that
none of them has met. The test pool is left to contests. It prints the mean of each, that of each kind of task, and the pairs. Both
write benchmarks/results/attempts.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import msgspec
import numpy as np

import evolr
from benchmarks.powers import tuned
from benchmarks.suites import seconds_of
from evolr.config import Config
from evolr.contest.rivals import rivals_of
from evolr.contest.statistics import corrected, mean_interval, paired
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.simplification import simplified
from evolr.standard import FAMILIES
from evolr.study.trained_by import executor_for
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial

KINDS = ("mlp", "cnn", "transformer", "language", "regression", "quadratic")
HELD_OUT = ("gru",)  # that none of them has met
SETTINGS = {"problem.kinds_drawn": list(KINDS)}
SEARCH = {"search.seed_powers": False, "search.last_generations": 6, "search.last_population": 5}  # of the preset then
ATTEMPTS: dict[str, dict[str, Any]] = {
    "again": {"seed": 2},
    "adam": {"training.optimizer.name": "adam"},
    "prodigy": {"training.optimizer.name": "prodigy_adam"},
    "powers": {},
    "samples": {
        "search.seed_powers": True,
        "search.last_generations": 40,
        "search.last_population": 1,
        "search.last_samples": 16,
    },
}
JUDGED, GENERATIONS = 128, 50
PROVEN = "the proven one"
RESULTS = ROOT / "benchmarks" / "results"
WRITTEN = RESULTS / "attempts.json"


def found_by(attempt: str, runs: Path, devices: int | None) -> dict[str, Any]:
    """What an attempt ends at, and what it cost."""
    config, begun = config_of(attempt), time.perf_counter()
    if attempt == "powers":
        with closing(executor_for(config, options={"device_count": devices})) as executor:
            schedule, trainings = tuned(executor, config.training.epochs, "powers", GENERATIONS)
    else:
        result = evolr.evolve(config, runs / f"attempt-{attempt}", device_count=devices)
        assert result.schedule is not None
        schedule, trainings = result.schedule, result.trainings
    is_study = attempt != "powers"
    return {
        "trainings": trainings,
        "seconds": seconds_of(runs / f"attempt-{attempt}") if is_study else time.perf_counter() - begun,
        "cores": devices or os.cpu_count(),
        "optimizer": config.training.optimizer.name,
        "learning_rate": simplified(schedule).text,
        "schedule": json.loads(schedule.to_json()),
    }


def config_of(attempt: str) -> Config:
    return evolr.resolve("mixed", settings={**SETTINGS, **SEARCH, "seed": 1, **ATTEMPTS[attempt]})


def contenders() -> dict[str, tuple[Schedule, Optimizer]]:
    """Those that the attempts are compared with, as they were in the contest."""
    (study,) = json.loads((RESULTS / "suites-mixed.json").read_text())["studies"]
    constants = {row["name"]: row["constants"] for row in study["contenders"]}
    momentum = evolr.resolve("mixed").training.optimizer
    rivals = {rival.name: rival for rival in rivals_of(momentum)}
    return {
        **{name: (rivals[name].schedule, rivals[name].optimizer(momentum)) for name in ("Prodigy", "D-Adaptation")},
        **{name: (FAMILIES[name].schedule(**constants[name]), momentum) for name in ("AdaGrad-Norm", "WSD (linear)")},
        PROVEN: (read(study["schedule"]), momentum),
    }


def read(document: Any) -> Schedule:
    return Schedule.from_json(msgspec.json.encode(document))


def judge(attempts: dict[str, Any], drawn: Sequence[str], tasks: int, devices: int | None) -> dict[str, Any]:
    """All attempts and those that they are compared with, on the same tasks of these kinds."""
    config = evolr.resolve("mixed", settings={"problem.kinds_drawn": list(drawn)})
    seeds = [seed_from(number, "attempts, judged") for number in range(tasks)]
    kinds = np.array([config.problem.draw(seed, "selection")[0] for seed in seeds])
    others = contenders()
    entries = others | {name: (read(a["schedule"]), config_of(name).training.optimizer) for name, a in attempts.items()}
    with closing(executor_for(config, options={"device_count": devices})) as executor:
        scores = {
            name: np.array(
                [o.score for o in executor.run(trials_of(entry, seeds), config.training.epochs, "selection")]
            )
            for name, entry in entries.items()
        }
    rows: dict[str, Any] = {}
    for name, own in scores.items():
        mean, low, high = mean_interval(own)
        rows[name] = {"score": mean, "interval": [low, high]}
        rows[name]["kinds"] = {kind: float(np.nanmean(own[kinds == kind])) for kind in drawn}
        if name in attempts:
            pairs = corrected([paired(own, scores[other], config.problem.metric) for other in others])
            rows[name]["minus"] = {
                other: {"difference": pair.difference, "interval": [pair.low, pair.high], "p_holm": pair.p_value}
                for other, pair in zip(others, pairs, strict=True)
            }
    return {
        "pool": "selection",
        "tasks": tasks,
        "of_each_kind": {kind: int((kinds == kind).sum()) for kind in drawn},
        "rows": rows,
    }


def trials_of(entry: tuple[Schedule, Optimizer], seeds: Sequence[int]) -> list[Trial]:
    return [Trial(entry[0], seed, entry[1]) for seed in seeds]


def printed(judged: dict[str, Any]) -> None:
    drawn = list(judged["of_each_kind"])
    print(f"{'':16} {'score':>7}", *(f"{kind:>11}" for kind in drawn))
    for name, row in sorted(judged["rows"].items(), key=lambda item: -item[1]["score"]):
        print(f"{name:16} {row['score']:7.3f}", *(f"{row['kinds'][kind]:11.3f}" for kind in drawn))
        for other, pair in row.get("minus", {}).items():
            low, high = pair["interval"]
            print(f"    minus {other:16} {pair['difference']:+.3f} ({low:+.3f} … {high:+.3f})  p {pair['p_holm']:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("search", "judge"))
    parser.add_argument("--attempts", choices=tuple(ATTEMPTS), nargs="+", default=tuple(ATTEMPTS))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--devices", type=int, help="to train on; all where not given")
    given = parser.parse_args()
    if given.part == "judge":
        attempts = document()["attempts"]
        found: dict[str, Any] = {"attempts": attempts}
        for name, (drawn, tasks) in {"judged": (KINDS, JUDGED), "held out": (HELD_OUT, JUDGED // 2)}.items():
            found[name] = judge(attempts, drawn, tasks, given.devices)
            printed(found[name])
            write(found)
    else:
        for attempt in given.attempts:
            found = found_by(attempt, given.runs, given.devices)
            print(f"{attempt}: {found['trainings']} trainings, {found['learning_rate']}", flush=True)
            write({"attempts": {**document()["attempts"], attempt: found}})  # what is judged is judged together


def document() -> dict[str, Any]:
    return json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {"attempts": {}}


def write(found: dict[str, Any]) -> None:
    head = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.system()},
        "versions": {name: version(name) for name in ("evolr", "jax", "numpy")},
    }
    WRITTEN.write_text(json.dumps({**head, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
