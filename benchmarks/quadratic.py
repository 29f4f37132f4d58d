"""How near an evolved schedule comes to the known optimum of the noisy quadratic.

    .venv/bin/python benchmarks/quadratic.py

Evolves with preset `quadratic` for each of three study seeds, and takes the exact expected final loss of each champion,
of the best possible schedule (by gradient descent through the recursion) and of tuned standard families. Prints the
ratios to the optimum and writes benchmarks/results/quadratic.json.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from evolr.config import resolve
from evolr.problems import Quadratic
from evolr.study.evolve import evolve

SEEDS = (1, 2, 3)
RESULTS = Path(__file__).parent / "results" / "quadratic.json"

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]

FAMILIES: dict[str, tuple[Curve, list[list[float]]]] = {
    # parameters, progress → learning rates; the starts of the tuning. The first parameter is the scale's logarithm.
    "constant": (lambda p, t: np.full(len(t), np.exp(p[0])), [[-3.0], [-1.0]]),
    "linear": (lambda p, t: np.exp(p[0]) * (1 - t), [[-2.0], [0.0]]),
    "cosine": (lambda p, t: np.exp(p[0]) * (1 + np.cos(np.pi * t)) / 2, [[-2.0], [0.0]]),
    "REX": (lambda p, t: np.exp(p[0]) * (1 - t) / (0.5 + 0.5 * (1 - t)), [[-2.0], [0.0]]),
    "REX-like": (lambda p, t: np.exp(p[0]) * (1 - t) / (1 - t + np.exp(p[1]) * t), [[-1.0, 0.0], [0.0, 2.0]]),
    "power decay": (lambda p, t: np.exp(p[0]) * (1 - t) ** np.exp(p[1]), [[-1.0, 0.0], [0.0, 1.0]]),
    "inverse time": (lambda p, t: np.exp(p[0]) / (1 + np.exp(p[1]) * t), [[-1.0, 0.0], [0.0, 3.0]]),
    "exponential": (lambda p, t: np.exp(p[0] - np.exp(p[1]) * t), [[-1.0, 0.0], [0.0, 1.0]]),
}


def tuned(problem: Quadratic, family: Curve, starts: list[list[float]], steps: int) -> float:
    """The least expected loss of a family, its constants tuned through the exact recursion."""
    progress = np.arange(steps) / steps

    def loss(parameters: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = problem.expected_loss(family(parameters, progress))
        return value if np.isfinite(value) else 1e300

    return min(minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2_000}).fun for start in starts)


def main() -> None:
    config = resolve("quadratic")
    problem = config.problem
    assert isinstance(problem, Quadratic)
    steps = config.training.epochs * problem.steps_per_epoch
    optimum, _ = problem.optimum(steps)
    families = {name: tuned(problem, *family, steps) / optimum for name, family in FAMILIES.items()}
    studies = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            result = evolve(resolve("quadratic", settings={"seed": seed}), Path(folder) / "run")
        curve = result.schedule.curve(config.training.epochs, problem.steps_per_epoch)
        studies.append(
            {
                "seed": seed,
                "ratio_to_optimum": problem.expected_loss(curve) / optimum,
                "expression": str(result.schedule.expression),
                "trainings": result.trainings,
                "seconds": result.seconds,
            }
        )
    document = {"steps": steps, "optimum": optimum, "families_ratio_to_optimum": families, "studies": studies}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    print(f"optimum: expected final loss {optimum:.5f} after {steps} steps")
    for name, ratio in sorted(families.items(), key=lambda item: -item[1]):
        print(f"{name:20} {ratio:.3f} × the optimum, tuned")
    for study in studies:
        print(
            f"evolved, seed {study['seed']:<7} {study['ratio_to_optimum']:.3f} × the optimum, "
            f"{study['trainings']:,} trainings in {study['seconds']:.0f} s: {study['expression']}"
        )


if __name__ == "__main__":
    main()
