"""A training as its schedule sees it, in plain Python: what every training loop outside evolr's own needs.

The population trainer computes the signals inside its compiled step (training/programs.py); a loop in PyTorch, Keras or
plain Python gets the same ones from here. The exporter hands this file's definitions over as they stand.
"""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from evolr.errors import ScheduleError, as_float, shortened, shown
from evolr.signals.memory import MOST_RATES, begun, changed, clock, observed, remembered, values
from evolr.signals.plateau import PlateauCounts, PlateauRule
from evolr.signals.signal import OWN_OBSERVATION, Moment
from evolr.signals.table import OBSERVATIONS, observation_named, signal_named

MOST_STEPS: Final = 2**53
"""Steps of a training: up to here the number of a step is exact in float64."""


class Rule(Protocol):
    """What gives a learning rate: an `evolr.Schedule`, or the one that an exported file holds."""

    @property
    def signals(self) -> frozenset[str]:
        """The signals that it reads."""
        ...

    def at(self, **signals: Any) -> float:
        """The learning rate where its signals have these values."""
        ...


def signals_of(rule: Any) -> frozenset[str]:
    """The signals that a rule reads. Raises ScheduleError for what is no rule."""
    signals: Any = getattr(rule, "signals", None)
    if not isinstance(signals, frozenset) or not callable(getattr(rule, "at", None)):
        raise ScheduleError(f"expected a schedule, as evolr.load gives, got {shown(rule)}")
    return cast("frozenset[str]", signals)


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
    total_steps = whole_steps("total_steps", total_steps, 1)
    if steps_per_epoch is not None:
        return total_steps, whole_steps("steps_per_epoch", steps_per_epoch, 1)
    if total_steps > 1 and (read := sorted(name for name in signals if signal_named(name).needs_epochs)):
        warn(
            f"the schedule reads {', '.join(read)}, and nobody said how many steps an epoch has: each step counts as "
            "one epoch. Give steps_per_epoch=len(loader), or steps_per_epoch=1 if a step is an epoch"
        )
    return total_steps, 1


def whole_steps(name: str, value: Any, least: int) -> int:
    """A number of steps as int. Raises ScheduleError for anything else, and for one out of range. name: what it is."""
    try:
        steps = operator.index(value)
    except TypeError:  # an array of several has the method too
        steps = None
    if steps is None or isinstance(value, bool) or steps < least:
        raise ScheduleError(f"{name} must be a whole number of at least {least}, got {shown(value)}")
    if steps > MOST_STEPS:
        raise ScheduleError(f"a horizon may have {MOST_STEPS:,} steps at most; {name} is beyond that")
    return steps


def open_loop_rates(rule: Rule, total_steps: int, steps_per_epoch: int | None = None) -> list[float]:
    """The learning rate of every step, for a rule that needs no training to say it.

    steps_per_epoch: 1 if None, with a warning where the rule reads the epoch.
    Raises ScheduleError where it reads a signal that only a training can tell, and for more than 100,000,000 steps.
    """
    signals = signals_of(rule)
    if live := sorted(remembered(signals)):
        raise ScheduleError(
            f"the schedule reads {', '.join(live)}, which only a running training can tell, so it has no curve of its "
            "own; use a form that is fed with the loss, or freeze it to its typical curve: evolr export RUN --frozen"
        )
    total_steps, steps_per_epoch = checked_horizon(total_steps, steps_per_epoch, signals)
    if total_steps > MOST_RATES:
        raise ScheduleError(
            f"a table of the learning rates of {total_steps:,} steps would take {32e-9 * total_steps:,.0f} GB of "
            f"memory; it may have {MOST_RATES:,} at most"
        )
    at_once: Callable[[int, int], list[float]] | None = getattr(rule, "rates_by_step", None)
    if at_once is not None:
        return at_once(total_steps, steps_per_epoch)
    read = {name: signal_named(name).first for name in signals}
    return [
        rule.at(**{name: value(step, total_steps, steps_per_epoch) for name, value in read.items()})
        for step in range(total_steps)
    ]


def follow(
    rule: Rule, losses: Sequence[float], val_losses: Sequence[float] = (), *, steps_per_epoch: int | None = None
) -> list[float]:
    """The learning rate of every step of a training that was recorded.

    losses: training loss of each step's batch; as many as there are steps. val_losses: of the untrained network, then at
    each epoch's end; needed where the rule reads them. steps_per_epoch: 1 if None, with a warning where the rule reads the
    epoch.
    Raises ScheduleError where what the rule reads is not there, and for steps_per_epoch below 1.
    """
    steps_per_epoch = checked_record(rule, losses, val_losses, steps_per_epoch)
    is_read = "val_loss" in observed(rule.signals)
    first = val_losses[0] if is_read else None
    loop = Loop(rule, total_steps=len(losses), steps_per_epoch=steps_per_epoch, loss=losses[0], val_loss=first)
    rates = [loop.learning_rate]
    for step, loss in enumerate(losses[:-1], start=1):
        loop.step(loss=loss)
        if is_read and step % steps_per_epoch == 0:
            loop.observe(val_loss=val_losses[step // steps_per_epoch])
        rates.append(loop.learning_rate)
    return rates


def require_sequence(name: str, told: Any) -> None:
    """Raises ScheduleError for what has no length: a number, an array of no dimension, an iterator."""
    try:
        len(told)
    except TypeError as error:
        raise ScheduleError(f"{name} must be a sequence of numbers, got {shown(told)}") from error


def checked_record(
    rule: Rule, losses: Sequence[float], val_losses: Sequence[float], steps_per_epoch: int | None
) -> int:
    """The steps of an epoch of a recorded training; see `follow`, whose errors are raised here."""
    signals = signals_of(rule)
    require_sequence("losses", losses)
    require_sequence("val_losses", val_losses)
    _, steps_per_epoch = checked_horizon(max(len(losses), 1), steps_per_epoch, signals)
    wanted = -(-len(losses) // steps_per_epoch)
    if not len(losses) or ("val_loss" in observed(signals) and len(val_losses) < wanted):
        raise ScheduleError(
            f"a recorded training has the loss of each step and, for this schedule, {wanted} validation losses, the first "
            f"of the untrained network; got {len(losses)} and {len(val_losses)}"
        )
    return steps_per_epoch


class Loop:
    """A training under a schedule, from one optimiser step to the next.

        loop = Loop(schedule, total_steps=1000, steps_per_epoch=100, loss=first_loss, val_loss=first_val_loss)
        for batch in batches:
            train(batch, lr=loop.learning_rate)
            loop.step(loss=loss)                # after each optimiser step
            loop.observe(val_loss=val_loss)     # after each validation

    total_steps: optimiser steps of the whole training, which `progress` is a part of. steps_per_epoch: those that
    share an `epoch`; 1 if None, with a warning where the schedule reads the epoch. first: what the training tells
    before its first step, by name, as `step` takes it: the loss of the untrained network on the first batch, its
    val_loss, the norm of its gradient and of its weights, as far as the schedule reads what is made of them.
    measures: what whoever uses the loop tells by itself as soon as it can, so that it need not be here; until then the
    learning rate is the schedule's least one. A training that goes on beyond total_steps stays where it is, and is
    warned once.

    Raises ScheduleError for a horizon below 1 and for a signal that the schedule reads and nobody gave.
    """

    def __init__(
        self,
        rule: Rule,
        *,
        total_steps: int,
        steps_per_epoch: int | None = None,
        measures: Collection[str] = (),
        **first: Any,
    ) -> None:
        signals = signals_of(rule)
        self._rule = rule
        self._horizon = checked_horizon(total_steps, steps_per_epoch, signals)
        self._plateau = plateau_rule(rule)
        self._measures = frozenset(measures)
        # What other formulas of its study read, of which an evolr.TrialSchedule knows.
        self._study = observed(getattr(rule, "study", frozenset())) - {OWN_OBSERVATION}
        self._names = remembered(signals)
        self.observations = observed(signals) - {OWN_OBSERVATION}
        self._followed = frozenset(signal_named(name).of for name in self._names) - {OWN_OBSERVATION}
        needed = dict.fromkeys(signal_named(name).begins_with for name in self._names)
        for name in needed:
            if name is not None and first.get(name) is None and name not in self._measures:
                observation = observation_named(name)
                raise ScheduleError(
                    f"the schedule reads the {observation.source}: give {name}=…, {observation.first}; it reads "
                    f"{_made_of(name, self._names)}"
                )
        self._position, self._steps_moved, self._validated_epoch = 0, 1, 0
        self._counts = dict.fromkeys(sorted(self.observations | self._study | {"loss", "val_loss"}), 0)
        self._fresh = set(self._followed)  # told since the latest step
        self._rate = 0.0
        nothing = dict.fromkeys(self.observations, math.nan)
        self._memory = begun(self._names, nothing)
        self._before = dict(self._memory)
        self.observe(**first)

    @property
    def steps_per_epoch(self) -> int:
        """The optimiser steps that share an epoch."""
        return self._horizon[1]

    @property
    def position(self) -> int:
        """The optimiser steps taken."""
        return self._position

    @property
    def learning_rate(self) -> float:
        """The learning rate of the coming optimiser step."""
        return self._rate

    @property
    def reads_loss(self) -> bool:
        """Whether the schedule needs the training loss of each step."""
        return "loss" in self.observations

    @property
    def reads_validation(self) -> bool:
        """Whether the schedule needs what validations tell."""
        return any(observation_named(name).is_of_validation for name in self.observations)

    @property
    def signals(self) -> dict[str, float]:
        """What the schedule sees at the coming step."""
        step = min(self._position, self._horizon[0] - 1)
        seen = clock(step, *self._horizon) | values(self._memory)
        return {name: seen[name] for name in sorted(self._rule.signals)}

    def step(self, **told: Any) -> float:
        """Goes on by an optimiser step that was taken; answers the learning rate of the next.

        told: what the training tells, numbers or tensors of one: `loss` of the batch that the step was taken on, the
        norm of its gradient as `grad_norm`, `val_loss` of a validation since the step before, and the others that
        docs/language.md lists, as far as the schedule reads them; a signal of your own by its name.
        """
        self._move_to(self._position + 1)
        return self.observe(**told)

    def move_to(self, position: int) -> float:
        """Goes on to a step by its number, the first being 0; answers its learning rate."""
        self._move_to(whole_steps("position", position, 0))
        return self._decided()

    def begin_at(self, position: int) -> float:
        """Goes on in a training that has taken so many steps; it was told last what the loop was made with."""
        self._move_to(whole_steps("position", position, 0))
        self._fresh = set(self._followed)
        return self._decided()

    def observe(self, **told: Any) -> float:
        """Takes up what the training tells between two optimiser steps; answers the coming step's learning rate.

        What is told again takes the place of what was told before. Raises ScheduleError for a name that the schedule
        knows nothing of.
        """
        given = {name: number(value) for name, value in told.items() if value is not None}
        known = {*OBSERVATIONS, *self._counts} - {OWN_OBSERVATION}
        if unknown := sorted(given.keys() - known):
            raise ScheduleError(f"a loop is told {', '.join(sorted(known))}; got {unknown[0]}=…")
        self._count(given)
        if self._position == 0:
            self._begin(given)
        else:
            after_step = {name: value for name, value in given.items() if not observation_named(name).is_of_validation}
            moment = Moment(self._steps_moved, 0, self._plateau)
            self._memory |= changed(self._before, after_step, moment)
            self._validate({name: value for name, value in given.items() if name not in after_step})
        self._fresh |= given.keys()
        return self._decided()

    def begin(self, **told: Any) -> float:
        """Takes up what is measured for the first time, of the coming step; answers its learning rate.

        At the first step, or later, if those before it were skipped: a GradScaler skips steps until its scale fits.
        """
        self._begin({name: number(value) for name, value in told.items()})
        self._fresh |= told.keys()
        return self._decided()

    def state_dict(self) -> dict[str, float]:
        """All that a new one needs to go on from here: numbers by name."""
        state: dict[str, float] = {
            "position": self._position,
            "steps_moved": self._steps_moved,
            "validated_epoch": self._validated_epoch,
            "learning_rate": self._rate,
        }
        state |= {f"told.{name}": count for name, count in self._counts.items()}
        state |= {f"fresh.{name}": float(name in self._fresh) for name in sorted(self._followed)}
        for prefix, memory in (("now", self._memory), ("before", self._before)):
            for name, held in memory.items():
                parts = held._asdict() if hasattr(held, "_asdict") else {"": held}
                state |= {f"{prefix}.{name}" + (f".{part}" if part else ""): value for part, value in parts.items()}
        return state

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Goes on from where the one was that this was saved of. Raises ScheduleError where it is not such a state."""
        if not isinstance(cast("Any", state), Mapping):
            raise ScheduleError(f"the state of a loop maps names to numbers, got {shown(state)}")
        state = later_state(state) if "lr_before" in state else state
        wanted = {name for name in self.state_dict() if not name.startswith("told.")}
        if missing := wanted - state.keys():
            raise ScheduleError(f"not the state of this loop: it lacks {shortened(', '.join(sorted(missing)), 200)}")
        state = {name: number(state[name]) for name in wanted | (self.state_dict().keys() & state.keys())}

        def memory(prefix: str) -> dict[str, Any]:
            return {
                name: held._replace(**{part: state[f"{prefix}.{name}.{part}"] for part in held._fields})
                if hasattr(held, "_asdict")
                else state[f"{prefix}.{name}"]
                for name, held in self._memory.items()
            }

        counts = {name: _count(name, state[name]) for name in ("position", "steps_moved", "validated_epoch")}
        told = {name: _count(f"told.{name}", state.get(f"told.{name}", 0.0)) for name in self._counts}
        if not (math.isfinite(state["learning_rate"]) and state["learning_rate"] >= 0):
            raise ScheduleError(f"the state's learning rate is at least 0, got {shown(state['learning_rate'])}")
        self._memory, self._before = memory("now"), memory("before")
        self._position, self._steps_moved, self._validated_epoch = counts.values()
        self._rate, self._counts = state["learning_rate"], told
        self._fresh = {name for name in self._followed if state[f"fresh.{name}"]}

    def _begin(self, given: Mapping[str, float]) -> None:
        """The memories before the first step, by what is told now."""
        found = begun([name for name in self._names if signal_named(name).begins_with in given], given)
        self._memory |= found
        self._before |= found

    def _validate(self, given: Mapping[str, float]) -> None:
        """Takes up a validation; the first one after an epoch's end is counted."""
        if not given:
            return
        epoch = self._position // self._horizon[1]
        moment = Moment(1, epoch - self._validated_epoch, self._plateau)
        found = changed(self._memory, given, moment)
        self._memory |= found
        self._before |= found
        self._validated_epoch = max(epoch, self._validated_epoch) if "val_loss" in given else self._validated_epoch

    def _count(self, given: Mapping[str, float]) -> None:
        for name in given:
            if name in self._counts:
                self._counts[name] += not observation_named(name).is_of_validation or self._position > 0

    def _move_to(self, position: int) -> None:
        total_steps, steps_per_epoch = self._horizon
        before, moved = self._position, position - self._position
        if moved > 0:
            for name in sorted(self._followed - self._fresh - self._measures):
                if not observation_named(name).is_of_validation:
                    raise ScheduleError(
                        f"the schedule reads {_made_of(name, self._names)} and was told no {name} since step {before}: "
                        f"step({name}=…) after each optimiser step, or observe({name}=…)"
                    )
            # Whoever validates after each epoch has told a loss before the first step of the second; a jump to where a
            # training goes on has left nobody the time to.
            late = max(total_steps // 2, steps_per_epoch)
            if before <= late < position and moved <= steps_per_epoch:
                self._miss_observations()
            if before <= total_steps < position:
                warn(
                    f"the training goes on beyond total_steps={total_steps}; for its schedule time stands still. Look "
                    "whether total_steps counts epochs where it has to count optimiser steps, or is that of one of "
                    "several processes while the schedule is stepped for each: then multiply it by their number"
                )
            self._memory |= changed(self._memory, {OWN_OBSERVATION: self._rate}, Moment(moved, 0, self._plateau))
            self._before = dict(self._memory)
            self._fresh = set()
        self._position, self._steps_moved = position, max(moved, 1)

    def _miss_observations(self) -> None:
        """Warns of what the schedule, or another one of its study, reads and that nobody has told."""
        for name, count in self._counts.items():
            observation = observation_named(name)
            call = f"{'observe' if observation.is_of_validation else 'step'}({name}=…) {observation.how}"
            if count or name in self._measures:
                continue
            if name in self._followed:
                warn(f"the schedule reads the {observation.source}, and half of the training has told none: {call}")
            elif name in self._study:
                warn(
                    f"other schedules of this study read the {observation.source}, and half of the training has told "
                    f"none: {call}, whatever this schedule reads; or evolve with signals=(…) without it"
                )

    def _decided(self) -> float:
        self._rate = self._rule.at(**self.signals)
        return self._rate


def later_state(state: Mapping[str, float]) -> dict[str, float]:
    """The state of a loop that evolr 0.1 or 0.2 saved, under today's names."""
    counts = {"bad_epochs": 0.0, "cooldown_left": 0.0, "plateaus": 0.0}
    counts |= {name: state[name] for name in PlateauCounts._fields if name in state}
    found: dict[str, float] = {
        **{name: state[name] for name in ("position", "steps_moved", "validated_epoch") if name in state},
        "learning_rate": state["lr"],
        "told.loss": state.get("losses", float(not math.isnan(state.get("loss", math.nan)))),
        "told.val_loss": state.get("validations", 0.0),
        "fresh.loss": float(state.get("was_told_loss", 1.0)),
        "fresh.val_loss": 1.0,
    }
    for prefix, average in (("now", "loss_ema"), ("before", "loss_ema_before")):
        held = {"loss": "loss", "val_loss": "val_loss", "lr": "lr_before", "loss_ema": average}
        found |= {f"{prefix}.{name}": state[old] for name, old in held.items() if old in state}
        found |= {f"{prefix}.{name}.{part}": v for name in ("stale_epochs", "plateaus") for part, v in counts.items()}
    return found


def _made_of(observation: str, names: Sequence[str]) -> str:
    """The signals that are made of an observation, for a sentence."""
    rows = [signal_named(name) for name in names]
    return ", ".join(row.name for row in rows if observation in (row.of, row.begins_with))


def number(value: Any) -> float:
    """The number that a tensor or an array of one holds, or a number itself; a ScheduleError for others."""
    try:
        return as_float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # RuntimeError: torch's
        raise ScheduleError(f"expected a number, or a tensor of one, got {shown(value)}") from error


def _count(name: str, value: float) -> int:
    """A count of a saved state. Raises ScheduleError for what is none."""
    return whole_steps(name, int(value) if value.is_integer() else value, 0)


def warn(message: str) -> None:
    """Warns at the line of the program that uses these classes, whatever framework calls them."""
    inside = {__name__.partition(".")[0], "accelerate", "keras", "lightning", "torch", "transformers"}
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
