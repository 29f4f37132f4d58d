"""The run directory: the files of one study. All but study.db are derived from it and can be lost.

    study.db          everything that the study remembers; see migrations.py
    config.toml       the configuration as resolved
    champion.json     the champion as a schedule document
    champion.txt      its formula in the original text form
    history.csv       every individual of every generation
    front.csv         the best formula of each size, with the columns that PySR's users know
    comparison.*      the comparison with the baselines: json, csv, png

Every file is written beside its place and renamed, so that none is ever half there. None is flushed to the disk: what a
power cut takes of the derived files, going on with the study writes again.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import evolr
from evolr import config as configuration
from evolr.config import Config
from evolr.errors import RunDirectoryError, StudyError
from evolr.expression import ordinary_text, original_text
from evolr.schedule import Schedule
from evolr.search.individual import Evaluation
from evolr.study.database import DATABASE, UNFINISHED
from evolr.study.lock import LOCK_FILE
from evolr.writing import write

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

    def __init__(self, path: Path) -> None:
        self.path = path

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
        """A directory to write in. Raises RunDirectoryError where it cannot be made."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot create the directory {path}: {error.strerror}") from error
        return cls(path)

    @staticmethod
    def require_usable(path: Path) -> None:
        """Raises RunDirectoryError where a path is taken by what is no study: a file, or another directory."""
        try:
            if not path.exists():
                return
            names = {entry.name for entry in path.iterdir()} if path.is_dir() else {path.name}
        except OSError as error:
            raise RunDirectoryError(f"cannot look into {path}: {error.strerror}") from error
        leftovers = {name for name in names if name == LOCK_FILE or name.startswith(DATABASE + UNFINISHED)}
        if DATABASE not in names and names - leftovers:
            raise RunDirectoryError(
                f"{path} exists already and is no study; name another directory, or remove it first"
            )

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The directory of an existing study. Raises RunDirectoryError where there is none."""
        if not os.path.isfile(path / DATABASE):  # unlike Path.is_file, False where one may not look
            raise RunDirectoryError(f"{path} is not a run directory: it has no {DATABASE}")
        return cls(path)

    @classmethod
    def reserve(cls, folder: Path, name: str) -> Path:
        """Makes the first of folder/name-1, folder/name-2, … that does not exist, for the caller alone."""
        cls.create(folder)
        number = 1
        while True:
            path = folder / f"{name}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
            except OSError as error:
                raise RunDirectoryError(f"cannot create the directory {path}: {error.strerror}") from error

    def save_config(self, config: Config) -> None:
        self.write("config.toml", configuration.to_toml(config))

    def champion(self) -> Schedule:
        """The champion, from champion.json. Raises RunDirectoryError where the search has saved none."""
        try:
            document = (self.path / "champion.json").read_bytes()
        except OSError as error:
            raise RunDirectoryError(
                f"cannot read the champion of {self.path}: {error.strerror}; a search saves it when it stops, and after each generation"
            ) from error
        return Schedule.from_json(document)

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
        self.write_csv("front.csv", ("Complexity", "Loss", "Equation", "Score"), map(_front_row, front))

    def save_history(self, history: Sequence[Evaluation]) -> None:
        self.write_csv("history.csv", _HISTORY_COLUMNS, self.history_rows(history))

    @staticmethod
    def history_rows(history: Sequence[Evaluation]) -> list[dict[str, Any]]:
        """The rows of history.csv, one an individual."""
        return [_history_row(evaluation) for evaluation in history]

    def write_csv(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue().encode())

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all. Raises RunDirectoryError where that fails."""
        try:
            write(self.path / name, content)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self.path / name}: {error.strerror}") from error


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
