"""What is refused for what stands in a directory: by every command, with the directory as it was, to the byte."""

import fcntl
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

import evolr as package
from evolr.config import resolve
from evolr.errors import EvolrError
from evolr.run_files import COMPARISON_FILES, EXPLANATION_FILES, SEARCH_FILES, contest_files
from evolr.standard import FAMILIES
from evolr.study.evolve import evolve
from tests.trees import refused, tree

SETTINGS = {"search.population": 6, "search.generations": 2, "search.youth": 2, "training.epochs": 1}
SETTINGS |= {"comparison.epochs": 1, "comparison.seeds": 2}
QUICK = ("--quick", "--epochs", "1", "--budget", "16", "--no-rivals", "-q")
GIVEN = ("prove", "--expression", "0.3*(1 - progress)", "--preset", "quadratic", *QUICK, "-o")
OTHER = ("prove", "--expression", "0.2*(1 - progress)", "--preset", "quadratic", *QUICK, "-o")
DATABASES = Path(__file__).parent.parent / "study" / "databases"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A study that was searched to its end."""
    path = tmp_path_factory.mktemp("found") / "mine"
    evolve(resolve("quadratic", settings=SETTINGS), path)
    return path


@pytest.fixture(autouse=True)
def _mine(found, monkeypatch, tmp_path):
    """That study in the working directory, and a cache of its own beside it."""
    shutil.copytree(found, "mine")
    Path("precious").write_text("precious")
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path.parent / f"{tmp_path.name}-shared")
    monkeypatch.setattr("evolr.contest.contest.FAMILIES", {"cosine": FAMILIES["cosine"]})  # whatever the contest


def directory(path):
    Path(path).mkdir()


def link(path):
    Path(path).symlink_to(Path("precious").absolute())


def pipe(path):
    os.mkfifo(path)


KINDS = {"a directory": directory, "a link": link, "a pipe": pipe}


def test_a_contest_that_is_refused_leaves_the_rightful_one_its_directory(evolr):
    assert evolr(*GIVEN, "held")[0] == 0
    assert "held holds the contest of another schedule" in refused(evolr, *OTHER, "held")
    assert "0 trainings" in evolr(*GIVEN, "held")[1]


def test_a_contest_is_held_in_an_empty_directory_and_in_no_other_without_force(evolr):
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/letter.txt").write_text("dear")
    assert "holds other files" in refused(evolr, *GIVEN, "full")
    assert "holds a study" in refused(evolr, *GIVEN, "mine", "--force")
    assert "is no directory" in refused(evolr, *GIVEN, "precious", "--force")
    Path("others").mkdir()
    Path("others/proven.json").write_text("{}")
    assert "holds other files" in refused(evolr, *GIVEN, "others")
    assert evolr(*GIVEN, "empty")[0] == 0
    assert evolr(*GIVEN, "full", "--force")[0] == 0
    assert Path("full/letter.txt").read_text() == "dear"
    assert "another schedule" in refused(evolr, *OTHER, "full", "--force")


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (("evolve", "--run", "mine", "-q"), (*SEARCH_FILES, "writer.lock")),
        (("run", "--run", "mine", "-q"), COMPARISON_FILES),
        (("compare", "mine", "-q"), COMPARISON_FILES),
        (("explain", "mine", "--seeds", "2", "-q"), EXPLANATION_FILES),
        (("prove", "mine", *QUICK), contest_files("rehearsal")),
        (("prove", "mine", "--epochs", "1", "--budget", "16", "--seeds", "2", "-q"), contest_files("contest")),
    ],
    ids=lambda v: " ".join(v[:2]) if v[0].isalpha() else "",
)
def test_a_file_that_cannot_be_written_is_found_before_anything_is(evolr, arguments, files, what):
    for name in files:
        path = Path("mine", name)
        path.unlink(missing_ok=True)
        KINDS[what](path)
        assert f"cannot write mine/{name}: it is {what}" in refused(evolr, *arguments), name
        path.rmdir() if what == "a directory" else path.unlink()
    assert Path("precious").read_text() == "precious"


@pytest.mark.parametrize(
    "arguments",
    [("prove", "mine", *QUICK), ("explain", "mine", "--seeds", "2", "-q"), (*GIVEN, "new")],
    ids=["prove", "explain", "prove -o"],
)
def test_a_cache_that_cannot_be_used_is_found_before_anything_is_written(evolr, arguments, monkeypatch):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: Path("precious/cache").absolute())
    assert "the user's cache directory is where XDG_CACHE_HOME says" in refused(evolr, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("prove", "mine", *QUICK),
        ("explain", "mine", "--seeds", "2", "-q"),
        (*GIVEN, "other"),
        ("export", "mine", "--to", "python", "--frozen"),
    ],
    ids=lambda v: v[0],
)
def test_a_ledger_that_is_none_is_left_as_it_is(evolr, arguments):
    document = json.loads(Path("mine/champion.json").read_text())
    assert "expression" in document
    Path("other").mkdir()
    for folder in ("mine", "other"):
        connection = sqlite3.connect(f"{folder}/contest.db")
        connection.execute("CREATE TABLE letters (text)")
        connection.close()
    assert any(
        words in refused(evolr, *arguments) for words in ("is no ledger of evolr's", "reads nothing of the training")
    )


def test_a_study_of_other_settings_keeps_its_schema(evolr):
    Path("old").mkdir()
    shutil.copy(DATABASES / "v1.db", "old/study.db")
    assert "was begun with other settings" in refused(evolr, "evolve", "--run", "old", "--seed", "99", "-q")
    assert "was begun with other settings" in refused(evolr, "evolve", "--run", "mine", "--seed", "99", "-q")
    assert evolr("evolve", "--run", "old", "-q")[0] == 0  # the right one goes on


def test_a_study_that_cannot_be_read_gets_no_lock(evolr):
    shutil.copytree("mine", "newer")
    connection = sqlite3.connect("newer/study.db")
    connection.execute("INSERT INTO migration VALUES (99, '2099-01-01', '9.0')")
    connection.commit()
    connection.close()
    Path("damaged").mkdir()
    Path("damaged/study.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    Path("newer/writer.lock").unlink()
    assert "a newer evolr wrote it" in refused(evolr, "evolve", "--run", "newer", "-q")
    assert "is damaged or no study at all" in refused(evolr, "evolve", "--run", "damaged", "-q")


def test_a_study_that_is_being_written_is_left_alone(evolr):
    with Path("mine/writer.lock").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "mine is being written" in refused(evolr, "evolve", "--run", "mine", "-q")
        assert "mine is still being searched" in refused(evolr, "prove", "mine", *QUICK)


@pytest.mark.parametrize("command", ["evolve", "run"])
def test_a_folder_of_runs_that_was_there_stays(evolr, command):
    Path("runs").mkdir()
    refused(evolr, command, "--preset", "quadratic", "--devices", "99", "-q")
    Path("runs").rmdir()
    refused(evolr, command, "--preset", "quadratic", "--devices", "99", "-q")


@pytest.mark.parametrize("path", ["~/mine", "~", "precious/mine", "precious"])
@pytest.mark.parametrize(
    "arguments",
    [("evolve", "--preset", "quadratic", "-q", "--run"), GIVEN, ("compare", "--expression", "1", "-q", "-o")],
)
def test_a_directory_that_cannot_be_made_is_refused_at_once(evolr, arguments, path):
    problem = "write the path in full" if path.startswith("~") else "is no directory"
    assert problem in refused(evolr, *arguments, path)


def test_an_export_is_refused_before_the_trainings_that_freeze_it(evolr):
    command = ("export", "mine", "--frozen", "--to")
    assert "unknown target 'tourch'" in refused(evolr, *command, "tourch")
    assert "exists already" in refused(evolr, *command, "python", "-o", "precious")


@pytest.mark.parametrize("place", ["precious", "foreign", "~/tuned"])
def test_a_tuning_that_is_refused_leaves_its_directory(place):
    Path("foreign").mkdir()
    Path("foreign/contest.db").write_text("dear diary")
    before = tree()
    with pytest.raises(EvolrError):
        package.tune(resolve("quadratic", settings=SETTINGS), "cosine", place, trainings=4)
    assert tree() == before


def test_whatever_reads_leaves_all_as_it_was(evolr):
    before = tree()
    for arguments in (("show", "mine"), ("runs", "."), ("export", "mine", "--to", "python"), ("gallery",)):
        assert evolr(*arguments)[0] == 0
    assert tree() == before
    refused(evolr, "gallery", "nobody")
    refused(evolr, "runs", "precious")
