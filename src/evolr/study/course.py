"""How a search went: its generations, who is in them, and when somebody worked on it; read from what the study remembers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evolr.study import stored_values as stored
from evolr.study.database import Database


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation that has been made. best, median: fitness, greater for the better; None while it is unfinished, −∞ where its
    trainings diverged. individuals, trainings: how many.
    """

    number: int
    is_finished: bool
    best: float | None
    median: float | None
    individuals: int
    trainings: int


@dataclass(frozen=True, slots=True)
class Session:
    """A time that somebody wrote the study. ended_at: of the last write that is known of it, where it was killed or is still on."""

    started_at: datetime
    ended_at: datetime
    evolr: str
    jax: str
    python: str

    @property
    def seconds(self) -> float:
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Course:
    """A search as it went. operators: how many individuals each made, by name."""

    generations: list[Generation]
    sessions: list[Session]
    operators: dict[str, int]

    @property
    def seconds(self) -> float:
        """The time of all sessions."""
        return sum(session.seconds for session in self.sessions)


def course(directory: Path) -> Course:
    """How the search of a study went. Errors as of `summarise`."""
    with Database.read(directory) as database:
        operators = database.rows(
            "individual",
            "SELECT operator, count(*) FROM individual GROUP BY operator ORDER BY count(*) DESC, operator",
            operator=stored.text,
            individuals=stored.count,
        )
        return Course(_generations(database), _sessions(database), dict(operators))


def _generations(database: Database) -> list[Generation]:
    rows = database.rows(
        "generation",
        "SELECT number, finished_at IS NOT NULL, best, median, "
        "(SELECT count(*) FROM individual WHERE generation = number), "
        "(SELECT count(*) FROM trial JOIN individual ON individual.id = trial.individual WHERE generation = number) "
        "FROM generation ORDER BY number",
        number=stored.count,
        is_finished=stored.flag,
        best=stored.optional(stored.real),
        median=stored.optional(stored.real),
        individuals=stored.count,
        trainings=stored.count,
    )
    return [Generation(*row) for row in rows]


def _sessions(database: Database) -> list[Session]:
    """The sessions, by their beginning. One without an end ended with the last generation that was finished before the next one
    began; the last of them with the study's latest write.
    """
    rows = database.rows(
        "session",
        "SELECT id, started_at, ended_at, evolr, jax, python FROM session ORDER BY id",
        id=stored.whole,
        started_at=stored.moment,
        ended_at=stored.optional(stored.moment),
        evolr=stored.text,
        jax=stored.text,
        python=stored.text,
    )
    active_at = database.value("study", "SELECT active_at FROM study", active_at=stored.moment)
    query = "SELECT number, finished_at FROM generation WHERE finished_at IS NOT NULL"
    finished = [end for _, end in database.rows("generation", query, number=stored.whole, finished_at=stored.moment)]
    found: list[Session] = []
    for place, (_, start, end, *versions) in enumerate(rows):
        if end is not None:
            last = end
        elif place == len(rows) - 1:
            last = active_at
        else:
            last = max([start, *(at for at in finished if start <= at <= rows[place + 1][1])])
        found.append(Session(start, max(start, last), *versions))
    return found
