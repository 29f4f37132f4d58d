"""A study that is followed while it is written, and its trials page by page."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from evolr.errors import ConfigError, ExpressionError, StudyError
from evolr.study import following as following_module
from evolr.study.evolve import evolve
from evolr.study.following import Following
from evolr.study.summary import recorded_trainings, summarise
from evolr.study.trials import ORDERS, Selection, all_trials, page_of_trials, trial_with_curves
from evolr.training.task import Outcome
from tests.study.small import small
from tests.views.test_html import study


def trials(directory):
    """How many trials a study has, counted by another connection."""
    with closing(sqlite3.connect(directory / "study.db")) as connection:
        return connection.execute("SELECT count(*) FROM trial").fetchone()[0]


def land(found, *outcomes):
    """Stores outcomes of the first individuals of the current generation, as a search would."""
    current = found._open.state.current
    first = trials(found._open.records._database.path.parent)  # a seed that no trial has
    curves = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows = [
        (individual.place, seed, Outcome(outcome, None, *curves) if isinstance(outcome, float) else outcome)
        for (seed, outcome), individual in zip(enumerate(outcomes, first), current.population * 9, strict=False)
    ]
    found._open.records.add_outcomes(rows, "fitness", 2)


def test_what_is_read_is_what_the_summary_says_and_nothing_if_nothing_is_new(tmp_path):
    with study(tmp_path / "run", generations=1) as found:
        following = Following(tmp_path / "run")
        snapshot = following.read()
        assert snapshot.summary == summarise(tmp_path / "run")
        assert snapshot.summary.state == "running"
        assert following.read() is None
        for individual in found.ask():
            found.tell(individual, 0.5)
        later = following.read()
        assert later.summary == summarise(tmp_path / "run")
        assert [generation.number for generation in later.finished] == [0, 1]
        assert later.summary.trainings == trials(tmp_path / "run") > snapshot.summary.trainings
        assert len(later.latest) == 10
        assert later.latest[0].number == later.summary.trainings
        assert following.read() is None
    following.close()
    assert following.read().summary.state == "stopped"
    following.close()


def test_the_champion_s_trainings_are_all_that_are_recorded_so_far(tmp_path):
    """A champion that stays is trained again in the next generation."""
    following, seen = Following(tmp_path), []

    def compare(report):
        recorded = following.read().recorded
        assert recorded.trainings == recorded_trainings(tmp_path).trainings
        seen.append((report.champion.individual.expression, recorded.trainings))

    evolve(small(**{"search.generations": 6, "search.finalists": 2}), tmp_path, on_generation=compare)
    following.close()
    assert any(before[0] == after[0] and before[1] < after[1] for before, after in pairwise(seen)), seen


def test_the_end_of_the_writer_is_seen_though_the_database_is_as_it_was(tmp_path):
    time = [0.0]
    found = study(tmp_path / "run", generations=1)
    following = Following(tmp_path / "run", lambda: time[0])
    assert following.read().summary.state == "running"
    found._open._lock.release()
    assert following.read() is None
    time[0] = 1.5
    assert following.read().summary.state == "stopped"
    following.close()
    found.close()


def test_failures_and_divergence_are_counted_and_forgotten_failures_too(tmp_path):
    with study(tmp_path / "run", generations=0) as found:
        following = Following(tmp_path / "run")
        assert following.read().totals.trainings == 0
        land(found, *(Outcome.failed(f"fault {number}", 2) for number in range(3)))
        first = following.read()
        assert (first.totals.trainings, first.totals.failed) == (3, 3)
        assert [trial.message for trial in first.failures] == ["fault 2", "fault 1", "fault 0"]
        found._open.records.forget_failures(0)
        assert following.read().failures == ()
        land(found, Outcome.failed("again", 2), 0.5, float("nan"))
        last = following.read()
        assert (last.totals.trainings, last.totals.failed, last.totals.diverged) == (3, 1, 1)
        assert last.totals.last_failure == "again"
        assert last.summary == summarise(tmp_path / "run")
        following.close()


def test_very_many_trials_are_counted_in_several_readings(tmp_path, monkeypatch):
    monkeypatch.setattr(following_module, "_AT_ONCE", 50)
    study(tmp_path / "run", generations=2).close()
    following = Following(tmp_path / "run")
    counted = []
    while (snapshot := following.read()) is not None:
        counted.append(snapshot.totals.trainings)
        assert following.is_whole == (counted[-1] == trials(tmp_path / "run"))
    assert counted == [50, 100, trials(tmp_path / "run")]
    following.close()


def test_the_speed_is_that_of_the_last_half_minute_and_gives_the_time_left(tmp_path):
    time = [0.0]
    with study(tmp_path / "run", generations=0) as found:
        following = Following(tmp_path / "run", lambda: time[0])
        assert following.read().speed is None
        time[0] = 10.0
        land(found, 0.1, 0.2)
        snapshot = following.read()
        assert snapshot.is_measured
        assert snapshot.speed == pytest.approx(0.2)
        ahead = snapshot.summary.expected - snapshot.summary.whole_trainings
        assert ahead > 0
        whole = snapshot.summary.config.training.epochs
        assert snapshot.seconds_left == pytest.approx(ahead * 10.0 * whole / 4)
        following.close()


def test_a_file_that_vanishes_is_an_error_and_another_in_its_place_is_read_anew(tmp_path):
    for name, generations in (("one", 1), ("two", 2)):
        study(tmp_path / name, generations=generations).close()
    following = Following(tmp_path / "one")
    assert following.read().summary.trainings == trials(tmp_path / "one")
    shutil.move(tmp_path / "one" / "study.db", tmp_path / "away.db")
    with pytest.raises(StudyError, match="is not a study"):
        following.read()
    shutil.copy(tmp_path / "two" / "study.db", tmp_path / "one" / "study.db")
    assert following.read().summary.trainings == trials(tmp_path / "two")
    (tmp_path / "one" / "study.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    following.close()
    with pytest.raises(StudyError):
        following.read()


def test_a_writer_never_waits_for_who_follows(tmp_path):
    """While a reading is under way, a commit lands at once."""
    with study(tmp_path / "run", generations=1) as found:
        following = Following(tmp_path / "run")
        before = following.read().summary.trainings
        with following._opened.transaction("DEFERRED"):
            following._records.counts.trainings()
            found._open.records._database._connection.execute("PRAGMA busy_timeout = 0")
            land(found, 0.5)
        assert following.read().summary.trainings == before + 1
        following.close()


# --- page by page ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    directory = tmp_path_factory.mktemp("many") / "run"
    with study(directory, generations=0) as found:
        for number, individual in enumerate(found.ask()[:8]):
            found.tell(individual, (0.5, 0.3, 0.7)[number % 3])
        land(found, 0.3, 0.1, float("nan"), 0.3, Outcome.failed("no", 2), 0.3)
    return directory


def pages(directory, selection, count):
    """All pages forwards, and all backwards from the last."""
    forwards = [page_of_trials(directory, selection, count)]
    while forwards[-1].has_after:
        forwards.append(page_of_trials(directory, selection, count, after=forwards[-1].trials[-1].number))
    backwards = [forwards[-1]]
    while backwards[-1].has_before:
        found = page_of_trials(directory, selection, count, before=backwards[-1].trials[0].number)
        if not found.trials:
            break
        backwards.append(found)
    return forwards, backwards


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 4, 50])
def test_pages_hold_every_trial_once_in_order_forwards_and_backwards(many, order, count):
    forwards, backwards = pages(many, Selection(order=order), count)
    every = [trial for page in forwards for trial in page.trials]
    assert all(len(page.trials) <= count for page in forwards)
    if order in ("newest", "oldest"):
        assert [trial.number for trial in every] == sorted(range(1, 15), reverse=order == "newest")
    else:
        scores = [trial.score for trial in every]
        assert len(scores) == len({trial.number for trial in every}) == 12
        assert scores == sorted(scores, reverse=order == "best")  # an accuracy
    assert [trial for page in reversed(backwards) for trial in page.trials] == every
    assert [trial for chunk in all_trials(many, Selection(order=order), 3) for trial in chunk] == every


def test_a_selection_takes_what_it_says_alone(many):
    every = page_of_trials(many, Selection(), 50).trials
    for status in ("finished", "diverged", "failed"):
        assert page_of_trials(many, Selection(status=status), 50).trials == [t for t in every if t.status == status]
    assert page_of_trials(many, Selection(generation=0), 50).trials == every
    assert page_of_trials(many, Selection(generation=1), 50).trials == []
    expression = every[0].expression
    alike = [trial for trial in every if trial.expression == expression]
    assert page_of_trials(many, Selection(formula=str(expression)), 50).trials[: len(alike)] == alike
    name = next(iter(every[0].expression.signals))
    named = page_of_trials(many, Selection(formula=f"{name}, {name}"), 50).trials
    assert named == [trial for trial in every if name in str(trial.expression)]
    assert page_of_trials(many, Selection(formula="zzz"), 50).trials == []


def test_what_selects_nothing_is_refused():
    for wrong in (Selection, "status"), (Selection, "order"):
        with pytest.raises(ConfigError, match="unknown"):
            replace(Selection(), **{wrong[1]: "finishd"})
    with pytest.raises(ExpressionError):
        Selection(formula="1 +* 2")
    Selection(formula="'; DROP TABLE trial".replace("'; ", ""))  # names, looked for as they are


def test_a_trial_has_its_curves(many):
    trial, curves, config = trial_with_curves(many, 9)
    assert (trial.generation, trial.score, trial.epochs) == (0, 0.3, 2)
    assert curves.tolist() == np.arange(8).reshape(4, 2).tolist()
    assert config.problem.name == "external"
    assert trial_with_curves(many, 13)[1] is None
    assert trial_with_curves(many, 99) is None


def test_reading_changes_nothing(many):
    before = sqlite3.connect(many / "study.db").execute("PRAGMA data_version").fetchone()
    content = (many / "study.db").read_bytes()
    pages(many, Selection(order="best"), 2)
    following = Following(many)
    following.read()
    following.close()
    assert (many / "study.db").read_bytes() == content
    assert before
