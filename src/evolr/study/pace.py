"""How long a training takes, with all that train at once, as a search measures it while it runs."""

from __future__ import annotations

from statistics import median
from typing import Final

_WAVE: Final = 1.25  # of the time until the first training landed: what lands by then was begun with it


class Pace:
    """Seconds a training, of a run that has just begun.

    What is told counts from the run's beginning: wall seconds, and trainings of this run. known: the pace of earlier runs of the
    same study, None where nobody knows.

    Until the first trainings have landed, a run loads and compiles, or starts its workers, so that first wave is left out as soon as
    there is more. Later generations are told as wholes, with what lies between them: the pace is then their median or that
    of the latest, whichever is slower, since a machine may have got other work.
    """

    def __init__(self, known: float | None = None) -> None:
        self._known = known
        self._first = 0.0  # when the first training landed
        self._wave = (0.0, 0)  # the end of the first wave
        self._latest = (0.0, 0)
        self._end: tuple[float, int] | None = None  # of the latest generation
        self._generations: list[float] = []

    def landed(self, seconds: float, trainings: int) -> None:
        """Trainings have landed: so many so far."""
        self._first = self._first or seconds
        if seconds <= _WAVE * self._first:
            self._wave = (seconds, trainings)
        self._latest = (seconds, trainings)

    def finished(self, seconds: float, trainings: int) -> None:
        """A generation is at its end. The first that a run ends may have begun in an earlier one, and has its loading in it."""
        if self._end is not None and trainings > self._end[1]:
            self._generations.append((seconds - self._end[0]) / (trainings - self._end[1]))
        self._end = (seconds, trainings)

    @property
    def seconds(self) -> float | None:
        """Seconds a training; None while nothing has landed and nobody knows. Until `is_settled` it is too long."""
        if self._generations:
            return max(median(self._generations), self._generations[-1])
        (begin, before), (end, after) = self._wave, self._latest
        if after > before:
            return (end - begin) / (after - before)
        return self._known or (end / after if after else None)  # the latter with loading and compiling in it

    @property
    def is_settled(self) -> bool:
        """Whether it is known without what a run does before its first trainings land."""
        return bool(self._generations or self._known) or self._latest[1] > self._wave[1]
