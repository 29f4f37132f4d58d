"""The run directory: the files of one study.

    config.toml       the configuration as resolved
    champion.json     the champion as a schedule document
    champion.txt      its formula in the original text form
    history.csv       every individual of every generation
    front.csv         the best formula of each size, with the columns that PySR's users know
    comparison.*      the comparison with the baselines: json, csv, png

Every file is written beside its place and renamed, so that none is ever half there.
"""

from __future__ import annotations

import csv
import io
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import evolr
from evolr import config as configuration
from evolr.config import Config
from evolr.errors import RunDirectoryError
from evolr.expression import ordinary_text, original_text
from evolr.schedule import Schedule
from evolr.search.archive import hall_of_fame
from evolr.search.individual import Evaluation

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
    def create(cls, path: Path, config: Config) -> RunDirectory:
        """A new run directory that holds its configuration.

        Raises RunDirectoryError where the path is taken or cannot be written.
        """
        cls.require_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot create the run directory {path}: {error.strerror}") from error
        directory = cls(path)
        directory.write("config.toml", configuration.to_toml(config))
        return directory

    @staticmethod
    def require_free(path: Path) -> None:
        """Raises RunDirectoryError where a path is taken: by a file, or by a directory with anything in it."""
        try:
            is_taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        except OSError as error:
            raise RunDirectoryError(f"cannot look into {path}: {error.strerror}") from error
        if is_taken:
            raise RunDirectoryError(f"{path} exists already; name another run directory, or remove it first")

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run directory. Raises RunDirectoryError where there is none."""
        if not os.path.isfile(path / "config.toml"):  # unlike Path.is_file, False where one may not look
            raise RunDirectoryError(f"{path} is not a run directory: it has no config.toml")
        return cls(path)

    @staticmethod
    def next_free(folder: Path, name: str) -> Path:
        """The first of folder/name-1, folder/name-2, … that does not exist."""
        number = 1
        while (folder / f"{name}-{number}").exists():
            number += 1
        return folder / f"{name}-{number}"

    def config(self) -> Config:
        return configuration.load(self.path / "config.toml")

    def champion_document(self) -> bytes:
        """The bytes of champion.json. Raises RunDirectoryError where the search has saved none."""
        try:
            return (self.path / "champion.json").read_bytes()
        except OSError as error:
            raise RunDirectoryError(
                f"cannot read the champion of {self.path}: {error.strerror}; a search saves it after its first generation"
            ) from error

    def champion(self) -> Schedule:
        """The champion, from its file."""
        return Schedule.from_json(self.champion_document())

    def save_search(self, config: Config, champion: Evaluation, history: Sequence[Evaluation]) -> None:
        """Writes what a search has found so far."""
        individual = champion.individual
        schedule = config.search.schedule(individual.expression)
        provenance: dict[str, Any] = {
            "evolr": evolr.__version__,
            "problem": configuration.problem_name(config.problem),
            "seed": config.seed,
            "generation": individual.place.generation,
            "slot": individual.place.slot,
            "epochs": config.training.epochs,
            config.problem.metric.name: None if math.isnan(champion.score) else champion.score,
        }
        self.write("champion.json", schedule.to_json(provenance))
        self.write("champion.txt", (original_text(individual.expression) + "\n").encode())
        front = (_front_row(e) for e in hall_of_fame(history))
        self.write_csv("front.csv", ("Complexity", "Loss", "Equation", "Score"), front)
        self.write_csv("history.csv", _HISTORY_COLUMNS, (_history_row(e) for e in history))

    def write_csv(self, name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(name, text.getvalue().encode())

    def write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all. Raises RunDirectoryError where that fails."""
        temporary: str | None = None
        try:
            descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, self.path / name)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self.path / name}: {error.strerror}") from error
        finally:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


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
