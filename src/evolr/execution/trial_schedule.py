"""What a user's training function is given as its schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evolr.errors import ScheduleError, as_float, shown, whole_number
from evolr.execution.recording import Calls
from evolr.schedule import PlateauRule, Schedule, require_schedule


@dataclass(frozen=True, slots=True)
class TrialSchedule:
    """The schedule of one training: call it with the signals, and it says the learning rate.

    >>> from evolr.expression import parse
    >>> schedule = TrialSchedule(Schedule(expression=parse("0.1*(1 - progress)")), epochs=10)
    >>> schedule(epoch=5, loss=0.7)
    0.05

    schedule: what it computes. epochs: of the training; `total_epochs` is that, and `progress` is `epoch / epochs`, where they are
        not given themselves.
    study: the signals of the study, which a call has to give whatever this formula reads: a function that forgets one
        fails with every formula, and not only with those that read it. `evolr.Loop` and the adapters need those of this
        formula alone, and warn of a loss that only other formulas of the study read, if half of the training has told
        none. Made by hand, for a formula of its own: none.
    calls: what it was asked and answered, where somebody wants to know.
    """

    schedule: Schedule
    epochs: int
    study: frozenset[str] = frozenset()
    calls: Calls | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_schedule(self.schedule)
        if whole_number("epochs", self.epochs) < 1:
            raise ScheduleError(f"epochs must be at least 1, got {shown(self.epochs)}")

    @property
    def signals(self) -> frozenset[str]:
        """The signals that its formula reads."""
        return self.schedule.signals

    @property
    def plateau_rule(self) -> PlateauRule:
        """What is a plateau to it."""
        return self.schedule.plateau_rule

    def __call__(self, **signals: Any) -> float:
        """The learning rate for these signals; those that nobody asked for are left aside.

        A signal is a number: of Python, of NumPy, or a tensor of no dimension, of which the value alone is taken. Raises
        ScheduleError for one that the formula or the study reads and that is not given, or is no number.
        """
        return self._rate(self.signals | self.study, signals)

    def at(self, **signals: Any) -> float:
        """The learning rate where the signals that this formula reads have these values, whatever the study reads.

        So that it is a rule: `evolr.Loop`, ExpressionLR and the other adapters take it as they take a Schedule.
        Raises ScheduleError for a signal that the formula reads and that is not given, or is no number.
        """
        return self._rate(self.signals, signals)

    def _rate(self, wanted: frozenset[str], given: dict[str, Any]) -> float:
        """The learning rate, once each of the wanted signals is a number."""
        given.setdefault("total_epochs", self.epochs)
        if "progress" not in given and "epoch" in given and "progress" in wanted:
            given["progress"] = _number("epoch", given["epoch"]) / self.epochs
        if missing := sorted(wanted - given.keys()):
            names = ", ".join(sorted(given.keys() - {"total_epochs"})) or "none"
            reader = "the formula" if self.signals.issuperset(missing) else "the study"
            raise ScheduleError(
                f"{reader} reads {', '.join(missing)}; the signals given are: {names}. Pass "
                f"{', '.join(f'{name}=…' for name in missing)} to schedule(…), or evolve with signals=(…) without it"
            )
        numbers = {name: _number(name, given[name]) for name in wanted}
        rate = self.schedule.at(**{name: numbers[name] for name in self.signals})
        if self.calls is not None:
            self.calls.add(rate, numbers, numbers["progress"] if "progress" in numbers else self._progress(given))
        return rate

    def _progress(self, given: dict[str, Any]) -> float | None:
        """How far the training is, from 0 to 1; None where no clock is told."""
        if "progress" in given:
            return _number("progress", given["progress"])
        return _number("epoch", given["epoch"]) / self.epochs if "epoch" in given else None


def _number(name: str, value: Any) -> float:
    if hasattr(value, "detach"):  # a torch tensor: one that requires a gradient warns of being taken for a number
        value = value.detach()
    try:
        return as_float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ScheduleError(f"the signal {name!r} must be a number, got {shown(value)}") from error
