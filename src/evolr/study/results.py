"""What ends a search, and what it tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from evolr.config import Config
from evolr.errors import ConfigError, count, is_finite, printable, shortened, shown
from evolr.ranges import TRAININGS
from evolr.schedule import Schedule
from evolr.search.individual import Evaluation


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a search before its last generation. seconds: of this call, the start of its workers included. trainings: of the study in
    all. target: a score, in the problem's metric, that the champion reaches.

        evolr.evolve(train, "runs/mine", evolr.Limits(trainings=200), epochs=10)

    A shorter training (`search.horizon`) counts as the part of a whole one that it is.

    Seconds and trainings are budgets, in which a race of the finalists has its part: the search breeds as many generations as leave
    time for it, then races, by fewer finalists if the race is larger than a third of the budget, and is over. A budget too short for
    the first generation and a race of two ends the search without one, as a target does; it can go on then. So it can after a later call on a
    study that has trained already, whose seconds end that call alone.

    Raises ConfigError for a limit that is none.
    """

    seconds: float | None = None
    trainings: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not (
            (is_finite(self.seconds) or self.seconds == math.inf) and self.seconds > 0
        ):
            raise ConfigError(f"a limit of seconds must be a number greater than 0, got {shown(self.seconds)}")
        if self.trainings is not None:
            TRAININGS.of("a limit of trainings", self.trainings)
        if self.target is not None and not is_finite(self.target):
            raise ConfigError(f"a target must be a finite number, got {shown(self.target)}")


def generation_text(number: int, bred: int) -> str:
    """A generation by its number, from 0, and which one it is of all that breed."""
    return f"generation {number} ({number + 1} of {bred})"


def trainings_text(trainings: int, whole: int) -> str:
    """A number of trainings in words; whole: what they count as, where some are shorter."""
    return count(trainings, "training") + (f", which count as {whole:,}" if whole < trainings else "")


@dataclass(frozen=True, slots=True)
class TrialReport:
    """A training that has just landed.

    generation: its number, from 0; the race has one too. schedule: what it trained under; `str(report.schedule.expression)` is the
    formula. pool: whose examples judged it, `fitness`, of the race `selection`. score: in the problem's metric, NaN if it diverged or
    failed. seconds: of this training, if it had a process of its own; None if many trained at once. failure: why it failed, None
    if it did not. trainings: of the study so far, this one included.
    """

    generation: int
    slot: int
    schedule: Schedule
    seed: int
    pool: str
    score: float
    seconds: float | None
    diverged: bool
    failure: str | None
    trainings: int


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """What there is to tell after a generation. Fitness is greater for the better.

    trainings, training_seconds, seconds: of this call of `run`; generations_done: by it. champion: the best so far; its
    score is NaN where every training diverged. is_race: whether the generation was the race. seconds_left: until the search's end, the
    race included, about; None while nobody knows.
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
    is_race: bool = False
    seconds_left: float | None = None

    @property
    def has_champion(self) -> bool:
        """Whether anything has trained to a score yet."""
        return not math.isnan(self.champion.score)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a search has before it.

    generation: the current one, from 0; generations: of the search in all, the race included. racing: finalists in the current heat,
        0 outside the race. due: trainings that the current generation, or heat, lacks; epochs: of each of these, and part: what of a whole
        training it is. All other trainings are whole ones: shorter ones are counted by their part.
    finalists, race_trainings: of the race at the end, of a budget those that it keeps room for; 0 if there is none. No race_trainings, but
        finalists: a limit of time ends this call before the race.
    trainings: of the study so far. expected: in all, about, what a budget leaves no room for left out. is_at_most: whether a limit of time
        may leave out some of them, and finalists, since nobody knows yet how long a training takes.
    seconds_left: until the end, about; None until trainings have landed after those that were begun first, whose time has loading and
        compiling in it.
    """

    generation: int
    generations: int
    racing: int
    due: int
    epochs: int
    part: float
    finalists: int
    race_trainings: int
    trainings: int
    expected: int
    seconds_left: float | None
    is_at_most: bool = False

    @property
    def bred(self) -> int:
        """The generations of the search without its race."""
        return self.generations - (self.finalists > 0)


@dataclass(frozen=True, slots=True, repr=False)
class SearchResult:
    """What a search has found so far.

    schedule, champion: the best so far, of the first generation by the trials there are; None where nothing was trained, and
        where every training diverged.
    is_raced: whether the champion won the race of the finalists, on fresh seeds; False where the search stopped before it,
        or holds none. A champion that is not raced may owe its score to the luck of a few trainings.
    before_race: the champion that there was before the race; None without a race.
    stopped_by: why it stopped before its last generation, None where it did not. trainings: in all, each counted as one; whole_trainings: shorter
    ones counted by their part, if anybody counted. seconds: wall time
    of this call; training_seconds: the part of it spent in training, compiling and loading. config, directory: of the study.
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
    config: Config
    directory: Path
    before_race: Evaluation | None = None
    whole_trainings: int | None = None

    @property
    def trainings_text(self) -> str:
        """How many trainings, in words."""
        return trainings_text(self.trainings, self.trainings if self.whole_trainings is None else self.whole_trainings)

    def __repr__(self) -> str:
        metric = self.config.problem.metric
        found = "no champion" if self.champion is None else f"{metric.name} {metric.text(self.champion.score)}"
        formula = "" if self.schedule is None else f" by {shortened(str(self.schedule), 200)}"
        return printable(f"<SearchResult: {found}{formula}; {self.trainings_text} in {self.directory}>")

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import search_html

        return search_html(self)
