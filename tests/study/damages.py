"""Ways in which a study's database may be damaged, or made to do harm.

DAMAGES names each: a function of the path of a study.db, as tests/study/databases keeps them (or any with finished generations),
which it changes. A benchmark may apply them to larger studies.
"""

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

ENDLESS = "WITH RECURSIVE endless (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM endless) SELECT "
UNFINISHED = (
    "DELETE FROM evaluation WHERE individual IN (SELECT id FROM individual WHERE generation = 1)",
    "UPDATE generation SET finished_at = NULL, best = NULL, median = NULL WHERE number = 1",
)
"""Statements that make the second generation one that was not over."""

COLUMNS = {
    "trial": "id, individual, session, pool, seed, epochs, status, score, diverged_at, message, curves",
    "study": "id, config, created_at, active_at",
    "migration": "version, applied_at, evolr",
}

Damage = Callable[[Path], object]


def sql(*statements: str) -> Damage:
    """Runs statements, with constraints and foreign keys not looked at."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                connection.execute(statement)

    return damage


def loosely(table: str, *statements: str) -> Damage:
    """Runs statements while a table is not STRICT, and no column of it must hold something; then it is again."""

    def damage(path: Path) -> None:
        ((kept,),) = _read(path, f"SELECT sql FROM sqlite_schema WHERE name = '{table}'")  # noqa: S608
        loose = kept.replace("STRICT, WITHOUT", "WITHOUT").replace(") STRICT", ")").replace(" NOT NULL", "")
        _define(path, table, loose)
        sql(*statements)(path)
        _define(path, table, kept)

    return damage


def view(table: str) -> Damage:
    """A view in place of a table, whose rows have no end."""
    columns = ", ".join(f"x AS {name}" for name in COLUMNS[table].split(", "))
    return sql(
        "PRAGMA foreign_keys = OFF", f"DROP TABLE {table}", f"CREATE VIEW {table} AS {ENDLESS}{columns} FROM endless"
    )


def defined(table: str, old: str, new: str) -> Damage:
    """Another definition of a table, over the same content."""

    def damage(path: Path) -> None:
        ((kept,),) = _read(path, f"SELECT sql FROM sqlite_schema WHERE name = '{table}'")  # noqa: S608
        assert old in kept
        _define(path, table, kept.replace(old, new))

    return damage


def config(document: object) -> Damage:
    """Another configuration: a text, or bytes that are stored as text."""
    content = document.encode() if isinstance(document, str) else document

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE study SET config = CAST(? AS TEXT)", (content,))

    return damage


def configured(old: str, new: str) -> Damage:
    """The configuration with another text in the place of one."""

    def damage(path: Path) -> None:
        ((text,),) = _read(path, "SELECT config FROM study")
        assert old in text
        config(text.replace(old, new))(path)

    return damage


def cut(part: float) -> Damage:
    """The file's beginning alone."""
    return lambda path: path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])


def overwritten(start: float, content: bytes) -> Damage:
    """Other bytes from some part of the file on."""

    def damage(path: Path) -> None:
        whole = bytearray(path.read_bytes())
        place = int(start * len(whole))
        whole[place : place + len(content)] = content
        path.write_bytes(whole)

    return damage


def replaced(make: Damage) -> Damage:
    """Something else in the file's place."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def pages_without_end(table: str) -> Damage:
    """The pages of a table as a tree of 16 levels in which all children of a page are one page: 400 to the 16th rows."""

    def damage(path: Path) -> None:
        ((root,),) = _read(path, f"SELECT rootpage FROM sqlite_schema WHERE name = '{table}'")  # noqa: S608
        sql("PRAGMA journal_mode = DELETE")(path)
        content = bytearray(path.read_bytes())
        size = struct.unpack(">H", content[16:18])[0]
        count = len(content) // size
        leaf = bytes(content[(root - 1) * size : root * size])
        first, levels, children = count + 1, 16, 400
        for level in range(levels):
            content += _interior(first + level + 1, children, size)
        content += leaf
        content[(root - 1) * size : root * size] = _interior(first, children, size)
        content[28:32] = struct.pack(">I", len(content) // size)
        content[18:20] = b"\2\2"  # a WAL database, as studies are
        path.write_bytes(content)

    return damage


def _interior(child: int, children: int, size: int) -> bytes:
    """An interior page of a table, whose children are all the same."""
    start = size - 5 * children
    pointers = struct.pack(f">{children}H", *range(start, size, 5))
    head = struct.pack(">BHHHBI", 5, 0, children, start, 0, child)
    cells = b"".join(struct.pack(">IB", child, 1) for _ in range(children))
    return head + pointers + bytes(start - len(head) - len(pointers)) + cells


def _define(path: Path, table: str, definition: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (definition, table))


def _read(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


SCHEMA: dict[str, Damage] = {
    "a view without end in place of the trials": view("trial"),
    "a view without end in place of the study": view("study"),
    "a view without end in place of the migrations": view("migration"),
    "a view of somebody else's": sql("CREATE VIEW mine AS SELECT * FROM trial"),
    "a trigger": sql("CREATE TRIGGER harm AFTER INSERT ON session BEGIN DELETE FROM trial; END"),
    "a table of somebody else's": sql("CREATE TABLE mine (x)"),
    "an index of somebody else's": sql("CREATE INDEX own ON trial (abs(seed))"),
    "a virtual table": sql("CREATE VIRTUAL TABLE words USING fts5(x)"),
    "a missing table": sql("PRAGMA foreign_keys = OFF", "DROP TABLE hall_of_fame"),
    "no table of migrations": sql("DROP TABLE migration"),
    "a missing column": sql("ALTER TABLE trial DROP COLUMN message"),
    "a renamed column": sql("ALTER TABLE session RENAME COLUMN language TO tongue"),
    "a column too many": sql("ALTER TABLE trial ADD COLUMN mine TEXT"),
    "a table that is not strict": defined("trial", ") STRICT", ")"),
    "a column that is computed": defined(
        "study", "active_at     TEXT NOT NULL", "active_at AS (hex(zeroblob(9))) STORED"
    ),
    "a definition that is none": defined("trial", "CREATE TABLE", "CREATE TALBE"),
    "a newer schema": sql("INSERT INTO migration VALUES (99, '2099-01-01', '9.0')"),
    "a schema of version 0": sql("UPDATE migration SET version = version - 5"),
    "no version": sql("DELETE FROM migration"),
}


def beside(ending: str, make: Callable[[Path], object]) -> Damage:
    """Lays something beside it, under one of SQLite's names."""
    return lambda path: make(path.with_name(path.name + ending))


def journal(path: Path, *others: Path) -> None:
    """A rollback journal of no page, and the database that its transaction was over too, if one is given: SQLite deletes that."""
    pages = path.with_name(path.name.removesuffix("-journal")).stat().st_size // 4096
    end = _JOURNAL + struct.pack(">5I", 0, 0, pages, 512, 4096)
    end = end.ljust(512, b"\0")
    for other in others:
        name = os.fsencode(other.absolute())
        end += struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">2I", len(name), sum(name)) + _JOURNAL
    path.write_bytes(end)


_JOURNAL = bytes.fromhex("d9d505f920a163d7")

FILES: dict[str, Damage] = {
    "a journal": beside("-journal", journal),
    "a journal that names another file": beside("-journal", lambda path: journal(path, path.parent / "config.toml")),
    "a journal that is a pipe": beside("-journal", os.mkfifo),
    "a journal that is a directory": beside("-journal", Path.mkdir),
    "a journal that leads elsewhere": beside("-journal", lambda path: path.symlink_to("elsewhere")),
    "an empty file": cut(0),
    "a file of text": lambda path: path.write_text("no database"),
    "the first half": cut(0.5),
    "the head alone": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "noise in the middle": overwritten(0.4, bytes(range(256)) * 40),
    "zeros in the middle": overwritten(0.4, bytes(10_000)),
    "another page size": lambda path: path.write_bytes(path.read_bytes()[:16] + b"\2\0" + path.read_bytes()[18:]),
    "another program's": sql("PRAGMA application_id = 1"),
    "a directory": replaced(Path.mkdir),
    "a pipe": replaced(os.mkfifo),
    "links in a circle": replaced(_circle),
    "trials without end": pages_without_end("trial"),
    "individuals without end": pages_without_end("individual"),
    "settings without end": pages_without_end("study"),
    "generations without end": pages_without_end("generation"),
}

VALUES: dict[str, Damage] = {
    "no settings": sql("DELETE FROM study"),
    "settings that are no TOML": config("["),
    "settings that are no UTF-8": config(b"seed = 1 # \xff\xfe"),
    "settings in a thousand tables": config("x = " + 3_000 * "[" + 3_000 * "]"),
    "settings with nested keys": config("a" + 3_000 * ".a" + " = 1"),
    "settings of 5,000 digits": config("seed = " + 5_000 * "9"),
    "settings that are empty": config(""),
    "settings with keys in 100,000 tables": config(100_000 * "a." + "a = 1"),
    "settings with quoted keys in 100,000 tables": config(100_000 * '"*".' + "a = 1"),
    "settings of another kind": configured("[search]", "search = 3\n[other]"),
    "settings beyond a float": configured("max_lr = 10.0", "max_lr = 1e999"),
    "settings that are bytes": loosely("study", "UPDATE study SET config = x'00ff'"),
    "former settings that are no TOML": sql("UPDATE study SET asked = ']'"),
    "a last write at no time": sql("UPDATE study SET active_at = 'yesterday'"),
    "a last write that is no UTF-8": sql("UPDATE study SET active_at = CAST(x'32ff' AS TEXT)"),
    "a language of the future": sql("UPDATE session SET language = 99"),
    "a language of no time": sql("UPDATE session SET language = -1"),
    "a session without a zone": sql("UPDATE session SET started_at = '2026-01-01T00:00:00'"),
    "a session without a beginning": loosely("session", "UPDATE session SET started_at = NULL"),
    "a missing generation": sql("DELETE FROM generation WHERE number = 0"),
    "a negative generation": sql("UPDATE generation SET number = -1 WHERE number = 0"),
    "a generation far away": sql("UPDATE generation SET number = 9223372036854775807 WHERE number = 1"),
    "a generation without individuals": sql("INSERT INTO generation (number) SELECT 1 + max(number) FROM generation"),
    "a generation that ended at no time": sql("UPDATE generation SET finished_at = '2026-99-99'"),
    "a fitness that is text": loosely("generation", "UPDATE generation SET best = 'best'"),
    "a missing individual": sql("DELETE FROM individual WHERE slot = 3"),
    "a slot that is text": loosely("individual", "UPDATE individual SET slot = 'x' WHERE slot = 0"),
    "slots far away": sql("UPDATE individual SET slot = slot + 4611686018427387904"),
    "formulas that are none": sql("UPDATE individual SET expression = 'progress +'"),
    "formulas of unknown names": sql("UPDATE individual SET expression = 'system(epoch)'"),
    "formulas of a million brackets": sql(
        "UPDATE individual SET expression = replace(hex(zeroblob(500000)), '0', '(')"
    ),
    "formulas that are no UTF-8": sql("UPDATE individual SET expression = CAST(x'ff' AS TEXT)"),
    "formulas that are numbers": loosely("individual", "UPDATE individual SET expression = x'31'"),
    "operators that are no UTF-8": sql("UPDATE individual SET operator = CAST(x'c0af' AS TEXT)"),
    "a flag of 2": sql("UPDATE individual SET oversize = 2"),
    "the last number of an individual": sql("UPDATE individual SET id = 9223372036854775807 WHERE id = 1"),
    "curves cut short": sql("UPDATE trial SET curves = x'000000'"),
    "curves that are not four": sql("UPDATE trial SET curves = zeroblob(20)"),
    "curves of several lengths": sql("UPDATE trial SET curves = zeroblob(16 * (1 + id))"),
    "curves that are text": loosely("trial", "UPDATE trial SET curves = 'curves'"),
    "a score that is text": loosely("trial", "UPDATE trial SET score = 'good'", *UNFINISHED),
    "a seed that is a number with a fraction": loosely("trial", "UPDATE trial SET seed = 0.5 + id"),
    "no epochs": sql("UPDATE trial SET epochs = 0"),
    "epochs below none": sql("UPDATE trial SET epochs = -5"),
    "epochs beyond all numbers": sql("UPDATE trial SET epochs = 9223372036854775807"),
    "a pool of no name": sql("UPDATE trial SET pool = 'swimming'"),
    "a failure without words": sql("UPDATE trial SET status = 'failed', message = NULL, score = NULL"),
    "a failure that is no UTF-8": sql("UPDATE trial SET status = 'failed', message = CAST(x'ff' AS TEXT)"),
    "a missing evaluation": sql("DELETE FROM evaluation WHERE individual = 2"),
    "a fitness that is nothing": loosely("evaluation", "UPDATE evaluation SET fitness = NULL"),
    "an evaluation from nowhere": sql("UPDATE evaluation SET source = 'a dream'"),
    "a front of unknown individuals": sql("UPDATE hall_of_fame SET individual = 123456 + size"),
    "a champion without a score": loosely("evaluation", "UPDATE evaluation SET score = x'ff'"),
    "parents in a circle": sql("UPDATE parent SET parent = individual"),
    "parents that are text": loosely("parent", "UPDATE parent SET parent = 'mother'"),
}

DAMAGES: dict[str, Damage] = {**SCHEMA, **FILES, **VALUES}
