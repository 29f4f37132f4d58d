"""What a few dozen trainings buy: evolr's search for a budget against Optuna on families of schedules.

    .venv/bin/python benchmarks/efficiency.py [--problems mlp cnn language quadratic] [--budgets 20 40 80 160 320] [--seeds 8]

Each searcher is given so many trainings, each from another seed, and picks one schedule, which is then trained from fresh
seeds and judged on examples that no searcher saw. evolr's search for a budget is `evolr.evolve(…, trainings=…)`, its race
included; Optuna's TPE, with its defaults, proposes the constants of one family, one after another, or a family and its
constants; random search draws these. Their pick is their best training's, as Optuna's users take it. Writes
benchmarks/results/efficiency.json, a problem at a time; those that are there already are kept. `--picture` draws what is
there as docs/efficiency.png, and `--table` prints evolr's differences from each other, problem by problem and in the mean over
problems, in units of the luck of a search: the standard deviation of one searcher's picks, pooled over all.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

import evolr
from evolr.config import Config, changed, plan
from evolr.execution.executor import Executor
from evolr.randomness import generator, seed_from
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.study import Study
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results" / "efficiency.json"
PICTURE = Path(__file__).parents[1] / "docs" / "efficiency.png"
BUDGETS = (20, 40, 80, 160, 320)
FINAL = 16  # fresh seeds that a pick is judged on

OPEN_LOOP = [
    name
    for name, family in FAMILIES.items()
    if family.schedule().signals <= {"progress"} and family.schedule().plateau is None
]


def problems() -> dict[str, Config]:
    """The configurations, whose search is replaced by that for a budget."""
    return {
        "mlp": evolr.resolve("memetic"),
        "cnn": evolr.resolve("mixed", settings={"problem.kinds_drawn": ["cnn"]}),
        "language": evolr.resolve("mixed", settings={"problem.kinds_drawn": ["language"]}),
        "quadratic": evolr.resolve("quadratic"),
    }


class Tpe:
    """Optuna's TPE over the constants of families; the family is one of its choices if there are several."""

    def __init__(self, families: Sequence[str], seed: int, sampler: Callable[..., Any] = optuna.samplers.TPESampler):
        self._families = list(families)
        self._study = optuna.create_study(direction="maximize", sampler=sampler(seed=seed))
        self._best = (-math.inf, evolr.load("0.001"))

    def ask(self) -> Schedule:
        self._trial = self._study.ask()
        name = self._families[0]
        if len(self._families) > 1:
            name = self._trial.suggest_categorical("family", self._families)
        values: dict[str, float] = {}
        for c in FAMILIES[name].constants:
            if c.scale == "integer":
                values[c.name] = self._trial.suggest_int(f"{name}: {c.name}", int(c.low), int(c.high))
            else:
                values[c.name] = self._trial.suggest_float(f"{name}: {c.name}", c.low, c.high, log=c.scale == "log")
        self._schedule = FAMILIES[name].schedule(**values)
        return self._schedule

    def tell(self, fitness: float) -> None:
        self._study.tell(self._trial, fitness if math.isfinite(fitness) else -1e9)
        self._best = max(self._best, (fitness, self._schedule), key=lambda pair: pair[0])

    @property
    def pick(self) -> Schedule:
        return self._best[1]


RIVALS: dict[str, Callable[[int], Tpe]] = {
    "Optuna: WSD": lambda seed: Tpe(["WSD (linear)"], seed),
    "Optuna: one-cycle": lambda seed: Tpe(["one-cycle"], seed),
    "Optuna: cosine": lambda seed: Tpe(["warm-up + cosine"], seed),
    "Optuna: families": lambda seed: Tpe(OPEN_LOOP, seed),
    "random search": lambda seed: Tpe(OPEN_LOOP, seed, optuna.samplers.RandomSampler),
}


def fitness_of(config: Config, executor: Executor, trials: Sequence[Trial], pool: str) -> list[float]:
    metric = config.problem.metric
    outcomes = executor.run(trials, config.training.epochs, pool)
    return [metric.fitness(outcome.score) if math.isfinite(outcome.score) else -math.inf for outcome in outcomes]


def picks_of_evolr(config: Config, executor: Executor, budgets: Sequence[int], seeds: int) -> dict[int, list[Schedule]]:
    picks: dict[int, list[Schedule]] = {}
    for budget in budgets:
        for seed in range(seeds):
            planned = changed(config, {**plan(budget), "seed": seed})
            with tempfile.TemporaryDirectory() as folder, Study(folder, planned) as study:
                result = study.run(executor=executor)
                assert result.trainings <= budget, (result.trainings, budget)
                assert result.schedule is not None
                picks.setdefault(budget, []).append(result.schedule)
    return picks


def picks_of_rival(
    make: Callable[[int], Tpe], config: Config, executor: Executor, budgets: Sequence[int], seeds: int
) -> dict[int, list[Schedule]]:
    tuners, picks = [make(seed) for seed in range(seeds)], {}
    for number in range(max(budgets)):
        trials = [Trial(tuner.ask(), seed_from(seed, number, "efficiency")) for seed, tuner in enumerate(tuners)]
        for tuner, fitness in zip(tuners, fitness_of(config, executor, trials, "fitness"), strict=True):
            tuner.tell(fitness)
        if number + 1 in budgets:
            picks[number + 1] = [tuner.pick for tuner in tuners]
    return picks


def picks_of(
    name: str, config: Config, executor: Executor, budgets: Sequence[int], seeds: int
) -> dict[int, list[Schedule]]:
    if name == "evolr":
        return picks_of_evolr(config, executor, budgets, seeds)
    return picks_of_rival(RIVALS[name], config, executor, budgets, seeds)


def measured(
    config: Config, names: Sequence[str], budgets: Sequence[int], seeds: int, given: argparse.Namespace
) -> dict[str, Any]:
    """Of each searcher and budget, the score of the picks of all study seeds on each of the final's seeds."""
    rows: dict[str, Any] = {}
    with closing(executor_for(config, options={"device_count": given.devices})) as executor:
        for name in names:
            picks = picks_of(name, config, executor, budgets, seeds)
            trials = [
                Trial(schedule, seed_from(number, "efficiency, final"))
                for budget in budgets
                for schedule in picks[budget]
                for number in range(FINAL)
            ]
            fitness = np.array(fitness_of(config, executor, trials, given.pool)).reshape(len(budgets), seeds, FINAL)
            scores = config.problem.metric.fitness(1.0) * fitness
            rows[name] = {
                str(budget): {
                    "scores": scores[place].tolist(),
                    "picks": [str(schedule) for schedule in picks[budget]],
                }
                for place, budget in enumerate(budgets)
            }
            means = scores.mean(axis=2)
            texts = [
                f"{budget}: {means[k].mean():8.4f} ± {means[k].std(ddof=1) / seeds**0.5:.4f}"
                for k, budget in enumerate(budgets)
            ]
            print(f"  {name:18}", *texts, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(problems()), choices=list(problems()))
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=8, help="studies of each searcher and budget")
    parser.add_argument("--only", nargs="+", default=["evolr", *RIVALS], choices=["evolr", *RIVALS])
    parser.add_argument("--pool", default="test", help="that judges the picks; another than test writes no results")
    parser.add_argument("--picture", action="store_true", help="draw the results that there are, and measure nothing")
    parser.add_argument(
        "--table", action="store_true", help="print the differences that there are, and measure nothing"
    )
    parser.add_argument("--devices", type=int, help="to train on; all where not given")
    given = parser.parse_args()
    if given.picture:
        draw(json.loads(RESULTS.read_text())["problems"])
        return
    if given.table:
        print(table(json.loads(RESULTS.read_text())["problems"]))
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    for name in given.problems:
        print(name, flush=True)
        config = problems()[name]
        found = measured(config, given.only, given.budgets, given.seeds, given)
        if given.pool == "test":
            write(name, config, found, given.seeds)


def write(name: str, config: Config, found: dict[str, Any], seeds: int) -> None:
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"problems": {}}
    document |= {
        "machine": {"cores": os.cpu_count(), "system": platform.system()},
        "versions": {package: version(package) for package in ("evolr", "jax", "numpy", "optuna")},
        "final_seeds": FINAL,
        "pool": "test",
    }
    document["problems"][name] = {
        "date": datetime.now(UTC).date().isoformat(),
        "metric": config.problem.metric.name,
        "epochs": config.training.epochs,
        "optimizer": config.training.optimizer.name,
        "seeds": seeds,
        "searchers": found,
    }
    numbers = re.compile(r"\[[-+.\w\s,]+\]")  # a row of them on one line
    text = numbers.sub(lambda found: " ".join(found[0].split()), json.dumps(document, indent=1))
    RESULTS.write_text(text + "\n")


def table(measured: dict[str, Any]) -> str:
    """evolr minus each other at each budget, greater for the better, with 95 % bootstrap intervals over studies."""
    found = {name: _by_luck(problem) for name, problem in measured.items()}
    lines = ["| trainings | evolr minus | " + " | ".join(found) + " | mean |", "|---" * (len(found) + 3) + "|"]
    budgets = list(next(iter(measured.values()))["searchers"]["evolr"])
    for place, budget in enumerate(budgets):
        for rival in RIVALS:
            pairs = [scores["evolr"][place] - scores[rival][place] for scores in found.values()]
            cells = [_interval([each]) for each in pairs]
            lines.append(f"| {budget} | {rival} | " + " | ".join([*cells, _interval(pairs)]) + " |")
    return "\n".join(lines)


def _by_luck(problem: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Each searcher's scores of its picks, (budgets, studies), greater for the better, in units of the luck of a search; of a loss its logarithm."""
    scores = {
        name: np.array([np.mean(row["scores"], axis=1) for row in rows.values()])
        for name, rows in problem["searchers"].items()
    }
    if problem["metric"] == "loss":
        scores = {name: -np.log(values) for name, values in scores.items()}
    luck = np.sqrt(np.mean([values.var(axis=1, ddof=1) for values in scores.values()]))
    return {name: values / luck for name, values in scores.items()}


def _interval(pairs: Sequence[NDArray[np.float64]]) -> str:
    """The mean over problems of the mean over studies, whose studies are drawn again problem by problem."""
    rng = generator(0, "efficiency, table")
    drawn = np.mean([each[rng.integers(len(each), size=(10_000, len(each)))].mean(axis=1) for each in pairs], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.mean([each.mean() for each in pairs]):+.2f} ({low:+.2f} … {high:+.2f})"


def draw(measured: dict[str, Any]) -> None:
    """A panel a problem: the mean score of the picks against the trainings, with its standard error over studies."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(measured) // 2)
    figure = Figure(figsize=(9.2, 3.2 * rows + 0.5), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    colours = mpl.color_sequences["petroff10"]
    every = figure.subplots(rows, 2, squeeze=False).flat
    for axes, (name, problem) in zip(every, measured.items(), strict=False):
        for place, (searcher, found) in enumerate(problem["searchers"].items()):
            budgets = [int(budget) for budget in found]
            means = np.array([np.mean(row["scores"], axis=1) for row in found.values()])
            error = means.std(axis=1, ddof=1) / means.shape[1] ** 0.5
            is_own = searcher == "evolr"
            axes.errorbar(
                *(np.array(budgets) * 1.03 ** (place - 2.5), means.mean(axis=1), error),
                color=colours[place],
                linewidth=2.2 if is_own else 1.2,
                marker="o" if is_own else "",
                capsize=2,
                label=searcher,
                zorder=3 if is_own else 2,
            )
        better = "lower" if problem["metric"] == "loss" else "higher"
        axes.set(xscale="log", xlabel="trainings", ylabel=f"{problem['metric']} ({better} is better)", title=name)
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
