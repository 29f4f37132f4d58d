"""study.db: how it is made, recognised, and brought up to date.

What a power cut takes of it, the latest transactions at most, the search does again with the same result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import evolr
from evolr.errors import StudyError
from evolr.run_files import DATABASE, UNFINISHED
from evolr.study import stored_values as stored
from evolr.study.migrations import MIGRATIONS
from evolr.study.sqlite_file import Schema, SqliteFile, schema_made_by, statements_of

APPLICATION_ID: Final = 0x65766F6C  # "evol": tells a study from any other SQLite file
_REMEDY: Final = (
    "Restore it from a copy, in which no study.db-wal and study.db-shm of this one stay, or start a new study elsewhere"
)
_MIGRATION: Final = "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL, evolr TEXT NOT NULL) STRICT"


class Database(SqliteFile):
    """An open study.db."""

    version = 0
    """Of its schema; 0 while it has none."""

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
        # What is half made is thrown away, not recovered.
        database = cls(unfinished, "rwc", _REMEDY, "PRAGMA journal_mode = MEMORY")
        try:
            database.write(f"PRAGMA application_id = {APPLICATION_ID}")
            database._migrate()
            begin(database)
            database.write_ahead()  # from the first, so that no rollback journal ever lies beside it
        finally:
            database.close()
        try:
            os.replace(unfinished, path)
        except OSError as error:
            raise StudyError(f"cannot make {path}: {error.strerror}") from error

    @classmethod
    def open(cls, path: Path, *, write: bool) -> Database:
        """An existing database, as it is: `opening` brings an older schema up to date for a writer; a reader reads any that it knows.

        Raises StudyError for a file that is no study, is damaged, or has a newer schema.
        """
        if not os.path.isfile(path):
            why = f"its {path.name} is no file" if os.path.lexists(path) else f"it has no {path.name}"
            raise StudyError(f"{path.parent} is not a study: {why}")
        database = cls(path, "rw" if write else "read", _REMEDY)
        try:
            with database.transaction("DEFERRED"):
                database._recognise()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def opening(self) -> Generator[None]:
        """A block in which a writer looks at what it goes on from, with the schema of today, and begins to write.

        If it raises, the file stays as it was, with an older schema, too. Raises StudyError for a damaged file.
        """
        self.write("PRAGMA foreign_keys = ON")  # which has no effect within a transaction
        with self.transaction():
            self.check_integrity()
            self._migrate()
            yield
        self.write_ahead()

    @classmethod
    @contextmanager
    def read(cls, directory: Path) -> Generator[Database]:
        """The database of the study in a directory, for a reader, until the end of the block. Raises StudyError as `open` does."""
        with closing(cls.open(directory / DATABASE, write=False)) as database:
            yield database

    def _recognise(self) -> None:
        if self.pragma("application_id") != APPLICATION_ID:
            raise StudyError(f"{self.path} is not evolr's: it is another program's database; it was left as it is")
        self._require_migrations()
        version = self.value("migration", "SELECT max(version) FROM migration", version=stored.positive)
        if version > len(MIGRATIONS):
            raise StudyError(
                f"{self.path} has schema version {version}, this evolr knows {len(MIGRATIONS)} and older; "
                "a newer evolr wrote it: update evolr to open it"
            )
        self.require_schema(_schema_of(version))
        self.version = version

    def _require_migrations(self) -> None:
        """Raises StudyError unless the table that says the version is the one that evolr makes."""
        found, expected = self.schema(), schema_made_by(_MIGRATION)
        if not expected.items() <= found.items():
            self.require_schema({**found, **expected})

    def _migrate(self) -> None:
        for version in range(self.version + 1, len(MIGRATIONS) + 1):
            with self.transaction():
                for statement in statements_of(MIGRATIONS[version - 1]):
                    self.write(statement)
                self.write(_MIGRATION)
                self.write("INSERT INTO migration VALUES (?, ?, ?)", (version, now(), evolr.__version__))
            self.version = version


def _schema_of(version: int) -> Schema:
    """The schema of a version."""
    return schema_made_by(*(s for script in MIGRATIONS[:version] for s in statements_of(script)), _MIGRATION)


def _remove(unfinished: Path) -> None:
    """Removes a database that is being made, and what SQLite keeps beside it."""
    for leftover in unfinished.parent.glob(f"{unfinished.name}*"):
        leftover.unlink()


def now() -> str:
    """The time for a record, UTC. Nothing is ever ordered by it, so a clock may go backwards."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
