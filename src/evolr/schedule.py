"""What a schedule is: an expression, an output transform and bounds.

    lr = clip(transform(expression(signals)), min_lr, max_lr)

A non-finite value gives min_lr. The functions here are the NumPy float64 reference; training/interpreter.py
computes the same inside the compiled step, in float32.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolr.errors import (
    ExpressionError,
    ScheduleError,
    as_float,
    is_finite,
    is_number,
    quoted,
    shortened,
    shown,
    whole_number,
)
from evolr.expression import LANGUAGE_VERSION, Expression, clock, ordinary_text, original_text, parse, scalar
from evolr.expression.text import MAX_NESTING, MAX_NODES
from evolr.reading import read, require_single_keys
from evolr.signals.memory import MOST_RATES
from evolr.signals.plateau import Plateau, PlateauRule

Transform = Literal["linear", "log"]

SCHEMA_VERSION: Final = 1
LOG_LIMIT: Final = 80.0  # the log transform looks at no value beyond ±80: e^80 still fits float32
GREATEST_LR: Final = 1e38  # within float32, in which networks train
_LEAST_REFERENCE: Final = 1e-37  # float32 holds it with all its digits
_MOST_WHOLE: Final = 2**53  # a float holds it to the unit
_FORMAT: Final = "evolr.schedule"
_MAX_DOCUMENT: Final = 1_000_000  # bytes
_TOO_LONG: Final = f"a schedule document has {_MAX_DOCUMENT:,} bytes at most"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A learning-rate schedule.

    >>> from evolr.expression import parse
    >>> schedule = Schedule(expression=parse("0.1*(1 - progress)"), min_lr=0.01)
    >>> schedule.at(progress=0.5), schedule.at(progress=1.0)
    (0.05, 0.01)

    expression: what is computed of the signals.
    transform: `linear`, the value is the learning rate (the first experiment); `log`, the learning rate is
        reference_lr · exp(value), so that the value shapes and the reference scales.
    min_lr, max_lr: the bounds, 0 ≤ min_lr ≤ max_lr ≤ 1e38; as they stand here, none but that no learning rate is negative
        or beyond float32.
    reference_lr: 1e-37 … 1e38; used by `log` alone.
    plateau: what the signals `stale_epochs` and `plateaus` take for a plateau; None for torch's defaults.

    Numbers of NumPy are kept as Python's floats. Raises ScheduleError for what is no Expression, and for bounds or a transform out
    of these ranges.
    """

    expression: Expression
    transform: Transform = "linear"
    min_lr: float = 0.0
    max_lr: float = GREATEST_LR
    reference_lr: float = 1e-3
    plateau: Plateau | None = None

    def __post_init__(self) -> None:
        expression: Any = self.expression
        if not isinstance(expression, Expression):
            raise ScheduleError(
                f"a schedule's expression is an Expression, as evolr.parse makes of a text, got {shown(expression)}"
            )
        transform: Any = self.transform
        if not isinstance(transform, str) or transform not in ("linear", "log"):
            raise ScheduleError(f"the transform is 'linear' or 'log', got {shown(transform)}")
        for name in ("min_lr", "max_lr", "reference_lr"):
            number = getattr(self, name)
            if not is_number(number):
                raise ScheduleError(f"{name} must be a number, got {shown(number)}")
            if is_finite(number):
                msgspec.structs.force_setattr(self, name, float(number))
        if not 0 <= self.min_lr <= self.max_lr <= GREATEST_LR:
            raise ScheduleError(
                f"expected 0 ≤ min_lr ≤ max_lr ≤ {GREATEST_LR:g}, got min_lr {shown(self.min_lr)}, max_lr {shown(self.max_lr)}"
            )
        plateau: Any = self.plateau
        if plateau is not None and not isinstance(plateau, Plateau):
            raise ScheduleError(f"plateau is an evolr.schedule.Plateau or None, got {shown(plateau)}")
        if not (is_finite(self.reference_lr) and _LEAST_REFERENCE <= self.reference_lr <= GREATEST_LR):
            raise ScheduleError(
                f"reference_lr must be positive, {_LEAST_REFERENCE:g} … {GREATEST_LR:g}, got {shown(self.reference_lr)}"
            )

    def __call__(self, /, *unnamed: object, **signals: ArrayLike) -> NDArray[np.float64]:
        """The learning rate at each point of a trace of signals, each by its name; see Expression.__call__ for the shapes.

        >>> from evolr.expression import parse
        >>> float(Schedule(expression=parse("0.1 - 0.01*epoch"))(epoch=3))
        0.07
        """
        if unnamed:
            raise ScheduleError(
                f"a schedule is told its signals by their names, schedule(progress=0.5), got {shown(unnamed[0])} by position. What takes "
                "a function of the count of steps, as optax does, wants evolr.optax.schedule(schedule, total_steps=…)"
            )
        value = self.unbounded(**signals)
        return np.where(np.isfinite(value), np.clip(value, self.min_lr, self.max_lr), self.min_lr) + 0.0  # never −0

    def unbounded(self, **signals: ArrayLike) -> NDArray[np.float64]:
        """The formula's value by the transform, before the bounds; NaN where the log transform's formula is not finite."""
        value = self.expression(signals)
        if self.transform == "linear":
            return value
        with np.errstate(all="ignore"):
            scaled = self.reference_lr * np.exp(np.clip(value, -LOG_LIMIT, LOG_LIMIT))
        return np.where(np.isfinite(value), scaled, np.nan)

    def scaled(self, factor: float) -> Schedule:
        """The schedule whose learning rates, and bounds, are these times a positive factor.

        >>> from evolr.expression import parse
        >>> schedule = Schedule(expression=parse("0.1*(1 - progress)"), min_lr=0.01).scaled(2)
        >>> schedule.at(progress=0.5), schedule.at(progress=1.0)
        (0.1, 0.02)

        Of a formula that reads `lr`, its own previous learning rate, it is what the formula says that is multiplied.
        Raises ScheduleError for a factor that is not positive, and for bounds that would leave their range.
        """
        if not (is_finite(factor) and factor > 0):
            raise ScheduleError(f"expected a positive factor, a number, got {shown(factor)}")
        if factor == 1:
            return self
        factor = float(factor)
        least, most = self.min_lr * factor, min(self.max_lr * factor, GREATEST_LR)
        bounds: dict[str, Any] = {"min_lr": least, "max_lr": GREATEST_LR if self.max_lr == GREATEST_LR else most}
        if self.transform == "log":
            return msgspec.structs.replace(self, reference_lr=self.reference_lr * factor, **bounds)
        return msgspec.structs.replace(self, expression=_multiplied(self.expression, factor), **bounds)

    @property
    def signals(self) -> frozenset[str]:
        """The signals that the formula reads."""
        return self.expression.signals

    @property
    def bounds_text(self) -> str:
        """What bounds the learning rate, in words; empty if nothing but that it is none below 0."""
        least = f"at least {self.min_lr:g}" if self.min_lr > 0 else ""
        most = f"at most {self.max_lr:g}" if self.max_lr < GREATEST_LR else ""
        return ", ".join(bound for bound in (least, most) if bound)

    @property
    def plateau_rule(self) -> PlateauRule:
        """What is a plateau to it, as numbers."""
        return PlateauRule() if self.plateau is None else self.plateau.rule

    def at(self, **signals: Any) -> float:
        """The learning rate at one point, in Python's own floats: for a training loop, where it costs microseconds.

        Whatever `float` takes is a value: a tensor of one number, too. Signals that the formula does not read are ignored.

        >>> from evolr.expression import parse
        >>> Schedule(expression=parse("0.1/(1 + loss)")).at(epoch=3, loss=1.0)
        0.05

        Raises ScheduleError where a signal that the formula reads is not given, or is no number that a float can hold.
        """
        if missing := self.signals - signals.keys():
            raise ScheduleError(
                f"the schedule reads {', '.join(sorted(missing))}; got {', '.join(signals) or 'nothing'}"
            )
        try:
            given = {name: as_float(signals[name]) for name in self.signals}
        except (TypeError, ValueError, OverflowError) as error:
            raise ScheduleError(f"a signal is a number, as a float holds it: {quoted(error)}") from error
        value = scalar.value(self.expression, given)
        if not math.isfinite(value):
            return self.min_lr
        if self.transform == "log":
            value = self.reference_lr * math.exp(min(max(value, -LOG_LIMIT), LOG_LIMIT))
        return min(max(value, self.min_lr), self.max_lr)

    def curve(self, epochs: int, steps_per_epoch: int, **live: ArrayLike) -> NDArray[np.float64]:
        """The learning rate of every step of a training, shape (epochs · steps_per_epoch,).

        `live` gives the values of the live signals that the formula reads, scalars or one a step.
        Raises ScheduleError for numbers below 1, and for more than 100,000,000 steps.
        """
        epochs = _at_least_1("epochs", epochs)
        steps_per_epoch = _at_least_1("steps_per_epoch", steps_per_epoch)
        return self._along(epochs * steps_per_epoch, steps_per_epoch, live)

    def rates_by_step(self, total_steps: int, steps_per_epoch: int) -> list[float]:
        """The learning rate of every step of an open-loop schedule, computed at once. Raises ScheduleError as `curve` does."""
        total_steps = _at_least_1("total_steps", total_steps)
        return self._along(total_steps, _at_least_1("steps_per_epoch", steps_per_epoch), {}).tolist()

    def _along(self, total_steps: int, steps_per_epoch: int, live: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        if total_steps > MOST_RATES:
            raise ScheduleError(
                f"a curve of {shown(total_steps)} steps does not fit into memory; it may have {MOST_RATES:,} at most, of 8 bytes"
            )
        step = np.arange(total_steps)
        return np.broadcast_to(self(**clock(step, total_steps, steps_per_epoch), **live), step.shape)

    def plot(
        self,
        total_steps: int | None = None,
        *,
        steps_per_epoch: int | None = None,
        losses: Sequence[float] | None = None,
        val_losses: Sequence[float] = (),
    ) -> Any:
        """The picture of its learning rates over a horizon, as a matplotlib Figure, before anyone trains.

        total_steps, steps_per_epoch: the horizon; without steps_per_epoch each step counts as an epoch, and a schedule that
        reads the epoch is warned of. A schedule that reads the training is drawn over a recorded one: losses,
        of each step's batch, and val_losses, of the untrained network and at each epoch's end; its length is the horizon.
        What else it reads, a gradient's norm, say, is made up, as the title then says.
        Raises ScheduleError where the horizon, or a record that the schedule needs, is not given.
        """
        from evolr.views.curve import curve_figure

        return curve_figure(self, total_steps, steps_per_epoch=steps_per_epoch, losses=losses, val_losses=val_losses)

    def __str__(self) -> str:
        """Its learning rate in ordinary notation, with all digits, and what bounds it.

        >>> from evolr.expression import parse
        >>> print(Schedule(expression=parse("log(1 - progress)"), transform="log", max_lr=1.0))
        0.001*exp(log(1 - progress)), at most 1
        """
        formula = ordinary_text(self.expression)
        rate = formula if self.transform == "linear" else f"{self.reference_lr!r}*exp({formula})"
        return f"{rate}, {self.bounds_text}" if self.bounds_text else rate

    def __repr__(self) -> str:
        return f"<Schedule: {shortened(str(self), 300)}>"

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import schedule_html

        return schedule_html(self)

    def to_json(self, provenance: Mapping[str, Any] | None = None) -> bytes:
        """The schedule as a document that `from_json` reads back to the same bits.

        Raises ScheduleError for a formula beyond what a text may hold (expression/text.py), and for a provenance that is
        no JSON or does not fit into a document.
        """
        if self.expression.size > MAX_NODES or self.expression.depth > MAX_NESTING + 1:
            raise ScheduleError(
                f"a schedule document holds formulas of at most {MAX_NODES} nodes and {MAX_NESTING + 1} levels, "
                f"got {self.expression.size} and {self.expression.depth}"
            )
        document = _Document(
            format=_FORMAT,
            schema_version=SCHEMA_VERSION,
            language_version=LANGUAGE_VERSION,
            expression=original_text(self.expression),
            transform=self.transform,
            min_lr=self.min_lr,
            max_lr=self.max_lr,
            reference_lr=self.reference_lr,
            plateau=self.plateau,
            provenance=_mapping(provenance),
        )
        try:
            written = msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise ScheduleError(f"the provenance cannot be written as JSON: {quoted(error)}") from error
        if len(written) > _MAX_DOCUMENT:
            raise ScheduleError(f"{_TOO_LONG}; with this provenance it would have {len(written):,}")
        return written

    @staticmethod
    def load(path: Path | str) -> Schedule:
        """The schedule of a file that `to_json` wrote, as `champion.json` of a run directory.

        Raises ScheduleError where there is no such file, or it is none.
        """
        if not isinstance(cast("Any", path), str | os.PathLike):
            raise ScheduleError(f"the file of a schedule is named by a text or a Path, got {shown(path)}")
        try:
            return Schedule.from_json(read(path))
        except OSError as error:
            raise ScheduleError(f"cannot read the schedule {path}: {error.strerror}") from error
        except ValueError as error:  # no document, or no path at all
            raise ScheduleError(f"cannot read the schedule {str(path)!r}: {error}") from error

    @staticmethod
    def from_json(document: bytes | str) -> Schedule:
        """The schedule that a document says.

        Raises ScheduleError for what is not such a document, or is of a newer version.
        """
        return _read(document).schedule()

    @staticmethod
    def provenance(document: bytes | str) -> dict[str, Any]:
        """What a document says of where its schedule comes from."""
        return _read(document).provenance


def require_schedule(given: Any) -> None:
    """Raises ScheduleError for what is no Schedule."""
    if not isinstance(given, Schedule):
        raise ScheduleError(f"expected a Schedule, as evolr.load gives, got {shown(given)}")


def _at_least_1(name: str, number: Any) -> int:
    whole = whole_number(name, number)
    if whole < 1:
        raise ScheduleError(f"{name} must be at least 1, got {shown(number)}")
    if whole > _MOST_WHOLE:
        raise ScheduleError(f"{name} must be at most {_MOST_WHOLE:,}, got {shown(number)}")
    return whole


def _mapping(provenance: Any) -> dict[str, Any]:
    if provenance is not None and not isinstance(provenance, Mapping):
        raise ScheduleError(f"a provenance maps names to what is said of the schedule, got {shown(provenance)}")
    return dict(cast("Mapping[str, Any]", provenance or {}))


def _multiplied(expression: Expression, factor: float) -> Expression:
    """The expression times a factor, which goes into a constant factor that it has already."""
    tokens = expression.tokens
    if tokens[0] == "mul" and isinstance(tokens[1], float):
        return Expression(("mul", factor * tokens[1], *tokens[2:]))
    return Expression(("mul", factor, *tokens))


class _Version(msgspec.Struct):
    """The part of a document that every version has: looked at first."""

    format: str
    schema_version: int
    language_version: int


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    schema_version: int
    language_version: int
    expression: str
    transform: Transform
    min_lr: float
    max_lr: float
    reference_lr: float
    plateau: Plateau | None = None  # in no document that has none
    provenance: dict[str, Any]

    def schedule(self) -> Schedule:
        try:
            expression = parse(self.expression, language=self.language_version)
        except ExpressionError as error:
            raise ScheduleError(f"the document's expression cannot be read: {error}") from error
        return Schedule(
            expression=expression,
            transform=self.transform,
            min_lr=self.min_lr,
            max_lr=self.max_lr,
            reference_lr=self.reference_lr,
            plateau=self.plateau,
        )


def _read(document: bytes | str) -> _Document:
    if type(cast("Any", document)) not in (bytes, str):
        raise ScheduleError(f"a schedule document is text or bytes, got {shown(document)}")
    if len(document) > _MAX_DOCUMENT:
        raise ScheduleError(f"{_TOO_LONG}, got {len(document):,}")
    with _refusing():
        version = msgspec.json.decode(document, type=_Version)
    if version.format != _FORMAT:
        raise ScheduleError(f"expected a document of format {_FORMAT!r}, got {shortened(version.format)!r}")
    if version.schema_version != SCHEMA_VERSION:
        raise ScheduleError(_wrong_version("schema version", SCHEMA_VERSION, version.schema_version))
    if version.language_version > LANGUAGE_VERSION or version.language_version < 1:
        raise ScheduleError(_wrong_version("language version", LANGUAGE_VERSION, version.language_version))
    with _refusing():
        found = msgspec.json.decode(document, type=_Document)
        require_single_keys(document)
    return found


@contextmanager
def _refusing() -> Generator[None]:
    """Raises ScheduleError for what is read meanwhile and is no document."""
    try:
        yield
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # what is no text of Unicode among them
        endless = "it has lists in lists, or tables in tables, without end"
        why = endless if isinstance(error, RecursionError) else quoted(error)
        raise ScheduleError(f"not a schedule document: {why}") from error


def _wrong_version(what: str, known: int, got: int) -> str:
    advice = "; a newer evolr wrote it: update evolr to read it" if got > known else ""
    return f"this evolr knows {what} {known}, the document has {shortened(str(got))}{advice}"
