"""An individual and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from evolr.expression import Expression


class Place(NamedTuple):
    """Where an individual stands: the key of everything that is drawn for it."""

    generation: int
    slot: int

    def __str__(self) -> str:
        return f"{self.generation}.{self.slot}"


@dataclass(frozen=True, slots=True)
class Individual:
    """A formula in a population.

    operator: how it was made: `initial`, `elite`, `copy`, or the name of a genetic operator.
    parents: none, one or two. oversize: whether the child that the operator made was beyond the limits, so that
    this is a copy of its first parent.
    """

    place: Place
    expression: Expression
    operator: str
    parents: tuple[Place, ...] = ()
    oversize: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an individual was found to be worth.

    fitness: greater is better; −∞ where a training diverged. score: in the problem's own metric, NaN where diverged.
    source: whether it was trained, or its worth was known of an earlier individual with the same text or with
        the same values; `known_from` is that individual's place.
    """

    individual: Individual
    fitness: float
    score: float
    source: Literal["trained", "same text", "same values"] = "trained"
    known_from: Place | None = None
