"""The kind `quadratic` of the problem `mixed`: the noisy quadratic model, its conditions drawn.

    loss(w) = ½ Σ λᵢ wᵢ²,    gradient = λ w + noise,    noiseᵢ ~ N(0, σ² λᵢ / batch size)

Noise averages out with the batch size, as an example's does (Zhang et al. 2019, «Which Algorithmic Choices Matter at Which
Batch Sizes?»). The score is the logarithm, to base 10, of the loss without noise in units of ½ Σ λᵢ.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed.batches import LARGEST, TRAINED, mean_of
from evolr.randomness import generator

_DIMENSION: Final = 32


class Task(NamedTuple):
    """What the compiled functions take of a task. noise: σ. eigenvalues: (32,)."""

    batch_size: np.int32
    noise: np.float32
    eigenvalues: NDArray[np.float32]


class NoisyQuadratic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform.

    curvature: the greatest eigenvalue. condition: how many times it is the least. noise: of an example's gradient, its
    standard deviation ÷ the root of the eigenvalue (σ). batch_sizes: of examples whose noise is averaged.
    """

    curvature: tuple[float, float] = (0.1, 10.0)
    condition: tuple[float, float] = (10.0, 1000.0)
    noise: tuple[float, float] = (0.03, 3.0)
    batch_sizes: tuple[int, int] = (8, 64)

    def __post_init__(self) -> None:
        bounds = {"curvature": (1e-6, 1e6), "condition": (1.0, 1e6), "noise": (1e-6, 1e6)}
        require_within(self, {**bounds, "batch_sizes": (1, LARGEST)}, "problem.quadratic.")

    def context(self, seed: int) -> Task:
        """The task of a seed."""
        rng = generator(seed, "mixed", "quadratic", "task")
        size, noise = whole(rng, self.batch_sizes), log_uniform(rng, self.noise)
        greatest, condition = log_uniform(rng, self.curvature), log_uniform(rng, self.condition)
        eigenvalues = np.geomspace(greatest, greatest / condition, _DIMENSION)
        return Task(np.int32(size), np.float32(noise), eigenvalues.astype(np.float32))

    def init(self, seed: int) -> Any:
        """The weights, standard normal."""
        return generator(seed, "mixed", "quadratic", "weights").standard_normal(_DIMENSION, np.float32)

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks; an epoch's noise adds up to nothing, and examples that judge have none."""
        half = generator("mixed", "quadratic", "noise").standard_normal((TRAINED // 2, _DIMENSION), np.float32)
        nothing = np.zeros((1, _DIMENSION), np.float32)
        judged = dict.fromkeys(("monitor", "fitness", "selection", "test"), nothing)
        return JaxProblem(
            init=self.init,
            loss=mean_of(_losses),
            metric=_log_loss,
            metric_name="log10 of the loss",
            higher_is_better=False,
            data={"train": np.concatenate([half, -half]), **judged},
            batch_size=LARGEST,
            context=self.context,
            name="quadratic",
        )


def _losses(weights: Any, noise: Any, task: Task) -> Any:
    """(examples,)."""
    import jax.numpy as jnp

    gradients = task.noise * jnp.sqrt(task.eigenvalues) * noise
    return 0.5 * (task.eigenvalues * weights**2).sum() + gradients @ weights


def _log_loss(weights: Any, _: Any, task: Task) -> Any:
    import jax.numpy as jnp

    return jnp.log10((task.eigenvalues * weights**2).sum() / task.eigenvalues.sum())
