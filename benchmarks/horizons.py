"""Whether a short training shows what a schedule is worth, and what a search by short trainings saves.

    .venv/bin/python benchmarks/horizons.py ranks RUN [--generations 0 3 12 36]
    .venv/bin/python benchmarks/horizons.py bars RUN
    .venv/bin/python benchmarks/horizons.py searches [--problems suite memetic digits] [--seeds 1 2 3] [--kinds …]
    .venv/bin/python benchmarks/horizons.py families [--kind short]

ranks: of the formulas of some generations of a study, how a single training orders them, by Spearman's correlation with the mean of
ten whole ones from other seeds: a whole training, its validation score on the way, as a pruner sees it, and a training of
fewer epochs, whose schedule is compressed.

bars: what a pruner would have saved in a study, and cost: a training ends when its validation score falls below the worst that the best
part of the trainings of earlier generations had after so many epochs.

searches: a search whose generations train a third of the epochs (`search.horizon`), one that trains all, and one that trains all and has
the first one's epochs as its budget. `suite` and `memetic`, presets, train as populations; `digits` is a training function, in workers. Each
champion is trained from fresh seeds of the selection pool. Kinds that are not named are not searched again, but taken from the results. Costs are in whole trainings: a third of the epochs is a third.

families: the champions of one kind of `searches --problems memetic`, and the standard families that led the contests of mnist1d-mlp
(benchmarks/results/contest-default-*.md), with the constants that 600 trainings found there; all from the same fresh seeds, on the
test pool.

Writes benchmarks/results/horizons.json, a part at a time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import platform
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import evolr
from evolr.contest.statistics import corrected, mean_interval, paired
from evolr.execution.executor import Executor
from evolr.execution.workers import Workers
from evolr.expression import parse
from evolr.problems import Pool
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.curves import CURVES, unpacked
from evolr.study.summary import summarise
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial

RESULTS = Path(__file__).parent / "results" / "horizons.json"
HORIZON = 1 / 3
MOST = 72  # formulas of a generation that are looked at
TRUTH, SINGLE = 10, 2  # seeds
FINAL = 96  # fresh seeds that a champion is judged on
DIGITS_EPOCHS = 12
KINDS = ("short", "whole", "whole, at the cost of short")  # of searches, the first is always there
SHORT: dict[str, dict[str, Any]] = {
    "suite": {},
    "digits": {},
    "memetic": {
        "search.generations": 20,
        "search.last_generations": 6,
        "search.last_population": 5,
        "search.last_seeds": 2,
        "search.finalists": 16,
    },
}
"""What the search by short trainings has other than the one by whole ones, beside the horizon."""


# --- ranks ---------------------------------------------------------------------------------------------------------------


def ranks(run: Path, generations: Sequence[int]) -> dict[str, Any]:
    config = summarise(run).config
    whole, found = config.training.epochs, {}
    with closing(executor_for(config)) as executor, closing(sqlite3.connect(run / "study.db")) as database:
        for generation in generations:
            rows = database.execute(
                "SELECT expression FROM individual WHERE generation = ? ORDER BY slot", (generation,)
            )
            formulas = [parse(text) for (text,) in rows]
            schedules = [config.search.schedule(formula) for formula in formulas[:: -(-len(formulas) // MOST)]]

            def trained(seeds: Sequence[int], epochs: int, schedules: list[Schedule] = schedules) -> tuple[Any, Any]:
                """Scores (schedules, seeds), and validation scores after each epoch; the worst where a training diverged."""
                trials = [Trial(schedule, seed) for schedule in schedules for seed in seeds]
                outcomes = executor.run(trials, epochs, "fitness")
                scores = np.array([outcome.score for outcome in outcomes]).reshape(len(schedules), -1)
                curves = np.array([outcome.val_score for outcome in outcomes]).reshape(*scores.shape, epochs)
                worst = -1e9 * config.problem.metric.fitness(1.0)
                return np.nan_to_num(scores, nan=worst), np.nan_to_num(curves, nan=worst)

            truth = trained([seed_from(k, "truth") for k in range(TRUTH)], whole)[0].mean(axis=1)
            singles = [seed_from(k, "single") for k in range(SINGLE)]
            scores, curves = trained(singles, whole)

            def correlation(values: NDArray[np.float64], truth: NDArray[np.float64] = truth) -> float:
                return float(np.mean([spearmanr(values[:, k], truth)[0] for k in range(SINGLE)]))

            parts = [max(1, round(part * whole)) for part in (0.1, 0.17, 0.27, 0.33, 0.5, 0.67, 0.83)]
            found[str(generation)] = {
                "formulas": len(schedules),
                "whole": correlation(scores),
                "on the way": {epochs: correlation(curves[:, :, epochs - 1]) for epochs in parts},
                "short": {epochs: correlation(trained(singles, epochs)[0]) for epochs in parts},
            }
            print(
                f"generation {generation + 1}, {len(schedules)} formulas; a whole training {found[str(generation)]['whole']:.2f}"
            )
            for kind in ("on the way", "short"):
                shown = "  ".join(f"{epochs}: {value:.2f}" for epochs, value in found[str(generation)][kind].items())
                print(f"  {kind:11} {shown}", flush=True)
    return {"problem": config.problem.name, "epochs": whole, "generations": found}


# --- bars ----------------------------------------------------------------------------------------------------------------


def bars(run: Path) -> list[dict[str, Any]]:
    config = summarise(run).config
    sign, epochs = config.problem.metric.fitness(1.0), config.training.epochs
    generations: dict[int, list[tuple[float, NDArray[np.float64]]]] = {}
    with closing(sqlite3.connect(run / "study.db")) as database:
        for number, score, curves in database.execute(
            "SELECT generation, score, curves FROM trial JOIN individual ON individual.id = trial.individual "
            "WHERE pool = 'fitness' ORDER BY generation, slot, seed"
        ):
            on_the_way = sign * unpacked(curves)[CURVES.index("val_score")].astype(np.float64)
            fitness = -np.inf if score is None else sign * score
            generations.setdefault(number, []).append((fitness, np.nan_to_num(on_the_way, nan=-np.inf)))
    found: list[dict[str, Any]] = []
    for part, before in itertools.product((0.25, 0.5), ("the generation before", "all generations before")):
        trained = whole = pruned = best = 0
        for number, own in generations.items():
            first = number - 1 if before == "the generation before" else 0
            known = [trial for g in range(max(first, 0), number) for trial in generations[g] if np.isfinite(trial[0])]
            known.sort(key=lambda trial: -trial[0])
            kept = known[: max(1, math.ceil(part * len(known)))]
            bar = np.min([curve for _, curve in kept], axis=0) if kept else np.full(epochs, -np.inf)
            quarter = sorted((fitness for fitness, _ in own), reverse=True)[max(0, len(own) // 4 - 1)]
            for fitness, curve in own:
                below = np.flatnonzero(curve[:-1] < bar[:-1])
                trained += int(below[0]) + 1 if len(below) else epochs
                whole += epochs
                best += fitness >= quarter
                pruned += fitness >= quarter and len(below) > 0
        row = {"best part": part, "of": before, "saved": 1 - trained / whole, "best quarter pruned": pruned / best}
        found.append(row)
        print(
            f"the best {part:.0%} of {before}: saves {row['saved']:.0%}, prunes {row['best quarter pruned']:.0%} of the best quarter"
        )
    return found


# --- searches ------------------------------------------------------------------------------------------------------------


def digits(schedule: Any, seed: int, epochs: int) -> float:
    """A training function: a small network on scikit-learn's digits, SGD with momentum; the accuracy on held-out images."""
    images, labels = _data()
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, (2 / n) ** 0.5, (n, m)) for n, m in ((64, 32), (32, 10))]
    velocities = [np.zeros_like(w) for w in weights]
    train, held_out = slice(0, 704), slice(704, None)
    loss = val_loss = float(np.log(10))
    steps = 22 * epochs
    for step in range(steps):
        if step % 22 == 0:
            order = rng.permutation(704).reshape(22, 32)
            val_loss = _backward(weights, images[held_out], labels[held_out])[0] if step else val_loss
        batch = order[step % 22]
        rate = schedule(progress=step / steps, loss=loss, val_loss=val_loss)
        loss, gradients = _backward(weights, images[train][batch], labels[train][batch])
        velocities = [0.9 * v + gradient for v, gradient in zip(velocities, gradients, strict=True)]
        weights = [w - rate * v for w, v in zip(weights, velocities, strict=True)]
    hidden = np.maximum(images[held_out] @ weights[0], 0)
    return float(np.mean((hidden @ weights[1]).argmax(axis=1) == labels[held_out]))


@cache
def _data() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order] / 16, labels[order]


def _backward(weights: list[Any], images: Any, labels: Any) -> tuple[float, list[Any]]:
    """Mean cross-entropy, and its gradients."""
    hidden = np.maximum(images @ weights[0], 0)
    logits = hidden @ weights[1]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -float(np.log(chances[rows, labels] + 1e-12).mean())
    chances[rows, labels] -= 1
    chances /= len(labels)
    return loss, [images.T @ (chances @ weights[1].T * (hidden > 0)), hidden.T @ chances]


def searched(problem: str, run: Path, settings: dict[str, Any], limits: Any, devices: int | None) -> Schedule:
    if problem == "digits":
        workers = devices or os.cpu_count()
        own = {name: value for name, value in settings.items() if name != "seed"}
        result = evolr.evolve(
            digits, run, limits, epochs=DIGITS_EPOCHS, seed=settings["seed"], settings=own, workers=workers
        )
    else:
        result = evolr.evolve(evolr.resolve(problem, settings=settings), run, limits, device_count=devices)
    assert result.schedule is not None
    return result.schedule


def cost(run: Path) -> float:
    """The epochs that a study has trained, in whole trainings."""
    with closing(sqlite3.connect(run / "study.db")) as database:
        return database.execute("SELECT sum(epochs) FROM trial").fetchone()[0] / summarise(run).config.training.epochs


def judged(
    problem: str, schedules: Sequence[Schedule], devices: int | None, pool: Pool = "selection"
) -> NDArray[np.float64]:
    """Scores (schedules, seeds) from fresh seeds."""
    seeds = [seed_from(number, "horizons, final") for number in range(FINAL)]
    trials = [Trial(schedule, seed) for schedule in schedules for seed in seeds]
    executor: Executor
    if problem == "digits":
        signals = frozenset({"progress", "loss", "val_loss"})
        executor, epochs = Workers(digits, signals=signals, count=devices or os.cpu_count()), DIGITS_EPOCHS
    else:
        config = evolr.resolve(problem)
        executor, epochs = executor_for(config, options={"device_count": devices}), config.training.epochs
    with closing(executor):
        scores = [outcome.score for outcome in executor.run(trials, epochs, pool)]
    return np.array(scores).reshape(len(schedules), FINAL)


def searches(
    problem: str,
    seeds: Sequence[int],
    runs: Path,
    devices: int | None,
    kinds: Sequence[str] = KINDS,
    *,
    known: Any = MappingProxyType({}),
) -> dict[str, Any]:
    """known: of a call before, the searches that are not made again."""
    found: dict[str, Any] = {}
    before = {name: known["searches"][name] for name in known.get("searches", {}) if name not in kinds}
    for seed in seeds:
        made: dict[str, Schedule] = {}
        for name in KINDS:
            if name in before:
                place = known["seeds"].index(seed)
                own, text = before[name]["cost"][place], before[name]["schedules"][place]
                made[name] = evolr.resolve(problem).search.schedule(parse(text))
            elif name in kinds:
                run = runs / f"{problem}-{name.replace(', ', '-').replace(' ', '-')}-{seed}"
                limits = evolr.Limits(trainings=int(found["short"]["cost"][-1])) if "cost" in name else None
                settings = {"seed": seed} | ({"search.horizon": HORIZON, **SHORT[problem]} if name == "short" else {})
                made[name] = searched(problem, run, settings, limits, devices)
                own, text = cost(run), str(made[name].expression)
            else:
                continue
            found.setdefault(name, {"cost": [], "schedules": []})
            found[name]["cost"].append(own)
            found[name]["schedules"].append(text)
        scores = dict(zip(made, judged(problem, list(made.values()), devices), strict=True))
        for name, own in scores.items():
            above, low, high = mean_interval(scores["short"] - own)
            found[name].setdefault("scores", []).append(float(own.mean()))
            found[name].setdefault("short_above_it", []).append([above, low, high])
            print(
                f"{problem} {seed}  {name:28} {found[name]['cost'][-1]:8.0f} trainings  {own.mean():.4f}   short is above it by "
                f"{above:+.4f} ({low or 0:+.4f} … {high or 0:+.4f})",
                flush=True,
            )
    return {"seeds": list(seeds), "horizon": HORIZON, "final_seeds": FINAL, "pool": "selection", "searches": found}


LEADERS: dict[str, dict[str, float]] = {
    "one-cycle": {"peak": 0.0272, "rise": 0.638, "div": 16.1, "final_div": 7.75e3},
    "warm-up + linear": {"peak": 0.0296, "warmup": 0.633},
    "warm-up + cosine": {"peak": 0.025, "warmup": 0.466},
    "triangular cyclic": {"base": 0.0257, "least": 0.0757, "cycles": 1},
    "WSD (linear)": {"peak": 0.0257, "warmup": 0.441, "cooldown": 0.267},
    "WSD (1 − sqrt)": {"peak": 0.0194, "warmup": 0.308, "cooldown": 0.29},
    "generalised cosine": {"peak": 0.0266, "warmup": 0.49, "power": 0.246},
}
"""The constants that the pages of the contests give, whose first champion they were level with or above."""


def families(known: Any, kind: str, devices: int | None) -> dict[str, Any]:
    """known: the searches on `memetic`; kind: whose champions are judged."""
    seeds, searched = known["seeds"], evolr.resolve("memetic").search
    champions = [searched.schedule(parse(text)) for text in known["searches"][kind]["schedules"]]
    named = {f"evolved, study {seed}": champion for seed, champion in zip(seeds, champions, strict=True)}
    named |= {name: FAMILIES[name].schedule(**constants) for name, constants in LEADERS.items()}
    scores = dict(zip(named, judged("memetic", list(named.values()), devices, pool="test"), strict=True))
    metric, rows = evolr.resolve("memetic").problem.metric, {}
    for name, own in scores.items():
        mean, low, high = mean_interval(own)
        rows[name] = {"score": mean, "interval": [low, high]}
        print(f"{name:20} {mean:.4f} ({low or 0:.4f} … {high or 0:.4f})")
    for seed in seeds:
        evolved = f"evolved, study {seed}"
        all_pairs = corrected([paired(scores[evolved], scores[name], metric) for name in LEADERS])
        rows[evolved]["against"] = {name: pair.document() for name, pair in zip(LEADERS, all_pairs, strict=True)}
        print(f"{evolved}, minus:")
        for name, pair in zip(LEADERS, all_pairs, strict=True):
            print(f"  {name:20} {pair.difference:+.4f} ({pair.low:+.4f} … {pair.high:+.4f}), p {pair.p_value:.2g}")
    return {"seeds": list(seeds), "final_seeds": FINAL, "pool": "test", "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("ranks")
    one.add_argument("run", type=Path)
    one.add_argument("--generations", type=int, nargs="+", default=[0, 3, 12, 36])
    parts.add_parser("bars").add_argument("run", type=Path)
    two = parts.add_parser("searches")
    two.add_argument("--problems", nargs="+", default=list(SHORT), choices=list(SHORT))
    two.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    two.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    two.add_argument("--runs", type=Path, default=Path("runs"))
    three = parts.add_parser("families")
    three.add_argument("--kind", default="short", choices=KINDS)
    for part in (two, three):
        part.add_argument("--devices", type=int, help="to train on; all where not given")
    given = parser.parse_args()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document |= {
        "machine": {"cores": os.cpu_count(), "system": platform.system()},
        "versions": {package: version(package) for package in ("evolr", "jax", "numpy")},
    }

    def keep(name: str, part: dict[str, Any]) -> None:
        document[name] = {"date": datetime.now(UTC).date().isoformat(), **part}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")

    if given.part == "ranks":
        keep("ranks", ranks(given.run, given.generations))
        return
    if given.part == "bars":
        keep("bars", {"rows": bars(given.run)})
        return
    if given.part == "families":
        name = "families" if given.kind == "short" else f"families, {given.kind}"
        keep(name, families(document["memetic"], given.kind, given.devices))
        return
    for problem in given.problems:
        keep(
            problem,
            searches(problem, given.seeds, given.runs, given.devices, given.kinds, known=document.get(problem, {})),
        )


if __name__ == "__main__":
    main()
