"""A gated recurrent unit (Cho et al. 2014), as torch.nn.GRU computes it, padded to the widest state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def gates(
    rng: np.random.Generator, inputs: int, width: int, widest: int, scale: float
) -> dict[str, NDArray[np.float32]]:
    """What it is trained: of_input (inputs, 3, widest), of_state (widest, 3, widest), biases (2, 3, widest), uniform within
    scale/√width for the task's own width and zeros beyond. A place of the state beyond it stays 0.
    """
    bound = scale * width**-0.5
    found = {"of_input": (inputs, 3, widest), "of_state": (widest, 3, widest), "biases": (2, 3, widest)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in found.items()}
    arrays["of_input"][..., :width] = rng.uniform(-bound, bound, (inputs, 3, width))
    arrays["of_state"][:width, :, :width] = rng.uniform(-bound, bound, (width, 3, width))
    arrays["biases"][..., :width] = rng.uniform(-bound, bound, (2, 3, width))
    return arrays


def step(gates: Any, state: Any, value: Any) -> Any:
    """The next state (samples, widest), of the last one and a value (samples, inputs)."""
    import jax
    import jax.numpy as jnp

    inputs, widest = gates["of_input"].shape[0], gates["of_state"].shape[0]
    given = (value @ gates["of_input"].reshape(inputs, -1)).reshape(-1, 3, widest) + gates["biases"][0]
    kept = (state @ gates["of_state"].reshape(widest, -1)).reshape(-1, 3, widest) + gates["biases"][1]
    reset = jax.nn.sigmoid(given[:, 0] + kept[:, 0])
    update = jax.nn.sigmoid(given[:, 1] + kept[:, 1])
    candidate = jnp.tanh(given[:, 2] + reset * kept[:, 2])
    return (1 - update) * candidate + update * state
