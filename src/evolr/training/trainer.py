"""The population trainer: many networks, each under its own schedule, by one compiled program.

The program advances a chunk of runs by one epoch. A chunk is spread over the devices; on a CPU each device
trains its runs one after another, so that a network's weights stay in the core's cache, and on an accelerator
all at once. The chunk's shape is fixed: a smaller population is padded with runs that take no steps, a larger
one takes several chunks, and a new generation or another number of epochs never needs a new compilation.

A run's arithmetic does not depend on its place in a chunk, on the chunk's size or on the number of devices.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from evolr.errors import ConfigError, ScheduleError
from evolr.ranges import EPOCHS
from evolr.signals import SIGNALS
from evolr.training.devices import devices, mended_cache
from evolr.training.interpreter import pack_schedules
from evolr.training.measures import level_of
from evolr.training.optimizers import Optimizer
from evolr.training.programs import Record, Start, build
from evolr.training.task import Outcome, Task, Tree, Trial, score_of

_Result = TypeVar("_Result")
_Program = tuple[Optimizer, frozenset[str]]
"""Of a trial: its optimiser, and the level at which it is measured."""

_CPU_RUNS: Final = 10  # runs of a chunk on each device of a CPU: enough to hide the call, few enough to pad
_ACCELERATOR_RUNS: Final = 1024  # and on an accelerator at most: enough to fill it
_PROGRAMS: Final = 4
"""Programs that a trainer keeps, the last used ones: one optimiser, at each level. A compiled one takes some 900 memory maps on a CPU, of which Linux
gives a process 65,530, and XLA ends the process that has no more.
"""
_CHUNKS_IN_FLIGHT: Final = 4  # so that a chunk with work for one device does not hold up the other


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some trials in their slots: `slots[i]` of `width` holds the trial number `trials[i]`."""

    width: int
    trials: list[int]
    slots: list[int]
    trial_seeds: list[int]

    @property
    def seeds(self) -> list[int]:
        """The distinct seeds."""
        return list(dict.fromkeys(self.trial_seeds))

    def singles(self) -> Iterator[_Chunk]:
        """Each trial in a chunk of its own."""
        for trial, slot, seed in zip(self.trials, self.slots, self.trial_seeds, strict=True):
            yield _Chunk(self.width, [trial], [slot], [seed])


@dataclass(frozen=True, slots=True)
class _Flight:
    """A chunk on its way: what the devices will have computed when its arrays are read."""

    chunk: _Chunk
    records: list[Record]
    score: Any


@dataclass(frozen=True, slots=True)
class _Order:
    """What `train` was asked for, and where its outcomes go."""

    trials: Sequence[Trial]
    epochs: int
    keep_steps: bool
    land: Callable[[dict[int, Outcome]], None]


class Trainer:
    """Trains trials of a task.

    task, optimizer: what is trained, and how, if its trial names no other optimizer.
    device_count: how many devices to use; all where None.
    runs_per_device: the part of a chunk that one device trains; chosen by the kind of device where None.
    like: a trainer that judges on another pool, say. If its task trains by the same functions, on the same devices, their
        compiled programs are shared.

    preparing_seconds: spent in compiling, and in loading what was compiled before: until the first chunk of each program was on its way.

    Raises ConfigError for counts out of range.
    """

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        *,
        device_count: int | None = None,
        runs_per_device: int | None = None,
        like: Trainer | None = None,
    ) -> None:
        if runs_per_device is not None and runs_per_device < 1:
            raise ConfigError(f"runs_per_device must be at least 1, got {runs_per_device}")
        found = devices(device_count)
        self._task, self._optimizer = task, optimizer
        self._device_count = len(found)
        self._runs_per_device = runs_per_device
        self._batched = found[0].platform != "cpu"
        mesh = Mesh(np.array(found), ("runs",))
        self._traced = (task.loss, task.evaluate, task.steps_per_epoch, *found)  # what programs are made of
        self._spread = NamedSharding(mesh, PartitionSpec("runs"))
        self._copied = NamedSharding(mesh, PartitionSpec())
        self._monitor = jax.device_put(task.monitor, self._copied)
        self._judge = None if task.judge is None else jax.device_put(task.judge, self._copied)
        self._programs = (
            like._programs
            if like is not None and like._traced == self._traced
            else lru_cache(_PROGRAMS)(lambda by, level: build(task, by, mesh, batched=self._batched, level=level))
        )
        self._batches = lru_cache(maxsize=64)(self._load_batches)
        self._launched: set[_Program] = set()
        self.preparing_seconds = 0.0

    def train(
        self,
        trials: Sequence[Trial],
        epochs: int,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
    ) -> list[Outcome]:
        """The outcome of each trial, in the order of the trials.

        keep_steps: whether the outcomes hold the learning rate of every step.
        on_outcomes: called after each chunk with its outcomes, by the trials' numbers. What it raises ends the
            training; other chunks under way are dropped.

        A trial in which the problem raises is recorded as failed. Raises ConfigError for epochs out of range.
        """
        epochs = EPOCHS.of("epochs", epochs)
        outcomes: dict[int, Outcome] = {}
        in_flight: deque[_Flight] = deque()

        def land(landed: dict[int, Outcome]) -> None:
            outcomes.update(landed)
            if on_outcomes:
                on_outcomes(landed)

        order = _Order(trials, epochs, keep_steps, land)
        for chunk in self._chunks(trials):
            with mended_cache(), self._preparing(self._program_of(trials[chunk.trials[0]])):
                flight = self._attempt(order, chunk, lambda chunk=chunk: self._launch(chunk, order))
            if flight is not None:
                in_flight.append(flight)
            if len(in_flight) == _CHUNKS_IN_FLIGHT:
                self._arrive(order, in_flight.popleft())
        while in_flight:
            self._arrive(order, in_flight.popleft())
        return [outcomes[number] for number in range(len(trials))]

    @contextmanager
    def _preparing(self, program: _Program) -> Generator[None]:
        """Counts the first launch of a program into `preparing_seconds`: a launch waits for what has to be compiled, and for nothing else."""
        begun = time.perf_counter()
        yield
        if program not in self._launched:
            self._launched.add(program)
            self.preparing_seconds += time.perf_counter() - begun

    def _attempt(self, order: _Order, chunk: _Chunk, step: Callable[[], _Result]) -> _Result | None:
        """The result of a step; None where it raises.

        The chunk's trials are then done again one by one, so that only what fails by itself has failed, whatever
        company it was in.
        """
        try:
            return step()
        except Exception as error:  # the problem's own functions, and whatever the devices report
            if len(chunk.trials) == 1:
                order.land({chunk.trials[0]: Outcome.failed(error, order.epochs)})
                return None
        for single in chunk.singles():
            flight = self._attempt(order, single, lambda single=single: self._launch(single, order))
            if flight is not None:
                self._arrive(order, flight)
        return None

    def _arrive(self, order: _Order, flight: _Flight) -> None:
        """Waits for a chunk and hands over its outcomes."""
        landed = self._attempt(order, flight.chunk, lambda: self._land(flight, order.keep_steps))
        if landed is not None:
            order.land(landed)

    def _chunks(self, trials: Sequence[Trial]) -> Iterator[_Chunk]:
        """Splits trials into chunks, each dealt out to the devices in turn; a chunk has one optimiser and measures at one level.

        On a CPU a chunk has one seed, so that all its runs read the same batches; padding costs nothing there.
        An accelerator pays for padding and gains by width, so there a chunk mixes seeds.
        """
        count, seeds = self._device_count, [trial.seed for trial in trials]
        by_program: dict[_Program, list[int]] = {}
        for number, trial in enumerate(trials):
            by_program.setdefault(self._program_of(trial), []).append(number)
        if self._batched:
            per_device = self._runs_per_device or min(_ACCELERATOR_RUNS, _power_of_two(-(-len(seeds) // count)))
            groups = [sorted(members, key=seeds.__getitem__) for members in by_program.values()]
        else:
            per_device = self._runs_per_device or _CPU_RUNS
            by_seed: dict[tuple[_Program, int], list[int]] = {}
            for program, members in by_program.items():
                for number in members:
                    by_seed.setdefault((program, seeds[number]), []).append(number)
            groups = list(by_seed.values())
        width = per_device * count
        turn = 0  # the device that the next trial goes to
        for group in groups:
            for start in range(0, len(group), width):
                members = group[start : start + width]
                slots = [(turn + k) % count * per_device + k // count for k in range(len(members))]
                turn = (turn + len(members)) % count
                yield _Chunk(width, members, slots, [seeds[i] for i in members])

    def _program_of(self, trial: Trial) -> _Program:
        """What decides the program that trains a trial. Raises ScheduleError for a signal that is not defined there."""
        optimizer = trial.optimizer or self._optimizer
        if untold := sorted(trial.schedule.signals & optimizer.untold):
            raise ScheduleError(
                f"the schedule reads {', '.join(untold)}, which is not defined under {optimizer.name}: its step is not in "
                "proportion to the learning rate"
            )
        return optimizer, level_of(trial.schedule.signals)

    def _launch(self, chunk: _Chunk, order: _Order) -> _Flight:
        """Hands a chunk's whole training to the devices; returns at once."""
        trials, epochs = order.trials, order.epochs
        # A slot without a trial gets the first one's schedule, to have some, and is not active.
        schedules = [trials[chunk.trials[0]].schedule] * chunk.width
        seed_numbers = np.zeros(chunk.width, np.int32)
        active = np.zeros(chunk.width, bool)
        for number, slot in zip(chunk.trials, chunk.slots, strict=True):
            schedules[slot] = trials[number].schedule
            seed_numbers[slot] = chunk.seeds.index(trials[number].seed)
            active[slot] = True
        seeds = tuple(chunk.seeds)
        if self._batched:  # few shapes, so few compilations
            seeds += seeds[:1] * (_power_of_two(len(seeds)) - len(seeds))
        starts = Start(pack_schedules(schedules), seed_numbers, np.full(chunk.width, epochs, np.int32), active)
        starts = jax.device_put(starts, self._spread)
        made = [(self._task.initial(seed), self._task.drawn(seed)) for seed in seeds]
        initial, drawn = jax.device_put(_stack(made), self._copied)
        programs = self._programs(*self._program_of(trials[chunk.trials[0]]))
        runs = programs.begin(starts, initial, drawn, self._batches(seeds, 0), self._monitor)
        records: list[Record] = []
        for epoch in range(epochs):
            runs, record = programs.advance(runs, self._batches(seeds, epoch), self._monitor)
            records.append(record)
        score = None if self._judge is None else programs.judge(runs, self._judge)
        return _Flight(chunk, records, score)

    def _land(self, flight: _Flight, keep_steps: bool) -> dict[int, Outcome]:
        """Waits for a chunk and reads its outcomes, by trial number."""
        _wait_for(flight.records[-1].val_loss if flight.score is None else flight.score)
        train_loss, val_loss, val_score, steps, seen = (
            np.stack([np.asarray(getattr(record, name)) for record in flight.records], axis=1)
            for name in Record._fields
        )
        scores = val_score[:, -1] if flight.score is None else np.asarray(flight.score)
        outcomes: dict[int, Outcome] = {}
        for number, slot in zip(flight.chunk.trials, flight.chunk.slots, strict=True):
            finished = np.isfinite(val_loss[slot]) & np.isfinite(train_loss[slot])
            diverged_at = None if finished.all() else int(np.argmin(finished))
            outcomes[number] = Outcome(
                score=score_of(_shortest(scores[slot])) if diverged_at is None else float("nan"),
                diverged_at=diverged_at,
                train_loss=np.where(finished, train_loss[slot], np.nan),
                val_loss=np.where(finished, val_loss[slot], np.nan),
                val_score=np.where(finished, val_score[slot], np.nan),
                learning_rate=np.where(finished, steps[slot].mean(axis=1), np.nan),
                learning_rates=steps[slot].reshape(-1).copy() if keep_steps else None,
                signals={name: np.where(finished, seen[slot, :, place], np.nan) for place, name in enumerate(SIGNALS)}
                if keep_steps
                else None,
            )
        return outcomes

    def _load_batches(self, seeds: tuple[int, ...], epoch: int) -> Tree:
        """The batches of an epoch on the devices; each array (seeds, steps, …)."""
        return jax.device_put(_stack([self._task.batches(seed, epoch) for seed in seeds]), self._copied)


def _wait_for(array: Any) -> None:
    """Waits in Python rather than in JAX, so that a signal's handler runs while the devices work."""
    pause = 0.0002
    while not array.is_ready():
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _shortest(value: np.float32) -> float:
    """The float64 that prints as the float32 does: 0.606, not 0.6060000061988831."""
    return float(str(value))


def _stack(trees: list[Tree]) -> Tree:
    if len(trees) == 1:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], trees[0])
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()
