"""The kind `regression` of the problem `mixed`: a network learns what another one computes, from noisy examples.

Each task has a teacher of its own, a network with random weights, and inputs that are spread more in some directions than in
others. The score is the logarithm, to base 10, of the mean squared error on examples without noise; the teacher's
variance is 1, so that 0 is what a constant reaches.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed.batches import JUDGED, LARGEST, TRAINED, layer, mean_of
from evolr.randomness import generator

_INPUTS: Final = 8
_TEACHER: Final = 8  # hidden units


class Examples(NamedTuple):
    """n examples. inputs: (n, 8), standard normal. noise: (n,), standard normal; 0 where they judge."""

    inputs: Any
    noise: Any


class Task(NamedTuple):
    """What the compiled functions take of a task. noise: its standard deviation. spread: (8,) of the inputs. hidden, out: the
    teacher's weights. middle: what its mean is, before it is taken off.
    """

    batch_size: np.int32
    noise: np.float32
    spread: NDArray[np.float32]
    hidden: NDArray[np.float32]
    out: NDArray[np.float32]
    middle: np.float32


class Regression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform.

    widths: of the one hidden layer. batch_sizes. noise: the standard deviation of what is added to the examples.
    condition: how many times the widest direction of the inputs is the narrowest. weight_scale: of the initial weights, in
    torch.nn.Linear's.
    """

    widths: tuple[int, int] = (8, 64)
    batch_sizes: tuple[int, int] = (8, 64)
    noise: tuple[float, float] = (0.03, 1.0)
    condition: tuple[float, float] = (1.0, 10.0)
    weight_scale: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        bounds = {"widths": (1, 1_024), "batch_sizes": (1, LARGEST), "noise": (1e-6, 1e3)}
        bounds |= {"condition": (1.0, 1e4), "weight_scale": (1e-3, 1e3)}
        require_within(self, bounds, "problem.regression.")

    def context(self, seed: int) -> Task:
        """The task of a seed."""
        rng = generator(seed, "mixed", "regression", "task")
        size, noise = whole(rng, self.batch_sizes), log_uniform(rng, self.noise)
        spread = np.geomspace(1.0, 1.0 / log_uniform(rng, self.condition), _INPUTS)
        spread *= _INPUTS**0.5 / np.linalg.norm(spread)
        hidden, out = rng.normal(0, _INPUTS**-0.5, (_INPUTS, _TEACHER)), rng.normal(size=_TEACHER)
        told = np.tanh(2 * (rng.standard_normal((4_096, _INPUTS)) * spread) @ hidden) @ out
        return Task(
            np.int32(size),
            np.float32(noise),
            spread.astype(np.float32),
            hidden.astype(np.float32),
            (out / told.std()).astype(np.float32),
            np.float32(told.mean() / told.std()),
        )

    def init(self, seed: int) -> Any:
        """Two layers."""
        rng, most = generator(seed, "mixed", "regression", "weights"), self.widths[1]
        width, scale = whole(rng, self.widths), log_uniform(rng, self.weight_scale)
        return [layer(rng, (_INPUTS, width), (_INPUTS, most), scale), layer(rng, (width, 1), (most, 1), scale)]

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks."""
        return JaxProblem(
            init=self.init,
            loss=mean_of(_errors),
            metric=_log_error,
            metric_name="log10 of the mean squared error",
            higher_is_better=False,
            data={pool: _examples(pool, count) for pool, count in {"train": TRAINED, **JUDGED}.items()},
            batch_size=LARGEST,
            context=self.context,
            name="regression",
        )


def _examples(pool: str, count: int) -> Examples:
    rng = generator("mixed", "regression", pool)
    inputs, noise = rng.standard_normal((count, _INPUTS), np.float32), rng.standard_normal(count, np.float32)
    return Examples(inputs, noise if pool == "train" else 0 * noise)


def _log_error(parameters: Any, examples: Examples, task: Task) -> Any:
    import jax.numpy as jnp

    return jnp.log10(_errors(parameters, examples, task).mean())


def _errors(parameters: Any, examples: Examples, task: Task) -> Any:
    """(examples,), squared."""
    import jax.numpy as jnp

    inputs = examples.inputs * task.spread
    told = jnp.tanh(2 * inputs @ task.hidden) @ task.out - task.middle + task.noise * examples.noise
    (weights, biases), (last, bias) = parameters
    found = jnp.tanh(inputs @ weights + biases) @ last + bias
    return (found[:, 0] - told) ** 2
