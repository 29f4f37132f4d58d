"""The public names: each is there, says what it does with an example, and load and export take what people name."""

import inspect
import os
import runpy
import subprocess
import sys
import textwrap

import pytest

import evolr
from evolr.errors import ConfigError, EvolrError, ScheduleError


@pytest.mark.parametrize("name", evolr.__all__)
def test_a_public_name_is_there_and_is_documented(name):
    assert inspect.getdoc(getattr(evolr, name))


@pytest.mark.parametrize("name", [name for name in evolr.__all__ if name not in ("Config", "EvolrError")])
def test_a_public_name_has_an_example(name):
    doc = inspect.getdoc(getattr(evolr, name))
    assert ">>>" in doc or f"{name}(" in doc


def test_load_takes_a_formula_a_family_and_a_file(tmp_path):
    assert evolr.load("0.1*(1 - progress)").at(progress=0.5) == 0.05
    assert evolr.load("0.1*(1 - progress)", min_lr=0.07).at(progress=0.5) == 0.07
    assert evolr.load("one cycle") == evolr.families()["one-cycle"].schedule()
    saved = tmp_path / "mine.json"
    saved.write_bytes(evolr.load("0.2").to_json())
    assert evolr.load(saved) == evolr.load(str(saved)) == evolr.load("0.2")


def test_load_refuses_what_is_nothing_and_options_of_what_has_its_own(tmp_path):
    saved = tmp_path / "mine.json"
    saved.write_bytes(evolr.load("0.2").to_json())
    with pytest.raises(ConfigError, match="belong to a formula"):
        evolr.load(saved, max_lr=1.0)
    os.mkfifo(tmp_path / "pipe.json")
    things = (None, 5, b"cosine", evolr.load("cosine"), "a\0b", "a\0b.json")
    for wrong in (tmp_path, "nothing/here", "0.1 +", tmp_path / "none.json", tmp_path / "pipe.json", *things):
        with pytest.raises(EvolrError):
            evolr.load(wrong)


def test_export_answers_the_text_and_saves_it_once(tmp_path):
    path = tmp_path / "schedule.py"
    text = evolr.export("0.1*(1 - progress)", "python", path)
    assert path.read_text() == text
    found = runpy.run_path(str(path))
    assert found["learning_rate"](progress=0.5) == 0.05
    with pytest.raises(ConfigError, match="exists already"):
        evolr.export("0.2", "python", path)
    assert path.read_text() == text
    assert evolr.export("0.2", "python", path, force=True) == path.read_text() != text
    assert [p.name for p in tmp_path.iterdir()] == ["schedule.py"]


def test_export_takes_the_place_of_no_pipe_and_writes_through_a_link(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "pipe", os.devnull, tmp_path, "a\0b", tmp_path / ("n" * 300), tmp_path / "none" / "a.py"):
        with pytest.raises(ConfigError):
            evolr.export("0.2", "python", wrong, force=True)
    (tmp_path / "real.py").write_text("old")
    (tmp_path / "link.py").symlink_to("real.py")
    with pytest.raises(ConfigError, match="exists already"):
        evolr.export("0.2", "python", tmp_path / "link.py")
    text = evolr.export("0.2", "python", tmp_path / "link.py", force=True)
    assert (tmp_path / "link.py").is_symlink()
    assert (tmp_path / "real.py").read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.py", "pipe", "real.py"]


def test_what_is_interrupted_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evolr.export("0.2", "python", tmp_path / "mine.py")
    assert list(tmp_path.iterdir()) == []


def test_export_takes_a_schedule_and_what_is_known_of_it():
    text = evolr.export(evolr.load("cosine"), "torch", provenance={"found by": "somebody"})
    assert "found by: somebody" in text
    with pytest.raises(ScheduleError, match="unknown target"):
        evolr.export("cosine", "fortran")
    with pytest.raises(ScheduleError, match="unknown target"):
        evolr.export("cosine", None)


def test_a_function_and_a_package_of_one_name_do_not_get_in_each_other_s_way():
    program = """
        import evolr
        import evolr.exports.targets, evolr.contest.explanation
        assert all(callable(getattr(evolr, name)) for name in ("export", "explain", "load", "tune", "prove"))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
