"""Searches that begin with schedules, by whatever names them."""

import warnings

import numpy as np
import pytest

import evolr
from evolr.config import changed, plan, resolve
from evolr.errors import ConfigError, EvolrError, StudyError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.search.behaviour import behaviour
from evolr.study.beginning import begun_with, in_search
from evolr.study.study import Study
from tests.study.small import small

LOG = changed(resolve("memetic"), plan(40))
LINEAR = changed(LOG, {"search.transform": "linear"})


@pytest.mark.parametrize("config", [LOG, LINEAR], ids=["log", "linear"])
@pytest.mark.parametrize(
    "schedule",
    [
        evolr.load("one-cycle"),
        evolr.load("0.1*(1 - progress)/(1 + val_loss)"),
        evolr.load("0.1 - 0.2*progress"),  # below 0, where it is cut off
        evolr.load("0.1/(0.01 + progress)", max_lr=0.3),
        Schedule(expression=parse("3 - 2*progress"), transform="log", max_lr=1.0),
        Schedule(expression=parse("3 - 2*progress"), transform="log", reference_lr=1e-2, max_lr=0.05),
    ],
    ids=lambda s: str(s.expression),
)
def test_a_schedule_is_the_same_learning_rates_in_the_searchs_own_terms(schedule, config):
    said = config.search.schedule(in_search(config.search, schedule))
    for progress in np.linspace(0, 0.95, 12):
        wanted = max(schedule.at(progress=progress, val_loss=0.7), 1e-8)
        assert said.at(progress=progress, val_loss=0.7) == pytest.approx(wanted, rel=1e-9, abs=2e-8)


def test_names_formulas_schedules_and_lists_of_them_are_taken():
    for initial in ("cosine", "0.1*(1 - progress)", evolr.load("cosine"), ["cosine", evolr.load("0.03")]):
        assert begun_with(LOG, initial).search.initial
    assert len(begun_with(LOG, ["cosine", "cosine", "linear"]).search.initial) == 2
    assert begun_with(LOG, None) is LOG
    begun = begun_with(LOG, "cosine")
    assert begun_with(begun, "cosine") == begun  # so that the same call goes on


@pytest.mark.parametrize(
    ("initial", "part"),
    [
        (3, "initial is a list of"),
        ([3], "expected a path, a formula"),
        ("cosin", "initial 'cosin': .*unknown name 'cosin'"),
        ("", "initial ''"),
        ("1/grad_norm", "initial '1/grad_norm': reads grad_norm, which is none of search.terminals"),
        ("momentum-suite", "initial 'momentum-suite': reads grad_norm_rss"),
        ("30*(1 - progress)", "has learning rates beyond this search's, from .* to search.max_lr 1$"),
        ("0.01*(" + "+".join(["progress"] * 40) + ")", "has 8. nodes and .* more than search.max_size 60"),
    ],
)
def test_what_a_search_cannot_begin_with_is_refused(initial, part):
    with pytest.raises(EvolrError, match=part):
        begun_with(LOG, initial)


def test_of_a_run_that_read_more_what_can_be_said_is_taken_and_the_rest_is_told_of(tmp_path):
    reads = {"search.terminals": ["progress", "loss", "grad_norm", "constant"], "problem.metric_name": "score"}
    rich = changed(
        resolve("function", settings=reads, trainings=12),
        {"search.initial": ["log(0.1*(1 - progress)/grad_norm)"], "search.finalists": 6},
    )
    told(tmp_path / "rich", rich, lambda schedule, slot: slot / 100 + ("grad_norm" in schedule.signals))
    with pytest.warns(UserWarning, match=r"of its \d best schedules are left out: the first reads grad_norm"):
        begun = begun_with(LOG, tmp_path / "rich")
    assert begun.search.initial
    poor = changed(LOG, {"search.terminals": ["val_loss", "constant"]})
    with pytest.raises(ConfigError, match="none of its best schedules can be said"):
        begun_with(poor, tmp_path / "rich")


def test_another_number_of_trainings_on_a_begun_run_is_refused_with_what_to_do(tmp_path):
    config = resolve("function", settings={"problem.metric_name": "score"}, trainings=14)
    with Study(tmp_path / "run", config):
        pass
    with pytest.raises(StudyError, match="follow from the number that it was begun with, and --initial"):
        Study(tmp_path / "run", changed(config, plan(20)))


def score_of(schedule, seed):
    """No training: the nearer to a certain trapezoid the better."""
    wanted = behaviour(evolr.load("0.03*min(1, (1 - progress)/0.6)"))
    return -float(np.abs(behaviour(schedule) - wanted).mean()) + 1e-3 * (seed % 7)


def told(folder, config, judge=score_of):
    with Study(folder, config) as study:
        while asked := study.ask():
            for individual in asked:
                study.tell(individual, judge(config.search.schedule(individual.expression), individual.place.slot))
        return study.champion


def test_a_search_that_begins_with_a_former_run_begins_where_that_ended(tmp_path):
    function = resolve("function", settings={"problem.metric_name": "score"}, trainings=40)
    first = told(tmp_path / "first", function)
    again = begun_with(changed(function, {**plan(12), "seed": 5}), tmp_path / "first")
    assert 2 <= len(again.search.initial) <= 6
    second = told(tmp_path / "second", again)
    assert score_of(second, 0) > score_of(first, 0) - 0.02
    with Study(tmp_path / "second", again) as study:  # what it began with is stored
        assert study.champion == second


def test_a_former_run_without_a_schedule_is_refused(tmp_path):
    config = resolve("function", settings={"problem.metric_name": "score"}, trainings=20)
    with Study(tmp_path / "empty", config):
        pass
    with pytest.raises(ConfigError, match="no schedule yet to begin with"):
        begun_with(config, tmp_path / "empty")


def test_initial_formulas_beyond_the_population_are_warned_of_once_where_the_study_begins():
    config = small(**{"search.initial": [f"{k}.5 - progress" for k in range(11)]})
    with pytest.warns(UserWarning, match=r"has 11 formulas, and search\.population room for 8; left out: the last 3"):
        Study("run", config).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Study("run", config).close()
        Study("fits", changed(config, {"search.initial": config.search.initial[:8]})).close()
