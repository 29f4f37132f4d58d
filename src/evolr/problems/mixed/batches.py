"""What the kinds of `mixed` share: epochs of equally many steps, batches of different sizes in arrays of one, padded layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.problems.padding import at_size

STEPS: Final = 31
"""Of an epoch of each kind, whatever the size of its batches."""

LARGEST: Final = 64
"""The examples in the arrays of a batch; those beyond a task's batch size do not count."""

TRAINED: Final = STEPS * LARGEST
"""The examples of the pool that is trained on."""

JUDGED: Final = {"monitor": 512, "fitness": 1_024, "selection": 1_024, "test": 2_048}
"""The examples of the others."""


def mean_of(each: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """The loss (parameters, examples, task) that is the mean of `each`, which gives (examples,): of a batch's first
    examples, as many as the task's batches have; of all examples of another pool.
    """
    import jax
    import jax.numpy as jnp

    def of_batch(count: int, parameters: Any, batch: Any, task: Any) -> Any:
        values = each(parameters, jax.tree.map(lambda array: array[:count], batch), task)
        return jnp.where(jnp.arange(count) < task.batch_size, values, 0.0).sum() / task.batch_size

    def loss(parameters: Any, examples: Any, task: Any) -> Any:
        if len(jax.tree.leaves(examples)[0]) != LARGEST:
            return each(parameters, examples, task).mean()
        return at_size(of_batch, [LARGEST], [task.batch_size], parameters, examples, task)

    return loss


def layer(
    rng: np.random.Generator, sizes: tuple[int, int], widest: tuple[int, int], scale: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (inputs, outputs) and biases as torch.nn.Linear draws them, times a scale; zeros around them up to the widest
    layer, which stay zeros: they take part in nothing.
    """
    (inputs, outputs), bound = sizes, scale * sizes[0] ** -0.5
    weights, biases = np.zeros(widest, np.float32), np.zeros(widest[1], np.float32)
    weights[:inputs, :outputs] = rng.uniform(-bound, bound, sizes)
    biases[:outputs] = rng.uniform(-bound, bound, outputs)
    return weights, biases
