"""Which evolution strategy brings the constants of a search's last generations furthest, on a model of what it met there.

    .venv/bin/python benchmarks/last_strategy.py RUN [--repeats 30]

RUN is a memetic study whose last generations tuned one structure. A quadratic function of its constants is fitted to the
scores of all points of these generations, each generation with a level of its own, and bent to have one maximum; what it
leaves is luck. On it strategies of the same cost are run from where the last generations began: how wide each constant is
tried, the step size, and whether CMA-ES adapts its learning rates to luck. Prints how far below the maximum the
distribution's centre ends, the mean over the repeats, and writes benchmarks/results/last_strategy.json.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray

from evolr.config import MemeticSearch
from evolr.search import constants
from evolr.study.study import Study

Vector = NDArray[np.float64]

SPREADS = {
    "0.05 + 0.35|c|": (0.05, 0.35),
    "0.15 + 0.35|c|": (0.15, 0.35),
    "0.15 + 0.2|c|": (0.15, 0.2),
    "0.25": (0.25, 0.0),
}
SIGMAS, POPULATIONS = (0.3, 0.6), (8, 16, 32)
RIDGE, FLATTEST = 2.0, -0.003  # of the fit, in units of each constant's spread over the points


class Model(NamedTuple):
    """begin: the constants that the last generations began around. unit, best, bend: the fitted function, in units of each
    constant's spread. luck: what it leaves of a score, a standard deviation. points: it was fitted to.
    """

    begin: Vector
    unit: Vector
    best: Vector
    bend: NDArray[np.float64]
    luck: float
    points: int

    def below(self, values: Vector) -> float:
        """How far the score at these constants is from the maximum; at most 0."""
        way = values / self.unit - self.best
        return float(way @ self.bend @ way)


def model_of(run: Path) -> Model:
    """The model of a study's last generations."""
    with Study(run) as study:
        search, history = study.config.search, study.history()
    if not isinstance(search, MemeticSearch) or search.last_population != 1:
        raise SystemExit("expected a memetic study with last_population=1")
    last = [e for e in history if search.is_last(e.individual.place.generation) and np.isfinite(e.score)]
    points = np.array([constants.values(e.individual.expression) for e in last])
    scores = np.array([e.score for e in last])
    generation = np.array([e.individual.place.generation - search.generations for e in last])
    levels = np.eye(search.last_generations)[generation]
    begin = points[generation == 0].mean(axis=0)
    unit = points.std(axis=0)
    way = points / unit - points.mean(axis=0) / unit
    size = way.shape[1]
    upper = np.triu_indices(size)
    known = np.hstack([levels, way, way[:, upper[0]] * way[:, upper[1]]])
    penalty = np.diag([0.0] * levels.shape[1] + [RIDGE] * (known.shape[1] - levels.shape[1]))
    weights = np.linalg.solve(known.T @ known + penalty, known.T @ scores)
    slope, bends = np.split(weights[levels.shape[1] :], [size])
    bend = np.zeros((size, size))
    bend[upper] = bends
    found, axes = np.linalg.eigh((bend + bend.T) / 2)
    bend = axes @ np.diag(np.minimum(found, FLATTEST)) @ axes.T
    best = points.mean(axis=0) / unit - np.linalg.solve(2 * bend, slope)
    return Model(begin, unit, best, bend, float((scores - known @ weights).std()), len(last))


def ended(
    model: Model, scales: Vector, sigma: float, population: int, generations: int, *, adapt: bool, seed: int
) -> float:
    """How far below the maximum a strategy's centre ends."""
    rng = np.random.default_rng(seed)
    strategy = CMA(mean=model.begin / scales, sigma=sigma, population_size=population, seed=seed, lr_adapt=adapt)
    for _ in range(generations):
        points = [strategy.ask() for _ in range(population)]
        scores = [model.below(point * scales) + model.luck * rng.standard_normal() for point in points]
        strategy.tell([(point, -score) for point, score in zip(points, scores, strict=True)])
    return model.below(strategy.mean * scales)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    model = model_of(given.run)
    cost = 640  # points: those of 40 generations of 16
    rows: list[dict[str, Any]] = []
    print(
        f"{model.points} points of {len(model.begin)} constants, luck {model.luck:.3f}; begins {model.below(model.begin):.4f} below"
    )
    for (spread, (least, relative)), sigma, population, adapt in product(
        SPREADS.items(), SIGMAS, POPULATIONS, (False, True)
    ):
        scales = least + relative * np.abs(model.begin)
        ends = [
            ended(model, scales, sigma, population, cost // population, adapt=adapt, seed=seed)
            for seed in range(given.repeats)
        ]
        row = {"spread": spread, "sigma": sigma, "population": population, "adapts": adapt}
        rows.append(row | {"below": float(np.mean(ends)), "standard_error": float(np.std(ends) / np.sqrt(len(ends)))})
        print(
            f"{spread:16} sigma {sigma:.1f}  {population:2} points  {'adapts' if adapt else '':6}  {rows[-1]['below']:8.4f}"
        )
    begins = model.below(model.begin)
    document = {"points": model.points, "luck": model.luck, "begins": begins, "repeats": given.repeats, "rows": rows}
    (Path(__file__).parent / "results" / "last_strategy.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
