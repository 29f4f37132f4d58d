"""A limit of time where a training takes minutes: real searches, on a clock that their trainings move."""

import heapq
import itertools
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from evolr.config import changed, resolve
from evolr.execution.executor import DelegatingExecutor
from evolr.study.budget import Remaining
from evolr.study.evolve import evolve, stored_config
from evolr.study.pace import Pace
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from evolr.study.trained_by import executor_for
from evolr.study.watching import Watcher
from tests.execution import training_functions as functions
from tests.study.small import interrupted_after, remembered, searched_by_clock, small
from tests.study.test_evolve_function import evolve as evolve_function
from tests.study.test_last_generations import LAST
from tests.study.test_race import CONFIG as RACE

pytestmark = pytest.mark.usefixtures("importable")


class Processes(DelegatingExecutor):
    """Trains by another executor, and says that so many have trained beside one another, for so many seconds each, as workers do.

    now: the time that it is then; meanwhile, each second, it asks whether to go on.
    """

    def __init__(self, alike, at_once, seconds_of):
        self.inner, self._at_once, self._seconds_of = alike, at_once, seconds_of
        self.seconds, self.trainings, self.now = 0.0, 0, 0.0

    def prepare(self, pool):
        return self.inner.prepare(pool)

    def run(self, trials, epochs, pool, *, keep_steps=False, on_outcomes=None):
        outcomes = self.inner.run(trials, epochs, pool)
        waiting, busy = list(range(len(trials))), []
        while waiting or busy:
            while waiting and len(busy) < self._at_once:
                number = waiting.pop(0)
                taken = self._seconds_of(self.trainings + len(busy), pool)
                heapq.heappush(busy, (self.now + taken, number, taken))
            end, number, taken = heapq.heappop(busy)
            while self.now + 1.0 < end:
                self.now += 1.0
                on_outcomes({})
            self.now = end
            self.trainings += 1
            on_outcomes({number: replace(outcomes[number], seconds=taken)})
        return outcomes

    def close(self):
        self.inner.close()


class Compiles(DelegatingExecutor):
    """Trains by another executor, four together for a second an epoch, and compiles for a minute before the first of them."""

    def __init__(self, alike):
        self.inner, self.seconds, self.trainings, self.now, self._compiling = alike, 0.0, 0, 0.0, 0.0

    @property
    def preparing_seconds(self):
        return self._compiling

    def prepare(self, pool):
        return self.inner.prepare(pool)

    def run(self, trials, epochs, pool, *, keep_steps=False, on_outcomes=None):
        outcomes = self.inner.run(trials, epochs, pool)
        self.now += 60.0 - self._compiling
        self._compiling = 60.0
        for first in range(0, len(trials), 4):
            numbers = range(first, min(first + 4, len(trials)))
            self.now += epochs
            self.trainings += len(numbers)
            on_outcomes({number: outcomes[number] for number in numbers})
        return outcomes

    def close(self):
        self.inner.close()


def searched(config, at_once, seconds_of, limit):
    """A search within a limit of seconds; the result, and when it ended."""
    executor = Processes(executor_for(config), at_once, seconds_of)
    return searched_by_clock(config, "run", executor, limit, lambda: executor.now), executor.now


GENERATIONAL = small(
    **{
        "search.finalists": 3,
        "search.race_seeds": 2,
        "search.seeds": 1,
        "search.population": 6,
        "search.generations": 40,
    }
)
BAYESIAN = resolve("quadratic", settings={"problem.dimension": 3, "training.epochs": 1}, trainings=100)


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
@pytest.mark.parametrize("config", [GENERATIONAL, BAYESIAN], ids=["generational", "bayesian"])
def test_an_hour_of_trainings_of_minutes_ends_in_time_with_a_raced_champion(config, at_once):
    each = 240.0 if at_once > 1 else 120.0
    result, end = searched(config, at_once, lambda number, _: each + number % 7, 3600.0)
    assert result.is_raced
    assert 0.7 * 3600.0 < end <= 3600.0
    assert result.stopped_by.startswith("the budget of 3600 s")


def test_the_time_left_is_right_from_the_second_chunk_on_though_the_first_waited_for_the_compiler():
    """Of a third of the epochs: the minute before the first of them would count three times over."""
    settings = {"training.epochs": 3, "search.horizon": 0.34, "search.generations": 6, "search.last_generations": 0}
    config = resolve("memetic", settings={**LAST, **settings})
    executor, said = Compiles(executor_for(config)), []

    class Told(Watcher):
        def progressed(self, outlook):
            said.append((executor.now, outlook.seconds_left))

    searched_by_clock(config, "run", executor, 400.0, lambda: executor.now, watcher=Told())
    assert said[0] == (61.0, None)
    assert [now + left for now, left in said[1:]] == pytest.approx([executor.now] * len(said[1:]), rel=0.1)


def test_a_few_waves_are_enough_for_a_race():
    """Six trainings on three workers, three minutes to the end of them, then a race of four in two waves."""
    result, end = searched(GENERATIONAL, 3, lambda number, _: 90.0 + number % 3, 400.0)
    assert result.is_raced
    assert end <= 1.06 * 400.0


def test_a_training_that_outlasts_the_limit_is_dropped_when_the_time_is_up():
    result, end = searched(GENERATIONAL, 2, lambda number, _: 100.0 if number < 5 else 10_000.0, 500.0)
    assert (result.is_raced, result.trainings, end) == (False, 5, 500.0)
    assert result.stopped_by == "the time is up: 500 s; too short for a race, and the study can go on"


@pytest.mark.parametrize(("racing", "is_raced"), [(180.0, True), (10_000.0, False)])
def test_a_race_that_needs_a_little_more_time_has_it_and_one_that_hangs_has_not(racing, is_raced):
    """Two trainings of the race at once, begun where there is time for one wave."""
    config = changed(GENERATIONAL, {"search.race_seeds": 1, "search.finalists": 2})
    result, end = searched(config, 2, lambda _, pool: 100.0 if pool == "fitness" else racing, 550.0)
    assert result.is_raced == is_raced
    assert 550.0 < end <= 1.06 * 550.0 + 120.0 + 1.0
    if not is_raced:
        assert result.stopped_by == "the time is up: 550 s; the race is not over, and the study can go on"
        assert evolve(config, "run").is_raced


def test_a_limit_and_should_stop_end_a_function_that_never_ends():
    result = evolve_function(functions.hanging, "run", limits=Limits(seconds=0.7), workers=2)
    assert (result.trainings, result.stopped_by) == (
        0,
        "the time is up: 0.7 s; too short for a race, and the study can go on",
    )
    asked = []

    def stop():
        asked.append(True)
        return "enough" if len(asked) > 3 else None

    result = evolve_function(functions.hanging, "run", should_stop=stop, workers=2)
    assert (result.trainings, result.stopped_by) == (0, "enough")


# --- a later call ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "trained", "seconds", "lacking"),
    [
        ({}, 16 + 18, 20.0, "the race is still to come"),  # before a generation, whose place a race of two would take
        ({"search.generations": 1}, 16, 20.0, "the race is not over"),  # before the race, which would be smaller
        ({"search.generations": 1, "search.finalists": 4}, 16 + 8, 9.0, "the race is not over"),  # after a heat of it
        ({"search.generations": 1, "search.finalists": 4}, 16 + 8 + 3, 2.0, "the race is not over"),
    ],
    ids=["generation", "race", "heat", "in a heat"],
)
def test_a_time_limit_of_a_later_call_ends_that_call_and_the_study_loses_nothing(
    settings, trained, seconds, lacking, monkeypatch
):
    """Its pace is known, three seconds a training, by which a smaller race would fit in the place of what is due."""
    monkeypatch.setattr("evolr.study.summary.pace_in", lambda _: 3.0)
    config = changed(RACE, settings)
    should_stop, on_trial = interrupted_after(trained)
    evolve(config, "run", should_stop=should_stop, on_trial=on_trial)
    before = summarise(Path("run")).trainings
    result, end = searched(config, 1, lambda *_: 3.0, seconds)
    assert before < result.trainings
    assert end == seconds if lacking.endswith("come") else seconds <= end <= 1.06 * seconds + 4.6
    assert result.stopped_by == f"the time is up: {seconds:g} s; {lacking}, and the study can go on"
    assert stored_config(Path("run")) == config
    assert evolve(config, "run").stopped_by is None
    evolve(config, "whole")
    assert remembered_unordered("run") == remembered_unordered("whole")


def remembered_unordered(path):
    memory = remembered(Path(path))
    memory["trial"] = sorted(memory["trial"], key=repr)
    return memory


def _at_the_third(asked):
    return next(asked) > 1


def test_a_later_call_says_whether_its_time_is_enough_for_the_race(capsys, monkeypatch):
    evolve(RACE, "run", should_stop=lambda: "enough" if summarise(Path("run")).generations_done == 2 else None)
    monkeypatch.setattr("evolr.study.summary.pace_in", lambda _: 3.0)
    said = []
    for seconds in (90.0, 1000.0):  # 18 + 18 trainings and a race of 26 are due
        asked = itertools.count()
        with Study("run") as study:
            study.run(Limits(seconds=seconds), should_stop=partial(_at_the_third, asked), progress=True)
        said.append(capsys.readouterr().err.splitlines())
    assert "the time ends this call before the race of the finalists; the study can go on" in said[0]
    assert "at the end: a race of 7 finalists on fresh seeds, 26 of these trainings" in said[1]
    assert not any("the race included" in line for line in said[0])


class Slow(DelegatingExecutor):
    """Gets ready for a while, as workers that import torch do."""

    def __init__(self, alike):
        self.inner, self.seconds, self.trainings = alike, 0.0, 0

    def prepare(self, pool):
        time.sleep(0.3)
        return self.inner.prepare(pool)

    def run(self, trials, epochs, pool, *, keep_steps=False, on_outcomes=None):
        return self.inner.run(trials, epochs, pool, keep_steps=keep_steps, on_outcomes=on_outcomes)

    def close(self):
        self.inner.close()


def test_the_time_of_a_limit_counts_from_the_call_and_the_start_of_the_workers_is_in_it():
    result = evolve(small(), "run", Limits(seconds=0.2), executor=Slow(executor_for(small())))
    assert (result.trainings, result.stopped_by) == (0, "the time is up: 0.2 s")
    assert result.seconds >= 0.3


def test_a_limit_of_time_says_at_most_while_nobody_knows_how_long_a_training_takes(capsys):
    evolve(RACE, "run", Limits(seconds=1000.0), progress=True)
    assert capsys.readouterr().err.splitlines()[:2] == [
        "generation 0 (1 of 4): 16 trainings; at most 96 in all, as the time allows",
        "at the end: a race of at most 7 finalists on fresh seeds, at most 26 of these trainings",
    ]


def test_a_pace_sees_how_many_train_at_once():
    pace = Pace()
    for seconds in (110.0, 111.0, 112.0):  # three of 100 s, begun after 10
        pace.landed(seconds, round(seconds) - 109, [100.0])
    assert pace.at_once == 3
    pace.landed(211.0, 4, [100.5])
    pace.finished(211.0, 4)
    pace.landed(311.0, 5, [100.0])
    pace.finished(311.0, 5)
    assert (pace.one, pace.seconds) == (100.0, pytest.approx(100.0 / 3))  # a generation of one is a wave
    one_by_one = Pace()
    for number in range(1, 9):
        one_by_one.landed(100.0 * number, number, [99.0])
    assert (one_by_one.at_once, one_by_one.one) == (1, 100.0)
    as_one = Pace()
    as_one.landed(100.0, 50)
    assert (as_one.at_once, as_one.one) == (1, 0.0)


def test_the_start_of_workers_is_not_taken_for_what_trainings_take():
    """Two workers that are a minute in coming, and trainings of a second: whole generations land within a quarter of a minute."""
    pace = Pace()
    pace.landed(61.0, 1, [1.0])
    assert (pace.seconds, pace.is_settled) == (1.0, False)
    pace.landed(61.1, 2, [1.0])
    assert (pace.seconds, pace.is_settled) == (0.5, False)
    for number in range(3, 9):
        pace.landed(62.0 + (number - 3) // 2, number, [0.95])
    assert (pace.at_once, pace.is_settled) == (2, True)
    assert pace.seconds == pytest.approx(0.5, rel=0.05)


def test_the_last_trainings_take_a_whole_wave():
    pace = Pace()
    for number in range(1, 7):
        pace.landed(100.0 * ((number + 2) // 3), number, [100.0])
    remaining = Remaining.within(Limits(seconds=1000.0), trained=6, seconds=200.0, pace=pace)
    assert (remaining.each, remaining.at_once) == (pytest.approx(100 / 3), 3)
    assert remaining.left == pytest.approx(20.0)  # 24, with caution
    assert remaining.after(4).left == pytest.approx(15.0)  # as of six
    assert remaining.after(18).seconds == pytest.approx(80.0)
    assert (remaining.after(18).left, remaining.after(18).at_best) == (0, 3)
