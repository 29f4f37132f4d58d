"""What an entry of the gallery is: a schedule with one free scale, what it was found on, and what is known of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, cast

import msgspec

from evolr.errors import ExpressionError, ScheduleError, quoted, shortened, shown
from evolr.expression import ordinary_text
from evolr.formula import read_schedule
from evolr.problems import PROBLEMS, Metric
from evolr.ranges import EPOCHS
from evolr.reading import require_single_keys
from evolr.schedule import Schedule
from evolr.standard import FreeConstant
from evolr.training.optimizers import Optimizer

SCHEMA_VERSION: Final = 1
_FORMAT: Final = "evolr.gallery"
_MAX_DOCUMENT: Final = 200_000  # bytes
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME: Final = 30  # characters: it stands in a table of 80 columns
STARTS: Final = tuple(10.0**decades for decades in (0, -1, 1, 0.5, -0.5, -1.5, 1.5))

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Said = Annotated[str, msgspec.Meta(min_length=1)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ScaleRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a tuner looks for the scale, the factor on the learning rate; 1 is the schedule as it was found.

    low, high: 0 < low ≤ 1 ≤ high. Raises ScheduleError for others.
    """

    low: float = 0.01
    high: float = 100.0

    def __post_init__(self) -> None:
        if not 0 < self.low <= 1 <= self.high < float("inf"):
            raise ScheduleError(f"expected 0 < low ≤ 1 ≤ high for the scale's range, got {self.low} and {self.high}")


class FoundOn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a schedule was found on.

    problem: its name. epochs: of each training. settings: those of the problem that are not its defaults, by name.
    seed: of the study, None without one. trainings: that the search took. standing: what the schedule is if its search has not
    said its last word on it, not raced, say; empty if it has.
    """

    problem: str
    epochs: Annotated[int, msgspec.Meta(ge=EPOCHS.least, le=EPOCHS.most)]
    settings: dict[str, Any] = {}
    seed: int | None = None
    trainings: _Count | None = None
    standing: str = ""

    @property
    def place(self) -> str:
        """The problem with its settings: «mixed, kinds_drawn quadratic»."""
        said = {name: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for name, v in self.settings.items()}
        return ", ".join([self.problem, *(f"{name} {value}" for name, value in said.items())])

    @property
    def draws_tasks(self) -> bool:
        """Whether each seed is another task there, as far as evolr knows the problem."""
        return self.problem in PROBLEMS and PROBLEMS[self.problem]().draws_tasks


class FamilyFigures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The best of the standard schedules in a contest whose best rival is another optimiser. name, score, p: of it; difference, low, high: the
    entry's score minus this one's, with its 95 % interval; what is not known is None.
    """

    name: _Said
    score: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: _Share | None = None


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A contest in figures; what is not known is None.

    place: what it was held on, if that is not what the schedule was found on; empty if it is.
    metric, higher_is_better: what a score is. Scores and differences are in its own unit, an accuracy as a share.
    seeds: trainings of each contender in the final; on a suite each is another task. pool: that judged the final.
    score: the mean. rival: the best of the others, its own frozen curve aside, tuned; rival_score: its mean. difference: score minus rival_score by
    pairs; low, high: its 95 % interval. p: of it, corrected for all contenders.
    budget: trainings that each rival was tuned with. beaten, level, worse: contenders that it is better than, not
    distinguishable from, and worse than, at p < 0.05.
    family: the best of the standard schedules, which train by the entry's own optimiser; None if that is the rival itself.
    """

    place: str = ""
    metric: str
    higher_is_better: bool = True
    seeds: _Count | None = None
    pool: str | None = None
    score: float | None = None
    rival: str | None = None
    rival_score: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: _Share | None = None
    budget: _Count | None = None
    beaten: _Count | None = None
    level: _Count | None = None
    worse: _Count | None = None
    family: FamilyFigures | None = None

    @property
    def difference_text(self) -> str:
        """The difference from the best rival with its interval, an accuracy in points; empty if it is not known.

        >>> Figures(metric="accuracy", difference=0.02, low=0.01, high=0.03).difference_text
        '+2.00 (+1.00 … +3.00)'
        """
        return self._difference_text(self.difference, self.low, self.high)

    @property
    def family_text(self) -> str:
        """The difference from the best standard schedule with its interval, where that is not the best rival; else empty."""
        family = self.family
        return "" if family is None else self._difference_text(family.difference, family.low, family.high)

    def _scored(self, name: str, score: float | None) -> str:
        return name if score is None else f"{name} {self._metric.text(score)}"

    def _difference_text(self, difference: float | None, low: float | None, high: float | None) -> str:
        if difference is None:
            return ""
        number = self._metric.number
        if low is None or high is None:
            return number(difference, "+")
        return f"{number(difference, '+')} ({number(low, '+')} … {number(high, '+')})"

    @property
    def text(self) -> str:
        """The contest in a few words.

        >>> Figures(metric="accuracy", seeds=32, score=0.7, beaten=3, level=1, worse=0, budget=600).text
        'accuracy 70.00 %; better than 3, level with 1, worse than 0 of 4 contenders; 32 seeds; 600 trainings each'
        """
        score = "" if self.score is None else f"{self.metric} {self._metric.text(self.score)}"
        rival = "" if self.rival is None else self._scored(self.rival, self.rival_score)
        parts = [f"on {self.place}" if self.place else "", " against ".join(part for part in (score, rival) if part)]
        parts.append(_with_p(self.difference_text, self.p))
        if self.family is not None:
            family = f"the best standard schedule is {self._scored(self.family.name, self.family.score)}"
            parts.append(", ".join(part for part in (family, _with_p(self.family_text, self.family.p)) if part))
        if self.beaten is not None and self.level is not None and self.worse is not None:
            total = self.beaten + self.level + self.worse
            parts.append(
                f"better than {self.beaten}, level with {self.level}, worse than {self.worse} of {total} contenders"
            )
        parts.append("" if self.seeds is None else f"{self.seeds} seeds")
        parts.append("" if self.pool is None else f"{self.pool} pool")
        parts.append("" if self.budget is None else f"{self.budget:,} trainings each")
        return "; ".join(part for part in parts if part)

    @property
    def has_won(self) -> bool:
        """Whether it is better than the best of its rivals at p < 0.05."""
        return self._is_better(self.difference, self.p)

    @property
    def has_won_against_schedules(self) -> bool:
        """Whether it is better than the best of the rivals that train by its optimiser, at p < 0.05."""
        return self.has_won if self.family is None else self._is_better(self.family.difference, self.family.p)

    def _is_better(self, difference: float | None, p: float | None) -> bool:
        if difference is None or p is None or p >= 0.05:
            return False
        return difference > 0 if self.higher_is_better else difference < 0

    @property
    def has_lost(self) -> bool:
        """Whether it is worse than the best of its rivals at p < 0.05."""
        return self.p is not None and self.p < 0.05 and bool(self.difference) and not self.has_won

    @property
    def unit_of_differences(self) -> str:
        """`points` of an accuracy, empty of what has no unit."""
        return self._metric.unit_of_differences

    @property
    def _metric(self) -> Metric:
        return Metric(self.metric, self.higher_is_better)


def _with_p(difference: str, p: float | None) -> str:
    """A difference that is known, and its p."""
    return difference if p is None or not difference else f"{difference}, p {p:.2g}"


class Curve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The learning rates that it took in trainings on what it was found on: of each epoch the mean, and of these the quartiles
    and the median over the trainings.

    trainings: how many. low, median, high: one number an epoch.
    """

    trainings: Annotated[int, msgspec.Meta(ge=1)]
    low: list[float]
    median: list[float]
    high: list[float]

    def __post_init__(self) -> None:
        if not len(self.low) == len(self.median) == len(self.high) > 0:
            raise ScheduleError("expected quartiles and a median of as many epochs each, and of one at least")


class GalleryEntry(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"document": "schedule"},
):
    """A discovered schedule with one constant, the scale, which a tuner fits as it fits the constants of a family.

        entry = evolr.gallery["momentum-suite"]
        entry.schedule()            # as it was found
        entry.schedule(scale=0.3)   # three tenths of its learning rates
        evolr.tune(train, entry, trainings=10, epochs=20).schedule

    name: lower-case letters, digits and hyphens; no family's name and no formula. title: in a few words.
    origin: whether a search found it, or people wrote it. document: the schedule's, as `Schedule.to_json` gives it.
    scale: the range of its one constant. optimizer: that it was found with. found_on, contest, curve: see there; contest is None
    where it was not judged on unseen seeds, curve where no training is kept.
    command: what repeats the figures. words: what the formula does. wins, loses: where it is better, and where it is not or
    nobody knows.

    Raises ScheduleError for a name that is none, or may mean something else, and for a schedule that cannot be read.
    """

    name: str
    title: _Said
    origin: Literal["evolved", "by hand"]
    document: msgspec.Raw
    scale: ScaleRange = ScaleRange()
    optimizer: Optimizer
    found_on: FoundOn
    contest: Figures | None = None
    curve: Curve | None = None
    command: _Said
    words: _Said
    wins: _Said
    loses: _Said

    def __post_init__(self) -> None:
        if len(self.name) > _MAX_NAME or not _NAME.fullmatch(self.name):
            raise ScheduleError(
                f"a gallery entry's name has at most {_MAX_NAME} lower-case letters, digits and hyphens between them, "
                f"got {shortened(self.name)!r}"
            )
        if _is_taken(self.name):
            raise ScheduleError(
                f"a gallery entry cannot be called {self.name!r}: that is a standard schedule or a formula"
            )
        self.schedule()
        compact = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(self.document)))
        msgspec.structs.force_setattr(self, "document", compact)  # so that entries are equal however they were written

    def schedule(self, *, scale: float = 1.0) -> Schedule:
        """The schedule, its learning rates times the scale. Raises ScheduleError for a scale that is not positive."""
        return Schedule.from_json(bytes(self.document)).scaled(scale)

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import entry_html

        return entry_html(self)

    @property
    def constants(self) -> tuple[FreeConstant, ...]:
        """Its one free constant, for a tuner, as a family has its own."""
        return (FreeConstant("scale", self.scale.low, self.scale.high, 1.0, "log", is_scale=True),)

    @property
    def starts(self) -> tuple[dict[str, float], ...]:
        """Where a tuner begins: at 1, then half-decades around it. docs/log.md says what that is worth (29 November 2026)."""
        return tuple({"scale": value} for value in STARTS if self.scale.low <= value <= self.scale.high)

    @property
    def formula(self) -> str:
        """The formula in ordinary notation; see Schedule for what a transform makes of it."""
        return ordinary_text(self.schedule().expression)

    @property
    def optimizer_text(self) -> str:
        """The optimiser that it was found with, in words."""
        settings = self.optimizer
        match settings.name:
            case "sgd":
                return "SGD"
            case "momentum":
                return f"SGD with momentum {settings.momentum:g}"
            case "adam":
                return "Adam"
            case "adamw":
                return f"AdamW, weight decay {settings.weight_decay:g}"
            case _:
                return settings.text

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from, in words and numbers: what an exported file says of it."""
        found = self.found_on
        return {
            "gallery": f"{self.name}: {self.title}",
            "origin": self.origin,
            "optimiser": self.optimizer_text,
            "problem": found.place,
            "epochs": found.epochs,
            **({} if found.seed is None else {"study seed": found.seed}),
            **({} if found.trainings is None else {"trainings": found.trainings}),
            **({"standing": found.standing} if found.standing else {}),
            "contest": "not judged on unseen tasks yet" if self.contest is None else self.contest.text,
        }

    def to_json(self) -> bytes:
        """The entry as a document that `from_json` reads back."""
        written = msgspec.json.encode({"format": _FORMAT, "schema_version": SCHEMA_VERSION} | _fields(self))
        return msgspec.json.format(written, indent=2) + b"\n"

    @staticmethod
    def from_json(document: bytes | str) -> GalleryEntry:
        """The entry that a document says. Raises ScheduleError for what is not such a document, or is of another version."""
        if type(cast("Any", document)) not in (bytes, str):
            raise ScheduleError(f"a gallery document is text or bytes, got {shown(document)}")
        if len(document) > _MAX_DOCUMENT:
            raise ScheduleError(f"a gallery document has {_MAX_DOCUMENT:,} bytes at most, got {len(document):,}")
        try:
            head = msgspec.json.decode(document, type=_Head)
            if head.format != _FORMAT:
                raise ScheduleError(f"expected a document of format {_FORMAT!r}, got {shortened(head.format)!r}")
            if head.schema_version != SCHEMA_VERSION:
                raise ScheduleError(
                    f"this evolr knows schema version {SCHEMA_VERSION} of the gallery, the document has {head.schema_version}"
                )
            fields = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
            rest = {name: value for name, value in fields.items() if name not in ("format", "schema_version")}
            found = msgspec.json.decode(msgspec.json.encode(rest), type=GalleryEntry)
            require_single_keys(document)
            return found
        except ScheduleError:
            raise
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ScheduleError(f"not a gallery document: {quoted(error)}") from error


class _Head(msgspec.Struct):
    format: str
    schema_version: int


def _fields(entry: GalleryEntry) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(msgspec.json.encode(entry), type=dict[str, msgspec.Raw])


def _is_taken(name: str) -> bool:
    """Whether a text names a family or reads as a formula."""
    try:
        read_schedule(name)
    except ExpressionError:
        return False
    return True
