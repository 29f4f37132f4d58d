"""What ends a search, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass

from evolr.schedule import Schedule
from evolr.search.individual import Evaluation


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a search before its last generation, cleanly. seconds: of this call. trainings: of the study in all.
    target: a score, in the problem's metric, that the champion reaches.

        evolr.evolve(train, "runs/mine", evolr.Limits(trainings=200), epochs=10)
    """

    seconds: float | None = None
    trainings: int | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """What there is to tell after a generation. Fitness is greater for the better.

    trainings, training_seconds, seconds: of this call of `run`; generations_done: by it. champion: the best so far; its
    score is NaN where every training diverged.
    """

    generation: int
    generations: int
    generations_done: int
    best: float
    median: float
    champion: Evaluation
    trainings: int
    training_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search has found so far.

    schedule, champion: the best so far, of the first generation by the trials there are; None where nothing was trained, and
        where every training diverged.
    is_raced: whether the champion won the race of the finalists, on fresh seeds; False where the search stopped before it,
        or holds none. A champion that is not raced may owe its score to the luck of a few trainings.
    stopped_by: why it stopped before its last generation, None where it did not. trainings: in all. seconds: wall time
    of this call; training_seconds: the part of it spent in training, compiling and loading.
    """

    schedule: Schedule | None
    champion: Evaluation | None
    is_raced: bool
    hall_of_fame: list[Evaluation]
    history: list[Evaluation]
    stopped_by: str | None
    trainings: int
    seconds: float
    training_seconds: float
