"""What every search method is: it makes populations, and learns from their evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evolr.config import AnySearch, BayesianSearch, GenerationalSearch, MemeticSearch
from evolr.errors import StudyError
from evolr.search.individual import Evaluation, Individual


class Method(Protocol):
    """A search, as a function of its settings, a seed and what it was told.

    Populations are asked for and their evaluations told in turn. No other state decides: told the same evaluations, it
    makes the same populations, so a study goes on by telling a new one all that came before.
    """

    @property
    def reuses_scores(self) -> bool:
        """Whether a formula that was trained in an earlier generation keeps its score, and is not trained again."""
        ...

    def population(self) -> list[Individual]:
        """The next population."""
        ...

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Takes up the evaluations of the population, in its order."""
        ...

    def recall(self, population: Sequence[Individual]) -> None:
        """Takes a population that another of its kind made, in the place of its own next one.

        Raises StudyError where it could not have been made by these settings.
        """
        ...

    def finalists(self, count: int) -> list[Evaluation]:
        """The most promising individuals so far, at most `count`, the best first; for the race at the search's end."""
        ...


def not_made_so(generation: int) -> StudyError:
    """What `recall` raises for a generation that its method would not have made."""
    return StudyError(
        f"generation {generation} is not what this search makes of those before it: another version of evolr, or another "
        "program, made it; go on with that one"
    )


def method_of(search: AnySearch, seed: int, *, draws_tasks: bool = False) -> Method:
    """The method that a configuration names. draws_tasks: whether each generation meets other tasks; see Problem."""
    match search:
        case MemeticSearch():
            from evolr.search.memetic import Memetic

            return Memetic(search, seed, draws_tasks=draws_tasks)
        case BayesianSearch():
            from evolr.search.bayesian import Bayesian

            return Bayesian(search, seed)
        case GenerationalSearch():
            from evolr.search.evolution import Generational

            return Generational(search, seed)
