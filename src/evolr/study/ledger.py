"""The ledger: trainings that are done once and remembered, by all that decides their outcome.

What is computed of trainings can be computed again, as long as no training is done twice. So a ledger is all that a
contest has to keep: after a kill, it is computed anew from its start, and only trainings that are not in the ledger run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.errors import StudyError
from evolr.signals import SIGNALS
from evolr.study import stored_values as stored
from evolr.study.curves import packed, unpacked
from evolr.study.run_directory import RunDirectory
from evolr.study.sqlite_file import SqliteFile, schema_made_by
from evolr.training.task import Outcome, Trial

APPLICATION_ID: Final = 0x65766F63  # "evoc"
_REMEDY: Final = "Move it away: it is filled again"
_CHANGES: Final = (
    (
        """
CREATE TABLE training (
    key            BLOB PRIMARY KEY,         -- SHA-256 of all that decides the outcome
    score          REAL,                     -- NULL where it diverged
    diverged_at    INTEGER,                  -- epoch
    curves         BLOB NOT NULL,            -- see curves.py
    learning_rates BLOB                      -- of each step, float32, little-endian, where they were asked for
) STRICT, WITHOUT ROWID
""",
        """
CREATE TABLE note (                          -- what a contest has to know of those before it
    kind           TEXT NOT NULL,
    content        BLOB NOT NULL,
    PRIMARY KEY (kind, content)
) STRICT, WITHOUT ROWID
""",
    ),
    ("ALTER TABLE training ADD COLUMN signals BLOB",),  # with learning_rates: rows of one signal each
    ("ALTER TABLE training ADD COLUMN failure TEXT",),  # why it failed; NULL where it did not
    # As JSON. Rows of signals had no names; what has them is trained again.
    ("ALTER TABLE training ADD COLUMN signal_names TEXT", "DELETE FROM training WHERE signals IS NOT NULL"),
)
"""The statements that lead from each version of the schema to the next, from none to the first at the beginning."""

_FIND: Final = (
    "SELECT key, score, diverged_at, curves, learning_rates, signals, failure, signal_names FROM training WHERE key = ?"
)


def _floats(value: Any) -> NDArray[np.float32]:
    return np.frombuffer(stored.blob(value), "<f4").astype(np.float32)


_COLUMNS: Final = {
    "key": stored.blob,
    "score": stored.score,
    "diverged_at": stored.optional(stored.count),
    "curves": lambda value: unpacked(stored.blob(value)),
    "learning_rates": stored.optional(_floats),
    "signals": stored.optional(_floats),
    "failure": stored.optional(stored.text),
    "signal_names": stored.optional(lambda value: msgspec.json.decode(stored.text(value), type=list[str])),
}


class Ledger:
    """A ledger in a file, made where there is none; several processes may use it at once.

    Who uses it after it was closed opens it again. Raises RunDirectoryError where the file cannot be made, StudyError where
    it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: SqliteFile | None = self._open()

    @property
    def _file(self) -> SqliteFile:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> SqliteFile:
        directory = RunDirectory.create(self.path.parent)
        is_new = not os.path.lexists(self.path)
        try:
            _require_file(self.path)
            file = SqliteFile(self.path, "rwc", _REMEDY, may_be_begun=True)
            try:
                _prepare(file)
            except BaseException:
                file.close()
                raise
        except BaseException:
            with suppress(OSError):
                if is_new and self.path.stat().st_size == 0:  # on a full disk, say
                    self.path.unlink()
            directory.remove_unused()
            raise
        return file

    def note(self, kind: str, content: bytes) -> int:
        """Keeps a note; how many different ones of its kind there are, this one included."""
        self._file.write("INSERT OR IGNORE INTO note VALUES (?, ?)", (kind, content))
        query = "SELECT count(*) FROM note WHERE kind = ?"
        return self._file.value("note", query, (kind,), notes=stored.count)

    def note_first(self, kind: str, content: bytes) -> bool:
        """Keeps a note if there is no other one of its kind; whether this one stands there then."""
        self._file.write(
            "INSERT OR IGNORE INTO note SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM note WHERE kind = ?1)",
            (kind, content),
        )
        return content in _notes(self._file, kind)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Outcome]:
        """The outcomes that are known, by key."""
        found: dict[bytes, Outcome] = {}
        for key in dict.fromkeys(keys):
            row = self._file.row("training", _FIND, (key,), **_COLUMNS)
            if row is not None:
                found[key] = self._outcome(row)
        return found

    def damaged(self, key: bytes, why: str) -> StudyError:
        """What is raised for a training that cannot be as it stands there."""
        return self._file.damaged(f"training {key.hex()}", why)

    def _outcome(self, row: Sequence[Any]) -> Outcome:
        key, score, diverged_at, curves, rates, seen, failure, names = row
        signals = None
        if seen is not None:
            told = names or []
            if len(seen) % len(told) if told else len(seen):
                raise self.damaged(key, f"its signals are not {len(told)} rows of one length")
            if len(set(told)) < len(told):
                raise self.damaged(key, "a signal comes twice")
            signals = dict(zip(told, seen.reshape(len(told), -1) if told else (), strict=True))
        return Outcome(score, diverged_at, *curves, learning_rates=rates, signals=signals, failure=failure)

    def add(self, outcomes: Iterable[tuple[bytes, Outcome]]) -> None:
        """Keeps outcomes, in one transaction."""
        rows = [
            (
                key,
                None if np.isnan(outcome.score) else outcome.score,
                outcome.diverged_at,
                packed(outcome),
                None if outcome.learning_rates is None else outcome.learning_rates.astype("<f4").tobytes(),
                None
                if outcome.signals is None
                else b"".join(a.astype("<f4").tobytes() for a in outcome.signals.values()),
                outcome.failure,
                None if outcome.signals is None else msgspec.json.encode(list(outcome.signals)).decode(),
            )
            for key, outcome in outcomes
        ]
        with self._file.transaction():
            self._file.write_many("INSERT OR REPLACE INTO training VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def notes(path: Path, kind: str) -> list[bytes]:
    """The notes of a kind in the ledger at a path, which is left as it is; none where there is nothing."""
    if not os.path.lexists(path):
        return []
    _require_file(path)
    with closing(SqliteFile(path, "read", _REMEDY, may_be_begun=True)) as file, file.transaction("DEFERRED"):
        return _notes(file, kind) if _recognised(file) else []


def _notes(file: SqliteFile, kind: str) -> list[bytes]:
    rows = file.rows(
        "note", "SELECT kind, content FROM note WHERE kind = ?", (kind,), kind=stored.text, content=stored.blob
    )
    return [content for _, content in rows]


def _require_file(path: Path) -> None:
    """Raises StudyError where something other than a file is in a ledger's place: SQLite would wait for a pipe, say."""
    if os.path.lexists(path) and not os.path.isfile(path):
        raise StudyError(f"{path} is no ledger of evolr's, and no file; it was left as it is. Move it away")


def _prepare(file: SqliteFile) -> None:
    """Recognises the file, and makes the schema in an empty one, or brings an older one up to date."""
    with file.transaction("DEFERRED"):
        _recognised(file)
    file.write_ahead()
    with file.transaction():  # another process may do the same at the same moment: so it is looked at again
        version = _recognised(file)
        if 0 < version < len(_CHANGES):
            file.check_integrity()
        for statement in (s for change in _CHANGES[version:] for s in change):
            file.write(statement)
        if version < len(_CHANGES):
            file.write(f"PRAGMA application_id = {APPLICATION_ID}")
            file.write(f"PRAGMA user_version = {len(_CHANGES)}")


def _recognised(file: SqliteFile) -> int:
    """The version of its schema; 0 for an empty file. Raises StudyError for one that is no ledger, or is of a newer version."""
    if not file.schema():
        return 0
    if file.pragma("application_id") != APPLICATION_ID:
        raise StudyError(f"{file.path} is no ledger of evolr's; it was left as it is. Move it away")
    version = file.pragma("user_version")
    if not 1 <= version <= len(_CHANGES):
        raise StudyError(f"{file.path} is of another version of evolr. Delete it: it is filled again")
    file.require_schema(schema_made_by(*(s for change in _CHANGES[:version] for s in change)))
    return version


def training_key(context: Mapping[str, Any], trial: Trial, epochs: int, pool: str, *, keep_steps: bool) -> bytes:
    """The key of a training. context: whatever else decides its outcome, as JSON takes it; the trial's own optimiser stands in
    the place of its `optimizer`.
    """
    if trial.optimizer is not None:
        context = {**context, "optimizer": msgspec.to_builtins(trial.optimizer)}
    schedule = trial.schedule.to_json().decode()
    whole = [context, schedule, trial.seed, epochs, pool, list(SIGNALS) if keep_steps else False]
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).digest()
