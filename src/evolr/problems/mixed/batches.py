"""What the kinds of `mixed` share: epochs of equally many steps, batches of different sizes in arrays of one, padded layers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STEPS: Final = 31
"""Of an epoch of each kind, whatever the size of its batches."""

LARGEST: Final = 64
"""The examples in the arrays of a batch; those beyond a task's batch size do not count."""

TRAINED: Final = STEPS * LARGEST
"""The examples of the pool that is trained on."""

JUDGED: Final = {"monitor": 512, "fitness": 1_024, "selection": 1_024, "test": 2_048}
"""The examples of the others."""


def mean(each: Any, batch_size: Any) -> Any:
    """The mean over a batch's first examples, as many as the task's batches have; over all examples of another pool."""
    import jax.numpy as jnp

    count = each.shape[0]
    if count != LARGEST:
        return each.mean()
    return jnp.where(jnp.arange(count) < batch_size, each, 0.0).sum() / batch_size


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
