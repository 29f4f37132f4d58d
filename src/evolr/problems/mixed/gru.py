"""The kind `gru` of the problem `mixed`: a gated recurrent unit that reads mnist1d eight values at a time."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from evolr.problems.distributions import log_uniform, require_within, whole
from evolr.problems.jax_problem import JaxProblem
from evolr.problems.mixed import mnist1d
from evolr.problems.mixed.batches import LARGEST, layer
from evolr.problems.mixed.recurrent import gates, step
from evolr.problems.mnist1d_data import CLASSES
from evolr.randomness import generator

_AT_ONCE: Final = 8  # values of the 40 that it reads in a step


class Gru(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its tasks are drawn from; pairs, the least value and the greatest, log-uniform but for label_noise.

    widths: of its state. batch_sizes. label_noise: the share of training labels that are wrong, uniform. input_scale: of the
    inputs. weight_scale: of the initial weights, in torch.nn.GRU's.
    """

    widths: tuple[int, int] = (8, 32)
    batch_sizes: tuple[int, int] = (8, 64)
    label_noise: tuple[float, float] = (0.0, 0.3)
    input_scale: tuple[float, float] = (0.3, 3.0)
    weight_scale: tuple[float, float] = (0.7, 2.0)

    def __post_init__(self) -> None:
        bounds = {"widths": (1, 256), "batch_sizes": (1, LARGEST), "label_noise": (0.0, 1.0)}
        bounds |= {"input_scale": (1e-3, 1e3), "weight_scale": (1e-3, 1e3)}
        require_within(self, bounds, "problem.gru.")

    def context(self, seed: int) -> mnist1d.Task:
        """The task of a seed."""
        return mnist1d.task("gru", seed, self)

    def init(self, seed: int) -> Any:
        """Its gates, and the last layer."""
        rng, most = generator(seed, "mixed", "gru", "weights"), self.widths[1]
        width, scale = whole(rng, self.widths), log_uniform(rng, self.weight_scale)
        last = layer(rng, (width, CLASSES), (most, CLASSES), scale)
        return {"gates": gates(rng, _AT_ONCE, width, most, scale), "last": last}

    def problem(self) -> JaxProblem:
        """The problem that makes its tasks."""
        return mnist1d.problem("gru", self.init, self.context, _logits)


def _logits(parameters: Any, batch: mnist1d.Labelled, task: mnist1d.Task) -> Any:
    """(samples, classes), of the state after the last step."""
    import jax
    import jax.numpy as jnp

    count, (weights, biases) = batch.inputs.shape[0], parameters["last"]
    pieces = (task.input_scale * batch.inputs).reshape(count, -1, _AT_ONCE).swapaxes(0, 1)
    start = jnp.zeros((count, weights.shape[0]))
    state, _ = jax.lax.scan(lambda state, piece: (step(parameters["gates"], state, piece), None), start, pieces)
    return state @ weights + biases
