"""Equations with symmetric matrices, to the same bits whatever library for linear algebra there is, and however many threads it has.

A threaded library adds up in another order with another number of threads, so that what is bred by its last bits would depend on the
machine's cores; and for some hundred rows its threads may wait for one another longer than they compute. NumPy's einsum calls no such
library, unless it is asked to `optimize`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def factored(matrices: Array) -> Array:
    """The lower factors L of positive definite matrices L Lᵀ (…, n, n): Cholesky's, column by column (Golub and Van Loan 2013, 4.2.5)."""
    factors = np.zeros_like(matrices)
    for k in range(matrices.shape[-1]):
        rows = factors[..., k:, :k]
        column = matrices[..., k:, k] - np.einsum("...ij,...j->...i", rows, rows[..., 0, :])
        factors[..., k:, k] = column / np.sqrt(column[..., :1])
    return factors


def forward(factors: Array, right: Array) -> Array:
    """The x of L x = right, for lower factors L (…, n, n) and right sides (…, n); there may be many of one, or one of many."""
    x = np.broadcast_to(right, np.broadcast_shapes(right.shape, factors.shape[:-1])).copy()
    for k in range(x.shape[-1]):
        known = np.einsum("...j,...j->...", factors[..., k, :k], x[..., :k])
        x[..., k] = (x[..., k] - known) / factors[..., k, k]
    return x


def backward(factor: Array, right: Array) -> Array:
    """The x of Lᵀ x = right, for a lower factor L (n, n) and a right side (n,)."""
    x = right.copy()
    for k in reversed(range(len(x))):
        x[k] /= factor[k, k]
        x[:k] -= x[k] * factor[k, :k]
    return x
