"""How long a training takes, with all that train at once, as a search measures it while it runs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from statistics import median
from typing import Final

_WAVE: Final = 0.25  # of what the first training took, after it landed: what lands by then was begun with it
_OVERLAP: Final = 0.1
"""The part of a training that lies beside another one where both train at once: some of it is the way to here and back."""


class Pace:
    """Seconds that trainings take, of a run that has just begun.

    What is told counts from the run's beginning: wall seconds, and trainings of this run. known: the pace of earlier runs of the
    same study, None where nobody knows.

    Until the first trainings have landed, a run loads and compiles, or starts its workers, so that first wave is left out as soon as
    there is more. Later generations are told as wholes, with what lies between them: the pace is then their median or that
    of the latest, whichever is slower, since a machine may have got other work.

    at_once: the most trainings that were seen to train beside one another, each in a process of its own; 1 where many train as one. They come
    in waves of so many: a generation of one takes as long as a whole wave.
    """

    def __init__(self, known: float | None = None) -> None:
        self._known = known
        self._wave_until: float | None = None  # when the first wave is over
        self._wave = (0.0, 0)  # the latest of it
        self._longest = 0.0  # of its trainings, if they had processes of their own
        self._latest = (0.0, 0)
        self._end: tuple[float, int] | None = None  # of the latest generation
        self._generations: list[tuple[float, int]] = []  # seconds and trainings of each
        self._ends: list[float] = []  # of trainings in processes of their own
        self.at_once = 1

    def landed(self, seconds: float, trainings: int, own: Sequence[float] = ()) -> None:
        """Trainings have landed: so many so far. own: the seconds of each of those, if they had processes of their own."""
        if self._wave_until is None:
            self._wave_until = seconds + _WAVE * max(own, default=seconds)
        if seconds <= self._wave_until:
            self._wave = (seconds, trainings)
            self._longest = max(self._longest, *own, 0.0)
        self._latest = (seconds, trainings)
        for taken in own:
            begin = seconds - (1 - _OVERLAP) * taken
            self.at_once = max(self.at_once, 1 + len(self._ends) - bisect_right(self._ends, begin))
            self._ends.append(seconds)

    def finished(self, seconds: float, trainings: int) -> None:
        """A generation is at its end. The first that a run ends may have begun in an earlier one, and has its loading in it."""
        if self._end is not None and trainings > self._end[1]:
            self._generations.append((seconds - self._end[0], trainings - self._end[1]))
        self._end = (seconds, trainings)

    @property
    def seconds(self) -> float | None:
        """Seconds a training, in whole waves; None while nothing has landed and nobody knows. Until `is_settled` it is too long."""
        wave = self._wave_seconds
        return None if wave is None else wave / self.at_once

    @property
    def one(self) -> float:
        """Seconds from the beginning of a training to its end, if it has a process of its own; 0 otherwise, and while none has landed."""
        return (self._wave_seconds or 0.0) if self._ends else 0.0

    @property
    def _wave_seconds(self) -> float | None:
        if self._generations:
            waves = [seconds / self._waves(trainings) for seconds, trainings in self._generations]
            return max(median(waves), waves[-1])
        (begin, before), (end, after) = self._wave, self._latest
        if after > before:
            return (end - begin) / self._waves(after - before)
        if self._known:
            return self._known * self.at_once
        if not after:
            return None
        return self._longest or end / self._waves(after)  # the latter with loading and compiling in it

    def _waves(self, trainings: int) -> int:
        return math.ceil(trainings / self.at_once)

    @property
    def is_settled(self) -> bool:
        """Whether it is known without what a run does before its first trainings land."""
        return bool(self._generations or self._known) or self._latest[1] > self._wave[1]
