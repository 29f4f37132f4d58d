"""The curve of a schedule: of an open-loop one over a horizon, of any over a recorded training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from evolr.errors import ScheduleError, shortened
from evolr.expression import clock
from evolr.loop import checked_horizon, follow
from evolr.schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_STEPS: Final = 10_000_000
MOST_FOLLOWED: Final = 1_000_000  # of a curve over a record, which is followed step by step


def rates(
    schedule: Schedule,
    total_steps: int | None,
    steps_per_epoch: int,
    losses: Sequence[float] | None,
    val_losses: Sequence[float],
) -> NDArray[np.float64]:
    """The learning rate of every step; see Schedule.plot for the arguments and errors."""
    if losses is not None:
        if total_steps not in (None, len(losses)):
            raise ScheduleError(f"total_steps is {total_steps}, the losses are of {len(losses)} steps: they must agree")
        total_steps = len(losses)
    if not schedule.expression.is_open_loop:
        if losses is None:
            raise ScheduleError(
                f"the schedule reads {', '.join(schedule.expression.live_signals)}: its curve is drawn over a recorded "
                "training; give losses=, one a step, and val_losses=, one an epoch, where it reads them"
            )
        return np.array(follow(schedule, losses, val_losses, steps_per_epoch=steps_per_epoch))
    if total_steps is None:
        raise ScheduleError("a curve has a horizon: give total_steps=, or the losses of a recorded training")
    if checked_horizon(total_steps, steps_per_epoch)[0] > MOST_STEPS:
        raise ScheduleError(f"a curve may have {MOST_STEPS:,} steps at most, got {total_steps:,}")
    step = np.arange(total_steps)
    return np.broadcast_to(schedule(**clock(step, total_steps, steps_per_epoch)), step.shape)


def curve_figure(
    schedule: Schedule,
    total_steps: int | None,
    *,
    steps_per_epoch: int,
    losses: Sequence[float] | None,
    val_losses: Sequence[float],
) -> Figure:
    """The picture of a schedule's learning rates; see Schedule.plot."""
    from evolr.report.pictures import schedule_figure

    curve = rates(schedule, total_steps, steps_per_epoch, losses, val_losses)
    title = f"learning rate of {shortened(str(schedule.expression), 70)}"
    return schedule_figure({title: curve}, steps_per_epoch, title)


def steps_of(by_epoch: NDArray[np.float64], steps_per_epoch: int) -> NDArray[np.float64]:
    """Values of each step from means of epochs: a line through the middles of the epochs, level before and after them."""
    epochs = len(by_epoch)
    middles = (np.arange(epochs) + 0.5) * steps_per_epoch
    return np.interp(np.arange(epochs * steps_per_epoch), middles, by_epoch)
