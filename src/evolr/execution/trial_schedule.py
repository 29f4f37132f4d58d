"""What a user's training function is given as its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evolr.errors import ScheduleError
from evolr.schedule import Schedule


@dataclass(frozen=True, slots=True)
class TrialSchedule:
    """The schedule of one training: call it with the signals, and it says the learning rate.

    >>> from evolr.expression import parse
    >>> schedule = TrialSchedule(Schedule(expression=parse("0.1*(1 - progress)")), epochs=10)
    >>> schedule(epoch=5, loss=0.7)
    0.05

    schedule: what it computes. epochs: of the training; `progress` is `epoch / epochs` where it is not given itself.
    study: the signals of the study, which have to be given whatever this formula reads: a function that forgets one
        fails with every formula, and not only with those that read it. Made by hand, for a formula of its own: none.
    """

    schedule: Schedule
    epochs: int
    study: frozenset[str] = frozenset()

    @property
    def signals(self) -> frozenset[str]:
        """The signals that its formula reads."""
        return self.schedule.signals

    def __call__(self, **signals: Any) -> float:
        """The learning rate for these signals; those that nobody asked for are left aside.

        A signal is a number: of Python, of NumPy, or a tensor of no dimension, of which the value alone is taken. Raises
        ScheduleError for one that the formula or the study reads and that is not given, or is no number.
        """
        wanted = self.signals | self.study
        if "progress" not in signals and "epoch" in signals and "progress" in wanted:
            signals["progress"] = _number("epoch", signals["epoch"]) / self.epochs
        if missing := sorted(wanted - signals.keys()):
            given = ", ".join(sorted(signals)) or "none"
            reader = "the study" if self.study else "the formula"
            raise ScheduleError(
                f"{reader} reads {', '.join(missing)}; the signals given are: {given}. Pass "
                f"{', '.join(f'{name}=…' for name in missing)} to schedule(…), or evolve with signals=(…) without it"
            )
        numbers = {name: _number(name, signals[name]) for name in wanted}
        return self.schedule.at(**{name: numbers[name] for name in self.signals})

    def at(self, **signals: Any) -> float:
        """The same as calling it."""
        return self(**signals)


def _number(name: str, value: Any) -> float:
    if hasattr(value, "detach"):  # a torch tensor: one that requires a gradient warns of being taken for a number
        value = value.detach()
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ScheduleError(f"the signal {name!r} must be a number, got {value!r}") from error
