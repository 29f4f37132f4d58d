"""study.db: the connection, its schema, and what is refused.

SQLite in WAL mode: one writer, any number of readers that never wait for it. `PRAGMA synchronous = NORMAL` survives a
kill without losing anything; a power cut may lose the latest transactions, never the file, and the search then does the
lost trials again with the same result.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import evolr
from evolr.errors import StudyError
from evolr.run_files import UNFINISHED
from evolr.study.migrations import MIGRATIONS

APPLICATION_ID: Final = 0x65766F6C  # "evol": tells a study from any other SQLite file
_BUSY_SECONDS: Final = 10.0


class Database:
    """An open study.db."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def create(cls, path: Path, begin: Callable[[Database], None]) -> Database:
        """A new database with the schema and what `begin` writes.

        The file appears whole, or not at all: it is made beside its place and renamed. Raises StudyError where that fails;
        nothing half-made stays.
        """
        unfinished = path.with_name(path.name + UNFINISHED)
        try:
            cls._make(path, unfinished, begin)
        except BaseException:
            with suppress(OSError):
                _remove(unfinished)
            raise
        return cls.open(path, write=True)

    @classmethod
    def _make(cls, path: Path, unfinished: Path, begin: Callable[[Database], None]) -> None:
        try:
            _remove(unfinished)  # what a kill left
        except OSError as error:
            raise StudyError(f"cannot remove {unfinished}: {error.strerror}") from error
        with reported(path):
            connection = sqlite3.connect(unfinished, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = MEMORY")  # what is half made is thrown away, not recovered
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database = cls(connection, unfinished)
                database._migrate()
                begin(database)
            finally:
                connection.close()
        try:
            os.replace(unfinished, path)
        except OSError as error:
            raise StudyError(f"cannot make {path}: {error.strerror}") from error

    @classmethod
    def open(cls, path: Path, *, write: bool) -> Database:
        """An existing database. A writer brings an older schema up to date; a reader reads any that it knows.

        Raises StudyError for a file that is no study, is damaged, or has a newer schema.
        """
        if not path.is_file():
            raise StudyError(f"{path.parent} is not a study: it has no {path.name}")
        with reported(path):
            database = cls(_connected(path, "mode=rw") if write else connected_to_read(path), path)
            try:
                database._recognise()
                if write:
                    database._prepare()
                    database._migrate()
            except BaseException:
                database.close()
                raise
            return database

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str, parameters: Any = ()) -> list[sqlite3.Row]:
        with reported(self.path):
            return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, parameters: Any = ()) -> sqlite3.Row | None:
        with reported(self.path):
            return self._connection.execute(query, parameters).fetchone()

    def write(self, statement: str, parameters: Any = ()) -> int:
        """Runs one statement; the id of the row it inserted, where it inserted one."""
        with reported(self.path):
            return self._connection.execute(statement, parameters).lastrowid or 0

    def write_many(self, statement: str, rows: Any) -> None:
        with reported(self.path):
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of what is written inside, or nothing."""
        with reported(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Generator[None]:
        """All of what is read inside is of one moment. As short as can be: meanwhile the log is not folded into the file."""
        with reported(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")  # nothing was written

    @property
    def data_version(self) -> int:
        """A number that is another one after another connection has written."""
        return self.rows("PRAGMA data_version")[0][0]

    @property
    def version(self) -> int:
        """The schema version; 0 for a database that has no schema yet."""
        if not self.rows("SELECT 1 FROM sqlite_schema WHERE name = 'migration'"):
            return 0
        return self.rows("SELECT max(version) FROM migration")[0][0]

    def _recognise(self) -> None:
        self._connection.row_factory = sqlite3.Row
        if self.rows("PRAGMA application_id")[0][0] != APPLICATION_ID:
            raise StudyError(f"{self.path} is not evolr's: it is another program's database; it was left as it is")
        if self.version > len(MIGRATIONS):
            raise StudyError(
                f"{self.path} has schema version {self.version}, this evolr knows {len(MIGRATIONS)} and older; "
                "a newer evolr wrote it: update evolr to open it"
            )

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _migrate(self) -> None:
        for version in range(self.version + 1, len(MIGRATIONS) + 1):
            with self.transaction():
                for statement in _statements(MIGRATIONS[version - 1]):
                    self._connection.execute(statement)
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS migration "
                    "(version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL, evolr TEXT NOT NULL) STRICT"
                )
                record = (version, now(), evolr.__version__)
                self._connection.execute("INSERT INTO migration VALUES (?, ?, ?)", record)


def connected_to_read(path: Path) -> sqlite3.Connection:
    """A connection to a WAL database that changes nothing of what it holds; on a full or read-only disk too.

    Raises sqlite3's errors where the file cannot be read.
    """
    # After a kill, whoever comes first has to put the log's index in order, a reader too: so a reader that has the
    # right to write opens the file with it, and forbids itself to use it (`query_only`).
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    try:
        connection = _connected(path, "mode=rw" if may_write else "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NOTHING_BESIDE:
            raise
        connection = _connected_alone(path, error)
    connection.execute("PRAGMA query_only = ON")
    return connection


_NOTHING_BESIDE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What SQLite says if the files that it needs beside a WAL database cannot be made."""


def _connected_alone(path: Path, failure: sqlite3.OperationalError) -> sqlite3.Connection:
    """A connection that needs no files beside the database, for where none can be made: nobody can be writing there."""
    log = path.with_name(path.name + "-wal")
    if not (log.exists() and log.stat().st_size):
        return _connected(path, "immutable=1")  # nothing waits in the log, so the file is all there is
    try:
        return _connected(path, "mode=ro&vfs=unix-none", "PRAGMA locking_mode = EXCLUSIVE")  # the log's index in memory
    except sqlite3.OperationalError:
        raise failure from None  # a system without this way


def _connected(path: Path, mode: str, *first: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        for statement in (*first, "SELECT 1 FROM sqlite_schema"):  # raises where it cannot be read
            connection.execute(statement).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _remove(unfinished: Path) -> None:
    """Removes a database that is being made, and what SQLite keeps beside it."""
    for leftover in unfinished.parent.glob(f"{unfinished.name}*"):
        leftover.unlink()


def now() -> str:
    """The time for a record, UTC. Nothing is ever ordered by it, so a clock may go backwards."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _statements(script: str) -> list[str]:
    """The statements of a script, one by one: `executescript` would end the transaction."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


@contextmanager
def reported(path: Path) -> Generator[None]:
    """SQLite's errors as StudyErrors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StudyError(f"cannot use {path}: {error}{_advice(error)}") from error
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:
            raise  # a broken constraint, say: a fault of this program, not of the file
        raise StudyError(
            f"{path} is damaged or no study at all ({error}); it was left as it is. "
            "Restore it from a copy, or start a new study elsewhere"
        ) from error


def _advice(error: sqlite3.OperationalError) -> str:
    match error.sqlite_errorcode & 0xFF:
        case sqlite3.SQLITE_FULL:
            return ". What was finished before is kept: make room, then go on with the same command"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR:
            return ". Check that the directory can be written and has room"
        case _:
            return ""
