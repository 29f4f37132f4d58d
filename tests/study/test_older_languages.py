"""A study that was begun in an older language goes on meaning what it meant.

languages/v1.db is a memetic study of language 1, stopped after 115 of its 162 trainings by the evolr of that language;
v1-champion.json is what that evolr came to when it went on to the end.
"""

import shutil
from pathlib import Path

import pytest

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


def test_it_goes_on_to_the_champion_that_its_own_evolr_came_to(old):
    with Study(old) as study:
        study.run()
        assert study.champion == Schedule.load(KEPT / "v1-champion.json")
    assert best_schedules(old, 1)[0][0] == Schedule.load(KEPT / "v1-champion.json")
    with Study(old) as again:  # a session of this language has written by now
        assert again.config.search.functions == summarise(old).config.search.functions
        assert again.champion == Schedule.load(KEPT / "v1-champion.json")
