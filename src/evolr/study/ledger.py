"""The ledger: trainings that are done once and remembered, by all that decides their outcome.

What is computed of trainings can be computed again, as long as no training is done twice. So a ledger is all that a
contest has to keep: after a kill, it is computed anew from its start, and only trainings that are not in the ledger run.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from evolr.errors import StudyError
from evolr.signals import SIGNALS
from evolr.study.curves import packed, unpacked
from evolr.study.database import connected_to_read, reported
from evolr.study.run_directory import RunDirectory
from evolr.training.task import Outcome, Trial

APPLICATION_ID: Final = 0x65766F63  # "evoc"
_BUSY_SECONDS: Final = 30.0
_SCHEMA_VERSION: Final = 4
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS training (
    key            BLOB PRIMARY KEY,         -- SHA-256 of all that decides the outcome
    score          REAL,                     -- NULL where it diverged
    diverged_at    INTEGER,                  -- epoch
    curves         BLOB NOT NULL,            -- see curves.py
    learning_rates BLOB,                     -- of each step, float32, little-endian, where they were asked for
    signals        BLOB,                     -- with them: rows of one signal each, float32, little-endian
    failure        TEXT,                     -- why it failed; NULL where it did not
    signal_names   TEXT                      -- of the rows of signals, as JSON
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (            -- what a contest has to know of those before it
    kind           TEXT NOT NULL,
    content        BLOB NOT NULL,
    PRIMARY KEY (kind, content)
) STRICT, WITHOUT ROWID;
"""


_CHANGES: Final = (
    ("ALTER TABLE training ADD COLUMN signals BLOB",),
    ("ALTER TABLE training ADD COLUMN failure TEXT",),
    # Rows of signals had no names; what has them is trained again.
    ("ALTER TABLE training ADD COLUMN signal_names TEXT", "DELETE FROM training WHERE signals IS NOT NULL"),
)
"""The statements that lead from each schema to the next, the first one's first."""

_FIND: Final = (
    "SELECT score, diverged_at, curves, learning_rates, signals, failure, signal_names FROM training WHERE key = ?"
)


class Ledger:
    """A ledger in a file, made where there is none; several processes may use it at once.

    Who uses it after it was closed opens it again. Raises RunDirectoryError where the file cannot be made, StudyError where
    it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: sqlite3.Connection | None = self._open()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> sqlite3.Connection:
        directory = RunDirectory.create(self.path.parent)
        is_new = not os.path.lexists(self.path)
        try:
            with reported(self.path):
                return self._connected()
        except BaseException:
            with suppress(OSError):
                if is_new and self.path.stat().st_size == 0:  # on a full disk, say
                    self.path.unlink()
            directory.remove_unused()
            raise

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Recognises the file, or makes the schema in an empty one."""

        def pragma(name: str) -> int:
            return connection.execute(f"PRAGMA {name}").fetchone()[0]

        is_empty = not connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        if not is_empty and pragma("application_id") != APPLICATION_ID:
            raise StudyError(f"{self.path} is no ledger of evolr's; it was left as it is. Move it away")
        if not is_empty and 1 <= pragma("user_version") < _SCHEMA_VERSION:
            connection.execute("BEGIN IMMEDIATE")  # another process may bring it up to date at the same moment
            for change in _CHANGES[pragma("user_version") - 1 :]:
                for statement in change:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            connection.execute("COMMIT")
        if not is_empty and pragma("user_version") != _SCHEMA_VERSION:
            raise StudyError(f"{self.path} is of another version of evolr. Delete it: it is filled again")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if is_empty:
            connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {_SCHEMA_VERSION}; {_SCHEMA} COMMIT;"
            )

    def note(self, kind: str, content: bytes) -> int:
        """Keeps a note; how many different ones of its kind there are, this one included."""
        with reported(self.path):
            self._connection.execute("INSERT OR IGNORE INTO note VALUES (?, ?)", (kind, content))
            return self._connection.execute("SELECT count(*) FROM note WHERE kind = ?", (kind,)).fetchone()[0]

    def note_first(self, kind: str, content: bytes) -> bool:
        """Keeps a note if there is no other one of its kind; whether this one stands there then."""
        with reported(self.path):
            self._connection.execute(
                "INSERT OR IGNORE INTO note SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM note WHERE kind = ?1)",
                (kind, content),
            )
            return (content,) in self._connection.execute("SELECT content FROM note WHERE kind = ?", (kind,)).fetchall()

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Outcome]:
        """The outcomes that are known, by key."""
        found: dict[bytes, Outcome] = {}
        with reported(self.path):
            for key in dict.fromkeys(keys):
                row = self._connection.execute(_FIND, (key,)).fetchone()
                if row is not None:
                    found[key] = _outcome(row)
        return found

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
        with reported(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR REPLACE INTO training VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def notes(path: Path, kind: str) -> list[bytes]:
    """The notes of a kind in the ledger at a path, which is left as it is; none where there is no file."""
    if not os.path.isfile(path):
        return []
    with reported(path), closing(connected_to_read(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'note'").fetchall():
            return []
        return [content for (content,) in connection.execute("SELECT content FROM note WHERE kind = ?", (kind,))]


def training_key(context: Mapping[str, Any], trial: Trial, epochs: int, pool: str, *, keep_steps: bool) -> bytes:
    """The key of a training. context: whatever else decides its outcome, as JSON takes it; the trial's own optimiser stands in
    the place of its `optimizer`.
    """
    if trial.optimizer is not None:
        context = {**context, "optimizer": msgspec.to_builtins(trial.optimizer)}
    schedule = trial.schedule.to_json().decode()
    whole = [context, schedule, trial.seed, epochs, pool, list(SIGNALS) if keep_steps else False]
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).digest()


def _outcome(row: Sequence[Any]) -> Outcome:
    score, diverged_at, curves, learning_rates, signals, failure, names = row
    rates, seen = (None if a is None else np.frombuffer(a, "<f4").astype(np.float32) for a in (learning_rates, signals))
    told = {} if names is None else msgspec.json.decode(names, type=list[str])
    return Outcome(
        float("nan") if score is None else score,
        diverged_at,
        *unpacked(curves),
        learning_rates=rates,
        signals=None if seen is None else dict(zip(told, seen.reshape(len(told), -1) if told else (), strict=True)),
        failure=failure,
    )
