"""The problem `quadratic`: stochastic gradient descent on the noisy quadratic model.

    loss(w) = ½ Σ λᵢ wᵢ²,    gradient = λ w + noise,    noiseᵢ ~ N(0, σ² λᵢ)

The eigenvalues λ fall geometrically from 1 to 1/κ, and w starts at (1, …, 1). It models the late training of
a network (Zhang et al. 2019, «Which Algorithmic Choices Matter at Which Batch Sizes?»), and it is the
project's problem with a known optimum: under an open-loop schedule the second moments obey

    E wᵢ² ← (1 − lr λᵢ)² E wᵢ² + lr² σ² λᵢ

exactly, so that the best possible schedule can be computed (see `optimum`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolr.errors import ConfigError, is_finite, shown
from evolr.problems.problem import Metric, Pool, ProblemDefaults
from evolr.randomness import generator
from evolr.ranges import STEPS_PER_EPOCH, Whole, require_ranges
from evolr.training.optimizers import OptimizerName
from evolr.training.task import Task

_MOST_CONDITION, _MOST_NOISE = 1e30, 1e30  # within float32


class Quadratic(
    ProblemDefaults,
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="name",
    tag="quadratic",
):
    """Settings of the problem.

    dimension: number of eigenvalues. condition_number: the greatest eigenvalue ÷ the least.
    noise: the gradient noise's variance ÷ the eigenvalue (σ²). steps_per_epoch: steps that share an `epoch`.
    """

    dimension: Annotated[int, Whole(1, 1_000_000)] = 50
    condition_number: float = 100.0
    noise: float = 0.1
    steps_per_epoch: Annotated[int, STEPS_PER_EPOCH] = 30

    def __post_init__(self) -> None:
        require_ranges("problem.", self)
        for name, least, most in (("condition_number", 1, _MOST_CONDITION), ("noise", 0, _MOST_NOISE)):
            if not (is_finite(value := getattr(self, name)) and least <= value <= most):
                raise ConfigError(f"problem.{name} must be a number from {least} to {most:g}, got {shown(value)}")

    @property
    def metric(self) -> Metric:
        return Metric("loss", higher_is_better=False)

    @property
    def optimizers(self) -> tuple[OptimizerName, ...]:
        return ("sgd",)

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        """(dimension,), from 1 down to 1/condition_number."""
        return np.geomspace(1.0, 1.0 / self.condition_number, self.dimension)

    @property
    def draws_tasks(self) -> bool:
        return False

    def task(self, pool: Pool) -> Task:
        """The task. A run is judged by its loss, free of noise, so all pools are one."""
        del pool
        return _task_of(self)

    def expected_loss(self, learning_rates: ArrayLike) -> float:
        """The expected final loss under an open-loop schedule, exactly; learning_rates: (steps,)."""
        eigenvalues = self.eigenvalues
        moments = np.ones(self.dimension)
        for rate in np.asarray(learning_rates, np.float64):
            moments = (1 - rate * eigenvalues) ** 2 * moments + rate**2 * self.noise * eigenvalues
        return float(0.5 * eigenvalues @ moments)

    def optimum(self, steps: int, starts: int = 8) -> tuple[float, NDArray[np.float64]]:
        """The least expected final loss of any open-loop schedule of some steps, and that schedule.

        Gradient descent (L-BFGS) through the recursion, over the logarithms of the learning rates. The problem
        is not convex, so it is solved from several starts: constants and decays of various scales.
        """
        from scipy.optimize import minimize

        progress = np.arange(steps) / steps
        scales = np.geomspace(0.02, 1.0, -(-starts // 2))
        curves = [scale * shape for scale in scales for shape in (np.ones(steps), 1.001 - progress)]
        with np.errstate(over="ignore", invalid="ignore"):  # a line search may try a step that diverges
            solved = [
                minimize(self._log_loss_and_gradient, np.log(curve), jac=True, method="L-BFGS-B")
                for curve in curves[:starts]
            ]
        best = min(solved, key=lambda result: result.fun)
        return float(np.exp(best.fun)), np.exp(best.x)

    def _log_loss_and_gradient(self, log_rates: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The logarithm of the expected loss, and its gradient, by reverse accumulation; both over log_rates."""
        eigenvalues, rates = self.eigenvalues, np.exp(log_rates)
        history = np.empty((len(rates) + 1, self.dimension))
        history[0] = 1.0
        for t, rate in enumerate(rates):
            history[t + 1] = (1 - rate * eigenvalues) ** 2 * history[t] + rate**2 * self.noise * eigenvalues
        loss = 0.5 * eigenvalues @ history[-1]
        adjoint = 0.5 * eigenvalues / loss
        gradient = np.empty(len(rates))
        for t in range(len(rates) - 1, -1, -1):
            shrink = 1 - rates[t] * eigenvalues
            slope = -2 * shrink * eigenvalues * history[t] + 2 * rates[t] * self.noise * eigenvalues
            gradient[t] = rates[t] * (adjoint @ slope)
            adjoint = adjoint * shrink**2
        return float(np.log(loss)), gradient


@lru_cache(maxsize=8)
def _task_of(problem: Quadratic) -> Task:
    eigenvalues = problem.eigenvalues.astype(np.float32)
    scale = np.sqrt(problem.noise * eigenvalues)

    def batches(seed: int, epoch: int) -> Any:
        rng = generator(seed, epoch, "quadratic", "gradient noise")
        return scale * rng.standard_normal((problem.steps_per_epoch, problem.dimension), np.float32)

    def clean_loss(weights: Any, _: Any) -> tuple[Any, Any]:
        loss = 0.5 * (eigenvalues * weights**2).sum()
        return loss, loss

    return Task(
        steps_per_epoch=problem.steps_per_epoch,
        initial=lambda _: np.ones(problem.dimension, np.float32),
        batches=batches,
        loss=lambda weights, noise: clean_loss(weights, None)[0] + (noise * weights).sum(),
        evaluate=clean_loss,
        monitor=(),
    )
