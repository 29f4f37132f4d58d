"""The gallery far outside of what it was found on, against what a user would take in its place.

    python benchmarks/outside.py [--part quadratic digits script-adam script-momentum]
    python benchmarks/outside.py --page

Each contender has one constant, a factor on what it is by default: a schedule of the gallery its scale, one-cycle and WSD their
peak (0.1 with momentum, as is usual; 0.001 with Adam, Kingma and Ba 2015), Prodigy, DoG and schedule-free their published constant. All else is
as published. Each is judged twice on the same luck, which no tuner sees: as it is, which costs one training, and at the
factor that evolr's tuner found with ten trainings, from the starts that it has for the gallery, the same for all. The parts:

- quadratic: 100 noisy quadratics of the test pool of the problem `mixed`, whose conditions are drawn; 12 epochs of 31 steps, momentum. Each is
  tuned for itself and judged once. The score is log10 of the loss, so that its mean is that of a geometric mean.
- digits: a convolutional network of 13,700 weights on scikit-learn's digits, 6 epochs of 22 steps, momentum and Adam. Tuned 10 times, each time
  with other luck, and judged once each time. The score is the test loss.
- script-adam, script-momentum: benchmarks/char_transformer.py, 1.06 million weights in PyTorch, 200 steps; tuned once, and judged by 3 seeds. The
  score is the test loss.

A training that diverges, or ends above the loss of an untrained network, counts as the untrained network. Differences are of the same
luck, with 95 % bootstrap intervals; p is Wilcoxon's signed-rank test, corrected by Holm for all rows of an optimiser, and there is none
below six pairs. Prints the tables and writes benchmarks/results/outside.json, where the other parts stay as they are;
`--page` writes what it holds into docs/gallery.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from numpy.typing import NDArray

from benchmarks.outside_tables import terminal, with_tables
from evolr.contest.rivals import rivals_of
from evolr.contest.statistics import Pairs, corrected, mean_interval, paired
from evolr.contest.tuning import PER_ROUND, FamilyTuner
from evolr.discovered import gallery
from evolr.problems import Metric
from evolr.problems.mixed import SCALES, Mixed
from evolr.problems.pools import pools
from evolr.randomness import generator, seed_from
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, FreeConstant
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.writing import write

TRAININGS = 10  # of a tuner
LUCKS = 64  # of a unit: those of the tuner's rounds, and from JUDGED on those that it does not see
JUDGED = 32
BEST = {"momentum": "momentum-suite", "adam": "adam-mnist1d"}  # what docs/gallery.md has for each
PEAKS = {"momentum": 0.1, "adam": 0.001}
RIVALS = ("Prodigy", "DoG averaged", "schedule-free SGD", "schedule-free AdamW")
RESULTS = ROOT / "benchmarks" / "results" / "outside.json"
PAGE = ROOT / "docs" / "gallery.md"

Train = Callable[[Sequence[Trial], str], Sequence[float]]
"""(trials, pool) → the score of each, lower for the better, NaN if it diverged."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A schedule with one constant, a factor on it. usual: the schedule at factor 1."""

    name: str
    optimizer: Optimizer
    usual: Schedule

    @property
    def constants(self) -> tuple[FreeConstant, ...]:
        return gallery[BEST["momentum"]].constants

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        return gallery[BEST["momentum"]].starts

    def schedule(self, *, scale: float = 1.0) -> Schedule:
        return self.usual.scaled(scale)

    def tuner(self, unit: int) -> FamilyTuner:
        """One that is seeded by contender and unit."""
        return FamilyTuner(replace(self, name=f"{self.name}, {self.optimizer.name}, {unit}"))


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a contender; (units · lucks,) each. usual, tuned: scores, NaN if diverged. scales: (units,) that its tuner took."""

    usual: NDArray[np.float64]
    tuned: NDArray[np.float64]
    scales: list[float]


@dataclass(frozen=True, slots=True)
class Part:
    """Something that all contenders are judged on.

    title: in a line. optimizers: whose contenders. units: each is tuned for itself. judged: trainings that judge a unit. untrained:
    the score of an untrained network. is_log: whether scores are log10 of a loss. train: makes what trains.
    """

    title: str
    optimizers: tuple[str, ...]
    units: int
    judged: int
    untrained: float
    is_log: bool
    train: Callable[[], Train]
    rivals: tuple[str, ...] = RIVALS

    def groups(self) -> dict[str, list[Contender]]:
        """The contenders of each optimiser."""
        return {name: contenders(name, self.rivals) for name in self.optimizers}


def contenders(optimizer: str, rivals: Sequence[str] = RIVALS) -> list[Contender]:
    """The gallery's best for an optimiser, the gallery's others, the standard schedules, and those that find their own step size.

    What was found on `mixed` is left out: its tasks are a part of this benchmark, and nothing outside to it.
    """
    ours = [e for e in gallery.values() if e.optimizer.name == optimizer and e.found_on.problem != "mixed"]
    ours.sort(key=lambda entry: entry.name != BEST[optimizer])
    plain = ours[0].optimizer
    standard = [FAMILIES[name].schedule(peak=PEAKS[optimizer]) for name in ("one-cycle", "WSD (linear)")]
    return [
        *(Contender(entry.name, entry.optimizer, entry.schedule()) for entry in ours),
        *(Contender(name, plain, usual) for name, usual in zip(("one-cycle", "WSD"), standard, strict=True)),
        *(
            Contender(rival.name, rival.optimizer(plain), rival.schedule)
            for rival in rivals_of(plain)
            if rival.name in rivals
        ),
    ]


def luck(unit: int, number: int) -> int:
    """The seed of a unit's training."""
    return unit * LUCKS + number


def judge(entrants: Sequence[Contender], train: Train, units: int, judged: int = 1) -> dict[Contender, Judged]:
    """Tunes each contender for each unit, and judges it untuned and tuned. A round of the tuner has a luck of its own, the same for all."""
    tuners = {(each, unit): each.tuner(unit) for each in entrants for unit in range(units)}
    tried: dict[tuple[Contender, int], dict[float, float]] = {key: {} for key in tuners}
    for number, start in enumerate(range(0, TRAININGS, PER_ROUND)):
        asked = {key: tuner.ask(min(PER_ROUND, TRAININGS - start)) for key, tuner in tuners.items()}
        trials = [
            Trial(schedule, luck(unit, number), each.optimizer)
            for (each, unit), proposals in asked.items()
            for schedule, _ in proposals
        ]
        scores = iter(train(trials, "fitness"))
        for key, proposals in asked.items():
            found = [_worth(next(scores)) for _ in proposals]
            tuners[key].tell(found)
            tried[key] |= {own["scale"]: worth for (_, own), worth in zip(proposals, found, strict=True)}
    scales = {key: max(found, key=found.__getitem__) for key, found in tried.items()}
    trials = [
        Trial(each.schedule(scale=scale), luck(unit, JUDGED + number), each.optimizer)
        for (each, unit), tuned in scales.items()
        for scale in (1.0, tuned)
        for number in range(judged)
    ]
    scores = np.array(train(trials, "test"), np.float64).reshape(len(entrants), units, 2, judged)
    return {
        each: Judged(usual.reshape(-1), tuned.reshape(-1), [scales[each, unit] for unit in range(units)])
        for each, (usual, tuned) in zip(entrants, scores.transpose(0, 2, 1, 3), strict=True)
    }


def _worth(score: float) -> float:
    """What a tuner is told: greater for the better, −∞ for a training that diverged."""
    return -math.inf if math.isnan(score) else -float(score)


def counted(scores: NDArray[np.float64], untrained: float) -> NDArray[np.float64]:
    """The scores as they count: none is worse than an untrained network's."""
    return np.fmin(scores, untrained)


def quadratic() -> Train:
    """100 tasks; both pools judge alike, since a loss without noise is no matter of luck."""
    from evolr.training.trainer import Trainer

    suite = Mixed(kinds_drawn=("quadratic",))
    task = suite.problem_of("quadratic").task("test")
    numbers = [suite.draw(seed_from(unit, "outside"), "test")[1] for unit in range(100)]
    own = replace(task, drawn=lambda seed: task.drawn(numbers[seed // LUCKS]))
    trainer = Trainer(own, gallery[BEST["momentum"]].optimizer, device_count=1)
    return lambda trials, _: [outcome.score for outcome in trainer.train(trials, 12)]


def digits() -> Train:
    from evolr.training.trainer import Trainer

    problem = digits_problem()
    trainers = {
        pool: Trainer(problem.task(pool), gallery[BEST["momentum"]].optimizer, device_count=1)
        for pool in ("fitness", "test")
    }
    return lambda trials, pool: [outcome.score for outcome in trainers[pool].train(trials, 6)]


def digits_problem() -> Any:
    """A convolutional network as in examples/digits_cnn.py, as evolr's trainer takes it; convolutions are products of matrices, which are
    faster on a CPU.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from sklearn.datasets import load_digits

    from evolr.problems import JaxProblem

    shapes = ((9, 16), (9 * 16, 32), (4 * 32, 64), (64, 10))

    def init(seed: int) -> Any:
        """As torch.nn draws them."""
        rng = generator(seed, "outside", "digits")
        bounds = [(shape, shape[0] ** -0.5) for shape in shapes]
        return [(rng.uniform(-b, b, shape), rng.uniform(-b, b, shape[1])) for shape, b in bounds]

    def convolved(layer: Any, values: Any) -> Any:
        """(images, n, n, inputs) → (images, n / 2, n / 2, outputs): windows of 3 × 3, ReLU, the greatest of 2 × 2."""
        side = values.shape[1]
        padded = jnp.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = [padded[:, row : row + side, column : column + side] for row in range(3) for column in range(3)]
        found = jax.nn.relu(jnp.concatenate(windows, axis=3) @ layer[0] + layer[1])
        return found.reshape(len(values), side // 2, 2, side // 2, 2, -1).max(axis=(2, 4))

    def loss(parameters: Any, examples: Any) -> Any:
        images, labels = examples
        first, second, (hidden, hidden_biases), (last, biases) = parameters
        seen = convolved(second, convolved(first, images[..., None]))
        features = jax.nn.relu(seen.reshape(len(images), -1) @ hidden + hidden_biases)
        return optax.softmax_cross_entropy_with_integer_labels(features @ last + biases, labels).mean()

    pixels, labels = load_digits(return_X_y=True)
    examples = ((pixels / 16).reshape(-1, 8, 8), labels)
    data = pools(examples, seed=0, train=0.4, monitor=0.1, fitness=0.2, selection=0.0, test=0.3)
    return JaxProblem(init=init, loss=loss, data=data, batch_size=32, name="digits")


def script(kept: Path = ROOT / "runs" / "outside-script.json") -> Train:
    """Trainings are kept in a file, by all that decides them, so that the same command goes on where it was."""
    from benchmarks import char_transformer

    done: dict[str, float] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    kept.parent.mkdir(exist_ok=True)

    def score(trial: Trial, pool: str) -> float:
        schedule, optimizer = trial.schedule, trial.optimizer
        assert optimizer is not None
        decided = [schedule.to_json().decode(), optimizer.text, trial.seed, pool, char_transformer.SIZES]
        key = hashlib.sha256(json.dumps(decided).encode()).hexdigest()
        if key not in done:
            done[key] = char_transformer.train(schedule, trial.seed, optimizer, pool)
            write(kept, json.dumps(done, indent=0).encode())
            print(f"\r{len(done)} trainings", end="", file=sys.stderr, flush=True)
        return done[key]

    return lambda trials, pool: [score(trial, pool) for trial in trials]


PARTS = {
    "quadratic": Part(
        "noisy quadratics, geometric mean loss",
        ("momentum",),
        units=100,
        judged=1,
        untrained=SCALES["quadratic"][0],
        is_log=True,
        train=quadratic,
    ),
    "digits": Part(
        "digits, test loss",
        ("momentum", "adam"),
        units=10,
        judged=1,
        untrained=math.log(10),
        is_log=False,
        train=digits,
    ),
    **{
        f"script-{optimizer}": Part(
            "character transformer, test loss",
            (optimizer,),
            units=1,
            judged=3,
            untrained=math.log(35),
            is_log=False,
            train=script,
            rivals=("Prodigy", "DoG averaged"),
        )
        for optimizer in ("adam", "momentum")
    },
}


def rows(part: Part, group: Sequence[Contender], found: Mapping[Contender, Judged]) -> list[dict[str, Any]]:
    """Each contender with its scores, and the gallery's best against it: both untuned, and both tuned."""
    metric = Metric("loss", higher_is_better=False)
    best, *others = group
    table = []
    for each in group:
        row: dict[str, Any] = {"name": each.name, "optimizer": each.optimizer.text, "scales": found[each].scales}
        for which in ("usual", "tuned"):
            scores = getattr(found[each], which)
            mean, low, high = mean_interval(counted(scores, part.untrained))
            failed = int((~(scores < part.untrained)).sum())
            row[which] = {
                "mean": mean,
                "interval": [low, high],
                "failed": failed,
                "scores": [score if math.isfinite(score) else None for score in scores.tolist()],
            }
        table.append(row)
    against = [
        paired(*(counted(getattr(found[each], which), part.untrained) for each in (best, other)), metric)
        for other in others
        for which in ("usual", "tuned")
    ]
    fair = iter(corrected(against))
    for row in table[1:]:
        for which in ("usual", "tuned"):
            row[which]["best_against_it"] = _document(next(fair))
    return table


def _document(pairs: Pairs) -> dict[str, Any]:
    return {"relation": pairs.relation, **pairs.document()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args(arguments)
    if given.page:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        write(PAGE, with_tables(PAGE.read_text(encoding="utf-8"), results).encode())
        return
    for name in given.part:
        part, began = PARTS[name], (time.perf_counter(), time.process_time())
        groups = part.groups()
        entrants = list(dict.fromkeys(each for group in groups.values() for each in group))
        found = judge(entrants, part.train(), part.units, part.judged)
        tables = {optimizer: rows(part, group, found) for optimizer, group in groups.items()}
        document = {
            "title": part.title,
            "machine": {"cores": os.cpu_count(), "system": platform.system()},
            "versions": {
                package: version(package) for package in ("evolr", "jax", "numpy", "optax", "optuna", "torch")
            },
            "seconds": round(time.perf_counter() - began[0]),
            "processor_seconds": round(time.process_time() - began[1]),
            "trainings_of_a_tuner": TRAININGS,
            "units": part.units,
            "judged_by": part.judged,
            "is_log": part.is_log,
            "untrained": part.untrained,
            "contenders": tables,
        }
        print(terminal(document))
        merge(name, document)


def merge(name: str, document: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Writes a part's results; those of other parts stay."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write(path, (json.dumps(known | {name: document}, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
