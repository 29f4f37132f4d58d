"""The run directory: the files of one study. All but study.db are derived from it and can be lost.

    study.db          everything that the study remembers; see migrations.py
    config.toml       the configuration as resolved
    champion.json     the champion as a schedule document
    champion.txt      its formula in the original text form
    history.csv       every individual of every generation
    front.csv         the best formula of each size, with the columns that PySR's users know
    comparison.*      the comparison with the baselines: json, csv, png

Every file is written by the one writer (writing.py), so that none is ever half there. What is no regular file is never
written over: a link in a run directory that somebody else made may lead anywhere.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import evolr
from evolr import config as configuration
from evolr.config import Config
from evolr.errors import RunDirectoryError, ScheduleError, StudyError
from evolr.expression import ordinary_text, original_text
from evolr.reading import read
from evolr.run_files import DATABASE, LOCK_FILE, UNFINISHED
from evolr.schedule import Schedule
from evolr.search.individual import Evaluation
from evolr.writing import is_leftover, require_nameable, require_replaceable, write

_HISTORY_COLUMNS = (
    "generation",
    "slot",
    "fitness",
    "score",
    "size",
    "depth",
    "operator",
    "oversize",
    "parents",
    "source",
    "known_from",
    "expression",
)


class RunDirectory:
    """A run directory at a path."""

    def __init__(self, path: Path, made: Sequence[Path] = ()) -> None:
        """made: the directories that were made for it, the innermost first."""
        self.path = path
        self._made = made

    @classmethod
    def prepare(cls, path: Path, *, may_begin: bool) -> RunDirectory:
        """The directory of a study; made, where there is none and one may begin.

        Raises StudyError where there is no study and none may begin, RunDirectoryError where the path is taken by
        something else or cannot be written.
        """
        cls.require_usable(path)
        if may_begin:
            return cls.create(path)
        if not os.path.isfile(path / DATABASE):
            raise StudyError(f"{path} is not a study: it has no {DATABASE}; give a configuration to begin one")
        return cls(path)

    @classmethod
    def create(cls, path: Path) -> RunDirectory:
        """A directory to write in. Raises RunDirectoryError where it cannot be made, ConfigError for one that begins with ~."""
        require_nameable(os.fspath(path))
        missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
        directory = cls(path, missing)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            directory.remove_unused()
            raise RunDirectoryError(f"cannot create the directory {path}: {error.strerror}") from error
        return directory

    @staticmethod
    def require_usable(path: Path) -> None:
        """Raises RunDirectoryError where a path is taken by what is no study: a file, or another directory; and where it can
        be no directory.
        """
        names = names_in(path)
        if names is None:
            return
        if DATABASE in names and not os.path.isfile(path / DATABASE):
            raise RunDirectoryError(f"{path} is not a study: its {DATABASE} is no file; name another directory")
        leftovers = {name for name in names if name == LOCK_FILE or name.startswith(DATABASE + UNFINISHED)}
        if DATABASE not in names and names - leftovers:
            raise RunDirectoryError(
                f"{path} exists already and is no study; name another directory, or remove it first"
            )

    @classmethod
    def require_free(cls, path: Path, files: Sequence[str], *, force: bool, unfinished: Sequence[str] = ()) -> None:
        """Raises RunDirectoryError where these files cannot be written in a directory that a person names for them, new or empty:
        where it holds others, unless `force` allows that, or a study. unfinished: of the files those that a killed attempt may
        have left there.
        """
        names = names_in(path)
        if names is None:
            return
        if DATABASE in names:
            raise RunDirectoryError(
                f"{path} exists already and holds a study, which has files of its own; name another directory"
            )
        if names - set(unfinished) and not force:
            raise RunDirectoryError(
                f"{path} exists already and holds other files; name another directory, or write in it, over those of the same "
                "names: force=True, --force on the command line"
            )
        cls(path).require_replaceable(files)

    def require_replaceable(self, files: Iterable[str]) -> None:
        """Raises RunDirectoryError where one of these files could not be written: by what is there, or by the directory."""
        for name in files if os.path.lexists(self.path) else ():
            try:
                require_replaceable(self.path / name)
            except OSError as error:
                raise RunDirectoryError(f"cannot write {self.path / name}: {error.strerror}") from error

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The directory of an existing study. Raises RunDirectoryError where there is none."""
        if not os.path.isfile(path / DATABASE):  # unlike Path.is_file, False where one may not look
            raise RunDirectoryError(f"{path} is not a run directory: it has no {DATABASE}")
        return cls(path)

    @classmethod
    def reserve(cls, folder: Path, name: str) -> RunDirectory:
        """Makes the first of folder/name-1, folder/name-2, … that does not exist, for the caller alone."""
        above = cls.create(folder)
        number = 1
        while True:
            path = folder / f"{name}-{number}"
            try:
                path.mkdir()
                return cls(path, [path, *above._made])
            except FileExistsError:
                number += 1
            except OSError as error:
                above.remove_unused()
                raise RunDirectoryError(f"cannot create the directory {path}: {error.strerror}") from error

    def remove_unused(self) -> None:
        """Removes the directories that were made for it, as far as they are empty."""
        for path in self._made:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # not empty, so in use
                return

    def save_config(self, config: Config) -> None:
        self.write("config.toml", configuration.to_toml(config))

    def champion(self) -> Schedule:
        """The champion, from champion.json. Raises RunDirectoryError where the search has saved none, ScheduleError for a damaged one."""
        try:
            document = read(self.path / "champion.json")
        except OSError as error:
            raise RunDirectoryError(
                f"cannot read the champion of {self.path}: {error.strerror}; a search saves it when it stops, and after each generation"
            ) from error
        try:
            return Schedule.from_json(document)
        except ScheduleError as error:
            raise ScheduleError(f"{self.path / 'champion.json'}: {error}") from error

    def save_champion(self, config: Config, champion: Evaluation, *, is_raced: bool) -> None:
        """Writes champion.json and champion.txt. is_raced: as of SearchResult."""
        individual = champion.individual
        schedule = config.search.schedule(individual.expression)
        provenance: dict[str, Any] = {
            "evolr": evolr.__version__,
            "problem": config.problem.name,
            "seed": config.seed,
            "generation": individual.place.generation,
            "slot": individual.place.slot,
            "epochs": config.epochs_at(individual.place.generation),
            "raced": is_raced,
            config.problem.metric.name: None if math.isnan(champion.score) else champion.score,
        }
        self.write("champion.json", schedule.to_json(provenance))
        self.write("champion.txt", (original_text(individual.expression) + "\n").encode())

    def remove_champion(self) -> None:
        """Removes the files of a champion that is none any more. Raises RunDirectoryError where that fails."""
        for name in ("champion.json", "champion.txt"):
            try:
                (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise RunDirectoryError(f"cannot remove {self.path / name}: {error.strerror}") from error

    def save_front(self, front: Sequence[Evaluation]) -> None:
        columns = ("Complexity", "Loss", "Equation", "Score")
        self.write("front.csv", csv_text(columns, map(_front_row, front)))

    def save_history(self, history: Sequence[Evaluation]) -> None:
        self.write("history.csv", csv_text(_HISTORY_COLUMNS, self.history_rows(history)))

    @staticmethod
    def history_rows(history: Sequence[Evaluation]) -> list[dict[str, Any]]:
        """The rows of history.csv, one an individual."""
        return [_history_row(evaluation) for evaluation in history]

    def write_all(self, contents: Mapping[str, bytes]) -> None:
        """Writes files, in this order. Raises RunDirectoryError where that fails; what was new of them, and its directory, is
        removed then.
        """
        new = [name for name in contents if not os.path.lexists(self.path / name)]
        try:
            for name, content in contents.items():
                self.write(name, content)
        except BaseException:
            for name in new:
                with suppress(OSError):
                    (self.path / name).unlink(missing_ok=True)
            self.remove_unused()
            raise

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all. Raises RunDirectoryError where that fails."""
        try:
            write(self.path / name, content)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self.path / name}: {error.strerror}") from error


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A table as a CSV file holds it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def names_in(path: Path) -> set[str] | None:
    """The names in a directory, but for what the writer of files left; None where there is nothing yet, and it can be made.

    Raises RunDirectoryError where there is a file, where nobody may look, and where no directory can be made; ConfigError for a
    path that begins with ~.
    """
    require_nameable(os.fspath(path))
    try:
        if os.path.lexists(path):
            if not path.is_dir():
                raise RunDirectoryError(f"{path} exists already and is no directory; name another one")
            return {entry.name for entry in path.iterdir() if not is_leftover(entry.name)}
        above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
        problem = None if above.is_dir() else f"{above} is no directory"
        if problem is None and not os.access(above, os.W_OK | os.X_OK):
            problem = f"{above} cannot be written"
    except OSError as error:
        raise RunDirectoryError(f"cannot look into {path}: {error.strerror}") from error
    if problem is not None:
        raise RunDirectoryError(f"cannot create the directory {path}: {problem}")
    return None


def _front_row(evaluation: Evaluation) -> dict[str, Any]:
    """Loss is the fitness with its sign turned: lower is better."""
    expression = evaluation.individual.expression
    return {
        "Complexity": expression.size,
        "Loss": -evaluation.fitness,
        "Equation": ordinary_text(expression),
        "Score": evaluation.score,
    }


def _history_row(evaluation: Evaluation) -> dict[str, Any]:
    individual = evaluation.individual
    return {
        "generation": individual.place.generation,
        "slot": individual.place.slot,
        "fitness": evaluation.fitness,
        "score": evaluation.score,
        "size": individual.expression.size,
        "depth": individual.expression.depth,
        "operator": individual.operator,
        "oversize": "yes" if individual.oversize else "no",
        "parents": " ".join(map(str, individual.parents)),
        "source": evaluation.source,
        "known_from": evaluation.known_from or "",
        "expression": original_text(individual.expression),
    }
