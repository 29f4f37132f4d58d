"""The trials of a study, page by page: of a million as quickly as of ten, since a page begins where another ended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from evolr.config import Config
from evolr.errors import ConfigError, unknown_name
from evolr.expression import Expression, original_text, parse
from evolr.study import curves
from evolr.study import stored_values as stored
from evolr.study.database import Database
from evolr.study.records import Records
from evolr.study.sqlite_file import Decode

Status = Literal["finished", "diverged", "failed"]
Order = Literal["newest", "oldest", "best", "worst"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

_NAMES: Final = re.compile(r"[\w\s,]*")
_COLUMNS: Final = (
    "trial.id, generation, slot, operator, expression, pool, seed, epochs, status, score, diverged_at, message "
    "FROM trial JOIN individual ON individual.id = trial.individual"
)


class ListedTrial(NamedTuple):
    """A trial. number: in the study, from 1, by when it landed; score: None unless it finished; diverged_at: an epoch; message: of a
    failed one.
    """

    number: int
    generation: int
    slot: int
    operator: str
    expression: Expression
    pool: str
    seed: int
    epochs: int
    status: Status
    score: float | None
    diverged_at: int | None
    message: str | None


class Page(NamedTuple):
    """A page of trials. has_before, has_after: whether there are others before its first, and after its last. config: the study's."""

    trials: list[ListedTrial]
    has_before: bool
    has_after: bool
    config: Config


_MOST_NAMES: Final = 50


@dataclass(frozen=True, slots=True)
class Selection:
    """Which trials, and in which order. None, and an empty text, for all.

    formula: a formula as it is shown, or names that are all in it (`loss exp`). Best and worst go by the score, and leave out what
    has none.

    Raises ConfigError for a status or an order that is none, and ExpressionError for a formula that cannot be read.
    """

    status: str | None = None
    generation: int | None = None
    formula: str = ""
    order: str = "newest"

    def __post_init__(self) -> None:
        if self.status is not None and self.status not in STATUSES:
            raise ConfigError(unknown_name("status", self.status, STATUSES))
        if self.order not in ORDERS:
            raise ConfigError(unknown_name("order", self.order, ORDERS))
        if not _NAMES.fullmatch(self.formula):
            parse(self.formula)
        elif (found := len(re.findall(r"\w+", self.formula))) > _MOST_NAMES:
            raise ConfigError(f"formulas are sought by {_MOST_NAMES} names at most, got {found:,}")

    def conditions(self) -> tuple[list[str], list[Any]]:
        """What SQL asks of a trial, and the values in it."""
        asked: list[tuple[str, Any]] = []
        if self.status is not None:
            asked.append(("status = ?", self.status))
        if self.generation is not None:
            asked.append(("generation = ?", self.generation))
        if _NAMES.fullmatch(self.formula):
            asked += [("instr(expression, ?)", name) for name in re.findall(r"\w+", self.formula)]
        else:
            asked.append(("expression = ?", original_text(parse(self.formula))))
        if self.order in ("best", "worst"):
            asked.append(("score IS NOT ?", None))
        return [condition for condition, _ in asked], [value for _, value in asked]


def page_of_trials(
    directory: Path, selection: Selection, count: int, *, after: int | None = None, before: int | None = None
) -> Page:
    """So many trials of a study, in order: the first, or those after a trial or before it, by its number.

    Raises StudyError where there is no study, or it cannot be read.
    """
    with Database.read(directory) as database:
        records = Records(database)
        config = records.config()
        if before is None:
            found = listed_trials(database, records, selection, count + 1, beyond=after)
            return Page(found[:count], after is not None, len(found) > count, config)
        found = listed_trials(database, records, selection, count + 1, beyond=before, is_backward=True)
        return Page(found[:count][::-1], len(found) > count, True, config)


def listed_trials(
    database: Database,
    records: Records,
    selection: Selection,
    count: int,
    *,
    beyond: int | None = None,
    is_backward: bool = False,
) -> list[ListedTrial]:
    """So many trials of a study that is open, in order, or in the reverse order; those beyond a trial, by its number. records: its own,
    which know the formulas that were read before.
    """
    is_scored = selection.order in ("best", "worst")
    higher_is_better = records.config().problem.metric.higher_is_better
    is_falling = (selection.order == "best") == higher_is_better if is_scored else selection.order == "newest"
    sign, direction = ("<", "DESC") if is_falling != is_backward else (">", "ASC")
    keys = ("score", "trial.id") if is_scored else ("trial.id",)
    conditions, values = selection.conditions()
    if beyond is not None:
        place = "(SELECT score, id FROM trial WHERE id = ?)" if is_scored else "?"
        conditions.append(f"({', '.join(keys)}) {sign} {place}")
        values.append(beyond)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    order = ", ".join(f"{key} {direction}" for key in keys)
    query = f"SELECT {_COLUMNS} {where}ORDER BY {order} LIMIT ?"
    found = database.rows("trial", query, (*values, count), **_decoders(records))
    return [ListedTrial(*row) for row in found]


def all_trials(directory: Path, selection: Selection, chunk: int = 2_000) -> Iterator[list[ListedTrial]]:
    """All of them, in chunks, each read by itself, so that no reader holds up who writes. Errors as of `page_of_trials`."""
    after: int | None = None
    while True:
        page = page_of_trials(directory, selection, chunk, after=after)
        yield page.trials
        if not page.has_after:
            return
        after = page.trials[-1].number


def trial_with_curves(directory: Path, number: int) -> tuple[ListedTrial, NDArray[np.float32] | None, Config] | None:
    """A trial by its number, its curves, (4, places), in the order of curves.CURVES, None where none are recorded, and the study's
    configuration; None if there is no such trial. Errors as of `page_of_trials`.
    """
    with Database.read(directory) as database:
        records = Records(database)
        row = database.row("trial", f"SELECT {_COLUMNS} WHERE trial.id = ?", (number,), **_decoders(records))
        if row is None:
            return None
        query = "SELECT id, curves FROM trial WHERE id = ?"
        found = database.row("trial", query, (number,), id=stored.whole, curves=stored.optional(_curves))
        return ListedTrial(*row), found[1] if found else None, records.config()


def _decoders(records: Records) -> dict[str, Decode]:
    """What the columns of a listed trial may hold."""
    return {
        "id": stored.whole,
        "generation": stored.count,
        "slot": stored.count,
        "operator": stored.text,
        "expression": records.expression,
        "pool": stored.text,
        "seed": stored.whole,
        "epochs": stored.positive,
        "status": stored.one_of(*STATUSES),
        "score": stored.optional(stored.real),
        "diverged_at": stored.optional(stored.count),
        "message": stored.optional(stored.text),
    }


def _curves(value: Any) -> NDArray[np.float32]:
    return curves.unpacked(stored.blob(value))
