"""A training as its schedule sees it, in plain Python: what every training loop outside evolr's own needs.

The population trainer computes the signals inside its compiled step (training/programs.py); a loop in PyTorch, Keras or
plain Python gets the same ones from here. The exporter hands this file's definitions over as they stand.
"""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from evolr.errors import ScheduleError
from evolr.expression.plateau import FIRST, PlateauCounts, PlateauRule, validated
from evolr.expression.signals import CLOCK, EMA_DECAY, clock

# The signals that a training loss tells, that a validation loss tells, and that need the steps of an epoch.
_LOSS: Final = ("loss", "loss_ema")
_VALIDATION: Final = ("val_loss", "stale_epochs", "plateaus")
_EPOCHS: Final = ("epoch", "epoch_progress", "stale_epochs", "plateaus", "total_epochs")


class Rule(Protocol):
    """What gives a learning rate: an `evolr.Schedule`, or the one that an exported file holds."""

    @property
    def signals(self) -> frozenset[str]:
        """The signals that it reads."""
        ...

    def at(self, **signals: Any) -> float:
        """The learning rate where its signals have these values."""
        ...


def plateau_rule(rule: Any) -> PlateauRule:
    """What is a plateau to a rule: torch's defaults, if it does not say."""
    return getattr(rule, "plateau_rule", PlateauRule())


def checked_horizon(
    total_steps: int, steps_per_epoch: int | None, signals: frozenset[str] = frozenset()
) -> tuple[int, int]:
    """The two numbers as int; an epoch of which nobody said the steps has one.

    signals: those that a schedule reads; a warning says where they need the steps of an epoch.
    Raises ScheduleError where the numbers are no horizon.
    """
    given: dict[str, Any] = {"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    for name, count in given.items():
        if name == "steps_per_epoch" and count is None:
            continue
        if not hasattr(count, "__index__") or isinstance(count, bool) or count < 1:
            raise ScheduleError(f"{name} must be a whole number of at least 1, got {count!r}")
    total_steps = operator.index(total_steps)
    if steps_per_epoch is not None:
        return total_steps, operator.index(steps_per_epoch)
    if total_steps > 1 and (read := [name for name in _EPOCHS if name in signals]):
        warn(
            f"the schedule reads {', '.join(read)}, and nobody said how many steps an epoch has: each step counts as "
            "one epoch. Give steps_per_epoch=len(loader), or steps_per_epoch=1 if a step is an epoch"
        )
    return total_steps, 1


def open_loop_rates(rule: Rule, total_steps: int, steps_per_epoch: int | None = None) -> list[float]:
    """The learning rate of every step, for a rule that needs no training to say it.

    steps_per_epoch: 1 if None, with a warning where the rule reads the epoch.
    Raises ScheduleError where it reads a signal that only a training can tell.
    """
    if live := sorted(rule.signals.difference(CLOCK)):
        raise ScheduleError(
            f"the schedule reads {', '.join(live)}, which only a running training can tell, so it has no curve of its "
            "own; use a form that is fed with the loss, or freeze it to its typical curve: evolr export RUN --frozen"
        )
    total_steps, steps_per_epoch = checked_horizon(total_steps, steps_per_epoch, rule.signals)
    horizon = (clock(step, total_steps, steps_per_epoch) for step in range(total_steps))
    return [rule.at(**{name: now[name] for name in rule.signals}) for now in horizon]


def follow(
    rule: Rule, losses: Sequence[float], val_losses: Sequence[float] = (), *, steps_per_epoch: int | None = None
) -> list[float]:
    """The learning rate of every step of a training that was recorded.

    losses: training loss of each step's batch; as many as there are steps. val_losses: of the untrained network, then at
    each epoch's end; needed where the rule reads them. steps_per_epoch: 1 if None, with a warning where the rule reads the
    epoch.
    Raises ScheduleError where what the rule reads is not there, and for steps_per_epoch below 1.
    """
    _, steps_per_epoch = checked_horizon(max(len(losses), 1), steps_per_epoch, rule.signals)
    wanted = -(-len(losses) // steps_per_epoch)
    is_read = not rule.signals.isdisjoint(_VALIDATION)
    if not len(losses) or (is_read and len(val_losses) < wanted):
        raise ScheduleError(
            f"a recorded training has the loss of each step and, for this schedule, {wanted} validation losses, the first "
            f"of the untrained network; got {len(losses)} and {len(val_losses)}"
        )
    first = val_losses[0] if is_read else None
    loop = Loop(rule, total_steps=len(losses), steps_per_epoch=steps_per_epoch, loss=losses[0], val_loss=first)
    rates = [loop.learning_rate]
    for step, loss in enumerate(losses[:-1], start=1):
        loop.step(loss=loss)
        if is_read and step % steps_per_epoch == 0:
            loop.observe(val_loss=val_losses[step // steps_per_epoch])
        rates.append(loop.learning_rate)
    return rates


class Loop:
    """A training under a schedule, from one optimiser step to the next.

        loop = Loop(schedule, total_steps=1000, steps_per_epoch=100, loss=first_loss, val_loss=first_val_loss)
        for batch in batches:
            train(batch, lr=loop.learning_rate)
            loop.step(loss=loss)                # after each optimiser step
            loop.observe(val_loss=val_loss)     # after each validation

    total_steps: optimiser steps of the whole training, which `progress` is a part of. steps_per_epoch: those that
    share an `epoch`; 1 if None, with a warning where the schedule reads the epoch. loss, val_loss: of the untrained
    network, on the first batch and in validation; needed where the schedule reads them. A training that goes on beyond
    total_steps stays where it is, and is warned once.

    Raises ScheduleError for a horizon below 1 and for a signal that the schedule reads and nobody gave.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        total_steps: int,
        steps_per_epoch: int | None = None,
        loss: Any = None,
        val_loss: Any = None,
    ) -> None:
        self._rule = rule
        self._horizon = checked_horizon(total_steps, steps_per_epoch, rule.signals)
        self.reads_loss = not rule.signals.isdisjoint(_LOSS)
        self._plateau = plateau_rule(rule)
        # What other formulas of its study read, of which an evolr.TrialSchedule knows.
        self._study: frozenset[str] = getattr(rule, "study", frozenset())
        self.reads_validation = not rule.signals.isdisjoint(_VALIDATION)
        if self.reads_loss and loss is None:
            raise ScheduleError(
                "the schedule reads the training loss: give loss=…, that of the untrained network on the first batch "
                "(about ln(classes) for a classifier)"
            )
        if "val_loss" in rule.signals and val_loss is None:
            raise ScheduleError(
                "the schedule reads val_loss: give val_loss=…, the validation loss of the untrained network"
            )
        self._state: dict[str, float] = {
            "position": 0,
            "steps_moved": 1,
            "lr": 0.0,
            "lr_before": 0.0,
            "loss": math.nan,
            "loss_ema": math.nan,
            "loss_ema_before": math.nan,
            "was_told_loss": True,
            "losses": 0,
            "val_loss": math.nan,
            "validated_epoch": 0,
            "validations": 0,
            **PlateauCounts(*FIRST)._asdict(),
        }
        self.observe(loss=loss, val_loss=val_loss)

    @property
    def steps_per_epoch(self) -> int:
        """The optimiser steps that share an epoch."""
        return self._horizon[1]

    @property
    def position(self) -> int:
        """The optimiser steps taken."""
        return int(self._state["position"])

    @property
    def learning_rate(self) -> float:
        """The learning rate of the coming optimiser step."""
        return self._state["lr"]

    @property
    def signals(self) -> dict[str, float]:
        """What the schedule sees of the coming step: the signals that it reads, by name."""
        state = self._state
        last = self._horizon[0] - 1  # where time stands still
        values = clock(min(self.position, last), *self._horizon) | {
            "loss": state["loss"],
            "val_loss": state["val_loss"],
            "lr": state["lr_before"],
            "stale_epochs": state["stale_epochs"],
            "plateaus": state["plateaus"],
            "loss_ema": state["loss_ema"],
        }
        return {name: values[name] for name in sorted(self._rule.signals)}

    def step(self, *, loss: Any = None, val_loss: Any = None) -> float:
        """Goes on by an optimiser step that was taken; answers the learning rate of the next.

        loss: of the batch that it was taken on. val_loss: of a validation since the step before, if there was one.
        """
        self._move_to(self.position + 1)
        return self.observe(loss=loss, val_loss=val_loss)

    def move_to(self, position: int) -> float:
        """Goes on to a step by its number, the first being 0; answers its learning rate."""
        self._move_to(position)
        return self._decided()

    def begin_at(self, position: int) -> float:
        """Goes on in a training that has taken so many steps; the losses that the loop was made with are its latest."""
        self._move_to(position)
        self._state["was_told_loss"] = True
        return self._decided()

    def observe(self, *, loss: Any = None, val_loss: Any = None) -> float:
        """Takes up what the training tells between two optimiser steps; answers the coming step's learning rate."""
        state = self._state
        if loss is not None:
            state |= {"loss": _number(loss), "was_told_loss": True, "losses": state["losses"] + 1}
            if state["position"] == 0:
                state["loss_ema"] = state["loss"]
            elif math.isfinite(state["loss"]):
                kept = EMA_DECAY ** state["steps_moved"]
                before = state["loss_ema_before"] if math.isfinite(state["loss_ema_before"]) else state["loss"]
                state["loss_ema"] = kept * before + (1 - kept) * state["loss"]
        if val_loss is not None:
            state["val_loss"] = _number(val_loss)
            epoch = state["position"] // self._horizon[1]
            state["validations"] += state["position"] > 0
            if epoch > state["validated_epoch"]:
                self._validated(epoch)
        return self._decided()

    def state_dict(self) -> dict[str, float]:
        """All that a new one needs to go on from here: numbers by name."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Goes on from where the one was that this was saved of. Raises ScheduleError where it is not such a state."""
        later = {  # what no state holds that was saved by evolr 0.1
            "losses": float(not math.isnan(state.get("loss", math.nan))),
            "bad_epochs": 0.0,
            "cooldown_left": 0.0,
            "plateaus": 0.0,
        }
        if missing := self._state.keys() - state.keys() - later.keys():
            raise ScheduleError(f"not the state of a loop: it lacks {', '.join(sorted(missing))}")
        whole = {**later, **state}
        self._state |= {name: whole[name] for name in self._state}

    def _move_to(self, position: int) -> None:
        state, total_steps = self._state, self._horizon[0]
        moved = position - state["position"]
        if moved > 0:
            if self.reads_loss and not state["was_told_loss"]:
                raise ScheduleError(
                    f"the schedule reads the training loss and was told none since step {state['position']:g}: "
                    "step(loss=…) after each optimiser step, or observe(loss=…)"
                )
            before, steps_per_epoch = state["position"], self._horizon[1]
            # Whoever validates after each epoch has told a loss before the first step of the second; a jump to where a
            # training goes on has left nobody the time to.
            late = max(total_steps // 2, steps_per_epoch)
            if before <= late < position and moved <= steps_per_epoch:
                self._miss_losses()
            if before <= total_steps < position:
                warn(
                    f"the training goes on beyond total_steps={total_steps}; for its schedule time stands still. Look "
                    "whether total_steps counts epochs where it has to count optimiser steps, or is that of one of "
                    "several processes while the schedule is stepped for each: then multiply it by their number"
                )
            state |= {"lr_before": state["lr"], "loss_ema_before": state["loss_ema"], "was_told_loss": False}
        state |= {"position": position, "steps_moved": max(moved, 1)}

    def _miss_losses(self) -> None:
        """Warns of each loss that the schedule, or another one of its study, reads and that nobody has told."""
        told = {
            "training loss": (_LOSS, self._state["losses"] > 0, "step(loss=…) after each optimiser step"),
            "validation loss": (
                _VALIDATION,
                self._state["validations"] > 0,
                "observe(val_loss=…) after each validation",
            ),
        }
        for name, (signals, is_told, advice) in told.items():
            if not is_told and not self._rule.signals.isdisjoint(signals):
                warn(f"the schedule reads the {name}, and half of the training has told none: {advice}")
            elif not is_told and not self._study.isdisjoint(signals):
                warn(
                    f"other schedules of this study read the {name}, and half of the training has told none: {advice}, "
                    "whatever this schedule reads; or evolve with signals=(…) without it"
                )

    def _validated(self, epoch: float) -> None:
        """Counts the epochs since val_loss was below its best, at the first validation after each epoch's end."""
        state = self._state
        counts = PlateauCounts(*(state[name] for name in PlateauCounts._fields))
        counts = validated(counts, state["val_loss"], epoch - state["validated_epoch"], self._plateau)
        state |= {**counts._asdict(), "validated_epoch": epoch}

    def _decided(self) -> float:
        self._state["lr"] = self._rule.at(**self.signals)
        return self._state["lr"]


def _number(value: Any) -> float:
    """The number that a tensor or an array of one holds, or a number itself."""
    return float(value.item() if hasattr(value, "item") else value)


def warn(message: str) -> None:
    """Warns at the line of the program that uses these classes, whatever framework calls them."""
    inside = {__name__.partition(".")[0], "keras", "lightning", "torch"}
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
