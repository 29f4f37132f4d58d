"""What there is to say of a study without writing it, in a few quick queries; while a search is running too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evolr.config import Config
from evolr.errors import EvolrError
from evolr.expression import ordinary_text, parse
from evolr.study.database import Database
from evolr.study.records import Records
from evolr.study.run_directory import DATABASE


@dataclass(frozen=True, slots=True)
class Summary:
    """A study at a glance.

    state: `running`, `done`, `stopped` (it can go on), or `open elsewhere`: a process of another host began to write it
    and has not said that it ended. best: the champion's score, None where there is none or it diverged; champion: its
    formula. active_at: the latest write, ISO 8601, UTC.
    """

    directory: Path
    state: str
    config: Config
    generations_done: int
    best: float | None
    champion: str
    trainings: int
    active_at: str


def summarise(directory: Path) -> Summary:
    """The summary of a study. Raises StudyError where there is none, or it cannot be read."""
    database = Database.open(directory / DATABASE, write=False)
    try:
        records = Records(database)
        config = records.config()
        done = database.rows("SELECT count(*) FROM generation WHERE finished_at IS NOT NULL")[0][0]
        best = database.row(
            "SELECT score, expression FROM hall_of_fame JOIN evaluation USING (individual) "
            "JOIN individual ON individual.id = hall_of_fame.individual ORDER BY hall_of_fame.size DESC LIMIT 1"
        )
        writer = records.writer()
        if writer is not None and writer.is_alive is not False:
            state = "running" if writer.is_alive else "open elsewhere"
        else:
            state = "done" if done >= config.search.generations else "stopped"
        return Summary(
            directory=directory,
            state=state,
            config=config,
            generations_done=done,
            best=best["score"] if best else None,
            champion=ordinary_text(parse(best["expression"])) if best else "",
            trainings=records.trainings(),
            active_at=database.rows("SELECT active_at FROM study")[0][0],
        )
    finally:
        database.close()


def summaries(folder: Path) -> Iterator[tuple[Path, Summary | EvolrError]]:
    """The summaries of the studies in a folder, by name; for one that cannot be read, the error that says why."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / DATABASE).is_file():
            try:
                yield path, summarise(path)
            except EvolrError as error:
                yield path, error
