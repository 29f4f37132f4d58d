"""A problem of one's own, searched, compared and proven: what a study remembers of it, and what it goes on with."""

import json
from contextlib import suppress

import numpy as np
import pytest

import evolr
from evolr.config import config_of, resolve
from evolr.contest.explanation import explain, freeze
from evolr.errors import ConfigError, ProblemError, StudyError
from evolr.problems import JaxProblem
from evolr.study.evolve import stored_config
from evolr.study.results import Limits
from evolr.views.contest import page
from evolr.views.pictures import comparison_picture
from evolr.views.tables import comparison_table

INPUTS = np.linspace(-1, 1, 200)[:, None] ** np.arange(3)
TARGETS = INPUTS @ np.array([0.3, -1.0, 2.0]) + np.random.default_rng(0).normal(0, 0.1, 200)
QUICK = {
    "search.population": 5,
    "search.generations": 2,
    "search.children": 3,
    "search.samples": 4,
    "search.finalists": 3,
    "search.race_seeds": 1,
    "training.epochs": 2,
    "comparison.seeds": 2,
}


def regression(data=None, name="regression"):
    return JaxProblem(
        init=lambda seed: np.random.default_rng(seed).normal(0, 1, 3),
        loss=lambda weights, batch: ((batch[0] @ weights - batch[1]) ** 2).mean(),
        data=evolr.pools((INPUTS, TARGETS)) if data is None else data,
        batch_size=20,
        name=name,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("studies") / "mine"
    return directory, evolr.evolve(regression(), directory, settings=QUICK, seed=3)


def test_a_study_remembers_the_metric_and_who_trained_it_and_no_code(run):
    directory, result = run
    config = stored_config(directory)
    assert config == config_of(regression(), QUICK, 3)
    assert config.problem.name == "external"
    assert (config.problem.metric_name, config.problem.higher_is_better, config.problem.steps_per_epoch) == (
        "loss",
        False,
        6,
    )
    assert config.problem.trainer.startswith("JaxProblem 'regression', SHA-256 ")
    assert (config.seed, config.training.epochs, config.comparison.epochs, config.search.method) == (3, 2, 2, "memetic")
    assert evolr.Schedule.from_json((directory / "champion.json").read_bytes()) == result.schedule
    assert result.champion.score < 1.0


def test_a_search_that_was_cut_goes_on_to_the_same_end_on_one_device_or_two(run, tmp_path):
    whole, _ = run
    limits = Limits(trainings=12)
    cut = evolr.evolve(regression(), tmp_path / "cut", limits, settings=QUICK, seed=3, device_count=1)
    assert cut.stopped_by is not None
    evolr.evolve(regression(), tmp_path / "cut", settings=QUICK, seed=3)
    for name in ("history.csv", "champion.json", "config.toml"):
        assert (tmp_path / "cut" / name).read_bytes() == (whole / name).read_bytes()


def test_a_study_does_not_go_on_with_other_data(run):
    directory, _ = run
    with pytest.raises(StudyError, match=r"problem.trainer is JaxProblem 'regression'"):
        evolr.evolve(regression(evolr.pools((INPUTS, TARGETS + 1))), directory, settings=QUICK, seed=3)


def test_the_identity_tells_data_settings_and_names_apart():
    data = evolr.pools((INPUTS, TARGETS))
    others = [regression(evolr.pools((INPUTS, TARGETS), seed=1)), regression(name="other")]
    others.append(regression({**data, "test": data["monitor"]}))
    assert len({regression(data).identity, *(other.identity for other in others)}) == 4
    assert regression(data).identity == regression({**data, "test": tuple(map(np.copy, data["test"]))}).identity


@pytest.mark.parametrize("missing", ["fitness", "selection"])
def test_a_search_without_a_pool_that_it_needs_is_refused_and_leaves_nothing(missing, tmp_path):
    data = evolr.pools((INPUTS, TARGETS), **{missing: 0})
    with pytest.raises(ProblemError, match=f"in the pool '{missing}'"):
        evolr.evolve(regression(data), tmp_path / "mine", settings=QUICK)
    assert not (tmp_path / "mine").exists()


def test_a_search_without_a_race_needs_no_selection_pool(tmp_path):
    data = evolr.pools((INPUTS, TARGETS), selection=0, test=0)
    result = evolr.evolve(regression(data), tmp_path / "mine", settings=QUICK | {"search.finalists": 0})
    assert result.stopped_by is None


def test_settings_that_are_said_elsewhere_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"problem.metric_name is what the JaxProblem says"):
        evolr.evolve(regression(), tmp_path / "mine", settings={"problem.metric_name": "error"})
    for beside in ({"settings": QUICK}, {"seed": 1}):
        with pytest.raises(ConfigError, match=r"give them to evolr\.resolve"):
            evolr.evolve(resolve(), tmp_path / "mine", **beside)
    with pytest.raises(ConfigError, match=r"search.populatoin.*did you mean"):
        evolr.evolve(regression(), tmp_path / "mine", settings={"search.populatoin": 3})


def test_a_schedule_is_compared_on_it(run):
    _, result = run
    config = config_of(regression(), QUICK)
    compared = evolr.compare_schedule(result.schedule, config, regression(), device_count=1)
    assert compared.problem.name == compared.document()["problem"] == "external"
    assert compared.contenders[0].mean < 1.0
    assert len(comparison_table(compared).rows) == 4
    assert comparison_picture(compared).startswith(b"\x89PNG")


def test_a_champion_is_proven_and_explained_by_the_problem_that_trained_it(run, monkeypatch):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", None)  # not the user's cache: not to be called
    directory, _ = run
    proven = evolr.prove(regression(), directory, budget=4, is_quick=True, seeds=2, rivals=False)
    assert proven.trained > 50
    assert len(proven.entries) > 20
    assert page(proven).startswith("# Rehearsal: regression, adam, 2 epochs, 2 seeds, selection pool")
    assert json.dumps(proven.document([]))
    again = evolr.prove(regression(), directory, budget=4, is_quick=True, seeds=2, rivals=False)
    assert again.trained == 0
    assert again.document([]) == proven.document([])
    explained = explain(regression(), directory, seeds=2)
    with suppress(StudyError):  # a champion that reads nothing of the training is its own curve
        assert freeze(regression(), directory, seeds=2).expression.is_open_loop
    assert explained.champion.mean < 1.0


def test_a_champion_is_not_proven_by_another_problem_or_none(run):
    directory, _ = run
    line = directory.parent / "line"
    with pytest.raises(ConfigError, match=r"the study was trained by JaxProblem 'regression'.*got JaxProblem 'other'"):
        evolr.prove(regression(name="other"), directory, budget=4)
    with pytest.raises(ConfigError, match="give the same, and the same data"):
        explain(regression(name="other"), directory)
    for judge in (evolr.prove, evolr.explain):
        with pytest.raises(
            ConfigError, match=r"is an evolr\.JaxProblem, an evolr\.Suite, a function or None, got 'mine'"
        ):
            judge("mine", directory)
    with pytest.raises(ProblemError, match="is trained by JaxProblem 'regression'"):
        evolr.prove(directory, budget=4)
    original = resolve()
    with pytest.raises(ConfigError, match="trained by the problem 'mnist1d-mlp'"):
        evolr.contest.prove.prove_schedule(
            evolr.Schedule(expression=evolr.parse("0.1")), original, line, budget=4, trained_by=regression()
        )


def test_what_the_final_needs_is_asked_for_before_anything_trains(tmp_path):
    problem = regression(evolr.pools((INPUTS, TARGETS), test=0))
    evolr.evolve(problem, tmp_path / "mine", settings=QUICK)
    with pytest.raises(ProblemError, match="in the pool 'test'"):
        evolr.prove(problem, tmp_path / "mine", budget=4)
    assert not (tmp_path / "mine" / "contest.db").exists()
