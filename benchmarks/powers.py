"""How far a learning rate of a fixed form goes on a suite: about what a search could find, if it looked there alone.

    .venv/bin/python benchmarks/powers.py [--generations 50] [--form powers …]

A form is a warm-up and a fall, times powers of signals; CMA-ES tunes its constants on the fitness pool of `mnist1d-suite`
(SGD with momentum, 12 epochs), each generation on 24 new tasks. What it ends at is judged on 256 tasks of the selection
pool, in pairs with the gallery's schedules. Prints a table and writes benchmarks/results/powers.json.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from cmaes import CMA

import evolr
from evolr.contest.statistics import paired
from evolr.execution.executor import Executor
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

SIGNALS = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm", "loss_ema", "weight_norm", "distance")
SHAPE = "log(0.001 + min(1, min(progress/{:.6g}, (1 - progress)/{:.6g})))"
START = {"grad_norm": -0.37, "grad_norm_ema": -0.6, "update_norm": -0.33}  # what a search found
TASKS, POPULATION, JUDGED = 24, 16, 256


def form(name: str) -> tuple[str, list[float]]:
    """The text of a learning rate with places for constants, and what these begin with."""
    terms, start = ["{:.6g} + {:.6g}*" + SHAPE], [3.65, 0.785, 0.075, 0.315]
    for signal in SIGNALS:
        changes = " + {:.6g}*(progress - 0.5)" if name == "changing powers" else ""
        terms.append(f"({{:.6g}}{changes})*log({signal} + 1e-6)")
        start += [START.get(signal, 0.0), *([0.0] if changes else [])]
    if name == "more signals":
        terms += ["{:.6g}*alignment", "{:.6g}*val_score", "{:.6g}*log(val_loss/(loss_ema + 1e-6) + 1e-6)"]
        terms += ["{:.6g}*log(first_loss + 1e-6)", "{:.6g}*log(best_loss/(loss_ema + 1e-6) + 1e-6)"]
        start += [0.0] * 5
    return f"0.001*exp(min(9, {' + '.join(terms)}))", start


FORMS = ("powers", "changing powers", "more signals")


def schedule(text: str, constants: Any) -> Schedule:
    """A schedule of a form; the times of its warm-up and fall are at least 1 % of the training."""
    values = np.array(constants, float)
    values[2:4] = np.maximum(values[2:4], 0.01)
    return evolr.load(text.format(*values))


def tuned(executor: Executor, epochs: int, name: str, generations: int) -> tuple[Schedule, int]:
    """The form with the constants that CMA-ES comes to, and the trainings that it took."""
    text, start = form(name)
    strategy = CMA(mean=np.array(start) / 0.3, sigma=0.5, population_size=POPULATION, seed=1)
    for generation in range(generations):
        seeds = [seed_from(name, generation, task, "powers") for task in range(TASKS)]
        points = [strategy.ask() for _ in range(POPULATION)]
        trials = [Trial(schedule(text, 0.3 * point), seed) for point in points for seed in seeds]
        scores = np.array([outcome.score for outcome in executor.run(trials, epochs, "fitness")])
        means = np.nan_to_num(scores).reshape(POPULATION, TASKS).mean(axis=1)
        strategy.tell([(point, -float(mean)) for point, mean in zip(points, means, strict=True)])
        print(f"\r{name}: generation {generation + 1}, {100 * means.mean():.2f}", end="", flush=True)
    print()
    return schedule(text, 0.3 * strategy.mean), generations * POPULATION * TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=50)
    parser.add_argument("--form", choices=FORMS, nargs="+", default=FORMS)
    parser.add_argument(
        "--run", type=Path, nargs="*", default=[], help="run directories whose champions are judged too"
    )
    given = parser.parse_args()
    config = evolr.resolve("suite")
    epochs, metric = config.training.epochs, config.problem.metric
    with closing(executor_for(config)) as executor:
        found = {name: tuned(executor, epochs, name, given.generations) for name in given.form}
        found |= {f"gallery: {name}": (evolr.load(name), 0) for name in ("momentum-suite", "momentum-norm")}
        found |= {str(run.name): (evolr.load(run), 0) for run in given.run}
        seeds = [seed_from(task, "powers", "judged") for task in range(JUDGED)]
        scores: dict[str, Any] = {}
        for name, (best, _) in found.items():
            outcomes = executor.run([Trial(best, seed) for seed in seeds], epochs, "selection")
            scores[name] = np.array([outcome.score for outcome in outcomes])
    rows = []
    for name, (best, trainings) in found.items():
        pairs = paired(scores[name], scores["gallery: momentum-suite"], metric)
        rows.append(
            {
                "name": name,
                "trainings": trainings,
                "score": float(np.nanmean(scores[name])),
                "minus_momentum_suite": pairs.difference,
                "interval": [pairs.low, pairs.high],
                "p": pairs.p_value,
                "learning_rate": json.loads(best.to_json()),
            }
        )
        spread = "" if pairs.low is None else f"({100 * pairs.low:+.2f} … {100 * pairs.high:+.2f})"
        print(f"{name:24} {100 * rows[-1]['score']:6.2f}  {100 * pairs.difference:+.2f} {spread}")
    document = {"pool": "selection", "tasks": JUDGED, "generations": given.generations, "rows": rows}
    (Path(__file__).parent / "results" / "powers.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
