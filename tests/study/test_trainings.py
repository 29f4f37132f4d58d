"""Searches that are given a number of trainings: in workers, on a model, at the command line."""

import json
from pathlib import Path

import pytest

import evolr
from evolr.config import load, resolve
from evolr.errors import ConfigError
from evolr.study.results import Limits
from tests.execution import training_functions as functions
from tests.study.small import derived

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("importable")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_function_is_searched_within_its_trainings_to_the_same_files_by_any_number_of_workers(tmp_path, workers):
    told = []
    result = evolr.evolve(
        functions.falling, tmp_path / "run", epochs=5, trainings=20, workers=workers, on_trial=told.append
    )
    assert result.trainings == len(told) == 20
    assert result.is_raced
    assert result.stopped_by is None
    assert load(tmp_path / "run" / "config.toml").search.method == "bayesian"
    again = evolr.evolve(functions.falling, tmp_path / "again", epochs=5, trainings=20, workers=2)
    assert again.champion == result.champion
    assert derived(tmp_path / "again") == derived(tmp_path / "run")


def test_it_goes_on_where_it_was_interrupted_to_the_same_files(tmp_path):
    whole = evolr.evolve(functions.falling, tmp_path / "whole", epochs=5, trainings=24, workers=2)
    seen = []

    def stop():
        return "enough for now" if len(seen) >= 11 else None

    first = evolr.evolve(
        functions.falling, tmp_path / "cut", epochs=5, trainings=24, workers=2, on_trial=seen.append, should_stop=stop
    )
    assert first.stopped_by == "enough for now"
    assert 11 <= first.trainings < 24
    result = evolr.evolve(functions.falling, tmp_path / "cut", epochs=5, trainings=24, workers=1)
    assert result.champion == whole.champion
    assert derived(tmp_path / "cut") == derived(tmp_path / "whole")


def test_the_command_line_and_python_make_the_same_study(tmp_path, monkeypatch, evolr):
    import evolr as package

    monkeypatch.chdir(tmp_path)
    given = {"training.epochs": 1, "problem.dimension": 4}
    code, out, err = evolr(
        *("evolve", "--preset", "quadratic", "--trainings", 14, "--run", "one", "--json", "-q"),
        *(f"--set={name}={value}" for name, value in given.items()),
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["trainings"] == 14
    package.evolve(package.resolve("quadratic", settings=given, trainings=14), "two")
    assert derived(Path("one")) == derived(Path("two"))


@pytest.mark.parametrize("given", [("--population", 5), ("--set=search.method=bayesian",), ("--set=search.first=9",)])
def test_a_setting_beside_the_trainings_that_decide_it_is_refused_where_a_study_is_and_where_none_is(evolr, given):
    asked = ("evolve", "--preset", "quadratic", "--set=problem.dimension=4", "--epochs", 1, "--run", "mine", "-q")
    again = ("evolve", "--run", "mine", "-q", "--trainings", 14)
    told = " follows from trainings=14: give the one or the other"
    assert told in evolr(*asked, "--trainings", 14, *given)[2]
    assert not Path("mine/study.db").exists()
    assert evolr(*asked, "--trainings", 14, "--max-trainings", 2)[0] == 0
    before = derived(Path("mine"))
    code, out, err = evolr(*again, *given)
    assert (code, out) == (2, "")
    assert told in err
    assert "was begun with other settings" in evolr(*again, "--epochs", 2)[2]
    assert "the method is bayesian" in evolr(*again, "--set=search.samples=5")[2]
    assert derived(Path("mine")) == before
    assert evolr(*again)[0] == 0


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("[search]\npopulation = 5", "search.population follows from trainings=14: give the one or the other"),
        (
            "[search]\nmethod = 'bayesian'\nseeds = 3",
            "search.method, search.seeds follow from trainings=14: give the one or the other",
        ),
        ("[search]\nsamples = 5", "with trainings=14 the method is bayesian"),  # it would be gone without a word
    ],
)
def test_a_setting_of_a_file_beside_the_trainings_that_decide_it_is_refused_as_a_single_one_is(
    tmp_path, evolr, file, part
):
    given = tmp_path / "mine.toml"
    given.write_text(file)
    code, out, err = evolr(
        "evolve", "--preset", "quadratic", "--config", given, "--trainings", 14, "--run", "mine", "-q"
    )
    assert (code, out) == (2, "")
    assert part in err
    assert not Path("mine").exists()
    with pytest.raises(ConfigError, match=part):
        resolve("quadratic", given, trainings=14)


def test_what_a_file_says_beside_the_trainings_is_kept(tmp_path):
    given = tmp_path / "mine.toml"
    given.write_text("[search]\ncandidates = 50\nmax_size = 30\n[problem]\ndimension = 4\n[training]\nepochs = 1")
    config = resolve("quadratic", given, {"search.max_size": 20}, trainings=14)
    assert (config.search.method, config.search.candidates, config.search.max_size) == ("bayesian", 50, 20)
    assert (config.problem.dimension, config.training.epochs) == (4, 1)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"trainings": 9}, "at least 10 trainings, got 9"),
        ({"trainings": 10.5}, "trainings must be a whole number"),
        ({"trainings": 40, "settings": {"search.finalists": 0}}, "search.finalists follows from trainings=40"),
    ],
)
def test_trainings_that_cannot_be_are_refused_before_anything_is_written(tmp_path, options, part):
    with pytest.raises(ConfigError, match=part):
        evolr.evolve(functions.falling, tmp_path / "run", epochs=5, workers=1, **options)
    assert not (tmp_path / "run").exists()


def test_a_limit_of_trainings_on_top_ends_it_earlier_and_raced(tmp_path):
    result = evolr.evolve(functions.falling, tmp_path / "run", Limits(trainings=16), epochs=5, trainings=30, workers=2)
    assert result.trainings <= 16
    assert result.is_raced
