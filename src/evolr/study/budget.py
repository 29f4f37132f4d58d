"""What a budget of trainings or of time leaves room for, and when a search has to race to end within it with a raced champion.

A race that is larger than a third of the budget is held smaller, by fewer finalists, rather than not at all. The generations that breed
go before the last ones, which tune the best structures on many trainings: those are the first to give way. A race that takes longer than it
was to ends with the heats that it has had by then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from evolr.config import AnySearch
from evolr.search.evaluation import LEAST_FINALISTS, finalists_within, race_trainings
from evolr.study.pace import Pace
from evolr.study.results import Limits
from evolr.study.state import SearchState

_RACES_PART: Final = 1 / 3  # of the budget, that is kept for the race at most
_CAUTION: Final = 1.2  # times the pace: a heat's last trainings train alone, and the race's first load another pool
_GRACE: Final = 1.06  # times the seconds: until then a race that was to fit may go on


@dataclass(frozen=True, slots=True)
class Room:
    """Trainings that the limits of a run leave room for: from now on, and in all; infinite without a limit."""

    left: float
    whole: float

    @classmethod
    def within(cls, limits: Limits, *, trained: int, seconds: float, pace: Pace) -> Room:
        """The room that limits leave after so many trainings of the study and so many seconds of the run.

        A limit of time leaves what its pace says; all there is while that is not known.
        """
        left = whole = math.inf
        if limits.trainings is not None:
            left, whole = limits.trainings - trained, limits.trainings
        if limits.seconds is not None and pace.seconds:
            each = _CAUTION * pace.seconds
            left, whole = min(left, (limits.seconds - seconds) / each), min(whole, limits.seconds / each)
        return cls(left, whole)


def shortened(state: SearchState, room: Room) -> AnySearch | None:
    """The settings with which the search races now, in the place of its current generation, which has not begun; None if it goes on.

    It goes on if this generation and the race both fit, if nothing is there to race, and if not even the smallest race fits: then
    it ends as it can.
    """
    search, current = state.config.search, state.current
    if current is None or state.generation == 0 or not search.finalists:
        return None
    if state.is_race:
        is_fitting = race_trainings(search, len(current.population)) <= room.left
    else:
        is_fitting = len(current.missing()) + reserve(search, room.whole) <= room.left
    if is_fitting or not (finalists := finalists_within(search, room.left)):
        return None
    there_are = len(state.finalists(search.finalists))
    return search.ended_before(state.generation, min(finalists, there_are))


def reserve(search: AnySearch, whole: float) -> int:
    """The trainings that are kept for the race, of a budget of so many in all."""
    return race_trainings(search, kept_finalists(search, whole))


def kept_finalists(search: AnySearch, whole: float) -> int:
    """The finalists of the race for which trainings are kept, of a budget of so many in all; when it comes, it may have more."""
    return finalists_within(search, _RACES_PART * whole) or min(LEAST_FINALISTS, search.finalists)


def seconds_at_most(limits: Limits, *, is_race: bool) -> float:
    """When a run has to end, whatever it is at; infinite without a limit of time."""
    if limits.seconds is None:
        return math.inf
    return limits.seconds * (_GRACE if is_race else 1.0)
