"""A search that is ended before its first generation, or its race: its best so far is its champion, and says what it is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import evolr as package
from evolr.config import resolve
from evolr.contest.prove import prove
from evolr.errors import StudyError
from evolr.schedule import Schedule
from evolr.search.individual import Individual, Place
from evolr.study.evolve import evolve
from evolr.study.generation import evaluated_so_far
from evolr.study.records import TOLD
from evolr.study.results import Limits
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study
from evolr.study.summary import best_schedules, recorded_trainings, summaries, summarise
from evolr.training.task import Outcome
from evolr.views.shown import describe
from evolr.views.tables import runs_table, search_summary, summary_document
from tests.study.small import derived, interrupted_after, remembered, small
from tests.study.test_race import RACING

CONFIG = small(**{**RACING, "search.seeds": 3})


def stopped(path, after, config=CONFIG):
    """A search that stops once so many trainings have landed, in the middle of a generation: chunk by chunk."""
    should_stop, on_trial = interrupted_after(after)
    return evolve(config, path, should_stop=should_stop, on_trial=on_trial)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    return path, evolve(CONFIG, path)


def first_generation():
    with Study("counted", CONFIG) as study:
        return len(study._open.state.current.missing())


def test_a_search_that_is_stopped_in_its_first_generation_has_a_champion_that_is_not_raced(whole):
    path = Path("run")
    result = stopped(path, 5)
    assert 5 <= result.trainings < first_generation()
    assert result.history == []
    assert math.isfinite(result.champion.score)
    assert result.is_raced is False
    assert result.hall_of_fame[-1] == result.champion
    assert Schedule.load(path / "champion.json") == result.schedule
    assert Schedule.provenance((path / "champion.json").read_bytes())["raced"] is False
    assert (path / "front.csv").is_file()
    assert not (path / "history.csv").exists()
    summary = summarise(path)
    assert (summary.state, summary.generations_done, summary.is_raced) == ("stopped", 0, False)
    assert (summary.champion, summary.best) == (result.schedule, result.champion.score)
    assert best_schedules(path, 3)[0] == (result.schedule, result.champion.score)
    assert recorded_trainings(path).trainings >= 1
    with Study(path) as study:
        assert study.champion == result.schedule
        assert study.front == result.hall_of_fame
        assert study.history() == []


def summary_text(result, config=CONFIG):
    return "\n".join(search_summary(result, config, Path("run")))


def test_its_text_and_its_documents_say_so(whole):
    result = stopped(Path("run"), 5)
    said = summary_text(result)
    assert "standing: the best so far, not raced: the search has not come to its race on fresh seeds" in said
    assert "at most 3 trainings" in said
    shown = describe("run", None, None, None)
    assert "standing" in "\n".join(shown.lines())
    assert "the best so far, not raced" in "\n".join(shown.lines())
    assert shown.document()["raced"] is False
    assert len(shown.front.rows) == len(result.hall_of_fame)
    ((path, summary),) = summaries(Path())
    assert summary_document(path, summary)["raced"] is False
    assert summary_document(path, summary)["champion"] == str(result.schedule.expression)
    assert len(runs_table([(path, summary)]).rows) == 1
    path, result = whole
    assert result.is_raced is True
    assert "standing" not in summary_text(result)
    assert "won the race" in summary_text(result)
    assert "standing" not in "\n".join(describe(str(path), None, None, None).lines())
    assert summarise(path).is_raced is True
    assert Schedule.provenance((path / "champion.json").read_bytes())["raced"] is True


@pytest.mark.parametrize("after", [1, 5, 30, 200])
def test_going_on_ends_as_if_nothing_had_been_provisional(whole, after):
    """Stopped once, looked at from all sides, then gone on with; records and files are those of an uninterrupted study."""
    path = Path("run")
    assert stopped(path, after).stopped_by is not None
    describe("run", None, None, None)
    with Study(path) as study:
        assert study.champion is not None
    before = remembered(path)
    summarise(path)
    assert remembered(path) == before
    assert evolve(CONFIG, path).stopped_by is None
    assert remembered(path) == remembered(whole[0])
    assert derived(path) == derived(whole[0])


def test_the_provisional_champion_does_not_depend_on_the_number_of_devices_or_of_sessions():
    scores = []
    for name, count in (("one", 1), ("two", 2)):
        evolve(CONFIG, Path(name), Limits(trainings=8), device_count=count)
    for name in ("one", "two"):
        with Study(name) as study:
            scores.append(study._open.records.scores(0))
    common = scores[0].keys() & scores[1].keys()
    assert common
    assert {key: scores[0][key] for key in common} == {key: scores[1][key] for key in common}
    stopped(Path("three"), 3)
    first = (Path("three") / "champion.json").read_bytes()
    with Study("three"):
        pass
    assert (Path("three") / "champion.json").read_bytes() == first


@pytest.mark.parametrize(
    "limits", [Limits(trainings=1), Limits(trainings=60), Limits(seconds=1e-9), Limits(target=1e9)], ids=str
)
def test_whatever_ends_a_search_it_has_a_champion_once_a_training_has_finished(limits):
    result = evolve(CONFIG, "run", limits)
    assert (result.schedule is not None) == (result.trainings > 0)
    assert Path("run/champion.json").is_file() == (result.trainings > 0)
    if not result.trainings:
        assert "champion: none yet, for nothing was trained" in summary_text(result)
        with pytest.raises(StudyError, match="no champion yet: nothing was trained so far"):
            describe("run", None, None, None)


def test_a_search_between_its_generations_and_its_race_is_not_raced():
    with Study("run", CONFIG) as study:
        while not study._open.state.current.is_race:
            for individual in study.ask():
                study.tell(individual, abs(individual.expression.size - 4.0) + 1.0)
        result = study.run(should_stop=lambda: "enough")
    assert result.champion is not None
    assert result.is_raced is False
    assert Schedule.provenance(Path("run/champion.json").read_bytes())["raced"] is False


def test_a_search_without_a_race_is_the_best_so_far_until_its_end():
    config = small()
    result = stopped(Path("run"), 5, config)
    assert (result.is_raced, result.champion is not None) == (False, True)
    assert "standing: the best so far: the search is not at its end" in summary_text(result, config)
    ended = evolve(config, Path("run"))
    assert ended.is_raced is False
    assert "standing" not in summary_text(ended, config)


def test_where_every_training_so_far_diverged_there_is_none_and_no_file():
    with Study("run", CONFIG) as study:
        for individual in study.ask()[:3]:
            study.tell(individual, math.nan)
        assert study.champion is None
        assert study.front == []
    assert not Path("run/champion.json").exists()
    with pytest.raises(StudyError, match="every training so far diverged or failed"):
        describe("run", None, None, None)


def test_a_provisional_champion_whose_other_trials_diverge_is_none_any_more():
    config = small()
    with Study("run", config) as study:
        one = study.ask()[0].individual
        current = study._open.state.current
        run = next(run for run in current.missing() if run.individual == one)
        nothing = np.empty(0, np.float32)
        outcomes = {score: Outcome(score, None, nothing, nothing, nothing, nothing) for score in (0.5, math.nan)}
        study._open.records.add_outcomes([(one.place, run.seed, outcomes[0.5])], run.pool, 2)
    with Study("run") as study:
        assert study.champion == config.search.schedule(one.expression)
    assert Path("run/champion.json").exists()
    with Study("run") as study:
        other = next(run for run in study._open.state.current.missing() if run.individual == one)
        diverged = next(outcome for score, outcome in outcomes.items() if math.isnan(score))
        study._open.records.add_outcomes([(one.place, other.seed, diverged)], other.pool, 2)
    with Study("run") as study:
        assert study.champion is None
    assert not Path("run/champion.json").exists()


def test_what_was_told_of_an_unfinished_generation_counts():
    with Study("run", CONFIG) as study:
        one, other = study.ask()[:2]
        study.tell(one, 2.0)
        study.tell(other, 1.0)  # a loss
        assert study.champion == CONFIG.search.schedule(other.expression)
    assert RunDirectory.open(Path("run")).champion() == CONFIG.search.schedule(other.expression)


def test_a_provisional_champion_can_be_proven_and_compared(monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    result = stopped(Path("run"), 5)
    proven = prove("run", budget=12, seeds=12, epochs=1, rivals=False)
    assert result.schedule in [candidate.schedule for candidate in proven.evolved.candidates]


def test_the_individuals_with_the_most_trials_are_judged():
    config = small()  # three seeds, a loss
    population = [Individual(Place(0, slot), package.parse(f"{slot} + epoch"), "initial") for slot in range(5)]
    trials = {0: [0.1], 1: [0.5, 0.7], 2: [0.4, 0.6], 3: [0.0, math.nan], 4: []}
    scores = {
        (Place(0, slot), "fitness", seed): value for slot, own in trials.items() for seed, value in enumerate(own)
    }
    found = evaluated_so_far(config, population, scores)
    assert [(e.individual.place.slot, e.score, e.fitness) for e in found] == [(1, 0.6, -0.6), (2, 0.5, -0.5)]
    assert evaluated_so_far(config, population, {}) == []
    assert evaluated_so_far(config, population, {(Place(0, 3), "fitness", 0): math.nan}) == []
    told = scores | {(Place(0, 0), TOLD, 0): 0.3}
    assert [e.score for e in evaluated_so_far(config, population, told)] == [0.3]


def test_the_command_line_says_it_and_writes_the_champion(evolr):
    small_search = ("--epochs", "1", "--generations", "1", "--set", "search.random_structures=1")
    command = ("evolve", *small_search, "--max-trainings", "3", "--run", "mine", "-q")
    code, out, _ = evolr(*command)
    assert code == 0
    assert "standing: the best so far, not raced" in out
    assert Path("mine/champion.json").is_file()
    assert Path("mine/front.png").is_file()
    document = json.loads(evolr(*command, "--json")[1])
    assert document["raced"] is False
    assert document["expression"] is not None
    assert "not raced" in evolr("show", "mine")[1]
    assert json.loads(evolr("show", "mine", "--json")[1])["raced"] is False
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["raced"] is False


def test_the_default_search_ended_after_60_trainings_has_a_champion():
    config = resolve("memetic", settings={"training.epochs": 1, "search.seeds": 1})
    result = evolve(config, "run", Limits(trainings=60))
    assert result.champion is not None
    assert result.is_raced is False
    assert Path("run/champion.json").is_file()
