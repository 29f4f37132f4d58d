"""A memetic study with a race at its end: real trainings, interrupted, gone on with, asked and told."""

import math
from pathlib import Path

import pytest

from evolr.errors import StudyError
from evolr.study.evolve import evolve
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study
from evolr.study.summary import best_schedules, summarise
from tests.study.small import derived, evolved_with_stops, remembered, small

RACING = {
    "search.method": "memetic",
    "search.population": 4,
    "search.youth": 2,
    "search.samples": 4,
    "search.children": 2,
    "search.random_structures": 4,
    "search.growth_mutation": 0.0,
    "search.seeds": 1,
    "search.finalists": 7,
    "search.race_seeds": 2,
}
CONFIG = small(**RACING)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("race") / "run"
    evolve(CONFIG, path)
    return path


def test_the_champion_is_the_winner_of_the_race(whole):
    summary = summarise(whole)
    assert (summary.state, summary.generations_done) == ("done", CONFIG.search.generations + 1)
    assert RunDirectory.open(whole).champion() == summary.champion
    with Study(whole) as study:
        race = [e for e in study.history() if e.individual.place.generation == CONFIG.search.generations]
        assert {e.individual.operator for e in race} == {"finalist"}
        assert all(len(e.individual.parents) == 1 for e in race)
        assert study.champion.expression == max(race, key=lambda e: e.fitness).individual.expression
        assert {e.individual.place for e in study.front} <= {e.individual.place for e in race}
    assert best_schedules(whole, 3)[0][0] == summary.champion


@pytest.mark.parametrize("every", [3, 11, 40])
def test_an_interrupted_study_ends_as_an_uninterrupted_one(whole, tmp_path, every):
    path = tmp_path / "run"
    result, stops = evolved_with_stops(CONFIG, path, every)
    assert result.stopped_by is None
    assert stops >= 1
    assert remembered(path) == remembered(whole)
    assert derived(path) == derived(whole)


def test_the_number_of_devices_changes_nothing(whole, tmp_path):
    evolve(CONFIG, tmp_path / "run", device_count=1)
    assert remembered(tmp_path / "run") == remembered(whole)


def test_generations_grow_before_the_race_and_not_after(whole, tmp_path):
    with pytest.raises(StudyError, match="its generations cannot grow any more"):
        Study(whole, small(**RACING, **{"search.generations": 6}))
    with Study(tmp_path / "young", CONFIG) as study:
        study.run(should_stop=lambda: "enough")
    evolve(small(**RACING, **{"search.generations": 5}), tmp_path / "young")
    assert summarise(tmp_path / "young").generations_done == 6


def test_a_race_can_be_asked_and_told():
    asked = 0
    with Study("mine", CONFIG) as study:
        while individuals := study.ask():
            for individual in individuals:
                asked += 1
                study.tell(individual, abs(individual.expression.size - 4.0) + 1.0)
        assert study.is_finished
        assert study.history()[-1].individual.operator == "finalist"
        best = min(e.score for e in study.history() if e.individual.place.generation == CONFIG.search.generations)
        assert math.isclose(study.front[-1].score, best)
    with Study("mine") as again:
        assert again.ask() == []
    assert asked > 40


def test_a_study_that_stopped_in_its_race_is_judged_by_what_it_knew_before(tmp_path):
    path = tmp_path / "run"
    with Study(path, CONFIG) as study:
        while not study._open.state.current.is_race:
            for individual in study.ask():
                study.tell(individual, abs(individual.expression.size - 4.0) + 1.0)
    assert summarise(path).champion is not None
    assert len(best_schedules(path, 3)) == 3


def test_a_race_in_which_everything_diverges_leaves_the_champion_that_there_was():
    with Study("mine", CONFIG) as study:
        before = None
        while individuals := study.ask():
            racing = study._open.state.current.is_race
            before = before or (study.champion if racing else None)
            for individual in individuals:
                study.tell(individual, math.nan if racing else abs(individual.expression.size - 4.0) + 1.0)
        assert study.champion == before
    assert summarise(Path("mine")).champion == before


def test_an_unfinished_generation_that_was_tampered_with_is_refused(tmp_path):
    import sqlite3

    path = tmp_path / "run"
    with Study(path, CONFIG) as study:
        study.run(should_stop=lambda: "enough")
    connection = sqlite3.connect(path / "study.db")
    connection.execute("UPDATE individual SET expression = 'sin(progress)' WHERE generation = 0 AND slot = 1")
    connection.commit()
    connection.close()
    with pytest.raises(StudyError, match="not what this search makes"):
        Study(path)


def test_a_generational_search_can_race_too():
    config = small(**{"search.finalists": 4, "search.race_seeds": 2})
    evolve(config, "run")
    summary = summarise(Path("run"))
    assert summary.generations_done == config.search.generations + 1
    assert summary.champion is not None
