"""The kind `cnn` of the problem `mixed`: a convolutional network on mnist1d."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed import mnist1d
from evolr.problems.mixed.batches import LARGEST, layer
from evolr.problems.mnist1d_data import CLASSES
from evolr.randomness import generator

_WINDOW: Final = 5  # samples that a convolution sees, every other place of them
_PLACES: Final = 10  # of 40, after two convolutions


class Cnn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform but for label_noise.

    channels: of each of two convolutions. batch_sizes. label_noise: the share of training labels that are wrong, uniform.
    input_scale: of the inputs. weight_scale: of the initial weights, in torch.nn.Linear's.
    """

    channels: tuple[int, int] = (4, 16)
    batch_sizes: tuple[int, int] = (8, 64)
    label_noise: tuple[float, float] = (0.0, 0.4)
    input_scale: tuple[float, float] = (0.3, 3.0)
    weight_scale: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        bounds = {"channels": (1, 256), "batch_sizes": (1, LARGEST), "label_noise": (0.0, 1.0)}
        bounds |= {"input_scale": (1e-3, 1e3), "weight_scale": (1e-3, 1e3)}
        require_within(self, bounds, "problem.cnn.")

    def context(self, seed: int) -> mnist1d.Task:
        """The task of a seed."""
        return mnist1d.task("cnn", seed, self)

    def init(self, seed: int) -> Any:
        """Two convolutions, each (window · inputs, outputs), and the last layer."""
        rng, most = generator(seed, "mixed", "cnn", "weights"), self.channels[1]
        first, second = whole(rng, self.channels), whole(rng, self.channels)
        scale = log_uniform(rng, self.weight_scale)
        deep, deep_biases = layer(rng, (_WINDOW * first, second), (_WINDOW * first, most), scale)
        padded = np.zeros((_WINDOW, most, most), np.float32)
        padded[:, :first] = deep.reshape(_WINDOW, first, most)  # a window's channels lie side by side
        last, biases = layer(rng, (_PLACES * second, CLASSES), (_PLACES * second, CLASSES), scale)
        spread = np.zeros((_PLACES, most, CLASSES), np.float32)
        spread[:, :second] = last.reshape(_PLACES, second, CLASSES)
        return [
            layer(rng, (_WINDOW, first), (_WINDOW, most), scale),
            (padded.reshape(-1, most), deep_biases),
            (spread.reshape(-1, CLASSES), biases),
        ]

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks."""
        return mnist1d.problem("cnn", self.init, self.context, _logits)


def _logits(parameters: Any, batch: mnist1d.Labelled, task: mnist1d.Task) -> Any:
    """(samples, classes)."""
    import jax.numpy as jnp

    first, second, (weights, biases) = parameters
    hidden = _convolved(first, task.input_scale * batch.inputs[:, :, None])
    hidden = _convolved(second, hidden)
    return jnp.reshape(hidden, (hidden.shape[0], -1)) @ weights + biases


def _convolved(layer: Any, values: Any) -> Any:
    """(samples, length, inputs) → (samples, length / 2, outputs), as a product of matrices: on a CPU's loops much faster than XLA's own."""
    import jax
    import jax.numpy as jnp

    weights, biases = layer
    padded = jnp.pad(values, ((0, 0), (2, 2), (0, 0)))
    windows = jnp.concatenate([padded[:, k : k + values.shape[1] : 2] for k in range(_WINDOW)], axis=2)
    return jax.nn.relu(windows @ weights + biases)
