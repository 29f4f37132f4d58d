"""The ledger's file: those of older schemas, and what several processes do to it at once."""

import sqlite3
from threading import Barrier, Thread

import numpy as np
import pytest

from evolr.errors import StudyError
from evolr.study.curves import packed
from evolr.study.ledger import APPLICATION_ID, Ledger, notes
from evolr.training.task import Outcome
from tests.trees import tree

SCHEMA_1 = """
CREATE TABLE training (key BLOB PRIMARY KEY, score REAL, diverged_at INTEGER, curves BLOB NOT NULL, learning_rates BLOB)
STRICT, WITHOUT ROWID;
CREATE TABLE note (kind TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (kind, content)) STRICT, WITHOUT ROWID;
"""
CHANGES = ("ALTER TABLE training ADD COLUMN signals BLOB", "ALTER TABLE training ADD COLUMN failure TEXT")
KNOWN = Outcome(0.5, None, *np.full((4, 3), 2.0, np.float32))
RATES = np.full(3, 9.0, np.float32)


def older(path, version):
    """A ledger as an evolr of an older schema left it, with a training, and one with its steps and their signals."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA_1 + ";".join(CHANGES[: version - 1]))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    insert = "INSERT INTO training (key, score, curves, learning_rates) VALUES (?, ?, ?, ?)"
    connection.execute(insert, (b"known", 0.5, packed(KNOWN), None))
    connection.execute(insert, (b"steps", 0.5, packed(KNOWN), RATES.tobytes()))
    if version > 1:
        connection.execute("UPDATE training SET signals = learning_rates")
    if version > 2:
        connection.execute("UPDATE training SET failure = 'it failed' WHERE key = ?", (b"known",))
    connection.execute("INSERT INTO note VALUES ('look', ?)", (b"settings",))
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_ledger_of_an_older_schema_is_brought_up_to_date_with_what_it_knows(tmp_path, version):
    ledger = Ledger(older(tmp_path / "contest.db", version))
    found = ledger.find([b"known", b"steps"])
    assert np.array_equal(found[b"known"].train_loss, KNOWN.train_loss)
    assert found[b"known"].failure == ("it failed" if version == 3 else None)
    assert (b"steps" in found) == (version == 1)  # signals without names are trained again
    assert ledger.note("look", b"others") == 2
    ledger.add([(b"new", KNOWN)])
    ledger.close()
    again = Ledger(tmp_path / "contest.db")
    assert set(again.find([b"known", b"new"])) == {b"known", b"new"}
    again.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_several_that_bring_a_ledger_up_to_date_at_once_all_can_use_it(tmp_path, version):
    path = older(tmp_path / "contest.db", version)
    barrier, opened, failed = Barrier(4), [], []

    def open_it():
        barrier.wait()
        try:
            ledger = Ledger(path)
            opened.append(set(ledger.find([b"known"])))
            ledger.close()
        except Exception as error:
            failed.append(error)

    threads = [Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, opened) == ([], [{b"known"}] * 4)


def test_a_note_that_comes_second_is_not_kept(tmp_path):
    ledger = Ledger(tmp_path / "contest.db")
    assert [ledger.note_first("subject", subject) for subject in (b"mine", b"other", b"mine")] == [True, False, True]
    assert ledger.note_first("look", b"other")  # another kind
    assert notes(tmp_path / "contest.db", "subject") == [b"mine"]
    ledger.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_notes_are_read_of_any_schema_and_the_file_is_left_as_it_is(tmp_path, version):
    path = older(tmp_path / "contest.db", version)
    before = tree(tmp_path)
    assert notes(path, "look") == [b"settings"]
    assert notes(path, "subject") == notes(tmp_path / "none.db", "look") == []
    assert tree(tmp_path) == before


def test_a_ledger_that_cannot_be_made_leaves_no_directory(tmp_path, no_room):
    with no_room(0), pytest.raises(StudyError, match="room"):
        Ledger(tmp_path / "new" / "contest.db")
    assert not (tmp_path / "new").exists()
