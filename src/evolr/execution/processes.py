"""Processes and memory, on every system: psutil's, imported when it is needed."""

from __future__ import annotations

import time
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from evolr.errors import ConfigError
from evolr.training.task import Outcome

_SHARE: Final = 0.02  # of the time, for looking through the processes that workers started
_LEAST_SECONDS: Final = 0.1  # between two such looks


class HeldMemory:
    """How much memory processes hold that this one started, each with all those below it; made to be asked often.

    Of a process that was asked for: its resident set, as it is now. Of those below it: what each holds alone (its unique set), so
    that what a fork shares with its parent counts once; looked at some times a second, less often where that takes long.
    """

    def __init__(self) -> None:
        self._psutil: Any = import_module("psutil")
        self._asked: dict[int, Any] = {}  # a psutil.Process by its number
        self._below: dict[int, int] = {}  # bytes, by the number of the process that was asked for
        self._due = 0.0  # time.perf_counter

    def of(self, process: int) -> int:
        """What a process and those below it hold, in bytes; 0 where it is gone."""
        try:
            if process not in self._asked:
                self._asked[process] = self._psutil.Process(process)
            own = int(self._asked[process].memory_info().rss)
        except self._psutil.Error:
            self._asked.pop(process, None)
            return 0
        if time.perf_counter() >= self._due:
            begun = time.perf_counter()
            self._look_below()
            self._due = (now := time.perf_counter()) + max(_LEAST_SECONDS, (now - begun) / _SHARE)
        return own + self._below.get(process, 0)

    def _look_below(self) -> None:
        below: dict[int, int] = {}
        above: dict[int, int] = {}  # of each process, which of those that were asked for it is below
        for process in _descendants():  # from the top
            if process.pid in self._asked:
                above[process.pid] = process.pid
                continue
            with suppress(self._psutil.Error):  # it is gone
                if (asked := above.get(process.ppid())) is not None:
                    above[process.pid] = asked
                    below[asked] = below.get(asked, 0) + self._alone(process)
        self._below = below
        self._asked = {number: process for number, process in self._asked.items() if number in above}

    def _alone(self, process: Any) -> int:
        """The unique set of a process; its resident set where the system does not tell that to everybody, as macOS."""
        try:
            return int(process.memory_full_info().uss)
        except self._psutil.AccessDenied:
            return int(process.memory_info().rss)


def end_descendants(process: int) -> None:
    """Ends all processes below one, which is alive, at once."""
    psutil: Any = import_module("psutil")
    for each in _descendants(process):
        with suppress(psutil.Error):  # it is gone, or another user's
            each.kill()


def _descendants(process: int | None = None) -> list[Any]:
    """All processes below one, below this one where None, as psutil.Process, each after the one that started it; none where it is gone."""
    psutil: Any = import_module("psutil")
    try:
        return psutil.Process(process).children(recursive=True)
    except psutil.Error:
        return []


def require_memory(trainings: int, epochs: int, steps: int = 0) -> None:
    """Raises ConfigError where the outcomes of so many trainings, which are held at once, are more than this machine has memory for.

    steps: of each, whose learning rates are kept.
    """
    psutil: Any = import_module("psutil")
    needed, there = trainings * Outcome.bytes_of(epochs, steps), int(psutil.virtual_memory().total)
    if needed > there:
        raise ConfigError(
            f"the curves of {trainings:,} trainings of {epochs:,} epochs, which are held at once, would take about {needed / 1e9:,.0f} GB of "
            f"memory, and this machine has {there / 1e9:,.0f}: ask for fewer individuals, seeds or epochs"
        )
