"""Tasks of different sizes in arrays of one size: what is computed is computed at the least size that holds the task.

One program trains the narrow networks and the wide ones of a suite, small batches and large ones, since all have the same
shapes, padded with what takes no part. Most of the arithmetic would be on padding, so a program has a branch for each of a
few sizes, and a task takes the least that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

_LEAST: Final = 16  # below it, smaller arrays are no faster


def sizes_to(most: int) -> list[int]:
    """The powers of two from 16 on that are less than the greatest size, and that one."""
    return [1 << k for k in range(_LEAST.bit_length() - 1, (most - 1).bit_length()) if 1 << k < most] + [most]


def at_size(most: int, needed: Any, compute: Callable[[int], Any]) -> Any:
    """compute(size), where size is the least of `sizes_to(most)` that is not below `needed`, a traced whole number.

    compute takes the size as a Python number, and cuts its arrays to it; its result has one shape, whatever the size.
    Where a device trains networks all at once, branches would all be computed, so there it is compute(most).
    """
    import jax
    import jax.numpy as jnp

    sizes = sizes_to(most)
    if len(sizes) == 1:
        return compute(most)
    place = (needed > jnp.array(sizes[:-1])).sum()
    branches = [partial(compute, size) for size in sizes]
    return jax.lax.platform_dependent(cpu=lambda: jax.lax.switch(place, branches), default=branches[-1])
