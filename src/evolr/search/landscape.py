"""What few trainings say of all schedules: a Gaussian process over what schedules do.

Rasmussen and Williams 2006, «Gaussian Processes for Machine Learning», chapters 2 and 5. Its points are behaviours
(behaviour.py), so that what one formula scored tells of others that do alike, whatever their text: a learning rate that is
too high for one structure is too high for most.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from evolr.search.behaviour import LEVEL
from evolr.search.symmetric import backward, factored, forward

_LEVELS: Final = (0.25, 0.5, 1.0)  # decades, length scales of the level
_SHAPES: Final = (0.2, 0.4, 0.8)  # decades, of the shape and the feedback
_NOISES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)  # variance of a training's luck, in units of the signal's
_LUCKS: Final = (0.0, 0.1, 0.5)  # variance of what all trainings of a generation share, in the same units
_TYPICAL: Final = (0.5, 0.4, 0.2, 0.1)
_DOUBT: Final = 1.5  # nats of the logarithm's deviation: how far from typical the scales may be
_FITTED: Final = 256  # points at most that scales, noise and luck are fitted to: evenly of all
_WORST: Final = ((0.5, 2.0), (0.75, 8.0), (0.875, 32.0))
"""Quantiles of the fitness, and how many times as far below them as the best is above them a fitness counts. The first is the middle; the others are
for a search half of whose formulas or more were worse by orders of magnitude, and say nothing of the scale of the good ones.
"""

_FEW: Final = 20  # trainings; of more, a fitness counts less far down, since the more there are, the finer are the differences at the top

_ALIKE: Final = 1e-12  # what differs by less, of itself, differs by rounding

Array = NDArray[np.float64]


class Landscape:
    """The posterior of fitness over behaviours, from (n, d) behaviours, their fitness (n,), and the generation of each (n,).

    −∞ counts as the worst fitness that there is. `fitness` is in units of its spread.
    """

    def __init__(self, behaviours: Array, fitness: Array, generations: NDArray[np.int64]) -> None:
        y = levelled(fitness)
        self._points = behaviours
        self._prior = float(np.quantile(y, 0.25))
        some = np.unique(np.linspace(0, len(y) - 1, min(len(y), _FITTED)).round().astype(int))
        scales, noise, luck = _fitted(behaviours[some], y[some] - self._prior, generations[some])
        self._scales, self.noise, self.luck = scales, noise, luck
        covariance = _covariance(self._similarity(behaviours, behaviours), generations, noise, luck)
        self._factor, whitened, self._variance = _solved(covariance, y - self._prior)
        self._weights = backward(self._factor, whitened)

    def mean(self, behaviours: Array) -> Array:
        return self._expected(self._similarity(behaviours, self._points))

    def _expected(self, across: Array) -> Array:
        """The mean of what is so similar (m, n) to the points."""
        return self._prior + np.einsum("ij,j->i", across, self._weights)

    def posterior(self, behaviours: Array) -> tuple[Array, Array]:
        """Mean (m,) and covariance (m, m) of the fitness of behaviours, without luck."""
        across = self._similarity(behaviours, self._points)
        whitened = forward(self._factor, across)
        covariance = self._similarity(behaviours, behaviours) - np.einsum("ik,jk->ij", whitened, whitened)
        return self._expected(across), self._variance * covariance

    def _similarity(self, a: Array, b: Array) -> Array:
        return _kernel(_squared_distances(a, b), self._scales)

    def most_improving(self, behaviours: Array, best: float, count: int) -> list[int]:
        """The numbers of `count` behaviours whose expected improvement on `best` is greatest, one after another.

        Each is weighed by how much of what it is worth a single training shows; after each, the process is what it would be
        if that one had scored what is expected of it.
        """
        mean, covariance = self.posterior(behaviours)
        noise, chosen = self._variance * self.noise, list[int]()
        for _ in range(count):
            spread = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
            above = (mean - best) / spread
            improvement = spread * (above * ndtr(above) + np.exp(-(above**2) / 2) / np.sqrt(2 * np.pi))
            worth = improvement * spread / np.sqrt(spread**2 + noise)
            worth[chosen] = -np.inf
            chosen.append(int(np.argmax(worth)))
            column = covariance[:, chosen[-1]]
            covariance = covariance - np.outer(column, column) / (column[chosen[-1]] + noise)
        return chosen


def _fitted(
    behaviours: Array, above: Array, generations: NDArray[np.int64]
) -> tuple[tuple[float, float], float, float]:
    """The scales of level and shape, the noise and the luck that are most likely, of a grid. above: fitness, less the prior's."""
    distances = _squared_distances(behaviours, behaviours)
    best, found = -np.inf, ((_LEVELS[0], _SHAPES[0]), _NOISES[0], _LUCKS[0])
    lucks = list(product(_NOISES, _LUCKS))
    for scales in product(_LEVELS, _SHAPES):
        kernel = _kernel(distances, scales)
        covariances = np.stack([_covariance(kernel, generations, noise, luck) for noise, luck in lucks])
        factors, _, variances = _solved(covariances, above)
        determinants = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)
        likelihoods = -0.5 * len(above) * np.log(variances) - determinants
        for (noise, luck), of_data in zip(lucks, likelihoods, strict=True):
            drawn = zip((*scales, noise, max(luck, 0.03)), _TYPICAL, strict=True)
            likelihood = of_data - sum((np.log(value / typical) / _DOUBT) ** 2 / 2 for value, typical in drawn)
            if likelihood > best:
                best, found = likelihood, (scales, noise, luck)
    return found


def _covariance(kernel: Array, generations: NDArray[np.int64], noise: float, luck: float) -> Array:
    """Of what the trainings scored: the kernel, and what each has of its own and shares with its generation."""
    same = generations[:, None] == generations[None, :]
    return kernel + luck * same + (noise + 1e-6) * np.eye(len(kernel))


def _solved(covariance: Array, above: Array) -> tuple[Array, Array, Any]:
    """The Cholesky factor of a covariance, or of several, what is above the prior in its terms, and the variance that makes that most likely."""
    factor = factored(covariance)
    whitened = forward(factor, above)
    return factor, whitened, (whitened**2).mean(axis=-1) + 1e-9


def levelled(fitness: Array) -> Array:
    """Fitness with the worst of it cut off, in units of its spread: cliffs say little of hilltops."""
    finite = fitness[np.isfinite(fitness)]
    if not len(finite):
        return np.zeros(len(fitness))
    # To the size of the best ones: a power of two changes no bit, huge values would overflow below, and those that do so now are the worst.
    size = -int(np.frexp(np.abs(finite[finite >= np.quantile(finite, _WORST[-1][0], method="higher")]).max())[1])
    with np.errstate(over="ignore", under="ignore"):
        fitness = np.ldexp(fitness, size)
    finite = fitness[np.isfinite(fitness)]
    best = float(finite.max())
    depth = min(1.0, (_FEW / len(fitness)) ** 0.5)
    quantiles = ((float(np.quantile(finite, part)), depth * times) for part, times in _WORST)
    below = [q - times * (best - q) for q, times in quantiles if best - q > _ALIKE * abs(best)]
    y = np.maximum(np.where(np.isfinite(fitness), fitness, -np.inf), max(below, default=float(finite.min()) - 1))
    above, spread = y - y.mean(), float(y.std())
    return above / spread if spread > _ALIKE * float(np.abs(y).max()) else np.zeros(len(y))


def _squared_distances(a: Array, b: Array) -> tuple[Array, Array]:
    """Of the level, and of the shape and the feedback together, each (n, m)."""
    squared = (a[:, None, :] - b[None, :, :]) ** 2
    return squared[:, :, :LEVEL].sum(axis=2), squared[:, :, LEVEL:].sum(axis=2)


def _kernel(squared: tuple[Array, Array], scales: tuple[float, float]) -> Array:
    """Matérn 5/2 (Rasmussen and Williams 2006, eq. 4.17), of distances in units of the scales of level and shape."""
    level, shape = squared
    distance = np.sqrt(5 * (level / scales[0] ** 2 + shape / scales[1] ** 2))
    return (1 + distance + distance * distance / 3) * np.exp(-distance)
