"""A study that was begun in an older language goes on meaning what it meant.

languages/v1.db is a memetic study of language 1, stopped after 115 of its 162 trainings by the evolr of that language;
v1-champion.json is what that evolr came to when it went on to the end.
"""

import shutil
import sqlite3
import tomllib
from pathlib import Path

import msgspec
import pytest

from evolr.config import MemeticSearch, resolve
from evolr.errors import StudyError
from evolr.schedule import Schedule
from evolr.study.study import Study
from evolr.study.summary import best_schedules, summarise

KEPT = Path(__file__).parent / "languages"


@pytest.fixture
def old(tmp_path):
    shutil.copy(KEPT / "v1.db", tmp_path / "study.db")
    return tmp_path


def test_its_functions_are_those_of_its_language(old):
    functions = summarise(old).config.search.functions
    assert {"div", "floor_v1", "sqrt_v1", "pow_v1"} <= set(functions)
    assert not {"quotient", "floor", "sqrt", "pow"} & set(functions)


def test_its_settings_of_the_other_method_which_older_versions_stored_too_are_left_out(old):
    (text,) = sqlite3.connect(old / "study.db").execute("SELECT config FROM study").fetchone()
    stored = tomllib.loads(text)["search"]
    assert {"tournament", "elites", "samples", "youth"} <= set(stored)
    search = summarise(old).config.search
    assert isinstance(search, MemeticSearch)
    kept = {name for name in stored if name in MemeticSearch.__struct_fields__}
    assert set(stored) - kept == {"method", "tournament", "elites"}
    read = msgspec.to_builtins(search)
    assert all(read[name] == tuple(stored[name]) for name in ("constant_range", "terminals"))
    assert all(read[name] == stored[name] for name in ("population", "samples", "youth", "children", "growth_mutation"))


SETTINGS = {
    "problem.name": "quadratic",
    "training.optimizer.name": "sgd",
    "search.terminals": ["progress", "constant"],
    "problem.dimension": 3,
    "problem.steps_per_epoch": 4,
    "training.epochs": 2,
    "search.population": 4,
    "search.youth": 2,
    "search.samples": 4,
    "search.children": 3,
    "search.random_structures": 2,
    "search.seeds": 1,
    "search.generations": 4,
    "search.finalists": 3,
    "search.race_seeds": 3,
    "comparison.epochs": 2,
    "comparison.seeds": 4,
    "comparison.base_lr": 0.1,
}


def test_it_is_gone_on_with_by_the_settings_that_began_it(old):
    with Study(old, resolve("quadratic", settings=SETTINGS)) as study:
        assert "div" in study.config.search.functions
    fewer = {**SETTINGS, "search.functions": ["add", "mul", "quotient"]}
    with pytest.raises(StudyError, match=r"search\.functions"):
        Study(old, resolve("quadratic", settings=fewer))


def require_the_same(found, expected):
    """But for the last digits of constants: an evolution strategy's are those of the processor's linear algebra."""

    def parts(schedule):
        tokens = schedule.expression.tokens
        words = [None if isinstance(token, float) else token for token in tokens]
        return words, [token for token in tokens if isinstance(token, float)]

    words, constants = parts(found)
    assert words == parts(expected)[0]
    assert constants == pytest.approx(parts(expected)[1], rel=1e-9)
    assert msgspec.structs.replace(found, expression=expected.expression) == expected


def test_it_goes_on_to_the_champion_that_its_own_evolr_came_to(old):
    expected = Schedule.load(KEPT / "v1-champion.json")
    with Study(old) as study:
        study.run()
        require_the_same(study.champion, expected)
    require_the_same(best_schedules(old, 1)[0][0], expected)
    with Study(old) as again:  # a session of this language has written by now
        assert again.config.search.functions == summarise(old).config.search.functions
        require_the_same(again.champion, expected)
