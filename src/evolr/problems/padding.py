"""Tasks of different sizes in arrays of one size: what is computed is computed at the least size that holds the task.

One program trains the narrow networks and the wide ones of a suite, small batches and large ones, since all have the same
shapes, padded with what takes no part. Most of the arithmetic would be on padding, so a program has a branch for each of a
few sizes, and a task takes the least that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any


def sizes_to(most: int) -> list[int]:
    """A quarter of the greatest size, a half, and that one: more sizes cost more to compile than they save."""
    return sorted({-(-most // 4), -(-most // 2), most})


def at_size(
    compute: Callable[..., Any], most: Sequence[int], needed: Sequence[Any], parameters: Any, *given: Any
) -> Any:
    """compute(*sizes, parameters, *given), each size the least of `sizes_to(most)` that is not below what is needed.

    most: the greatest sizes, Python's numbers. needed: whole numbers, traced ones too. compute takes sizes as Python's
    numbers and cuts its arrays to them; its result has the same shape for all sizes. It must close over nothing that is
    traced. A scalar can be differentiated by the parameters, and by these alone.

    Where a device trains networks all at once, all branches would be computed, so there it is compute(*most, …).
    """
    import jax
    import jax.numpy as jnp

    grid = [sizes_to(each) for each in most]
    place = jnp.int32(0)
    for sizes, need in zip(grid, needed, strict=True):
        place = place * len(sizes) + sum(jnp.int32(need > size) for size in sizes[:-1])

    def taken(branch: Callable[..., Any], place: Any, *arguments: Any) -> Any:
        """branch(sizes)(*arguments) for the sizes at this place of the grid."""
        branches = [branch(sizes) for sizes in product(*grid)]
        return jax.lax.platform_dependent(
            place,
            *arguments,
            cpu=lambda place, *arguments: jax.lax.switch(place, branches, *arguments),
            default=lambda _, *arguments: branches[-1](*arguments),
        )

    @jax.custom_vjp
    def result(place: Any, parameters: Any, *given: Any) -> Any:
        return taken(lambda sizes: partial(compute, *sizes), place, parameters, *given)

    def forward(place: Any, parameters: Any, *given: Any) -> Any:
        # Within the branch: what is kept for a gradient has other shapes in each, and all of these would be kept for one.
        return taken(lambda sizes: jax.value_and_grad(partial(compute, *sizes)), place, parameters, *given)

    def backward(gradient: Any, of_result: Any) -> tuple[Any, ...]:
        return (None, jax.tree.map(lambda array: of_result * array, gradient), *[None] * len(given))

    result.defvjp(forward, backward)
    return result(place, parameters, *given)
