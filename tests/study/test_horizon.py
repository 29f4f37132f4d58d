"""A search whose first trainings run a part of the epochs."""

import json
from contextlib import closing

import numpy as np
import pytest

from evolr.config import changed, resolve
from evolr.errors import ConfigError, StudyError
from evolr.run_files import DATABASE
from evolr.search.evaluation import trainings_ahead
from evolr.study.database import Database
from evolr.study.evolve import evolve
from evolr.study.records import Records
from evolr.study.results import Limits
from evolr.study.state import SearchState
from evolr.study.study import Study
from evolr.study.summary import best_schedules, summarise
from evolr.views.tables import search_summary
from tests.study.small import derived, evolved_with_stops, remembered
from tests.study.test_last_generations import LAST

SHORT = {**LAST, "training.epochs": 3, "search.horizon": 0.34}
CONFIG = resolve("memetic", settings=SHORT)
LAST_ONES = CONFIG.search.generations


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("horizon") / "run"
    return evolve(CONFIG, path)


def epochs_by_generation(path):
    with closing(Database.open(path / DATABASE, write=False)) as database:
        rows = database.rows(
            "SELECT DISTINCT generation, epochs FROM trial JOIN individual ON individual.id = trial.individual"
        )
    return sorted(tuple(row) for row in rows)


def test_the_generations_train_a_part_of_the_epochs_and_the_last_ones_and_the_race_all(whole):
    assert epochs_by_generation(whole.directory) == [(0, 1), (1, 1), (2, 1), (3, 3), (4, 3), (5, 3)]


@pytest.mark.parametrize(("horizon", "epochs", "shorter"), [(1.0, 30, 30), (1 / 3, 30, 10), (0.25, 3, 1), (0.01, 5, 1)])
def test_the_part_is_rounded_and_one_epoch_at_least(horizon, epochs, shorter):
    config = resolve("memetic", settings={"search.horizon": horizon, "training.epochs": epochs})
    assert config.epochs_at(0) == shorter
    assert config.epochs_at(config.search.race_generation) == epochs


@pytest.mark.parametrize("horizon", [0, -0.5, 1.01, float("nan"), float("inf")])
def test_what_is_no_part_is_refused(horizon):
    with pytest.raises(ConfigError, match=r"search\.horizon is a part of training\.epochs, above 0 and at most 1; got"):
        resolve("memetic", settings={"search.horizon": horizon})


def test_a_method_without_short_trainings_refuses_it():
    with pytest.raises(ConfigError, match="horizon"):
        resolve("original", settings={"search.horizon": 0.5})


def test_a_study_that_is_interrupted_ends_as_one_that_is_not(whole, tmp_path):
    result, _ = evolved_with_stops(CONFIG, tmp_path / "run", 17)
    assert result.stopped_by is None
    assert remembered(tmp_path / "run") == remembered(whole.directory)
    assert derived(tmp_path / "run") == derived(whole.directory)


def test_scores_of_short_trainings_are_not_compared_with_those_of_whole_ones(tmp_path):
    """A function whose score falls with the epochs: by its scores alone, no whole training would ever be the best."""
    unraced = {name: value for name, value in SHORT.items() if name.startswith("search.")} | {"search.finalists": 0}
    del unraced["search.terminals"]
    seen = []
    result = evolve(
        score_that_falls_with_the_epochs,
        tmp_path / "run",
        epochs=4,
        signals=["progress"],
        settings=unraced,
        workers=1,
        on_generation=lambda report: seen.append((report.generation, report.champion.score)),
    )
    assert [score > -2 for _, score in seen] == [True] * LAST_ONES + [False] * 2
    assert result.champion is not None
    assert result.champion.individual.place.generation >= LAST_ONES
    assert all(e.individual.place.generation >= LAST_ONES for e in result.hall_of_fame)
    assert all(score <= -4 for _, score in best_schedules(tmp_path / "run", 20))


def score_that_falls_with_the_epochs(schedule, seed, epochs):
    return -epochs - abs(schedule(progress=0.5) - 0.01)


def test_a_study_that_stops_among_short_trainings_says_how_long_they_were(tmp_path):
    done = []
    result = evolve(CONFIG, tmp_path / "run", should_stop=lambda: "enough" if done else None, on_generation=done.append)
    provenance = json.loads((tmp_path / "run" / "champion.json").read_text())["provenance"]
    assert provenance["epochs"] == 1
    assert "(1 epoch, " in "\n".join(search_summary(result, CONFIG, tmp_path))


def test_what_it_cost_is_counted_in_whole_trainings(whole):
    summary = summarise(whole.directory)
    with closing(Database.open(whole.directory / DATABASE, write=False)) as database:
        counts = dict(database.rows("SELECT epochs, count(*) FROM trial GROUP BY epochs"))
    assert summary.trainings == sum(counts.values())
    assert summary.whole_trainings == int(np.ceil(counts[1] / 3 + counts[3]))


@pytest.mark.parametrize("budget", [40, 60])
def test_a_budget_of_trainings_counts_short_ones_by_their_part_and_ends_with_a_race(tmp_path, budget):
    result = evolve(CONFIG, tmp_path / "run", Limits(trainings=budget))
    summary = summarise(tmp_path / "run")
    assert result.is_raced
    assert summary.whole_trainings <= budget < summary.trainings


def test_the_cost_that_is_said_first_is_that_of_the_whole_search(whole):
    state = SearchState(CONFIG)
    state.begin(state.next_population(), {})
    due = len(state.current.missing())
    ahead = trainings_ahead(CONFIG, 1, due)
    assert due / 3 + ahead == pytest.approx(summarise(whole.directory).whole_trainings, rel=0.3)


def test_the_curves_of_a_formula_are_those_of_its_longest_trainings(whole):
    with closing(Database.open(whole.directory / DATABASE, write=False)) as database:
        records = Records(database)
        both = database.rows(
            "SELECT expression FROM trial JOIN individual ON individual.id = trial.individual "
            "WHERE status = 'finished' GROUP BY expression ORDER BY max(epochs) - min(epochs) DESC LIMIT 3"
        )
        for (formula,) in both:
            curves = records.recorded(formula)
            assert len(curves)
            assert curves.shape[-1] in (1, 3)


def test_a_study_by_hand_is_told_the_epochs_of_each_training_and_counts_them(tmp_path):
    trained = []
    with Study(tmp_path / "run", CONFIG) as study:
        while asked := study.ask():
            for each in asked:
                trained.append((each.place.generation, each.epochs))
                study.tell(each, 1.0 + abs(each.expression.size - 7))
    assert sorted(set(trained)) == [(0, 1), (1, 1), (2, 1), (3, 3), (4, 3), (5, 3)]
    assert epochs_by_generation(tmp_path / "run") == sorted(set(trained))
    summary = summarise(tmp_path / "run")
    assert summary.trainings == len(trained)
    assert summary.whole_trainings == int(np.ceil(sum(epochs for _, epochs in trained) / 3))


def test_the_horizon_of_a_study_does_not_change(whole):
    with pytest.raises(StudyError, match=r"search\.horizon"):
        evolve(changed(CONFIG, {"search.horizon": 1.0}), whole.directory)
