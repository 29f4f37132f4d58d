"""An SQLite file of evolr's, whoever wrote it last: how it is opened, recognised, read and written.

SQLite in WAL mode: one writer at a time, any number of readers that never wait for it. `PRAGMA synchronous = NORMAL` survives a
kill without losing anything; a power cut may lose the latest transactions, never the file.

What stands in a file may be damaged, or made to do harm. So its schema must be the one that evolr makes, to the word: then every
table is STRICT, and nothing runs that is not evolr's, such as a view or a trigger. Each value is decoded where it is read. A query
that takes longer than any could in a file of its size, since its pages refer to one another, is ended. What lies beside it under a
name of SQLite's, such as the journal of a transaction to be taken back, can do as much harm: one that evolr does not make is refused.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from evolr.errors import EvolrError, StudyError, printable, shortened

_BUSY_SECONDS: Final = 30.0
_OLDEST: Final = (3, 37, 0)  # STRICT tables
_STRIDE: Final = 100_000  # instructions of SQLite between two looks at whether a query comes to an end
_INSTRUCTIONS_A_BYTE: Final = 20  # a row of ten bytes takes some 50 instructions, sorted and joined some 100
_BYTES_A_ROW: Final = 4  # at least
_JOURNAL_END: Final = bytes.fromhex("d9d505f920a163d7")
"""What a rollback journal ends with that names a further file, which SQLite deletes: that of a transaction over several databases."""
_UNDECODABLE: Final = (EvolrError, ValueError, TypeError, OverflowError, RecursionError)
_NOTHING_BESIDE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What SQLite says if the files that it needs beside a WAL database cannot be made."""

Decode = Callable[[Any], Any]
"""Makes what a column means of what it holds; raises for what it may not hold. See stored_values.py."""

Schema = Mapping[str, str]
"""Of each table, index, view and trigger, by kind and name, its definition without comments."""


class SqliteFile:
    """An open SQLite file.

    mode, first: see `_connected`. remedy: what to do about a damaged one, as a sentence. may_be_begun: whether a rollback journal may
    lie beside it, since it is made where it lies.
    Raises StudyError where it cannot be opened, as all else here for what goes wrong.
    """

    def __init__(self, path: Path, mode: str, remedy: str, *first: str, may_be_begun: bool = False) -> None:
        _refuse_foreign_journal(path, may_be=may_be_begun)
        self.path = path
        self._remedy = remedy
        self._limit = _QueryLimit(path)
        with self._reported():
            self._connection = _connected_to_read(path) if mode == "read" else _connected(path, f"mode={mode}", *first)
        self._connection.set_progress_handler(self._limit, _STRIDE)
        try:
            self._file = os.stat(path)
        except OSError as error:  # it was removed meanwhile
            self._connection.close()
            raise StudyError(f"cannot use {path}: {error.strerror}") from error

    def close(self) -> None:
        self._connection.close()

    def rows(
        self, table: str, query: str, parameters: Sequence[Any] = (), /, **columns: Decode
    ) -> list[tuple[Any, ...]]:
        """The rows that a query finds, decoded.

        table: whose rows they are, for the message about one that is damaged. columns: of each column of the query, in order, its
        decoder; the first one's value names the row in that message.
        """
        most = self._limit.rows
        with self._reported():
            found = self._execute(query, parameters).fetchmany(most + 1)
        if len(found) > most:
            raise self._unbounded_query()
        return self._decoded(table, found, columns)

    def row(
        self, table: str, query: str, parameters: Sequence[Any] = (), /, **columns: Decode
    ) -> tuple[Any, ...] | None:
        """The first row that a query finds, decoded as by `rows`; None where it finds none."""
        with self._reported():
            found = self._execute(query, parameters).fetchmany(1)
        return self._decoded(table, found, columns)[0] if found else None

    def value(self, table: str, query: str, parameters: Sequence[Any] = (), /, **columns: Decode) -> Any:
        """The value of a query for one value, decoded as by `rows`."""
        if (found := self.row(table, query, parameters, **columns)) is None:
            raise self.damaged(table, "it is missing")
        return found[0]

    def _decoded(
        self, table: str, found: Sequence[Sequence[Any]], columns: Mapping[str, Decode]
    ) -> list[tuple[Any, ...]]:
        decoders = tuple(columns.values())
        try:
            return [tuple([decode(value) for decode, value in zip(decoders, row, strict=True)]) for row in found]
        except _UNDECODABLE:
            self._refuse_undecodable(table, found, columns)
            raise

    def write(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Runs one statement; the id of the row it inserted, where it inserted one."""
        with self._reported():
            return self._execute(statement, parameters).lastrowid or 0

    def write_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._reported():
            self._limit.begin()
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Generator[None]:
        """All of what is written inside, or nothing; inside another one, as a part of that.

        kind: DEFERRED for reading alone, all of it at one moment.
        """
        if self._connection.in_transaction:
            yield
            return
        with self._reported():
            self._execute(f"BEGIN {kind}")
            try:
                if kind == "IMMEDIATE":
                    self._require_place()
                yield
                self._execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
                raise

    def _require_place(self) -> None:
        """Raises StudyError where the file that is open stands no more where it was opened: what is written then is lost."""
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), self._file):
                return
        raise StudyError(
            f"{self.path} was moved or removed, or another file put in its place, while it was open; nothing is written to it any "
            "more: open the study where it is now"
        )

    def pragma(self, name: str) -> int:
        """The number that SQLite has under a name."""
        with self._reported():
            return self._execute(f"PRAGMA {name}").fetchone()[0]

    def schema(self) -> Schema:
        with self._reported():
            self._limit.begin()
            return _schema(self._connection)

    def require_schema(self, expected: Schema) -> None:
        """Raises StudyError unless its schema is this one."""
        found = self.schema()
        if found == expected:
            return
        name = next(name for name in {**found, **expected} if found.get(name) != expected.get(name))
        shown = printable(shortened(name, 80))
        why = (
            f"it has the {shown}, which evolr does not make" if name not in expected else f"its {shown} is another one"
        )
        why = f"it lacks the {shown}" if name not in found else why
        raise StudyError(f"{self.path} is not as evolr makes it: {why}; it was left as it is. {self._remedy}")

    def check_integrity(self) -> None:
        """Raises StudyError for pages that are damaged, rows against the rules of their tables, and references to rows that are not there.

        It reads all of the file: with a million trials, in a second or two.
        """
        with self._reported():
            said = self._execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise self.damaged("by SQLite's check", str(said).removeprefix("*** in database main ***\n"))
            if row := self._execute("PRAGMA foreign_key_check").fetchone():
                table, number, parent, _ = row
                raise self.damaged(f"{table} {number}", f"the {parent} that it names is missing")

    def write_ahead(self) -> None:
        """Switches it to WAL mode, where it is not.

        SQLite does not wait for others that use the file at that moment, several that make it, say; so this waits.
        """
        end = time.monotonic() + _BUSY_SECONDS
        with self._reported():
            while True:
                try:
                    self._execute("PRAGMA journal_mode = WAL")
                    break
                except sqlite3.OperationalError as error:
                    if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                        raise
                    time.sleep(0.005)
            self._execute("PRAGMA synchronous = NORMAL")

    def damaged(self, row: str, why: object) -> StudyError:
        """The error for what cannot be. row: the table, and what names the row there."""
        said = printable(f"{shortened(row, 80)}: {shortened(str(why), 300)}")
        return StudyError(f"{self.path} is damaged: {said}; it was left as it is. {self._remedy}")

    def _unbounded_query(self) -> StudyError:
        why = "a query of it does not come to an end"
        return StudyError(f"{self.path} is damaged: {why}; it was left as it is. {self._remedy}")

    def _execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        self._limit.begin()
        return self._connection.execute(statement, parameters)

    def _refuse_undecodable(self, table: str, found: Iterable[Sequence[Any]], columns: Mapping[str, Decode]) -> None:
        """Raises StudyError for the first value that cannot be decoded."""
        for row in found:
            for (name, decode), value in zip(columns.items(), row, strict=True):
                try:
                    decode(value)
                except StudyError:  # of another row that it takes to decode this one
                    raise
                except _UNDECODABLE as error:
                    key = f" {row[0]}" if len(columns) > 1 else ""
                    raise self.damaged(f"{table}{key}", f"{name}: {error}") from error

    @contextmanager
    def _reported(self) -> Generator[None]:
        """SQLite's errors as StudyErrors that say what to do."""
        try:
            yield
        except UnicodeDecodeError as error:  # what SQLite says of it quotes what stands in it
            why = f"{self.path} is damaged: its schema is no text"
            raise StudyError(f"{why}; it was left as it is. {self._remedy}") from error
        except sqlite3.OperationalError as error:
            if _code(error) == sqlite3.SQLITE_INTERRUPT:
                raise self._unbounded_query() from error
            if _code(error) in (0, sqlite3.SQLITE_ERROR):  # of the content: a sum beyond all numbers, say
                why = f"{self.path} is damaged ({error})"
                raise StudyError(f"{why}; it was left as it is. {self._remedy}") from error
            raise StudyError(f"cannot use {self.path}: {error}{_advice(error)}") from error
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                why = f"{self.path} is damaged or no study at all ({error})"
            else:  # a broken constraint, say
                why = f"{self.path} does not take what is to be written ({error})"
            raise StudyError(f"{why}; it was left as it is. {self._remedy}") from error


class _QueryLimit:
    """Ends a query that takes more instructions than any could in a file of its size; whoever begins one says so.

    Here a query's rows are no more than those of its tables.
    """

    def __init__(self, path: Path) -> None:
        self._files = (path, path.with_name(path.name + "-wal"))
        self._calls = 0

    def begin(self) -> None:
        self._calls = 0

    @property
    def rows(self) -> int:
        """The rows of a query, at most."""
        return 1_000 + self._size // _BYTES_A_ROW

    @property
    def _size(self) -> int:
        size = 0
        for file in self._files:
            with suppress(FileNotFoundError):  # a log goes when its last writer does
                size += os.stat(file).st_size
        return size

    def __call__(self) -> bool:
        self._calls += 1
        return self._calls > 10 + _INSTRUCTIONS_A_BYTE * self._size // _STRIDE


@cache
def schema_made_by(*statements: str) -> Schema:
    """The schema that statements make in an empty database."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in statements:
            connection.execute(statement)
        return _schema(connection)
    finally:
        connection.close()


def statements_of(script: str) -> list[str]:
    """The statements of a script, one by one: `executescript` would end the transaction."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _schema(connection: sqlite3.Connection) -> Schema:
    """Without what SQLite makes by itself: the index of a key, and what ANALYZE counts."""
    rows = connection.execute(
        "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE NOT (type = 'index' AND sql IS NULL) "
        "AND NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))"
    )
    return {str(name): _in_one_form(str(sql)) for name, sql in rows}


def _in_one_form(definition: str) -> str:
    """A definition without comments, and without spaces that mean nothing: a column that was added later leaves others."""
    words = " ".join(re.sub("--.*", "", definition).split())
    return re.sub(r" ?([(),]) ?", r"\1", words)


def _connected_to_read(path: Path) -> sqlite3.Connection:
    """A connection to a WAL database that changes nothing of what it holds; on a full or read-only disk too."""
    # After a kill, whoever comes first has to put the log's index in order, a reader too: so a reader that has the
    # right to write opens the file with it, and forbids itself to use it (`query_only`).
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    try:
        connection = _connected(path, "mode=rw" if may_write else "mode=ro")
    except sqlite3.OperationalError as error:
        if _code(error) not in _NOTHING_BESIDE:
            raise
        connection = _connected_alone(path, error)
    connection.execute("PRAGMA query_only = ON")
    return connection


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
    """A connection by SQLite's `mode`, after some statements. Threads may share it, one at a time."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StudyError(
            f"evolr needs SQLite {'.'.join(map(str, _OLDEST))} or newer, whose tables are strict, and this Python has "
            f"{sqlite3.sqlite_version}: run it with a Python that has a newer one"
        )
    uri = f"file:{quote(os.fsencode(path.absolute()))}?{mode}"  # a name may be no UTF-8
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text
    trusted = ("PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON")
    try:
        for statement in (*trusted, *first, "SELECT 1 FROM sqlite_schema LIMIT 1"):  # raises where it cannot be read
            connection.execute(statement).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_foreign_journal(path: Path, *, may_be: bool) -> None:
    """Raises StudyError for a rollback journal that evolr does not make, before SQLite takes it up: by a reader too.

    In WAL mode there is none. may_be: of a file that may still be in the making, one that is a regular file and names no other. Where
    the file is a link, SQLite looks beside what that leads to.
    """
    real = Path(os.path.realpath(path))
    if real != Path(os.path.abspath(path)):
        _refuse_foreign_journal(real, may_be=may_be)
    journal = path.with_name(path.name + "-journal")
    try:
        found = journal.lstat()
        if may_be and stat.S_ISREG(found.st_mode):
            with journal.open("rb") as file:
                file.seek(max(found.st_size - len(_JOURNAL_END), 0))
                if file.read() != _JOURNAL_END:
                    return
    except FileNotFoundError:
        return
    except OSError as error:
        raise StudyError(f"cannot use {journal}, which lies beside {path.name}: {error.strerror}") from error
    raise StudyError(
        f"beside {path} lies {journal.name}, which evolr does not make here; SQLite would change the file by it, or others that it "
        "names. Nothing was read: if the run comes from somebody else, do not trust it; else move that file away"
    )


def _text(content: bytes) -> str | bytes:
    """Text as it is stored; its bytes where they are no UTF-8, which no decoder of text takes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of Python's own, which has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _advice(error: sqlite3.OperationalError) -> str:
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return ". What was finished before is kept: make room, then go on with the same command"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_IOERR:
            return ". Check that the directory can be written and has room"
        case sqlite3.SQLITE_BUSY:
            return ". Another process uses it, and did not end in time: try again"
        case _:
            return ""
