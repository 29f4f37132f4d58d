"""Searching from outside: ask for individuals, tell what they scored."""

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from evolr.config import resolve
from evolr.errors import ProblemError, StudyError
from evolr.expression import parse
from evolr.search.individual import Place
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from tests.study.small import derived, remembered, small

CONFIG = small()


def score(individual):
    """A loss that likes formulas of seven nodes."""
    return 1.0 + abs(individual.expression.size - 7) + individual.expression.depth / 100


def drive(path, order=lambda asked: asked, at_most=10**9):
    """Runs a study by hand to its end, opened anew after each round, telling some of what was asked."""
    rounds = 0
    while True:
        with Study(path, CONFIG) as study:
            asked = study.ask()
            for individual in order(asked)[:at_most]:
                study.tell(individual, score(individual))
        if not asked:
            return rounds
        rounds += 1


def test_a_study_by_hand_selects_by_what_it_was_told(tmp_path):
    drive(tmp_path)
    with Study(tmp_path) as study:
        history = study.history()
        assert len(history) == 4 * 8
        assert all(e.score == score(e.individual) for e in history if e.source == "trained")
        assert (
            study.champion.expression == min(history, key=lambda e: (e.score, e.individual.place)).individual.expression
        )
        assert study.front[-1].fitness == max(e.fitness for e in history)
        assert study.ask() == []


def test_threads_ask_and_tell_one_study_and_change_nothing(tmp_path):
    drive(tmp_path / "whole")
    study = Study(tmp_path / "threads", CONFIG)
    with ThreadPoolExecutor(4) as pool:
        while asked := pool.submit(study.ask).result():
            list(pool.map(lambda individual: study.tell(individual, score(individual)), asked))
        pool.submit(study.close).result()
    one, two = remembered(tmp_path / "whole"), remembered(tmp_path / "threads")
    assert one["evaluation"] == two["evaluation"]
    assert derived(tmp_path / "whole") == derived(tmp_path / "threads")
    Study(tmp_path / "threads").close()  # the right to write was given back


FORKED = """
import os, sys
from evolr.config import resolve
from evolr.errors import StudyError
from evolr.study.study import Study
settings = {"problem.name": "external", "search.population": 4, "search.generations": 1}
with Study(sys.argv[1], resolve("original", settings=settings)) as study:
    first, *others = study.ask()
    if not (child := os.fork()):
        for forbidden in (study.ask, study.close, study.run, lambda: study.tell(first, 1.0)):
            try:
                forbidden()
                os._exit(1)
            except StudyError as error:
                if "forked into this one" not in str(error):
                    os._exit(2)
        study = None
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    for individual in (first, *others):
        study.tell(individual, 1.0)
    print(study.is_finished)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_study_is_no_forked_childs_and_its_own_process_goes_on(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORKED, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["0", "True"], "")


@pytest.mark.parametrize("at_most", [1, 3])
def test_order_and_interruptions_change_nothing(tmp_path, at_most):
    drive(tmp_path / "whole")
    drive(tmp_path / "pieces", order=lambda asked: asked[::-1], at_most=at_most)
    ignoring_ids = {"trial"}  # their order is that of the telling
    one, two = remembered(tmp_path / "whole"), remembered(tmp_path / "pieces")
    assert {k: v for k, v in one.items() if k not in ignoring_ids} == {
        k: v for k, v in two.items() if k not in ignoring_ids
    }
    assert sorted(one["trial"]) == sorted(two["trial"])
    assert derived(tmp_path / "whole") == derived(tmp_path / "pieces")


def test_what_was_asked_and_not_told_is_asked_again(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        first, *others = study.ask()
        study.tell(first, 1.0)
    with Study(tmp_path) as study:
        assert study.ask() == others


def test_known_formulas_are_not_asked(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        seen = set()
        while asked := study.ask():
            for individual in asked:
                assert individual.expression not in seen
                seen.add(individual.expression)
                study.tell(individual, score(individual))


def test_the_same_score_told_twice_is_told_once_and_another_is_refused(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        one, two, *_ = study.ask()
        study.tell(one, 0.5)
        study.tell(one, 0.5)
        with pytest.raises(StudyError, match=r"has the score 0\.5 already, was told 0\.7"):
            study.tell(one, 0.7)
        study.tell(two, math.nan)
        study.tell(two, math.inf)
        for individual in study.ask():
            study.tell(individual, 1.0)
        study.tell(one, 0.5)  # of a generation that is over
        with pytest.raises(StudyError, match=r"has the score 0\.5 already"):
            study.tell(one, 0.7)


@pytest.mark.parametrize("told", ["1", b"1", np.complex64(1), np.complex128(1 + 2j), None, [1.0]])
def test_what_is_no_real_number_is_no_score(tmp_path, told):
    with Study(tmp_path, CONFIG) as study:
        asked = study.ask()[0]
        with pytest.raises(StudyError, match="a score is a number, got"):
            study.tell(asked, told)
        for other in (None, "x", asked.schedule):
            with pytest.raises(StudyError, match="a score is told of what `ask` gave"):
                study.tell(other, 1.0)


def test_a_stranger_is_refused(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        asked = study.ask()[0]
        stranger = replace(asked, individual=replace(asked.individual, expression=parse("epoch*12345")))
        with pytest.raises(StudyError, match="was not asked"):
            study.tell(stranger, 1.0)
        with pytest.raises(StudyError, match="was not asked"):
            study.tell(replace(asked, individual=replace(asked.individual, place=Place(7, 0))), 1.0)
        assert study.ask()[0] == asked
        study.tell(asked, 1.0)
        with pytest.raises(StudyError, match="was not asked"):  # a stranger at a place that is told
            study.tell(stranger, 1.0)
        for score in (None, "half", [1.0]):
            with pytest.raises(StudyError, match="a score is a number"):
                study.tell(study.ask()[0], score)


def test_what_was_trained_is_not_asked(tmp_path):
    with Study(tmp_path, small(**{"search.population": 60, "search.seeds": 1})) as study:
        everybody = study.ask()
        study.run(Limits(trainings=1))  # ends with the chunk under way
        left = study.ask()
        assert 0 < len(left) < len(everybody)
        assert left == [individual for individual in everybody if individual in left]


@pytest.mark.parametrize("told", [math.nan, math.inf, -math.inf, 1e308, -1e101])
def test_a_score_that_is_not_finite_is_a_diverged_training(tmp_path, told):
    with Study(tmp_path, CONFIG) as study:
        first, *others = study.ask()
        study.tell(first, told)
        for individual in others:
            study.tell(individual, 1.0)
        evaluation = next(e for e in study.history() if e.individual == first.individual)
        assert evaluation.fitness == -math.inf
        assert math.isnan(evaluation.score)


def test_trainings_that_run_elsewhere_have_a_problem_of_their_own(tmp_path):
    settings = {"problem.name": "external", "problem.metric_name": "error", "problem.higher_is_better": False}
    config = resolve("original", settings={**settings, "search.generations": 2})
    with Study(tmp_path, config) as study:
        with pytest.raises(ProblemError, match=r"Study\.ask"):
            study.run()
        while asked := study.ask():
            for individual in asked:
                study.tell(individual, score(individual))
        assert study.champion.expression == min(study.history(), key=lambda e: e.score).individual.expression
    assert summarise(tmp_path).state == "done"


def test_what_is_asked_is_a_schedule_and_the_epochs_that_it_is_to_be_trained_for(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        for asked in study.ask():
            assert asked.schedule == CONFIG.search.schedule(asked.individual.expression)
            assert asked.epochs == CONFIG.training.epochs


def test_half_told_and_half_trained(tmp_path):
    with Study(tmp_path, CONFIG) as study:
        told = study.ask()[0]
        study.tell(told, 1e-9)
        result = study.run()
        assert result.champion.individual.expression == told.expression


def test_the_history_is_a_frame_where_pandas_is_there(tmp_path):
    pandas = pytest.importorskip("pandas")
    drive(tmp_path)
    with Study(tmp_path) as study:
        frame = study.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 32
    assert {"generation", "slot", "score", "expression"} <= set(frame.columns)


def test_without_pandas_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with Study(tmp_path, CONFIG) as study, pytest.raises(StudyError, match="pip install pandas"):
        study.frame()
