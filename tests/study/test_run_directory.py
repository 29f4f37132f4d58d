import os

import pytest

from evolr.errors import RunDirectoryError, StudyError
from evolr.study.run_directory import RunDirectory


def test_a_taken_directory_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(RunDirectoryError, match="exists already"):
        RunDirectory.prepare(tmp_path / "mine", may_begin=True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_an_empty_directory_may_be_used_and_a_file_may_not(tmp_path):
    (tmp_path / "empty").mkdir()
    RunDirectory.prepare(tmp_path / "empty", may_begin=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="exists already"):
        RunDirectory.prepare(tmp_path / "file", may_begin=True)


def test_what_a_killed_creation_left_is_no_obstacle(tmp_path):
    (tmp_path / "study.db.new").write_bytes(b"half")
    (tmp_path / "study.db.new-wal").write_bytes(b"half")
    (tmp_path / "writer.lock").write_bytes(b"")
    RunDirectory.prepare(tmp_path, may_begin=True)


def test_a_directory_below_a_file_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot create"):
        RunDirectory.prepare(tmp_path / "file" / "run", may_begin=True)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    directory = RunDirectory.create(tmp_path / "run")
    directory.write("champion.txt", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunDirectoryError, match=r"champion\.txt: No space left on device"):
        directory.write("champion.txt", b"new")
    assert (tmp_path / "run" / "champion.txt").read_bytes() == b"old"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["champion.txt"]


def test_files_that_belong_together_are_all_written_or_none_is_new(tmp_path, no_room):
    contents = {"comparison.csv": b"small", "comparison.png": bytes(2000), "comparison.json": b"small"}
    for made in (tmp_path / "new" / "run", tmp_path / "run"):
        with no_room(1000), pytest.raises(RunDirectoryError, match=r"comparison\.png: File too large"):
            RunDirectory.create(made).write_all(contents)
    assert list(tmp_path.iterdir()) == []
    directory = RunDirectory.create(tmp_path / "run")
    directory.write("comparison.csv", b"old")
    with no_room(1000), pytest.raises(RunDirectoryError):
        directory.write_all(contents)
    assert [p.name for p in directory.path.iterdir()] == ["comparison.csv"]
    directory.write_all(contents)
    assert {p.name: p.read_bytes() for p in directory.path.iterdir()} == contents


def test_an_unused_directory_goes_again_and_one_that_was_there_stays(tmp_path):
    (tmp_path / "runs").mkdir()
    RunDirectory.reserve(tmp_path / "runs", "original").remove_unused()
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]
    RunDirectory.reserve(tmp_path / "other", "original").remove_unused()
    RunDirectory.create(tmp_path / "a" / "b" / "c").remove_unused()
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]
    used = RunDirectory.create(tmp_path / "a" / "b" / "c")
    used.write("champion.txt", b"epoch")
    used.remove_unused()
    assert (used.path / "champion.txt").exists()


def test_reserved_names_count_up_and_are_had_once(tmp_path):
    assert RunDirectory.reserve(tmp_path / "runs", "original").path.name == "original-1"
    assert RunDirectory.reserve(tmp_path / "runs", "original").path.name == "original-2"


def test_what_is_no_run_directory_is_refused(tmp_path):
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        RunDirectory.open(tmp_path)
    with pytest.raises(StudyError, match="give a configuration"):
        RunDirectory.prepare(tmp_path / "new", may_begin=False)
    with pytest.raises(RunDirectoryError, match="cannot read the champion"):
        RunDirectory.create(tmp_path / "run").champion()
