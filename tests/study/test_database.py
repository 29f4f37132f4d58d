"""The schema and its migrations."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.errors import EvolrError, StudyError
from evolr.study import database as module
from evolr.study.database import Database
from evolr.study.migrations import MIGRATIONS
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from tests.study.small import remembered, small
from tests.trees import tree

KEPT = Path(__file__).parent / "databases"


def test_a_database_of_every_schema_is_kept():
    assert {p.name for p in KEPT.glob("*.db")} == {f"v{v}.db" for v in range(1, len(MIGRATIONS) + 1)}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_study_of_any_schema_opens_and_goes_on(tmp_path, version):
    shutil.copy(KEPT / f"v{version}.db", tmp_path / "study.db")
    assert summarise(tmp_path).generations_done == 2
    assert summarise(tmp_path).config == small(**{"search.generations": 2})
    with Study(tmp_path, small(**{"search.generations": 3})) as study:
        assert len(study.history()) == 16
        study.run()
    database = Database.open(tmp_path / "study.db", write=False)
    assert database.version == len(MIGRATIONS)
    database.close()
    with Study(tmp_path / "anew", small(**{"search.generations": 3})) as study:
        study.run()
    assert remembered(tmp_path) == remembered(tmp_path / "anew")


def test_a_newer_schema_is_refused(tmp_path):
    shutil.copy(KEPT / "v1.db", tmp_path / "study.db")
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.execute("INSERT INTO migration VALUES (99, '2099-01-01', '9.0')")
    connection.commit()
    connection.close()
    for write in (True, False):
        with pytest.raises(StudyError, match=r"schema version 99.*update evolr"):
            Database.open(tmp_path / "study.db", write=write)


def test_rows_without_their_owner_are_refused(tmp_path):
    with Study(tmp_path / "run", small()) as study, pytest.raises(StudyError, match="FOREIGN KEY"):
        study._open._database.write("INSERT INTO parent VALUES (12345, 0, 1)")


def taken_up(path):
    database = Database.open(path, write=True)
    with database.opening():
        return database


def test_a_failing_migration_leaves_the_schema_before(tmp_path, monkeypatch):
    shutil.copy(KEPT / "v1.db", tmp_path / "study.db")
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE extra (x);\nCREATE TABLE broken (;"))
    with pytest.raises(StudyError, match="syntax error"):
        taken_up(tmp_path / "study.db")
    monkeypatch.undo()
    database = taken_up(tmp_path / "study.db")
    assert "table extra" not in database.schema()
    assert database.version == len(MIGRATIONS)
    database.close()


def test_what_a_killed_writer_left_in_the_log_is_read_on_a_full_disk_too(tmp_path, no_room):
    with Study(tmp_path / "run", small()) as study:
        study.run(Limits(trainings=20))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("study.db", "study.db-wal"):
            shutil.copy(tmp_path / "run" / name, copy)
    assert (copy / "study.db-wal").stat().st_size > 0
    before = tree(copy)
    with no_room(0):
        read = summarise(copy).trainings
    assert tree(copy).items() >= before.items()
    assert read == summarise(copy).trainings >= 20


def test_a_study_that_cannot_be_made_leaves_nothing(tmp_path, no_room):
    with no_room(0), pytest.raises(StudyError, match="room"):
        Study(tmp_path / "new" / "run", small())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with no_room(0), pytest.raises(StudyError, match="room"):
        Study(tmp_path / "empty", small())
    assert list((tmp_path / "empty").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from evolr.study import database
original = database.statements_of
def statements(script):
    yield from original(script)
    os.kill(os.getpid(), signal.SIGKILL)
database.statements_of = statements
database.MIGRATIONS = (*database.MIGRATIONS, "CREATE TABLE extra (x);")
{action}
"""


def killed(action):
    process = subprocess.run([sys.executable, "-c", KILLED.format(action=action)], check=False)
    assert process.returncode == -signal.SIGKILL


def test_a_kill_inside_a_migration_leaves_the_schema_before(tmp_path):
    path = tmp_path / "study.db"
    shutil.copy(KEPT / "v1.db", path)
    killed(f"with database.Database.open(Path({str(path)!r}), write=True).opening(): pass")
    database = taken_up(path)
    assert "table extra" not in database.schema()
    database.close()
    assert summarise(tmp_path).generations_done == 2


def test_a_kill_inside_the_creation_leaves_no_study_and_is_no_obstacle(tmp_path):
    path = tmp_path / "study.db"
    killed(f"database.Database.create(Path({str(path)!r}), print)")
    assert not path.exists()
    assert list(tmp_path.iterdir())
    with Study(tmp_path, small()) as study:
        assert study.ask()
    assert not list(tmp_path.glob("study.db.new*"))


@pytest.mark.parametrize("replaced", [False, True])
def test_a_study_whose_file_is_gone_takes_no_more_scores(tmp_path, replaced):
    study = Study(tmp_path / "run", small())
    asked = study.ask()
    study.tell(asked[0], 0.5)
    copy = (tmp_path / "run" / "study.db").read_bytes()
    shutil.rmtree(tmp_path / "run")
    if replaced:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "study.db").write_bytes(copy)
    with pytest.raises(StudyError, match=r"study\.db was moved or removed, or another file put in its place"):
        study.tell(asked[1], 0.5)
    with pytest.raises(
        EvolrError, match=r"champion\.json|study\.db was moved"
    ):  # its files cannot be written, or its end
        study.close()
    study.close()
    Study(tmp_path / "run", small()).close()


def test_a_schema_that_is_no_text_is_a_damaged_study(tmp_path):
    Study(tmp_path / "run", small()).close()
    file = tmp_path / "run" / "study.db"
    content = file.read_bytes()
    place = content.index(b"CREATE TABLE trial")
    file.write_bytes(content[:place] + b"CREATE \xb7ABLE trial" + content[place + 18 :])
    for read in (summarise, Study):
        with pytest.raises(StudyError, match="damaged"):
            read(tmp_path / "run")
