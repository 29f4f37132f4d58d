"""Where a study's champion comes from: the individuals that it descends from, read from what the study remembers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evolr.expression import Expression
from evolr.search.individual import Place
from evolr.study import stored_values as stored
from evolr.study.database import Database
from evolr.study.records import Records
from evolr.study.summary import summarised_front

_ALL: Final = (
    "WITH RECURSIVE ancestor (id) AS (SELECT ? UNION SELECT parent.parent FROM parent "
    "JOIN ancestor ON parent.individual = ancestor.id) SELECT count(*) - 1 FROM ancestor"
)
"""The individuals that one descends from, each counted once."""


@dataclass(frozen=True, slots=True)
class Step:
    """An individual on the line. operator, oversize: how it was made, as of Individual. other: the second parent, None without one.
    score: as the search had it, NaN where it diverged or was not evaluated yet.
    """

    place: Place
    operator: str
    oversize: bool
    expression: Expression
    score: float
    other: Place | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """line: from the champion back by first parents, to one that has none. ancestors: how many individuals it descends from in
    all, by second parents too.
    """

    line: list[Step]
    ancestors: int


def lineage(directory: Path) -> Lineage | None:
    """The lineage of a study's champion; None where there is no champion. Errors as of `summarise`."""
    with Database.read(directory) as database:
        records = Records(database)
        front = summarised_front(records)
        if not front:
            return None
        best = database.row(
            "individual",
            "SELECT id FROM individual LEFT JOIN hall_of_fame ON individual.id = hall_of_fame.individual "
            "WHERE generation = ? AND expression = ? ORDER BY hall_of_fame.individual IS NULL, slot LIMIT 1",
            (front[-1].generation, front[-1].text),
            id=stored.whole,
        )
        if best is None:
            return None
        return Lineage(
            _line(database, records, best[0]), database.value("parent", _ALL, (best[0],), ancestors=stored.count)
        )


def _line(database: Database, records: Records, individual: int) -> list[Step]:
    line: list[Step] = []
    following: int | None = individual
    while following is not None:
        ((_, *place, operator, oversize, expression, own),) = database.rows(
            "individual",
            "SELECT id, generation, slot, operator, oversize, expression, score FROM individual "
            "LEFT JOIN evaluation ON evaluation.individual = individual.id WHERE id = ?",
            (following,),
            id=stored.whole,
            generation=stored.count,
            slot=stored.count,
            operator=stored.text,
            oversize=stored.flag,
            expression=records.expression,
            score=stored.score,
        )
        parents = database.rows(
            "parent",
            "SELECT parent.parent, generation, slot FROM parent JOIN individual ON individual.id = parent.parent "
            "WHERE parent.individual = ? ORDER BY position",
            (following,),
            parent=stored.whole,
            generation=stored.count,
            slot=stored.count,
        )
        other = Place(*parents[1][1:]) if len(parents) > 1 else None
        line.append(Step(Place(*place), operator, oversize, expression, own, other))
        earlier = parents[0][0] if parents else None
        # A damaged file may not lead in a circle.
        following = earlier if earlier is None or earlier < following else None
    return line
