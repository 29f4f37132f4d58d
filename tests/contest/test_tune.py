"""One call tunes a standard schedule, with a function of the user's, a JAX model or a configuration."""

import pytest

import evolr
from evolr.contest.tunable_formula import TunableFormula
from evolr.errors import ConfigError
from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from tests.execution import training_functions as functions
from tests.study.small import small
from tests.study.test_jax_study import regression

OF_FUNCTION = {"epochs": 3, "workers": 2}


@pytest.fixture(autouse=True)
def _own_cache(importable, monkeypatch):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", None)  # not the user's cache: not to be called


def test_a_family_is_tuned_by_a_function_and_goes_on_from_what_was_trained(tmp_path):
    tuned = evolr.tune(functions.descending, "linear", tmp_path / "t", trainings=24, seeds=2, **OF_FUNCTION)
    assert len(tuned.candidates) == 12
    assert tuned.trained == 24
    assert tuned.schedule == FAMILIES["linear"].schedule(**tuned.constants)
    assert tuned.score == max(c.score for c in tuned.candidates) > tuned.candidates[0].score
    assert repr(tuned).startswith(f"<Tuned: linear, base {tuned.constants['base']:.4g}; score ")
    assert repr(tuned).endswith("the best of 12 candidates>")
    more = evolr.tune(functions.descending, "linear", tmp_path / "t", trainings=32, seeds=2, **OF_FUNCTION)
    assert more.trained == 8
    assert more.candidates[:12] == tuned.candidates


def test_a_seed_decides_what_is_proposed_and_the_luck_of_the_trainings(tmp_path):
    def seen(seed):
        tuned = evolr.tune(functions.descending, "linear", trainings=16, seed=seed, **OF_FUNCTION)
        return [(found.constants["base"], found.score) for found in tuned.candidates]

    plain, another = seen(0), seen(1)
    assert plain[0][0] == another[0][0]  # the family's default
    assert plain[0][1] != another[0][1]
    assert plain[-1][0] != another[-1][0]
    assert another == seen(1)


def test_a_family_that_reads_a_loss_is_tuned_by_a_function_that_tells_it():
    own = evolr.standard.Family("mine", "base/(1 + loss)", FAMILIES["constant"].constants, "a test")
    tuned = evolr.tune(functions.descending, own, trainings=4, **OF_FUNCTION)
    assert tuned.schedule.signals == {"loss"}
    assert tuned.optimizer is None


def test_the_scale_of_a_discovered_schedule_is_tuned_from_1_on():
    entry = evolr.gallery["adam-mnist1d"]
    tuned = evolr.tune(functions.descending, "adam-mnist1d", trainings=8, **OF_FUNCTION)
    assert tuned.family is entry
    assert tuned.optimizer == entry.optimizer
    assert tuned.candidates[0].constants == {"scale": 1.0}
    assert [found.constants for found in tuned.candidates[:7]] == list(entry.starts)
    assert tuned.candidates[0].schedule == entry.schedule()
    assert all(entry.scale.low <= found.constants["scale"] <= entry.scale.high for found in tuned.candidates)
    assert len({found.constants["scale"] for found in tuned.candidates}) == len(tuned.candidates) == 8
    assert tuned.schedule == entry.schedule(**tuned.constants)
    assert tuned.score == max(found.score for found in tuned.candidates) > tuned.candidates[0].score
    again = evolr.tune(functions.descending, entry, trainings=8, **OF_FUNCTION)
    assert again.candidates == tuned.candidates


def test_a_champion_is_tuned_by_its_scale_first_and_by_its_constants_where_there_are_trainings_for_them():
    champion = Schedule(expression=parse("1.25 + log((1 - progress)**2.5) + -0.3*progress"), transform="log")
    few = evolr.tune(functions.descending, champion, trainings=8, **OF_FUNCTION)
    assert few.candidates[0].schedule == champion
    assert set(few.constants) == {"scale"}
    assert few.schedule == champion.scaled(few.constants["scale"])
    many = evolr.tune(functions.descending, champion, trainings=40, **OF_FUNCTION)
    assert set(many.constants) == {"scale", "c1", "c2", "c3"}
    assert many.candidates[0].schedule == champion
    assert [c.constants["scale"] for c in many.candidates[:7]] == [c.constants["scale"] for c in few.candidates[:7]]
    for found in many.candidates:
        assert 1.25 / 3 <= found.constants["c1"] <= 3.75
        assert -0.9 <= found.constants["c3"] <= -0.1
    assert many.score >= few.score
    assert evolr.tune(functions.descending, evolr.load("0.1"), trainings=8, **OF_FUNCTION).score > -1e9


def test_a_formula_is_tuned_from_what_it_says_on_however_great_its_constants():
    schedule = evolr.load("2500000.5*1e-9*(1 - progress)")
    assert TunableFormula(schedule, shape=True).schedule() == schedule


def test_a_configuration_and_a_model_tune_too():
    tuned = evolr.tune(small(), "cosine", trainings=8, seeds=2)
    assert tuned.score < 1e3
    assert tuned.optimizer == small().training.optimizer
    assert evolr.tune(regression(), "OneCycle", trainings=4, settings={"training.epochs": 1}).trained == 4


@pytest.mark.parametrize(
    ("family", "options", "problem"),
    [
        ("one cycel", {"trainings": 4}, "unknown family or gallery entry 'one cycel'; did you mean 'one-cycle'"),
        (None, {"trainings": 4}, "expected a family or an entry of the gallery, or the name of one.*got None"),
        ("adam-mnist", {"trainings": 4}, "unknown family or gallery entry 'adam-mnist'; did you mean 'adam-mnist1d'"),
        ("momentum-norm", {"trainings": 4, "signals": ["progress"]}, "momentum-norm reads grad_norm_rss, which these"),
        (
            "cosine",
            {"trainings": 1, "seeds": 2},
            "has 2 trainings, by seeds: trainings must be as many at least, got 1",
        ),
        ("cosine", {"trainings": 4, "seeds": 0}, "seeds must be at least 1 and at most 100,000, got 0"),
        ("DoG", {"trainings": 4, "signals": ["progress"]}, "DoG reads distance, grad_norm_rss, which these trainings"),
        ("cosine", {"trainings": 4, "workres": 2}, "did you mean 'workers'"),
    ],
)
def test_what_cannot_be_tuned_is_refused(family, options, problem):
    with pytest.raises(ConfigError, match=problem):
        evolr.tune(functions.descending, family, **{"epochs": 3, **options})
    with pytest.raises(ConfigError, match="evolve takes a configuration"):
        evolr.tune("train", "cosine", trainings=4)
