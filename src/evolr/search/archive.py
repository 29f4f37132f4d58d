"""What a search has learnt: evaluations by formula, the champion, and the hall of fame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np

from evolr.expression import Expression
from evolr.search.individual import Evaluation, Individual
from evolr.signal_bank import Span, signal_bank

_FINGERPRINT_DIGITS = 10
_KNEE_HEIGHT = 0.5  # the least height of a knee, where the front's worst is 0 and its best is 1


class KnownEvaluations:
    """The evaluations so far, found again by a formula's tokens or by its values.

    own: the signals of the user's own, and where they lie.
    """

    def __init__(self, own: tuple[Span, ...] = ()) -> None:
        self.own = own
        self._by_text: dict[Expression, Evaluation] = {}
        self._by_values: dict[bytes, Evaluation] = {}

    def add(self, evaluation: Evaluation) -> None:
        expression = evaluation.individual.expression
        self._by_text.setdefault(expression, evaluation)
        self._by_values.setdefault(fingerprint(expression, self.own), evaluation)

    def find(self, individual: Individual) -> Evaluation | None:
        """The evaluation that an individual inherits, None for a new formula."""
        if known := self._by_text.get(individual.expression):
            source = "same text"
        elif known := self._by_values.get(fingerprint(individual.expression, self.own)):
            source = "same values"
        else:
            return None
        return replace(known, individual=individual, source=source, known_from=known.individual.place)


@lru_cache(maxsize=8_192)
def fingerprint(expression: Expression, own: tuple[Span, ...] = ()) -> bytes:
    """The values of a formula on a fixed bank of signals, to 10 significant digits.

    Formulas with one fingerprint are taken to be one function: x + x and 2·x, say. own: the signals of the user's own, and
    where they lie.
    """
    bank = signal_bank(own)
    values = np.broadcast_to(expression(bank), bank["step"].shape)
    return (_written(len(values)) % tuple((values + 0.0).tolist())).encode()


@cache
def _written(count: int) -> str:
    """The form of so many values; all at once, since this takes a third of the time to go on with a long search."""
    return " ".join([f"%.{_FINGERPRINT_DIGITS - 1}e"] * count)


def champion(evaluations: Iterable[Evaluation]) -> Evaluation:
    """The fittest; of equals the smallest, then the earliest."""
    return min(evaluations, key=_rank)


def hall_of_fame(evaluations: Iterable[Evaluation], least: float = -math.inf) -> list[Evaluation]:
    """The fittest of each size that is fitter than everything smaller, and than `least`, by size."""
    front: list[Evaluation] = []
    for evaluation in sorted(evaluations, key=lambda e: (e.individual.expression.size, *_rank(e))):
        if evaluation.fitness > (front[-1].fitness if front else least):
            front.append(evaluation)
    return front


def knee(sizes: Sequence[int], fitness: Sequence[float]) -> int:
    """The place on a front, by size, beyond which size buys little: of those at least half-way up from its worst to its
    best, the one that is furthest above the line from its smallest to its fittest. The last finite one of a front of
    fewer than three.

    Half-way up, since a tiny formula no better than chance may be far above that line too.
    Raises ValueError for an empty front.
    """
    if not sizes:
        raise ValueError("an empty front has no knee")
    finite = [place for place, value in enumerate(fitness) if np.isfinite(value)]
    if len(finite) < 3:
        return finite[-1] if finite else len(sizes) - 1
    x, y = (np.array([values[place] for place in finite], np.float64) for values in (sizes, fitness))
    gained = y.max() - y.min()
    if gained <= 0:
        return finite[0]
    height = (y - y.min()) / gained
    above = np.where(height >= _KNEE_HEIGHT, height - (x - x[0]) / (x[-1] - x[0]), -np.inf)
    return finite[int(above.argmax())]


def _rank(evaluation: Evaluation) -> tuple[float, int, int, int]:
    individual = evaluation.individual
    generation, slot = individual.place
    return -evaluation.fitness, individual.expression.size, generation, slot
