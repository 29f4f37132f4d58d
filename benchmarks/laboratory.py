"""The search laboratory: configurations of the search, compared at an equal number of trainings.

    python benchmarks/laboratory.py quadratic --runs 4000
    python benchmarks/laboratory.py mnist1d-mlp --runs 1500 --seeds 1 2 3 --variants default generational
    python benchmarks/laboratory.py quadratic --runs 4000 --set search.youth=6 --name "youth 6"

A variant is a line of configuration (VARIANTS, or --set with --name). Each searches with every study seed until its runs
are spent; its twelve most promising formulas race on the selection pool (the same race for all, on top of those runs; the variant
«no race» goes without and takes the best single fitness instead), and the pick is judged anew: on quadratic by its expected final loss ÷ the known
optimum, on mnist1d-mlp by its accuracy on the selection pool over 32 fresh seeds. Studies are kept in --folder and gone on
with, and no training is done twice, so the command may be interrupted and repeated. Results: results/laboratory-*.json.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np

from evolr.config import changed, resolve
from evolr.contest.trainings import Trainings, Wanted
from evolr.randomness import seed_from
from evolr.search.evaluation import evaluate_race, race_population, runs_of_race
from evolr.study.evolve import evolve
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

FINALISTS = 12
JUDGES = {"mnist1d-mlp": 32, "quadratic": 256}  # seeds

GENERATIONAL = {
    "search.method": "generational",
    "search.population": 40,
    "search.crossover": 0.5,
    "search.subtree_mutation": 0.1,
    "search.point_mutation": 0.05,
    "search.hoist_mutation": 0.05,
    "search.constant_mutation": 0.2,
    "search.growth_mutation": 0.1,
}
NO_FAMILIES = {"search.seed_families": False, "search.random_structures": 24}
VARIANTS = {
    "default": {},
    "generational": GENERATIONAL,
    "no race": {},
    "no families": NO_FAMILIES,
    "no growth": {"search.growth_mutation": 0.0, "search.crossover": 0.65},
    "no crossover": {"search.crossover": 0.0, "search.growth_mutation": 0.65},
    "no children": {"search.children": 0},
    "no youth": {"search.youth": 1},
    "open loop": {"search.terminals": ["progress", "constant"]},
    "two seeds a point": {"search.seeds": 2},
}
ON = {
    "mnist1d-mlp": {},
    "quadratic": {
        "problem.name": "quadratic",
        "training.optimizer.name": "sgd",
        "training.epochs": 10,
        "search.terminals": ["progress", "constant"],
        "search.max_lr": 10.0,
        "search.reference_lr": 0.01,
    },
}


def configuration(problem, settings, seed):
    fixed = {"seed": seed, "search.generations": 100_000, "search.finalists": 0}
    return resolve("memetic", settings={**ON[problem], **settings, **fixed})


def race(config, finalists, trainings):
    """The winner, by the race that a study holds."""
    racing = changed(config, {"search.finalists": FINALISTS, "search.generations": 1})
    population, scores = race_population(finalists, 1), {}
    while missing := [
        run
        for run in runs_of_race(racing, population, scores)
        if (run.individual.place, run.pool, run.seed) not in scores
    ]:
        wanted = [
            Wanted(Trial(config.search.schedule(r.individual.expression), r.seed), is_shared=False) for r in missing
        ]
        outcomes = trainings.outcomes(wanted, "selection")
        scores |= {(r.individual.place, r.pool, r.seed): o.score for r, o in zip(missing, outcomes, strict=True)}
    return max(evaluate_race(racing, population, scores), key=lambda e: e.fitness).individual.expression


def judged(problem, config, expression, trainings):
    """What a pick is worth, by fresh seeds; on quadratic exactly, where it can be."""
    schedule = config.search.schedule(expression)
    if problem == "quadratic":
        steps = config.training.epochs * config.problem.steps_per_epoch
        optimum, _ = config.problem.optimum(steps)
        if expression.is_open_loop:
            curve = schedule.curve(config.training.epochs, config.problem.steps_per_epoch)
            return config.problem.expected_loss(curve) / optimum
    seeds = [seed_from(k, "laboratory judge") for k in range(JUDGES[problem])]
    outcomes = trainings.outcomes([Wanted(Trial(schedule, s), is_shared=False) for s in seeds], "selection")
    mean = float(np.mean([o.score for o in outcomes]))
    return mean / optimum if problem == "quadratic" else 100 * mean


def one(problem, name, settings, seed, *, runs, folder):
    config = configuration(problem, settings, seed)
    path = folder / f"{problem}-{name.replace(' ', '-')}-{runs}-{seed}"
    evolve(config, path, Limits(trainings=runs))
    with Study(path) as study:
        if study.champion is None:
            raise SystemExit(f"{runs} runs are less than the first generation of «{name}»: give more --runs")
        finalists = study.promising(FINALISTS)
        champion = study.champion.expression
    trainings = Trainings(executor_for(config), config.training.epochs, folder, shared=folder / "shared")
    try:
        pick = champion if name == "no race" else race(config, finalists, trainings)
        return judged(problem, config, pick, trainings), str(pick)
    finally:
        trainings.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=sorted(ON))
    parser.add_argument("--runs", type=int, default=1500, help="trainings of each search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="study seeds")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variant of your own")
    parser.add_argument("--name", default="mine", help="and its name")
    parser.add_argument("--folder", type=Path, default=Path("runs/laboratory"))
    arguments = parser.parse_args()
    chosen = {name: VARIANTS[name] for name in arguments.variants}
    if arguments.set:
        pairs = (text.partition("=") for text in arguments.set)
        chosen = {"default": {}, arguments.name: {name: json.loads(value) for name, _, value in pairs}}
    better = "lower" if arguments.problem == "quadratic" else "higher"
    print(f"{arguments.problem}, {arguments.runs} runs a search, study seeds {arguments.seeds}; {better} is better")
    results = {}
    for name, settings in chosen.items():
        found = [
            one(arguments.problem, name, settings, seed, runs=arguments.runs, folder=arguments.folder)
            for seed in arguments.seeds
        ]
        values = [value for value, _ in found]
        results[name] = {"picks": values, "mean": float(np.mean(values)), "formulas": [formula for _, formula in found]}
        print(f"{name:20s} {np.mean(values):8.3f}   " + "  ".join(f"{value:.3f}" for value in values), flush=True)
    document = {
        "problem": arguments.problem,
        "runs": arguments.runs,
        "seeds": arguments.seeds,
        "machine": platform.processor() or platform.machine(),
        "results": results,
    }
    out = Path(__file__).parent / "results" / f"laboratory-{arguments.problem}.json"
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
