"""A limit of time where a training takes minutes: real searches, on a clock that their trainings move."""

import heapq
from dataclasses import replace

import pytest

from evolr.config import changed, resolve
from evolr.execution.executor import Around
from evolr.study import running
from evolr.study.budget import Room
from evolr.study.evolve import evolve
from evolr.study.pace import Pace
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.trained_by import executor_for
from evolr.study.watching import Watcher
from tests.execution import training_functions as functions
from tests.study.small import small
from tests.study.test_evolve_function import _importable  # noqa: F401 (a fixture)
from tests.study.test_evolve_function import evolve as evolve_function


class Processes(Around):
    """Trains by another executor, and says that so many have trained beside one another, for so many seconds each, as workers do.

    now: the time that it is then; meanwhile, each second, it asks whether to go on.
    """

    def __init__(self, alike, at_once, seconds_of):
        self.alike, self._at_once, self._seconds_of = alike, at_once, seconds_of
        self.seconds, self.trainings, self.now = 0.0, 0, 0.0

    def prepare(self, pool):
        return self.alike.prepare(pool)

    def run(self, trials, epochs, pool, *, keep_steps=False, on_outcomes=None):
        outcomes = self.alike.run(trials, epochs, pool)
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
        self.alike.close()


def searched(config, at_once, seconds_of, limit):
    """A search within a limit of seconds; the result, and when it ended."""
    executor = Processes(executor_for(config), at_once, seconds_of)
    with Study("run", config) as study:
        result = running.run(
            study._open,
            executor,
            Limits(seconds=limit),
            should_stop=lambda: None,
            watcher=Watcher(),
            clock=lambda: executor.now,
        )
    return result, executor.now


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


def test_a_few_waves_are_enough_for_a_race():
    """Six trainings on three workers, three minutes to the end of them, then a race of four in two waves."""
    result, end = searched(GENERATIONAL, 3, lambda number, _: 90.0 + number % 3, 400.0)
    assert result.is_raced
    assert end <= 1.06 * 400.0


def test_a_training_that_outlasts_the_limit_is_dropped_when_the_time_is_up():
    result, end = searched(GENERATIONAL, 2, lambda number, _: 100.0 if number < 5 else 10_000.0, 500.0)
    assert (result.is_raced, result.trainings, end) == (False, 5, 500.0)
    assert result.stopped_by == "the time is up: 500 s; too short for a race"


@pytest.mark.parametrize(("racing", "is_raced"), [(180.0, True), (10_000.0, False)])
def test_a_race_that_needs_a_little_more_time_has_it_and_one_that_hangs_has_not(racing, is_raced):
    """Two trainings of the race at once, begun where there is time for one wave."""
    config = changed(GENERATIONAL, {"search.race_seeds": 1, "search.finalists": 2})
    result, end = searched(config, 2, lambda _, pool: 100.0 if pool == "fitness" else racing, 550.0)
    assert result.is_raced == is_raced
    assert 550.0 < end <= 1.06 * 550.0 + 120.0 + 1.0
    if not is_raced:
        assert result.stopped_by == "the time is up: 550 s; the race is not over"
        assert evolve(config, "run").is_raced


def test_a_limit_and_should_stop_end_a_function_that_never_ends():
    result = evolve_function(functions.hanging, "run", limits=Limits(seconds=0.7), workers=2)
    assert (result.trainings, result.stopped_by) == (0, "the time is up: 0.7 s; too short for a race")
    asked = []

    def stop():
        asked.append(True)
        return "enough" if len(asked) > 3 else None

    result = evolve_function(functions.hanging, "run", should_stop=stop, workers=2)
    assert (result.trainings, result.stopped_by) == (0, "enough")


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


def test_the_last_trainings_take_a_whole_wave():
    pace = Pace()
    for number in range(1, 7):
        pace.landed(100.0 * ((number + 2) // 3), number, [100.0])
    room = Room.within(Limits(seconds=1000.0), trained=6, seconds=200.0, pace=pace)
    assert (room.each, room.at_once) == (pytest.approx(100 / 3), 3)
    assert room.left == pytest.approx(20.0)  # 24, with caution
    assert room.after(4).left == pytest.approx(15.0)  # as of six
    assert room.after(18).seconds == pytest.approx(80.0)
    assert (room.after(18).left, room.after(18).at_best) == (0, 3)
