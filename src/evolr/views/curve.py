"""The curve of a schedule: of an open-loop one over a horizon, of any over the losses of a training.

However long the horizon, a curve is quick to draw: some thousands of its steps stand for all where that is exact, and what
needs every step before it is followed from the first one on, as far as that is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from evolr.errors import ScheduleError, shortened
from evolr.expression import CLOCK, clock
from evolr.loop import Loop, checked_horizon, checked_record, follow, require_sequence
from evolr.schedule import Schedule
from evolr.signals import Example, made_up, observation_named, observed
from evolr.signals.signal import OWN_OBSERVATION
from evolr.simplification import simplified

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolr.config import Config
    from evolr.study.summary import RecordedTrainings


MOST_DRAWN: Final = 5_000
"""Steps of a curve: of a longer horizon so many are drawn, evenly spaced, the first and the last among them."""

MOST_FOLLOWED: Final = 20_000
"""Steps that a schedule with a memory (`lr`, `loss_ema`, `stale_epochs`) is followed through, one after another."""

_MOST_STEPS: Final = 4_000  # that a schedule with a memory is followed through in a moment

_ASSUMED: Final = (2.3, 0.5)  # losses, from the first to the last, of a training that nobody knows

RECORDED: Final = {"loss": "train_loss", "val_loss": "val_loss"}
"""Of the observations that a study records, the curve that it records them in."""

_SMOOTH: Final = frozenset(
    {"progress", "epoch", "epoch_progress", "total_epochs"}
)  # the clock, but for what counts steps
_PLACES: Final = 40  # of an epoch, at which a schedule of these is drawn at least

_MEMORYLESS: Final = {*CLOCK, "loss", "val_loss"}  # the signals whose value at a step needs none before it


@dataclass(frozen=True, slots=True)
class Curve:
    """Learning rates over a horizon. steps, rates: (n,), the numbers of the steps that are drawn, ascending, and their
    learning rates; total_steps, steps_per_epoch: the horizon.
    """

    steps: NDArray[np.int64]
    rates: NDArray[np.float64]
    total_steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> NDArray[np.float64]:
        """(n,): the steps, in epochs."""
        return self.steps / self.steps_per_epoch

    @property
    def is_whole(self) -> bool:
        """Whether every step is drawn."""
        return len(self.steps) == self.total_steps

    @property
    def note(self) -> str:
        """Which steps are drawn; empty where all are."""
        if self.is_whole:
            return ""
        if self.steps[-1] < self.total_steps - 1:
            return f"its first {len(self.steps):,} of {self.total_steps:,} steps"
        return f"{len(self.steps):,} of its {self.total_steps:,} steps, evenly spaced"


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of a training as a schedule is told them. loss: of steps by their numbers. val_loss: of the validation
    before an epoch, by the epochs' numbers. note: whose they are.
    """

    loss: Callable[[NDArray[np.int64]], NDArray[np.float64]]
    val_loss: Callable[[NDArray[np.int64]], NDArray[np.float64]]
    note: str


def falling_losses(total_steps: int, steps_per_epoch: int) -> Losses:
    """Losses that fall exponentially, where no training is known."""
    first, last = _ASSUMED

    def loss(steps: NDArray[np.int64]) -> NDArray[np.float64]:
        return first * (last / first) ** (steps / max(total_steps - 1, 1))

    return Losses(
        loss, lambda epochs: loss(epochs * steps_per_epoch), f"assuming losses that fall from {first} to {last}"
    )


def recorded_losses(
    train_loss: NDArray[np.float64], val_loss: NDArray[np.float64], epochs: int, steps_per_epoch: int, note: str
) -> Losses:
    """The losses of a recorded training, by its epochs, stretched over so many others.

    Of steps: a line through the middles of the epochs, level before and after them. An unknown validation loss is that of
    training; train_loss has to be known somewhere.
    """

    def at(values: NDArray[np.float64], epoch: NDArray[Any]) -> NDArray[np.float64]:
        places, is_known = np.clip(epoch, 0, epochs - 1) / max(epochs - 1, 1), np.isfinite(values)
        if not is_known.any():
            values, is_known = train_loss, np.isfinite(train_loss)
        return np.interp(places, np.linspace(0, 1, len(values))[is_known], values[is_known])

    def before(epoch: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.where(epoch == 0, at(train_loss, 0 * epoch), at(val_loss, epoch - 1))

    return Losses(lambda steps: at(train_loss, steps / steps_per_epoch - 0.5), before, note)


def recorded_curve(rates: NDArray[np.float64], epochs: int, steps_per_epoch: int) -> Curve:
    """The curve of learning rates that were recorded over equal parts of a training: a line through the parts' middles."""
    total_steps = epochs * steps_per_epoch
    steps = np.linspace(0, total_steps - 1, min(total_steps, MOST_DRAWN)).round().astype(np.int64)
    middles = (np.arange(len(rates)) + 0.5) * total_steps / len(rates) - 0.5
    return Curve(steps, np.interp(steps, middles, rates), total_steps, steps_per_epoch)


def recorded_note(trainings: int) -> str:
    """Whose the learning rates of a recorded curve are."""
    if trainings == 1:
        return "as in its recorded training: the mean of each part"
    return f"as in its {trainings} recorded trainings: the median of the means of each part"


def champion_curve(schedule: Schedule, config: Config, recorded: RecordedTrainings | None) -> tuple[Curve, str]:
    """The curve of a study's champion, and whose it is or what it assumes: as it was in the trainings that are recorded, where it reads
    the training and they are known.
    """
    steps_per_epoch = config.problem.steps_per_epoch
    if not schedule.expression.is_open_loop and recorded is not None and np.isfinite(recorded.learning_rate).all():
        drawn = recorded_curve(recorded.learning_rate, recorded.epochs, steps_per_epoch)
        return drawn, recorded_note(recorded.trainings)
    return assumed_curve(schedule, config.training.epochs, steps_per_epoch)


def assumed_curve(schedule: Schedule, epochs: int, steps_per_epoch: int) -> tuple[Curve, str]:
    """The curve over a horizon, a short one if the training has more steps than can be followed in a moment; what it assumes."""
    if schedule.expression.is_open_loop:
        return clock_curve(schedule, epochs, steps_per_epoch), ""
    steps_per_epoch = max(1, min(steps_per_epoch, _MOST_STEPS // epochs))
    losses = falling_losses(epochs * steps_per_epoch, steps_per_epoch)
    return curve(schedule, epochs * steps_per_epoch, steps_per_epoch, losses), assumed(schedule, losses)


def curve(schedule: Schedule, total_steps: int, steps_per_epoch: int | None, losses: Losses | None = None) -> Curve:
    """The curve of a schedule over a horizon, over these losses where it reads the training.

    Raises ScheduleError for a horizon that is none or too long to count.
    """
    total_steps, steps_per_epoch = checked_horizon(total_steps, steps_per_epoch, schedule.signals)
    if losses is not None and not schedule.signals <= _MEMORYLESS:
        steps = np.arange(min(total_steps, MOST_FOLLOWED))
        return Curve(
            steps, _followed(schedule, steps, total_steps, steps_per_epoch, losses), total_steps, steps_per_epoch
        )
    steps = np.linspace(0, total_steps - 1, min(total_steps, MOST_DRAWN)).round().astype(np.int64)
    values = clock(steps, total_steps, steps_per_epoch)
    if losses is not None:
        before = np.maximum(steps - 1, 0)  # the batch whose loss is known at a step
        values |= {"loss": losses.loss(before), "val_loss": losses.val_loss(values["epoch"])}
    return Curve(steps, np.broadcast_to(schedule(**values), steps.shape), total_steps, steps_per_epoch)


def _followed(
    schedule: Schedule, steps: NDArray[np.int64], total_steps: int, steps_per_epoch: int, losses: Losses
) -> NDArray[np.float64]:
    """The learning rates of the first steps of a horizon, by a Loop that is told the losses, and what is made up."""
    loss, val_loss = losses.loss(steps), losses.val_loss(steps // steps_per_epoch)
    nothing = np.zeros(len(steps))
    training = Example(steps, steps / total_steps, loss, val_loss, average=loss, lr=nothing, stale=nothing)
    of_steps = {"loss": loss, **{name: made_up(name, training) for name in made_up_names(schedule)}}
    of_epochs = {"val_loss": val_loss}
    for name in [name for name in of_steps if observation_named(name).is_of_validation]:
        of_epochs[name] = of_steps.pop(name)
    first: dict[str, Any] = {name: float(series[0]) for name, series in (of_steps | of_epochs).items()}
    loop = Loop(schedule, total_steps=total_steps, steps_per_epoch=steps_per_epoch, **first)
    rates = [loop.learning_rate]
    for step in range(1, len(steps)):
        loop.step(**{name: float(series[step - 1]) for name, series in of_steps.items()})
        if step % steps_per_epoch == 0:
            loop.observe(**{name: float(series[step]) for name, series in of_epochs.items()})
        rates.append(loop.learning_rate)
    return np.array(rates)


def clock_curve(schedule: Schedule, epochs: int, steps_per_epoch: int) -> Curve:
    """The curve of an open-loop schedule; of one that counts no steps, smooth however few an epoch has."""
    if schedule.signals <= _SMOOTH:
        steps_per_epoch = max(steps_per_epoch, _PLACES)
    return curve(schedule, epochs * steps_per_epoch, steps_per_epoch)


def made_up_names(schedule: Schedule) -> list[str]:
    """What a schedule has to be told beside losses, of which no record of a training knows: a gradient's norm, say."""
    known = ("loss", "val_loss", OWN_OBSERVATION)
    return sorted(name for name in observed(schedule.signals) if name not in known)


def assumed(schedule: Schedule, losses: Losses) -> str:
    """What a curve over losses assumes, in words."""
    names = made_up_names(schedule)
    return f"{losses.note}, and a made-up {', '.join(names)}" if names else losses.note


def curve_figure(
    schedule: Schedule,
    total_steps: int | None,
    *,
    steps_per_epoch: int | None,
    losses: Sequence[float] | None,
    val_losses: Sequence[float],
) -> Figure:
    """The picture of a schedule's learning rates; see Schedule.plot for the arguments and errors."""
    from evolr.views.pictures import schedule_figure

    drawn, note = _curve_of(schedule, total_steps, steps_per_epoch, losses, val_losses)
    title = f"learning rate: {shortened(simplified(schedule).text, 70)}"
    return schedule_figure(f"{title}\n{note}" if note else title, drawn)


def _curve_of(
    schedule: Schedule,
    total_steps: int | None,
    steps_per_epoch: int | None,
    losses: Sequence[float] | None,
    val_losses: Sequence[float],
) -> tuple[Curve, str]:
    """The curve over a horizon, or over a recorded training, whose length is the horizon; and what it makes up."""
    if losses is not None:
        require_sequence("losses", losses)
        if total_steps not in (None, len(losses)):
            raise ScheduleError(f"total_steps is {total_steps}, the losses are of {len(losses)} steps: they must agree")
        total_steps = len(losses)
    made = made_up_names(schedule)
    told = sorted(observed(schedule.signals) - {*made, OWN_OBSERVATION})
    if told and losses is None:
        raise ScheduleError(
            f"the schedule reads {', '.join(schedule.expression.live_signals)}: its curve is drawn over a recorded "
            "training; give losses=, one a step, and val_losses=, one an epoch, where it reads them"
        )
    if total_steps is None:
        raise ScheduleError("a curve has a horizon: give total_steps=, or the losses of a recorded training")
    if schedule.expression.is_open_loop:
        return curve(schedule, total_steps, steps_per_epoch), ""
    if losses is None:
        assumption = falling_losses(total_steps, steps_per_epoch or 1)
        return curve(schedule, total_steps, steps_per_epoch, assumption), assumed(schedule, assumption) if made else ""
    if made:
        steps_per_epoch = checked_record(schedule, losses, val_losses, steps_per_epoch)
        series, of_epochs = np.asarray(losses, float), np.asarray(val_losses if "val_loss" in told else losses, float)
        record = Losses(lambda steps: series[steps], lambda epochs: of_epochs[epochs], "over the losses")
        return curve(schedule, total_steps, steps_per_epoch, record), assumed(schedule, record)
    rates = np.array(follow(schedule, losses, val_losses, steps_per_epoch=steps_per_epoch))
    return Curve(np.arange(len(rates)), rates, len(rates), 1 if steps_per_epoch is None else steps_per_epoch), ""
