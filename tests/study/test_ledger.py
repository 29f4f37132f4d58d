"""The ledger's file: those of older schemas, and what several processes do to it at once."""

import os
import sqlite3
import time
from threading import Barrier, Thread

import numpy as np
import pytest

from evolr.errors import StudyError
from evolr.study.curves import packed
from evolr.study.ledger import APPLICATION_ID, Ledger, notes
from evolr.training.task import Outcome
from tests.study.damages import journal, overwritten
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


def test_a_new_ledger_waits_for_another_process_that_makes_it(tmp_path, monkeypatch):
    """SQLite itself refuses at once to switch to WAL mode while another has begun to write."""
    other = sqlite3.connect(tmp_path / "contest.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waited = []
    monkeypatch.setattr(time, "sleep", lambda seconds: waited.append(other.execute("ROLLBACK")))
    ledger = Ledger(tmp_path / "contest.db")
    assert len(waited) == 1
    assert ledger.note("look", b"mine") == 1
    ledger.close()
    other.close()


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


def test_a_damaged_ledger_of_an_older_schema_is_left_as_it_was(tmp_path):
    path = older(tmp_path / "contest.db", 1)
    overwritten(0.4, bytes(range(256)) * 40)(path)
    before = tree(tmp_path)
    with pytest.raises(StudyError, match="is damaged"):
        Ledger(path)
    assert tree(tmp_path) == before


def test_a_ledger_that_cannot_be_made_leaves_no_directory(tmp_path, no_room):
    with no_room(0), pytest.raises(StudyError, match="room"):
        Ledger(tmp_path / "new" / "contest.db")
    assert not (tmp_path / "new").exists()


def statements(*texts):
    def damage(path):
        connection = sqlite3.connect(path, isolation_level=None)
        for text in texts:
            connection.execute(text)
        connection.close()

    return damage


ENDLESS = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT "
DAMAGES = {
    "another program's": statements("PRAGMA application_id = 7"),
    "a newer version": statements("PRAGMA user_version = 99"),
    "a view": statements("DROP TABLE note", f"CREATE VIEW note AS {ENDLESS}x AS kind, x AS content FROM r"),
    "a trigger": statements("CREATE TRIGGER harm AFTER INSERT ON note BEGIN DELETE FROM training; END"),
    "a missing table": statements("DROP TABLE training"),
    "a column too many": statements("ALTER TABLE training ADD COLUMN mine TEXT"),
    "curves cut short": statements("UPDATE training SET curves = x'00'"),
    "learning rates cut short": statements("UPDATE training SET learning_rates = x'00'"),
    "signals without names": statements("UPDATE training SET signal_names = NULL"),
    "signals of too many names": statements("""UPDATE training SET signal_names = '["a", "b"]'"""),
    "names that are no JSON": statements("UPDATE training SET signal_names = '['"),
    "names of another kind": statements("UPDATE training SET signal_names = '[1]'"),
    "a name that comes twice": statements(
        """UPDATE training SET signal_names = '["a", "a"]', signals = zeroblob(24)"""
    ),
    "names without end": statements("UPDATE training SET signal_names = replace(hex(zeroblob(50000)), '0', '[')"),
    "words that are no UTF-8": statements("UPDATE training SET failure = CAST(x'ff' AS TEXT)"),
    "an epoch below none": statements("UPDATE training SET diverged_at = -1"),
    "text": lambda path: path.write_text("no database"),
    "its first part": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "links in a circle": lambda path: (path.unlink(), path.symlink_to(path.name)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_one_error_that_says_to_move_it_away(tmp_path, damage):
    path = tmp_path / "contest.db"
    ledger = Ledger(path)
    steps = Outcome(0.5, None, *np.ones((4, 3), np.float32), learning_rates=RATES, signals={"loss": RATES})
    ledger.add([(b"steps", steps)])
    ledger.close()
    DAMAGES[damage](path)
    with pytest.raises(StudyError, match=r"contest.db.*(Move it away|Delete it)"):
        Ledger(path).find([b"steps"])
    if not damage.startswith(("curves", "learning", "signals", "names", "words", "an epoch", "a name")):
        with pytest.raises(StudyError, match=r"contest.db.*(Move it away|Delete it)"):
            notes(path, "look")


@pytest.mark.parametrize("kind", ["a pipe", "one that names another file"])
def test_a_journal_that_evolr_does_not_make_is_refused_and_nothing_is_touched(tmp_path, kind):
    path, victim = tmp_path / "contest.db", tmp_path / "mine"
    ledger = Ledger(path)
    ledger.add([(b"one", Outcome(0.5, None, *np.ones((4, 3), np.float32)))])
    ledger.close()
    victim.write_text("mine")
    beside = tmp_path / "contest.db-journal"
    if kind == "a pipe":
        os.mkfifo(beside)
    else:
        journal(beside, victim)
    for read in (lambda: Ledger(path).find([b"one"]), lambda: notes(path, "look")):
        with pytest.raises(StudyError, match=r"contest.db-journal, which evolr does not make here"):
            read()
    assert victim.read_text() == "mine"
    beside.unlink()
    assert Ledger(path).find([b"one"])
