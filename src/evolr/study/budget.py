"""What a budget of trainings or of time leaves room for, and when a search has to race to end within it with a raced champion.

A race that is larger than a third of the budget is held smaller, by fewer finalists, rather than not at all. The generations that breed
go before the last ones, which tune the best structures on many trainings: those are the first to give way. A race that takes longer than it
was to ends with the heats that it has had by then.

Trainings that have processes of their own come in waves, of as many as train at once: four on three workers take as long as six.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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
class Remaining:
    """What the limits of a run leave: whole trainings and seconds from now on, and trainings in all; infinite without a limit.

    late: the seconds that a race may be late. each: seconds a training, 0 while nobody knows, so that a limit of time leaves room for
    whatever there is; at_once: see Pace.
    """

    trainings: float
    seconds: float
    whole: float
    late: float = 0.0
    each: float = 0.0
    at_once: int = 1

    @classmethod
    def within(cls, limits: Limits, *, trained: float, seconds: float, pace: Pace) -> Remaining:
        """What limits leave after so many whole trainings of the study and so many seconds of the run."""
        trainings = math.inf if limits.trainings is None else limits.trainings
        limit = math.inf if limits.seconds is None else limits.seconds
        whole = cls(trainings, limit, trainings, (_GRACE - 1) * limit, pace.seconds or 0.0, pace.at_once)
        return replace(whole, trainings=trainings - trained, seconds=limit - seconds, whole=whole.left)

    @property
    def left(self) -> float:
        """The trainings that there is room for, with caution."""
        return min(self._fitting(self.seconds / _CAUTION), self._in_waves(self.seconds))

    @property
    def at_best(self) -> float:
        """The trainings that there is room for, if they take no longer than those before, and may be late."""
        return self._in_waves(self.seconds + self.late)

    def _fitting(self, seconds: float) -> float:
        return min(self.trainings, seconds / self.each) if self.each and seconds < math.inf else self.trainings

    def _in_waves(self, seconds: float) -> float:
        """Those that fit into so many seconds; the last ones take a whole wave's time, however few they are."""
        fitting = self._fitting(seconds)
        return fitting if self.at_once == 1 or fitting == self.trainings else fitting // self.at_once * self.at_once

    def after(self, trainings: float) -> Remaining:
        """What is left after so many more."""
        waves = math.ceil(trainings / self.at_once) * self.at_once
        seconds = self.each * max(_CAUTION * trainings, waves)
        return replace(self, trainings=self.trainings - trainings, seconds=self.seconds - seconds)


def shortened(state: SearchState, remaining: Remaining) -> AnySearch | None:
    """The settings with which the search races now, in the place of its current generation, which has not begun; None if it goes on.

    It goes on if this generation and the race both fit, if nothing is there to race, and if not even the smallest race fits: then
    it ends as it can.
    """
    search, current = state.config.search, state.current
    if current is None or state.generation == 0 or not search.finalists:
        return None
    if state.is_race:
        is_fitting = race_trainings(search, len(current.population)) <= remaining.left
    else:
        is_fitting = reserve(search, remaining.whole) <= remaining.after(current.part * len(current.missing())).left
    if is_fitting:
        return None
    # A race that barely fits is better than none.
    finalists = finalists_within(search, remaining.left) or min(
        finalists_within(search, remaining.at_best), LEAST_FINALISTS
    )
    if not finalists:
        return None
    there_are = len(state.finalists(search.finalists))
    return search.ended_before(state.generation, min(finalists, there_are))


def reserve(search: AnySearch, whole: float) -> int:
    """The trainings that are kept for the race, of a budget of so many in all."""
    return race_trainings(search, kept_finalists(search, whole))


def kept_finalists(search: AnySearch, whole: float) -> int:
    """The finalists of the race for which trainings are kept, of a budget of so many in all; when it comes, it may have more."""
    return finalists_within(search, _RACES_PART * whole) or min(LEAST_FINALISTS, search.finalists)


def seconds_at_most(limits: Limits, *, is_race: bool, heat: Pace | None = None) -> float:
    """When a run has to end, whatever it is at; infinite without a limit of time.

    heat: the pace, if a heat of the race is under way: what trains in processes of its own may need one training's time more, with which
    the race ends, and without which it would have been for nothing.
    """
    if limits.seconds is None:
        return math.inf
    if not is_race:
        return limits.seconds
    return _GRACE * limits.seconds + (0.0 if heat is None else _CAUTION * heat.one)
