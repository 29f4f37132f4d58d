"""Damaged databases, and those made to do harm: each is one error that says what to do, and hides no other study."""

import json
import shutil
from pathlib import Path

import pytest

from evolr.errors import RunDirectoryError, StudyError
from evolr.run_files import LOCK_FILE
from evolr.study.course import course
from evolr.study.evolve import evolve
from evolr.study.lineage import lineage
from evolr.study.results import Limits
from evolr.study.sqlite_file import SqliteFile
from evolr.study.study import Study
from evolr.study.summary import best_schedules, pace, recorded_trainings, success, summarise
from tests.study.damages import DAMAGES, journal
from tests.study.small import small
from tests.trees import tree

KEPT = Path(__file__).parent / "databases"
HARMLESS = {"parents in a circle"}
"""What is read as a sound study is: of parents those before a child."""


OF_VERSION_2 = {"former settings that are no TOML"}
"""What a database of the first schema cannot have."""


READERS = {
    "summary": summarise,
    "course": course,
    "lineage": lineage,
    "pace": pace,
    "recorded": recorded_trainings,
    "success": success,
    "best": lambda path: best_schedules(path, 3),
    "opened": lambda path: Study(path).close(),
}


@pytest.fixture
def damaged():
    """Makes the study that has a damage, beside a sound one: its directory."""

    def make(damage, version=2):
        for name in ("runs/damaged", "runs/sound"):
            Path(name).mkdir(parents=True)
            shutil.copy(KEPT / f"v{version}.db", f"{name}/study.db")
        DAMAGES[damage](Path("runs/damaged/study.db"))
        return Path("runs/damaged")

    return make


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_study_is_one_error_to_whoever_reads_it(evolr, damaged, damage):
    path = damaged(damage)
    errors = {}
    for name, read in READERS.items():
        try:
            read(path)
        except (StudyError, RunDirectoryError) as error:
            errors[name] = str(error)
    assert bool(errors) == (damage not in HARMLESS), errors
    for error in errors.values():
        assert "study.db" in error
        assert "\n" not in error
    code, out, err = evolr("runs", "runs", "--json")
    assert (code, err) == (0, "")
    documents = {Path(document["run"]).name: document for document in json.loads(out)["runs"]}
    assert documents["sound"]["state"] == "done"
    assert documents["damaged"].get("message") == errors.get("summary")
    code, out, err = evolr("show", path)
    assert (code, bool(err)) == ((2, True) if "summary" in errors else (0, False))
    assert err.count("error:") == (code == 2)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("version", "damage"),
    [(version, damage) for version in (1, 2) for damage in DAMAGES if version == 2 or damage not in OF_VERSION_2],
)
def test_a_study_that_cannot_go_on_is_left_as_it_was(damaged, version, damage):
    path = damaged(damage, version)
    before = tree(path)
    began = False
    try:
        with Study(path) as study:
            began = True
            study.run(Limits(seconds=60))
        summarise(path)
    except (StudyError, RunDirectoryError):
        assert not began
        assert {**tree(path), **before} == tree(path)
        assert tree(path).keys() - before.keys() <= {str(path / LOCK_FILE)}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", ["settings that are no TOML", "a view without end in place of the trials", "a pipe"])
@pytest.mark.parametrize(
    "command",
    [
        ("evolve", "--run", "runs/damaged", "-q"),
        ("run", "--run", "runs/damaged", "-q"),
        ("evolve", "--run", "new", "--initial", "runs/damaged", "-q"),
        ("compare", "runs/damaged", "-q"),
        ("prove", "runs/damaged", "--quick", "-q"),
        ("explain", "runs/damaged", "-q"),
        ("export", "runs/damaged", "--to", "python"),
        ("export", "runs/damaged", "--to", "python", "--frozen"),
        ("report", "runs/damaged"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_damaged_study(evolr, damaged, damage, command):
    path = damaged(damage)
    code, out, err = evolr(*command)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(path) in err
    assert not Path("new").exists()


def test_what_a_trigger_would_do_is_not_done(damaged):
    path = damaged("a trigger")
    with pytest.raises(StudyError, match="has the trigger harm, which evolr does not make"):
        Study(path)


@pytest.mark.parametrize("command", [("show",), ("runs",), ("report",), ("export", "--to", "python", "-o", "out.py")])
def test_a_journal_that_names_another_file_takes_nothing_with_it(evolr, damaged, command):
    path = damaged("a journal that names another file")
    victim = path / "config.toml"
    victim.write_text("mine")
    before = tree(path)
    name, *options = command
    code, _, err = evolr(name, "runs" if name == "runs" else path, *options)
    assert code == (0 if name == "runs" else 2)
    assert name == "runs" or "study.db-journal, which evolr does not make here" in err
    assert tree(path) == before
    assert victim.read_text() == "mine"


def test_no_journal_lies_beside_a_study_at_any_time(monkeypatch):
    """So that one that does is somebody else's."""
    seen = set()
    execute = SqliteFile._execute

    def watched(self, *arguments):
        done = execute(self, *arguments)
        seen.update(each.name for each in Path("run").glob("study.db*"))
        return done

    monkeypatch.setattr(SqliteFile, "_execute", watched)
    evolve(small(), "run")
    assert seen
    assert not {name for name in seen if "journal" in name}


def test_a_journal_beside_what_a_linked_study_leads_to_is_refused(tmp_path):
    real, victim = tmp_path / "real.db", tmp_path / "mine"
    shutil.copy(KEPT / "v2.db", real)
    victim.write_text("mine")
    journal(real.with_name("real.db-journal"), victim)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.db").symlink_to(real)
    with pytest.raises(StudyError, match=r"real.db-journal, which evolr does not make here"):
        summarise(tmp_path / "run")
    assert victim.read_text() == "mine"
