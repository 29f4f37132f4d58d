"""A suite of several problems: the seed of a trial draws a kind of task, and a task of that kind.

Scores of different kinds are not comparable: an accuracy, a loss in nats, a loss that falls by orders of magnitude. So the
score of every trial is put on one scale, by two constants of its kind:

    normalised score = (score − floor) / (reference − floor),    within −1 … 3

floor is what an untrained network scores, reference what a schedule scores that was tuned for this kind alone. The constants
are the kind's, not the task's: they are units. Where the reference were trained on each task, a hard task, on which it
gains next to nothing, would have a unit next to 0, and its noise would outweigh every other task.

A training that diverges has no score, and a suite has tasks on which a good schedule may: it gets −1, as far below the
floor as the reference is above it, so that it is the worst there is and yet one of many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

import msgspec
import numpy as np

from evolr.errors import ConfigError, ProblemError, as_float, is_finite, shown, unknown_name
from evolr.problems.problem import NORMALISED, WORST, Metric, Pool, Problem, ProblemDefaults, TaskMaker, require_name
from evolr.randomness import generator
from evolr.ranges import EPOCHS
from evolr.training.optimizers import OptimizerName
from evolr.training.task import Outcome, Task

BEST: Final = 3.0
"""The normalised score above which none counts: a loss that vanishes must not outweigh every other task."""

METRIC: Final = Metric(NORMALISED, higher_is_better=True)

TestKinds = Literal["held out", "all"]
"""The kinds that the test pool draws, if some are held out."""

_STAGES: Final[tuple[Pool, ...]] = get_args(Pool)
_TASKS: Final = 2**29  # of a kind at each stage; four stages make 2³¹, all that a seed may be


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task of a suite, and the scale of its scores.

        evolr.Kind(problem, floor=0.1, reference=0.62)

    problem: makes its tasks: a JaxProblem, or one of evolr's own that one program trains. floor: the score, in its metric,
    of an untrained network. reference: that of a schedule tuned for this kind alone. `Suite.measured` finds both.
    length: how long its trainings are, a part of the suite's epochs, above 0 and at most 1: one epoch at least. So kinds of the same problem
    and of different lengths make a suite that draws the horizon too. In budgets and counts each is one training, whatever its length.

    Raises ConfigError for constants that make no scale, and for a length out of range.
    """

    problem: Problem
    floor: float
    reference: float
    length: float = 1.0

    def __post_init__(self) -> None:
        require_kind(self.problem)
        require_length(self.length, "length")
        for name in ("floor", "reference"):  # as Python's own, which a study's identity and a person can read
            value = getattr(self, name)
            with suppress(TypeError, ValueError, OverflowError):
                object.__setattr__(self, name, value if isinstance(value, bool | np.bool_) else as_float(value))
        metric, given = self.problem.metric, (self.floor, self.reference)
        finite = all(map(is_finite, given)) and is_finite(self.reference - self.floor)
        if not (finite and metric.fitness(self.reference) > metric.fitness(self.floor)):
            better = "higher" if metric.higher_is_better else "lower"
            raise ConfigError(
                f"reference must be a better {metric.name} than floor, which is {better}, and both finite, their difference too; got floor "
                f"{shown(self.floor)} and reference {shown(self.reference)}"
            )
        object.__setattr__(self, "length", float(self.length))

    @property
    def key(self) -> Any:
        """What of it decides the outcome of a training; of a kind of whole length what it was before there were others."""
        whole = [self.problem.key, self.floor, self.reference]
        return whole if self.length == 1 else [*whole, self.length]

    def normalised(self, score: Any) -> Any:
        """Scores of its metric on the common scale; WORST for NaN. A number or an array, as it is given."""
        share = (np.asarray(score, np.float64) - self.floor) / (self.reference - self.floor)
        return np.where(np.isnan(share), WORST, np.clip(share, WORST, BEST))


def require_length(length: Any, name: str) -> None:
    """Raises ConfigError for what is no part of a training."""
    if not (is_finite(length) and 0 < length <= 1):
        raise ConfigError(f"{name} must be above 0 and at most 1, a part of the suite's epochs, got {shown(length)}")


def epochs_at(length: float, epochs: int) -> int:
    """The epochs of a training of a length."""
    return max(1, round(length * epochs))


def require_kind(problem: Any) -> None:
    """Raises ConfigError for what is no problem, and for a suite, whose scores are normalised already."""
    if isinstance(problem, type) or not hasattr(problem, "metric"):
        raise ConfigError(f"the problem of a kind is a JaxProblem or one of evolr's, got {shown(problem)}")
    if problem.metric == METRIC:
        raise ConfigError(f"the problem {problem.name!r} is a suite itself: give its kinds one by one")


class Suite(ProblemDefaults):
    """A problem of several kinds of task, each trained by its own program.

        suite = evolr.Suite({"mlp": evolr.Kind(mlp, floor=0.1, reference=0.62), "rnn": evolr.Kind(rnn, floor=2.1, reference=1.4)})
        evolr.evolve(suite, "runs/mine")

    kinds: by name. A seed draws one of them, each with the same chance, and a task within it.
    held_out: names of kinds that no search and no selection meets. test_on: what the test pool draws then: the kinds that are
        `held out` alone, or `all`.
    name: the suite's, in tables.

    Tasks of different pools are disjoint: the four pools draw from four sets of tasks, whatever their seeds are. The score of a
    trial is normalised (see Kind), so that means over tasks have a meaning.

    Raises ConfigError for kinds that are none, and for held-out ones that are unknown or all there are.
    """

    preset: Final = "suite"
    """The preset from which its search starts."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        *,
        held_out: Sequence[str] = (),
        test_on: TestKinds = "held out",
        name: str = "suite",
    ) -> None:
        if not isinstance(cast("Any", kinds), Mapping) or not kinds:
            raise ConfigError(
                "kinds must map names to evolr.Kind(problem, floor=…, reference=…), and hold one at least"
            )
        for key, kind in kinds.items():
            require_name("the name of a kind", key)
            if not isinstance(cast("Any", kind), Kind):
                raise ConfigError(
                    f"kinds[{key!r}] must be evolr.Kind(problem, floor=…, reference=…), got a {type(kind).__name__}; "
                    "evolr.Suite.measured takes problems, and finds floor and reference"
                )
        require_name("name", name)
        self._name = name
        self._all = dict(kinds)
        self._held_out = checked_held_out(list(kinds), held_out, test_on)
        self._test_on = test_on
        searched = [name for name in kinds if name not in self._held_out]
        tested = list(self._held_out) if self._held_out and test_on == "held out" else list(kinds)
        self._drawn = {pool: tested if pool == "test" else searched for pool in _STAGES}

    @classmethod
    def measured(
        cls,
        problems: Mapping[str, Problem],
        *,
        epochs: int,
        optimizer: OptimizerName = "momentum",
        tasks: int = 8,
        lengths: Mapping[str, float] = MappingProxyType({}),
        held_out: Sequence[str] = (),
        test_on: TestKinds = "held out",
        name: str = "suite",
    ) -> Suite:
        """The suite of these problems, the scales of their scores measured; see `problems/reference.py`.

        epochs, optimizer: of the reference's trainings: those of the search that is to come. tasks: of each kind.
        lengths: of the kinds that are shorter than these epochs; see Kind.
        What is found is the suite's `scales`: write it down, and give each as Kind(problem, floor, reference), since it costs
        some 80 trainings a kind.
        """
        from evolr.problems.reference import scale_of

        if not isinstance(cast("Any", problems), Mapping) or not problems:
            raise ConfigError(f"problems must map names to problems, and hold one at least, got {shown(problems)}")
        checked_held_out(list(problems), held_out, test_on)  # before anything trains
        for problem in problems.values():
            require_kind(problem)
        if not isinstance(cast("Any", lengths), Mapping):
            raise ConfigError(f"lengths must map names of kinds to parts of the epochs, got {shown(lengths)}")
        for key, length in lengths.items():
            if key not in problems:
                raise ConfigError(unknown_name("kind in lengths,", str(key), list(problems)))
            require_length(length, f"lengths[{key!r}]")
        epochs, kinds = EPOCHS.of("epochs", epochs), dict[str, Kind]()
        for key, problem in problems.items():
            length = lengths.get(key, 1.0)
            of_it = epochs_at(length, epochs)
            scale = scale_of(key, problem, epochs=of_it, optimizer=optimizer, tasks=tasks)
            kinds[key] = Kind(problem, *scale, length)
        return cls(kinds, held_out=held_out, test_on=test_on, name=name)

    def __repr__(self) -> str:
        return f"<evolr.Suite {self._name!r}: {', '.join(self._all)}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def metric(self) -> Metric:
        return METRIC

    @property
    def scales(self) -> dict[str, tuple[float, float]]:
        """Of each kind, floor and reference."""
        return {name: (kind.floor, kind.reference) for name, kind in self._all.items()}

    @property
    def signals(self) -> tuple[str, ...]:
        """Those that all kinds show."""
        shown = [set(kind.problem.signals) for kind in self._all.values()]
        return tuple(name for name in super().signals if all(name in own for own in shown))

    @property
    def optimizers(self) -> tuple[OptimizerName, ...]:
        """Those that make sense on all kinds."""
        given = [kind.problem.optimizers for kind in self._all.values()]
        return tuple(name for name in super().optimizers if all(name in own for own in given))

    @property
    def steps_per_epoch(self) -> int:
        """The mean over the kinds, of the suite's epochs, of which a shorter kind trains a part; each trains by its own."""
        steps = [kind.problem.steps_per_epoch * kind.length for kind in self._all.values()]
        return max(1, round(float(np.mean(steps))))

    @property
    def draws_tasks(self) -> bool:
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        return notes_of(list(self._all), self._held_out)

    @property
    def key(self) -> Any:
        kinds = {name: kind.key for name, kind in self._all.items()}
        return [self._name, kinds, list(self._held_out), self._test_on]

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hexadecimal, of its settings and its kinds' data; what their functions compute is not in it."""
        return hashlib.sha256(msgspec.json.encode(self.key)).hexdigest()

    @property
    def identity(self) -> str:
        """What a study writes down of who trains it."""
        return f"Suite {self.name!r}, SHA-256 {self.digest[:16]}"

    def kinds(self, pool: Pool) -> dict[str, TaskMaker]:
        """The kinds that a pool draws."""
        return {name: _OfKind(name, self._all[name].problem) for name in self._drawn[pool]}

    def draw(self, seed: int, pool: Pool) -> tuple[str, int]:
        """The kind of a seed's task, and the seed that its problem makes it of, which no other pool draws."""
        rng, drawn = generator(seed, "suite", "task"), self._drawn[pool]
        kind, task = drawn[int(rng.integers(len(drawn)))], int(rng.integers(_TASKS))
        return kind, len(_STAGES) * task + _STAGES.index(pool)

    def epochs_of(self, kind: str, epochs: int) -> int:
        """Those of the kind's length."""
        return epochs_at(self._all[kind].length, epochs)

    def scored(self, kind: str, outcome: Outcome) -> Outcome:
        """The outcome on the common scale; a training that diverged has WORST from that epoch on, one that failed no score."""
        if outcome.failure is not None:
            return outcome
        scale = self._all[kind]
        val_score = scale.normalised(outcome.val_score).astype(np.float32)
        score = WORST if outcome.diverged else float(scale.normalised(outcome.score))
        return replace(outcome, score=score, val_score=val_score)


@dataclass(frozen=True, slots=True)
class _OfKind:
    """Makes the tasks of a kind, and names it where they cannot be made."""

    name: str
    problem: Problem

    def task(self, pool: Pool) -> Task:
        ((_, maker),) = self.problem.kinds(pool).items()
        try:
            return maker.task(pool)
        except ProblemError as error:
            raise ProblemError(f"the kind {self.name!r}: {error}") from error


def checked_held_out(kinds: Sequence[str], held_out: Sequence[str], test_on: str, path: str = "") -> tuple[str, ...]:
    """The kinds that are held out, in order. Raises ConfigError for unknown ones, for all of them, and for another test_on."""
    if isinstance(held_out, str):
        raise ConfigError(f"{path}held_out is a list of kinds, such as ({held_out!r},), got the text {held_out!r}")
    if not isinstance(cast("Any", held_out), Sequence):  # a set has no order, in which seeds draw them
        raise ConfigError(f"{path}held_out is a list of kinds, got {shown(held_out)}")
    for name in held_out:
        if name not in kinds:
            raise ConfigError(unknown_name(f"kind in {path}held_out,", str(name), kinds))
    if len(set(held_out)) >= len(kinds):
        raise ConfigError(f"{path}held_out leaves no kind to search on: keep one of {', '.join(kinds)}")
    if test_on not in get_args(TestKinds):
        raise ConfigError(f"{path}test_on must be 'held out' or 'all', got {shown(test_on)}")
    return tuple(dict.fromkeys(held_out))


def notes_of(kinds: Sequence[str], held_out: Sequence[str]) -> tuple[str, ...]:
    """What a reader of a suite's results must know."""
    drawn = f"the kind {kinds[0]}" if len(kinds) == 1 else f"{len(kinds)} kinds: {', '.join(kinds)}"
    notes = [f"each seed is another task, of {drawn}"]
    return (*notes, *([f"held out of search and selection: {', '.join(held_out)}"] if held_out else []))
