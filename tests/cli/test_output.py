"""What a person names with --output: refused alike by every command, written whole, and over what is there by --force alone."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evolr.run_files import COMPARISON_FILES
from evolr.study.evolve import evolve
from tests.cli.searches import names
from tests.study.small import small
from tests.trees import refused

SHOW = ("show", "0.1*(1 - progress)")
EXPORT = ("export", "0.1*(1 - progress)", "--to", "python")
COMPARE = ("compare", "--expression", "0.1", "--preset", "quadratic", "--epochs", "1", "--seeds", "2", "-q")
FILES = pytest.mark.parametrize("command", [SHOW, EXPORT], ids=lambda c: c[0])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A study of two generations."""
    path = tmp_path_factory.mktemp("found") / "mine"
    evolve(small(**{"search.generations": 2}), path)
    return path


@FILES
def test_a_file_that_is_there_is_written_over_by_force_alone(evolr, command):
    assert evolr(*command, "-o", "file")[0] == 0
    whole = Path("file").read_bytes()
    Path("file").write_text("precious")
    assert "error: file exists already; name another file, or write over it" in refused(evolr, *command, "-o", "file")
    assert evolr(*command, "-o", "file", "--force")[0] == 0
    assert Path("file").read_bytes() == whole


@FILES
@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
@pytest.mark.parametrize("name", ["folder", "new/", "nowhere/file", "~/file", "pipe", "/dev/full", "", "mine/study.db"])
def test_where_no_file_can_be_written_nothing_is(evolr, found, command, name, force):
    shutil.copytree(found, "mine")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    assert refused(evolr, *command, "-o", name, *force).startswith("error: ")


@FILES
def test_a_full_disk_is_said_and_the_former_file_stays(evolr, command, no_room):
    Path("file").write_text("precious")
    with no_room(100):
        err = refused(evolr, *command, "-o", "file", "--force")
    assert err == "error: cannot write file: File too large\n"


def test_a_study_cannot_be_destroyed_by_its_own_picture(evolr, found):
    shutil.copytree(found, "mine")
    for name in names("mine"):
        refused(evolr, "show", "mine", "-o", f"mine/{name}", "--force")
        refused(evolr, "export", "mine", "--to", "python", "-o", f"mine/{name}", "--force")
    assert evolr("show", "mine", "-o", "mine/curve.png")[0] == 0


def test_force_without_an_output_is_refused(evolr):
    for command in (SHOW, EXPORT, COMPARE, ("prove", "mine")):
        assert "--force belongs to --output" in refused(evolr, *command, "--force")


def test_a_comparison_that_was_killed_half_way_is_no_obstacle_to_its_own_retry(evolr):
    assert evolr(*COMPARE, "-o", "whole")[0] == 0
    assert names("whole") == sorted(COMPARISON_FILES)
    assert "whole exists already and holds other files" in refused(evolr, *COMPARE, "-o", "whole")
    for done in range(len(COMPARISON_FILES)):
        half = Path(f"half{done}")
        half.mkdir()
        for name in COMPARISON_FILES[:done]:
            shutil.copy(f"whole/{name}", half)
        (half / ".evolr-00000000-1-00000000-0.tmp").write_text("half")
        assert evolr(*COMPARE, "-o", half)[0] == 0
        assert (half / "comparison.json").read_bytes() == Path("whole/comparison.json").read_bytes()


def test_a_comparison_is_written_beside_other_files_by_force(evolr):
    Path("folder").mkdir()
    Path("folder/letter.txt").write_text("dear")
    refused(evolr, *COMPARE, "-o", "folder")
    assert evolr(*COMPARE, "-o", "folder", "--force")[0] == 0
    assert names("folder") == sorted([*COMPARISON_FILES, "letter.txt"])
    Path("folder/comparison.csv").unlink()
    Path("folder/comparison.csv").mkdir()
    assert "it is a directory" in refused(evolr, *COMPARE, "-o", "folder", "--force")


def test_a_finished_study_is_read_and_exported_on_a_full_disk(evolr, found, no_room):
    shutil.copytree(found, "mine")
    expected = evolr("show", "mine")[1]
    with no_room(0):
        with closing(sqlite3.connect("mine/study.db")) as connection, pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT * FROM study")  # SQLite itself wants to write beside it
        assert evolr("show", "mine") == (0, expected, "")
        assert evolr("export", "mine", "--to", "python")[0] == 0
        assert evolr("runs", ".")[0] == 0
        assert "cannot write mine.py" in evolr("export", "mine", "--to", "python", "-o", "mine.py")[2]
    assert not Path("mine.py").exists()
