"""The records of a run directory, read again: a contest, a comparison, an explanation, as they were when they were written.

A view takes such a record, whether it was just made or has been read. What is read is checked, and never evaluated: by its
types and ranges; that nothing of a record is missing, a contender say, or one of its curves; and that means are those of
the scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.config import Comparison
from evolr.contest.comparison import CHAMPION, ComparisonResult
from evolr.contest.consistency import require_whole, study_config
from evolr.contest.contender import Contender
from evolr.contest.explanation import Explanation
from evolr.contest.record import VERSION
from evolr.contest.results import EVOLVED, ContestResult, Entry, Evolved, Finalist, Settings
from evolr.contest.statistics import Pairs
from evolr.contest.tuning import Candidate
from evolr.errors import EvolrError, RunDirectoryError, StudyError, quoted
from evolr.reading import read
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome

_Document = TypeVar("_Document")
_Number = float | None
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_NOTHING: Final = np.empty(0, np.float32)
_GREATEST: Final = float(np.finfo(np.float32).max)  # of a curve's numbers


def read_contest(directory: Path | str, *, is_quick: bool = False) -> ContestResult:
    """The contest of a run directory, or its rehearsal. Errors: see `_read`."""
    path = Path(directory) / ("rehearsal.json" if is_quick else "contest.json")
    return _made(path, lambda: _read(path, "contest", _Contest).result())


def read_comparison(directory: Path | str) -> ComparisonResult:
    """The comparison of a run directory. Errors: see `_read`."""
    path = Path(directory) / "comparison.json"
    return _made(path, lambda: _read(path, "comparison", _Comparison).result())


def read_explanation(directory: Path | str) -> Explanation:
    """The explanation of a run directory. Errors: see `_read`."""
    path = Path(directory) / "explanation.json"
    return _made(path, lambda: _read(path, "explanation", _Explanation).result())


def _read(path: Path, record: str, kind: type[_Document]) -> _Document:
    """A document of a kind. Raises RunDirectoryError where the file cannot be read, StudyError where it is none of these."""
    try:
        content = read(path)
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    head = msgspec.json.decode(content, type=_Head)
    if head.record != record:
        raise _NoSuchRecordError(f"{path} is no {record}, or one of an older evolr: make it again")
    if head.version != VERSION:
        raise _NoSuchRecordError(f"{path} is of version {head.version}, and this evolr reads {VERSION}")
    return msgspec.json.decode(content, type=kind)


def _made(path: Path, make: Any) -> Any:
    """What is made of a document; StudyError where it is damaged."""
    try:
        return make()
    except (RunDirectoryError, _NoSuchRecordError):
        raise
    except (msgspec.MsgspecError, EvolrError, ValueError, RecursionError) as error:
        raise StudyError(f"{path} is damaged: {quoted(error, 300)}. Make it again") from error


class _NoSuchRecordError(StudyError):
    """A file is another record, or of another version: its words are whole already."""


class _Head(msgspec.Struct):
    record: str = ""
    version: int = 0


class _Pairs(msgspec.Struct):
    champion_minus_contender: _Number
    interval: tuple[_Number, _Number]
    direction: Literal[-1, 0, 1]
    improvement: _Share
    effect_size: _Number
    p_value: _Share | None

    def pairs(self) -> Pairs:
        return Pairs(
            self.champion_minus_contender,
            *self.interval,
            direction=self.direction,
            improvement=self.improvement,
            effect_size=self.effect_size,
            p_value=self.p_value,
        )


class _Contender(msgspec.Struct):
    name: str
    schedule: dict[str, Any]
    mean: _Number
    interval: tuple[_Number, _Number]
    pairs: _Pairs | None
    scores: list[_Number]
    diverged_at: list[_Count | None]
    failures: list[str | None]
    train_loss: list[list[_Number]]
    val_loss: list[list[_Number]]
    val_score: list[list[_Number]]
    learning_rate: list[list[_Number]]
    optimizer: Optimizer | None = None

    def contender(self) -> Contender:
        curves = zip(self.train_loss, self.val_loss, self.val_score, self.learning_rate, strict=True)
        ends = zip(self.scores, self.diverged_at, self.failures, strict=True)
        outcomes = [
            Outcome(_number(score), diverged_at, _row(train), _row(val), _row(val_score), _row(rate), failure=failure)
            for (score, diverged_at, failure), (train, val, val_score, rate) in zip(ends, curves, strict=True)
        ]
        scores = np.array([outcome.score for outcome in outcomes])
        for curve in (self.train_loss, self.val_loss, self.val_score, self.learning_rate):
            if len({len(row) for row in curve}) > 1:
                raise StudyError(f"the curves of {self.name!r} are not all of one length")
        finished = scores[np.isfinite(scores)]
        with np.errstate(over="ignore"):
            mean = finished.mean() if len(finished) else np.nan
        if not np.isclose(mean, _number(self.mean), rtol=1e-9, equal_nan=True):
            raise StudyError(f"the mean of {self.name!r} is not that of its scores")
        pairs = None if self.pairs is None else self.pairs.pairs()
        return Contender(
            self.name,
            _schedule(self.schedule),
            outcomes,
            scores,
            _number(self.mean),
            *self.interval,
            pairs,
            self.optimizer,
        )


class _Comparison(msgspec.Struct):
    study: dict[str, Any]
    metric: str
    higher_is_better: bool
    settings: Comparison
    epochs: int
    trained_by: str
    seeds: list[int]
    contenders: list[_Contender]

    def result(self) -> ComparisonResult:
        config = study_config(self.study, self.metric, self.higher_is_better)
        contenders = [each.contender() for each in self.contenders]
        require_whole(contenders, CHAMPION, len(self.seeds))
        if (self.settings.seeds, self.settings.epochs) != (len(self.seeds), self.epochs):
            raise StudyError(f"it has {len(self.seeds)} seeds and {self.epochs} epochs, its settings others")
        return ComparisonResult(config, self.settings, self.seeds, contenders, self.trained_by)


class _Frozen(_Contender, kw_only=True):
    signal: str
    median: float


class _Explanation(msgspec.Struct):
    study: dict[str, Any]
    simplified: str
    epochs: Annotated[int, msgspec.Meta(ge=1)]
    knows_pools: bool
    champion: _Contender
    learning_rates: list[list[_Number]]
    frozen: list[_Frozen]

    def result(self) -> Explanation:
        champion, others = self.champion.contender(), [each.contender() for each in self.frozen]
        require_whole([champion, *others], champion.name, len(champion.scores))
        if frozenset(each.signal for each in self.frozen) != champion.schedule.signals or len(
            self.learning_rates
        ) > len(champion.scores):
            raise StudyError("it does not hold each signal of the champion frozen, once")
        return Explanation(
            study_config(self.study),
            champion.schedule,
            self.simplified,
            self.epochs,
            champion,
            np.array([_row(row) for row in self.learning_rates]),
            {each.signal: (each.median, other) for each, other in zip(self.frozen, others, strict=True)},
            self.knows_pools,
        )


class _Candidate(msgspec.Struct):
    fitness: _Number
    constants: dict[str, float]
    schedule: dict[str, Any] | None = None

    def candidate(self, contender: str, optimizer: Optimizer | None) -> Candidate:
        """What it is; a family's schedule is made of its constants."""
        if self.schedule is not None:
            schedule = _schedule(self.schedule)
        elif contender in FAMILIES:
            schedule = FAMILIES[contender].schedule(**self.constants)
        else:
            raise StudyError(f"a candidate of {contender!r} has no schedule, and that is no family of this evolr")
        return Candidate(schedule, _number(self.fitness), self.constants, optimizer)


class _Finalist(_Candidate, kw_only=True):
    selection: _Number
    scores: list[_Number]

    def finalist(self, contender: str, optimizer: Optimizer | None) -> Finalist:
        return Finalist(self.candidate(contender, optimizer), _number(self.selection), list(map(_number, self.scores)))


class _Entry(_Contender, kw_only=True):
    source: str
    training_runs: _Count | None
    fitness: _Number
    steps_to_reach: _Count | None
    finalists: list[_Finalist]
    candidates: list[_Candidate]

    def entry(self) -> Entry:
        return Entry(
            self.source,
            self.training_runs,
            [each.candidate(self.name, self.optimizer) for each in self.candidates],
            [each.finalist(self.name, self.optimizer) for each in self.finalists],
            self.contender(),
            _number(self.fitness),
            self.steps_to_reach,
        )


class _Contest(msgspec.Struct):
    study: dict[str, Any]
    metric: str
    higher_is_better: bool
    settings: Settings
    search_epochs: _Count | None
    trained_by: str
    knows_pools: bool
    looks_at_the_test_pool: _Count
    seeds: list[int]
    left_out: list[str]
    contenders: list[_Entry]
    no_rivals: str = ""

    def result(self) -> ContestResult:
        entries = [each.entry() for each in self.contenders]
        require_whole([entry.result for entry in entries], EVOLVED, self.settings.seeds)
        if len(self.seeds) != self.settings.seeds:
            raise StudyError(f"it has {len(self.seeds)} seeds, and its settings {self.settings.seeds}")
        champion = entries[0]
        return ContestResult(
            study_config(self.study, self.metric, self.higher_is_better),
            self.settings,
            Evolved(champion.candidates, champion.source, champion.trained, self.search_epochs),
            self.seeds,
            entries,
            self.looks_at_the_test_pool,
            left_out=self.left_out,
            title=self.trained_by,
            knows_pools=self.knows_pools,
            no_rivals=self.no_rivals,
        )


def _schedule(document: dict[str, Any]) -> Schedule:
    return Schedule.from_json(msgspec.json.encode(document))


def _number(value: _Number) -> float:
    """What JSON's null stands for: no finite number."""
    return float("nan") if value is None else value


def _row(values: list[_Number]) -> NDArray[np.float32]:
    if any(value is not None and abs(value) > _GREATEST for value in values):
        raise StudyError(f"a curve holds a number beyond {_GREATEST:g}")
    return np.array([_number(value) for value in values], np.float32) if values else _NOTHING
