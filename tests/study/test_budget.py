"""A budget of trainings or of time ends a search with a raced champion: real searches, and a clock that counts their trainings."""

import math
import random
import shutil
from pathlib import Path

import pytest

from evolr.config import changed, resolve
from evolr.errors import StudyError
from evolr.expression import parse
from evolr.search.evaluation import finalists_within, race_population, race_trainings, runs_of_race
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study.budget import Remaining, reserve
from evolr.study.evolve import evolve, stored_config
from evolr.study.pace import Pace
from evolr.study.results import Limits
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study
from evolr.study.summary import summarise
from evolr.study.trained_by import executor_for
from tests.study.small import derived, evolved_with_stops, remembered, searched_by_clock, small
from tests.study.test_last_generations import LAST
from tests.study.test_race import CONFIG, RACING

# CONFIG trains 16 networks in its first generation, 18 in each of the other three, and 26 in its race of 7 finalists.


@pytest.mark.parametrize("heats", [0, 1, 2])
@pytest.mark.parametrize("finalists", [1, 2, 3, 4, 7, 9, 10, 24, 40])
def test_a_race_costs_what_its_heats_train(finalists, heats):
    config = changed(CONFIG, {"search.race_heats": heats})
    search, luck = config.search, random.Random(finalists)
    individuals = [Individual(Place(0, slot), parse("progress"), "initial") for slot in range(finalists)]
    population = race_population([Evaluation(individual, 0.0, 0.0) for individual in individuals], 4)
    scores = {}
    while missing := [run for run in runs_of_race(config, population, scores) if _key(run) not in scores]:
        scores |= {_key(run): luck.random() for run in missing}
    assert race_trainings(search, finalists) == len(scores)


def _key(run):
    return run.individual.place, run.pool, run.seed


def test_the_most_finalists_within_a_budget_are_two_at_least():
    search = changed(CONFIG, {"search.finalists": 24, "search.race_seeds": 6}).search
    assert race_trainings(search, 24) == 348
    assert finalists_within(search, math.inf) == 24
    assert finalists_within(search, 347) < 24
    assert finalists_within(search, 12) == 2
    assert finalists_within(search, 11) == 0
    assert finalists_within(changed(CONFIG, {"search.finalists": 1}).search, 2) == 1


def test_a_race_that_is_larger_than_a_third_of_the_budget_is_held_smaller():
    search = CONFIG.search
    assert reserve(search, math.inf) == reserve(search, 78) == 26
    assert reserve(search, 60) == race_trainings(search, 6) == 20
    assert reserve(search, 3) == race_trainings(search, 2)  # the smallest race there is


@pytest.mark.parametrize(("trainings", "generations"), [(22, 1), (60, 2), (96, 4)])
def test_so_many_trainings_end_with_a_raced_champion(trainings, generations):
    """It is the study, to the bit, that a search of so many generations and finalists makes."""
    result = evolve(CONFIG, "run", Limits(trainings=trainings))
    assert result.is_raced
    assert result.trainings <= trainings
    config = stored_config(Path("run"))
    racing = [e for e in result.history if e.individual.operator == "finalist"]
    assert config.search.generations == generations
    if generations < CONFIG.search.generations:
        how = f"{generations} of 4 generations, then a race of {len(racing)} finalists"
        assert result.stopped_by == f"the budget of {trainings} trainings: {how}; the search is over"
    else:
        assert result.stopped_by is None
    assert summarise(Path("run")).state == "done"
    evolve(config, "straight")
    assert remembered(Path("run")) == remembered(Path("straight"))
    assert derived(Path("run")) == derived(Path("straight"))


def test_a_budget_is_kept_over_interruptions():
    evolve(CONFIG, "whole", Limits(trainings=60))
    evolved_with_stops(CONFIG, "run", 7, Limits(trainings=60))
    assert remembered(Path("run")) == remembered(Path("whole"))
    assert derived(Path("run")) == derived(Path("whole"))


def test_what_a_budget_has_ended_is_found_again_and_does_not_grow():
    first = evolve(CONFIG, "run", Limits(trainings=60))
    before = remembered(Path("run"))
    again = evolve(CONFIG, "run", Limits(trainings=60))  # the same call
    assert (again.champion, again.stopped_by, again.trainings) == (first.champion, None, first.trainings)
    assert evolve(stored_config(Path("run")), "run").champion == first.champion
    for grown in (
        small(**RACING, **{"search.generations": 6}),
        changed(stored_config(Path("run")), {"search.generations": 6}),
    ):
        with pytest.raises(StudyError, match="it raced after 2 of 4 generations, to end within its budget"):
            evolve(grown, "run")
    with pytest.raises(StudyError, match=r"search\.population is 4, was asked to be 5"):
        evolve(small(**RACING | {"search.population": 5}), "run")
    assert remembered(Path("run")) == before
    assert RunDirectory.open(Path("run")).champion() == first.schedule


def test_a_study_that_was_killed_as_it_shortened_goes_on_with_the_race():
    evolve(CONFIG, "whole", Limits(trainings=60))
    evolve(CONFIG, "run", should_stop=lambda: "enough" if summarise(Path("run")).generations_done == 2 else None)
    with Study("run", CONFIG) as study:
        opened = study._open
        opened.records.drop_population(2)
        opened.records.shorten(stored_config(Path("whole")))
    assert evolve(CONFIG, "run").is_raced
    assert remembered(Path("run")) == remembered(Path("whole"))


@pytest.mark.parametrize(
    ("trained", "budget"), [(16 + 18, 60), (16 + 18 + 18, 78)], ids=["before a generation", "before a later one"]
)
def test_a_study_that_was_interrupted_as_it_shortened_closes_and_goes_on(trained, budget, monkeypatch):
    """What it holds in memory and what is stored are two searches then."""
    config, limits = CONFIG, Limits(trainings=budget)
    evolve(config, "run", should_stop=lambda: "enough" if summarise(Path("run")).trainings >= trained else None)
    shutil.copytree("run", "whole")
    evolve(config, "whole", limits)

    def interrupted(*_):
        raise KeyboardInterrupt

    with Study("run", config) as study:
        with monkeypatch.context() as patch:
            patch.setattr("evolr.study.open_study.replay", interrupted)
            with pytest.raises(KeyboardInterrupt):
                study.run(limits)
        with pytest.raises(StudyError, match="is closed; open it again to go on"):
            study.run()
    evolve(config, "run")
    assert remembered(Path("run")) == remembered(Path("whole"))


def test_a_generation_that_has_not_begun_gives_way_to_the_race():
    evolve(CONFIG, "run", should_stop=lambda: "enough" if summarise(Path("run")).generations_done == 2 else None)
    assert evolve(CONFIG, "run", Limits(trainings=60)).is_raced
    evolve(CONFIG, "whole", Limits(trainings=60))
    assert remembered(Path("run")) == remembered(Path("whole"))


@pytest.mark.parametrize("trainings", [10, 19])
def test_a_budget_too_short_for_a_race_says_so_and_the_study_can_go_on(trainings):
    result = evolve(CONFIG, "run", Limits(trainings=trainings))
    assert not result.is_raced
    assert result.stopped_by.endswith(f"{trainings} were wanted; too short for a race, and the study can go on")
    assert stored_config(Path("run")) == CONFIG
    assert evolve(CONFIG, "run").is_raced
    evolve(CONFIG, "whole")
    assert remembered(Path("run")) == remembered(Path("whole"))


def test_the_last_generations_are_the_first_to_give_way():
    """Of two last ones with 60 trainings each, one is left, then none, and the three that breed are there."""
    config = resolve("memetic", settings=LAST)
    whole = evolve(config, "whole").trainings
    for fewer, last in ((10, 1), (70, 0)):
        result = evolve(config, f"less{fewer}", Limits(trainings=whole - fewer))
        shorter = stored_config(Path(f"less{fewer}"))
        assert result.is_raced
        assert result.trainings <= whole - fewer
        assert (shorter.search.generations, shorter.search.last_generations) == (3, last)
        evolve(shorter, f"straight{fewer}")
        assert remembered(Path(f"less{fewer}")) == remembered(Path(f"straight{fewer}"))


def test_a_search_without_a_race_uses_its_whole_budget():
    result = evolve(small(), "run", Limits(trainings=20))
    assert (result.is_raced, result.stopped_by) == (False, f"{result.trainings} trainings are done, 20 were wanted")


# --- time -------------------------------------------------------------------------------------------------------------


def searched(path, seconds, second_of, config=CONFIG):
    """A search within so many seconds of a clock that says, for so many trainings, the time; the result and that time."""
    executor = executor_for(config)
    result = searched_by_clock(config, path, executor, seconds, lambda: second_of(executor.trainings))
    return result, second_of(executor.trainings)


@pytest.mark.parametrize("seconds", [80.0, 200.0, 330.0])
def test_a_time_ends_with_a_raced_champion_in_time(seconds):
    """Ten seconds of loading, then three seconds a training."""
    result, end = searched("run", seconds, lambda trainings: 10.0 * (trainings > 0) + 3.0 * trainings)
    assert result.is_raced
    assert end <= 1.07 * seconds
    config = stored_config(Path("run"))
    evolve(config, "straight")
    assert remembered(Path("run")) == remembered(Path("straight"))
    assert derived(Path("run")) == derived(Path("straight"))
    if config != CONFIG:
        assert result.stopped_by.startswith(
            f"the budget of {seconds:g} s: {config.search.generations} of 4 generations"
        )


def test_a_machine_that_becomes_slower_makes_the_race_smaller_or_earlier():
    steady, _ = searched("steady", 270.0, lambda trainings: 3.0 * trainings)
    slow, end = searched("slow", 270.0, lambda trainings: 3.0 * trainings + 6.0 * max(0, trainings - 20))
    assert steady.is_raced
    assert slow.is_raced
    assert slow.trainings < steady.trainings
    assert end <= 1.07 * 270.0


def test_a_time_too_short_for_a_race_says_so():
    result, _ = searched("run", 20.0, lambda trainings: 3.0 * trainings)
    assert not result.is_raced
    assert result.stopped_by == "the time is up: 20 s; too short for a race, and the study can go on"
    assert evolve(CONFIG, "run").is_raced


def test_a_race_that_takes_much_longer_than_it_was_to_ends_with_the_heats_that_it_had():
    """Four finalists race: 8 trainings, then 8 of the two best, the first few of which are all that there is time for."""
    result, _ = searched("run", 130.0, lambda trainings: 3.0 * trainings + 50.0 * max(0, trainings - 26))
    assert result.is_raced
    how = "then a race of 4 finalists; the race had 1 of its heats when it was up; the search is over"
    assert result.stopped_by.endswith(how)
    config = stored_config(Path("run"))
    assert config.search.race_heats == 1
    evolve(config, "straight")
    assert derived(Path("run")) == derived(Path("straight"))
    assert evolve(CONFIG, "run").champion == result.champion


def test_a_race_whose_first_heat_is_not_over_in_time_can_go_on():
    result, _ = searched("run", 130.0, lambda trainings: 3.0 * trainings + 50.0 * max(0, trainings - 18))
    assert not result.is_raced
    assert result.stopped_by == "the time is up: 130 s; the race is not over, and the study can go on"
    assert evolve(CONFIG, "run").is_raced


def test_a_pace_leaves_out_what_comes_before_the_first_trainings():
    pace = Pace()
    assert (pace.seconds, pace.is_settled) == (None, False)
    pace.landed(30.0, 10)  # 28 s of loading, 0.2 s a training
    assert (pace.seconds, pace.is_settled) == (3.0, False)
    for count in range(1, 40):
        pace.landed(30.0 + 2 * count, 10 + 10 * count)
    assert pace.is_settled
    assert pace.seconds == pytest.approx(0.2)


def test_a_pace_follows_a_machine_that_becomes_slower_and_not_one_that_was_fast_for_a_while():
    pace = Pace()
    for end in (10.0, 20.0, 30.0):
        pace.finished(end, round(end))
    assert pace.seconds == 1.0
    pace.finished(60.0, 40)
    assert pace.seconds == 3.0
    pace.finished(61.0, 50)
    assert pace.seconds == 1.0


def test_the_room_of_two_limits_is_the_smaller_one():
    pace = Pace(known=2.0)
    both = Remaining.within(Limits(seconds=220.0, trainings=60), trained=20, seconds=0.0, pace=pace)
    assert (both.left, both.whole) == (40, 60)
    assert Remaining.within(
        Limits(seconds=24.0, trainings=60), trained=20, seconds=0.0, pace=pace
    ).left == pytest.approx(10)
    unknown = Remaining.within(Limits(seconds=22.0), trained=20, seconds=0.0, pace=Pace())
    assert unknown.left == unknown.after(100).left == unknown.whole == math.inf
