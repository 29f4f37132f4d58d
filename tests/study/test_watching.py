"""Who is told of a search: callbacks, the logger, the bar; by real searches."""

import logging
import math
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import evolr as package
from evolr.errors import ConfigError, EvolrError, StudyError
from evolr.study.evolve import evolve
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from evolr.study.watching import Watcher
from tests.execution import training_functions as functions
from tests.study.small import derived, interrupted_after, remembered, small
from tests.study.test_evolve_function import evolve as evolve_function
from tests.study.test_race import CONFIG


class Everything(Watcher):
    def __init__(self):
        self.told = []

    def begins(self, outlook):
        self.told.append(("begins", outlook))

    def trained(self, report):
        self.told.append(("trained", report))

    def progressed(self, outlook):
        self.told.append(("progressed", outlook))

    def finished(self, report):
        self.told.append(("finished", report))

    def ended(self, result):
        self.told.append(("ended", result))

    def of(self, kind):
        return [what for name, what in self.told if name == kind]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A search with a race that is watched, and what was told of it, by a watcher and to the callbacks."""
    path, everything, trials, generations = tmp_path_factory.mktemp("watched") / "run", Everything(), [], []
    result = evolve(CONFIG, path, on_trial=trials.append, on_generation=generations.append, progress=everything)
    return path, result, everything, trials, generations


def test_each_training_is_told_as_it_is_stored(watched):
    path, result, _, trials, _ = watched
    assert [trial.trainings for trial in trials] == list(range(1, result.trainings + 1))
    with Study(path) as study:
        stored = {}
        for number in range(5):
            stored |= study._open.records.scores(number)
        formulas = {e.individual.place: e.individual.expression for e in study.history()}
    assert len(stored) == len(trials)
    for trial in trials:
        place = trial.generation, trial.slot
        score = stored[place, trial.pool, trial.seed]
        assert trial.score == score or (math.isnan(trial.score) and math.isnan(score) and trial.diverged)
        assert trial.schedule == CONFIG.search.schedule(formulas[place])
        assert (trial.failure, trial.seconds) == (None, None)  # many train at once
    assert {trial.pool for trial in trials} == {"fitness", "selection"}


def test_each_generation_is_told_and_the_race_is_one(watched):
    _, result, _, _, generations = watched
    assert [report.generation for report in generations] == [0, 1, 2, 3, 4]
    assert [report.is_race for report in generations] == [False] * 4 + [True]
    assert generations[-1].champion == result.champion
    assert generations[-2].champion == result.before_race


def test_what_a_search_costs_is_told_before_its_first_training(watched):
    _, result, everything, trials, _ = watched
    (kind, first), *_ = everything.told
    assert kind == "begins"
    assert (first.trainings, first.generation, first.generations, first.finalists) == (0, 0, 5, 7)
    assert first.due == sum(trial.generation == 0 for trial in trials)
    assert first.race_trainings >= sum(trial.generation == 4 for trial in trials)
    assert result.trainings <= first.expected <= 1.3 * result.trainings  # fewer differ, in the end, than may race
    assert first.seconds_left is None


def test_the_heats_of_the_race_are_told_and_nothing_is_left_at_the_end(watched):
    _, _, everything, _, _ = watched
    heats = [outlook for outlook in everything.of("begins") if outlook.racing]
    assert [heat.racing for heat in heats] == [heats[0].finalists]  # so few race that one heat decides
    assert (heats[0].due, heats[0].expected) == (heats[0].race_trainings, heats[0].trainings + heats[0].race_trainings)
    last = everything.of("progressed")[-1]
    assert (last.due, last.seconds_left, last.expected) == (0, 0.0, last.trainings)
    assert everything.told[-1][0] == "ended"


def test_a_function_is_timed_and_its_failures_are_told():
    trials = []
    evolve_function(functions.failing_sometimes, "run", on_trial=trials.append)
    assert all(trial.seconds > 0 for trial in trials)
    failed = [trial for trial in trials if trial.failure]
    assert failed
    assert all(math.isnan(trial.score) and not trial.diverged for trial in failed)


class OutOfRoomError(Exception):
    pass


@pytest.mark.parametrize("where", ["on_trial", "on_generation"])
def test_what_a_callback_raises_is_raised_as_it_is_and_what_was_trained_is_kept(watched, where):
    seen = []

    def full(report):
        seen.append(report)
        if len(seen) == (20 if where == "on_trial" else 2):
            raise OutOfRoomError("the disk of the dashboard")

    with pytest.raises(OutOfRoomError, match="the disk of the dashboard"):
        evolve(CONFIG, "run", **{where: full})
    summary = summarise(Path("run"))
    assert summary.trainings >= 20
    assert summary.state == "stopped"
    assert Path("run/champion.json").is_file()
    assert evolve(CONFIG, "run").stopped_by is None
    assert remembered(Path("run")) == remembered(watched[0])
    assert derived(Path("run")) == derived(watched[0])


def test_a_study_goes_on_after_a_callback_has_raised(watched):
    def full(report):
        raise OutOfRoomError

    with Study("run", CONFIG) as study:
        with pytest.raises(OutOfRoomError):
            study.run(on_trial=full)
        assert study.run().is_raced
    assert remembered(Path("run")) == remembered(watched[0])


def test_a_failure_of_the_problem_itself_is_raised_by_a_callback_too(monkeypatch):
    """The trainer is in the middle of handling another error then."""
    from dataclasses import replace

    from evolr.problems import Quadratic

    task = Quadratic.task

    def broken(self, pool):
        def batches(seed, epoch):
            raise RuntimeError("no data today")

        return replace(task(self, pool), batches=batches)

    def full(report):
        raise OutOfRoomError(report.failure)

    monkeypatch.setattr(Quadratic, "task", broken)
    with pytest.raises(OutOfRoomError, match="no data today"):
        evolve(small(), "run", on_trial=full)


@pytest.mark.parametrize("name", ["on_trial", "on_generation", "should_stop"])
def test_what_is_to_be_called_and_is_no_function_is_refused_before_anything_is_written(name):
    with pytest.raises(ConfigError, match=f"{name} must be a function, got 5"):
        evolve(small(), "run", **{name: 5})
    assert not Path("run").exists()
    with Study("run", small()) as study, pytest.raises(ConfigError, match=f"{name} must be a function, got 5"):
        study.run(**{name: 5})
    assert summarise(Path("run")).trainings == 0


@pytest.mark.parametrize("name", ["on_trial", "on_generation", "should_stop"])
def test_what_is_to_be_called_and_runs_nothing_then_is_refused(name):
    async def later(*_):
        return "enough"

    def one_by_one(*_):
        yield "enough"

    for function, kind in ((later, "a coroutine function"), (one_by_one, "a generator function")):
        with pytest.raises(ConfigError, match=f"{name} must be an ordinary function, got {kind}"):
            evolve(small(), "run", **{name: function})
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("answer", "reason"), [(True, "stopped by should_stop"), (np.True_, "stopped by should_stop"), ("enough", "enough")]
)
def test_a_search_stops_for_a_reason_or_without_one(answer, reason):
    assert evolve(small(), "run", should_stop=lambda: answer).stopped_by == reason


@pytest.mark.parametrize("answer", [None, False, np.False_, ""], ids=repr)
def test_a_search_goes_on_where_it_is_not_to_stop(answer):
    assert evolve(small(**{"search.generations": 1}), "run", should_stop=lambda: answer).stopped_by is None


@pytest.mark.parametrize("answer", [1, 0.5, ["enough"]], ids=repr)
def test_an_answer_that_is_none_is_refused(answer):
    with pytest.raises(ConfigError, match="should_stop must return why to stop, as a text or True, or None or False"):
        evolve(small(), "run", should_stop=lambda: answer)


@pytest.mark.parametrize("what", ["run", "close", "ask", "tell"])
@pytest.mark.parametrize("where", ["on_trial", "on_generation", "should_stop"])
def test_what_a_search_calls_cannot_run_or_write_its_study(what, where):
    with Study("run", CONFIG) as study:
        told = study.ask()[0]
        again = {"run": study.run, "close": study.close, "ask": study.ask, "tell": lambda: study.tell(told, 1.0)}[what]

        def called(*_):
            assert not study.is_finished  # it may be looked at
            again()

        with pytest.raises(
            StudyError, match="the study in run is running: what it calls, such as on_trial, cannot run"
        ):
            study.run(**{where: called})
        study.run(Limits(trainings=20))  # and goes on


@pytest.mark.parametrize("what", ["run", "close", "ask"])
def test_while_a_study_runs_another_thread_is_refused_at_once(what):
    errors = []

    def used(study):
        try:
            getattr(study, what)()
        except StudyError as error:
            errors.append(str(error))

    with Study("run", CONFIG) as study:

        def on_trial(_):
            thread = threading.Thread(target=used, args=(study,))
            thread.start()
            thread.join()

        study.run(Limits(trainings=1), on_trial=on_trial)
    assert errors
    assert all("is running" in error and "no other thread" in error for error in errors)


def test_where_every_training_diverges_there_is_no_champion(caplog, capsys):
    hopeless = small(**{"search.min_lr": 5e9, "search.max_lr": 1e10, "search.generations": 1})
    with caplog.at_level(logging.INFO, "evolr"):
        evolve(hopeless, "run", progress=True)
    said = "no champion yet: every training diverged or failed"
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)
    assert f"generation 0 (1 of 1): {said}" in caplog.text


@pytest.mark.parametrize("progress", ["nonsense", 1, 0, Everything])
def test_a_progress_that_is_none_is_refused_before_anything_is_written(progress):
    with pytest.raises(ConfigError, match="progress must be True, False, None, 'live', 'plain' or 'none', got "):
        evolve(small(), "run", progress=progress)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"seconds": math.nan}, "seconds must be a number greater than 0, got nan"),
        ({"seconds": 0}, "seconds must be a number greater than 0, got 0"),
        ({"seconds": "15m"}, "seconds must be a number greater than 0, got '15m'"),
        ({"trainings": 0}, "trainings must be at least 1 and at most 1,000,000,000, got 0"),
        ({"trainings": 2.5}, "trainings must be a whole number, got 2.5"),
        ({"target": math.nan}, "target must be a finite number, got nan"),
    ],
    ids=str,
)
def test_a_limit_that_is_none_is_refused(limits, expected):
    with pytest.raises(ConfigError, match=expected):
        Limits(**limits)


# --- the logger ---------------------------------------------------------------------------------------------------------


def test_the_logger_is_told_generations_heats_and_the_end_and_trainings_where_it_listens(caplog):
    with caplog.at_level(logging.DEBUG, "evolr"):
        result = evolve(CONFIG, "run", Limits(trainings=60))
    of_evolr = [record for record in caplog.records if record.name == "evolr"]
    info = [record.getMessage() for record in of_evolr if record.levelno == logging.INFO]
    assert info[0] == "generation 0 (1 of 4): 16 trainings"  # as the bar counts them: the race is none of them
    assert info[1].startswith("generation 0 (1 of 4): champion ")
    assert any(line.startswith("race: a heat of ") for line in info)
    assert info[-2].startswith("the race is over: champion ")
    assert info[-1].startswith(
        f"the search ended after {result.trainings} trainings: the budget of 60 trainings: 2 of 4"
    )
    assert sum(record.levelno == logging.DEBUG for record in of_evolr) == result.trainings


def test_a_failure_is_one_line_of_the_log_whatever_it_says(caplog):
    with caplog.at_level(logging.DEBUG, "evolr"), pytest.raises(EvolrError):
        evolve_function(functions.raising_control_characters, "run")
    failed = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    assert failed
    assert all(line.isprintable() for line in failed)


def test_it_has_no_handler_of_evolrs_and_says_nothing_unasked(capfd):
    evolve(small(**{"search.generations": 1}), "run")
    assert logging.getLogger("evolr").handlers == []
    assert capfd.readouterr() == ("", "")


# --- progress in Python -------------------------------------------------------------------------------------------------


def test_progress_is_shown_in_plain_lines_where_it_is_asked_for_and_nobody_looks_on(capsys):
    evolve(CONFIG, "run", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "generation 0 (1 of 4): 16 trainings; 96 in all, about"
    assert lines[1] == "at the end: a race of 7 finalists on fresh seeds, 26 of these trainings"
    assert sum(line.startswith("generation ") and "champion" in line for line in lines) == 4
    assert any(line.startswith("the race: ") for line in lines)
    assert lines[-1].startswith("race  best ")


def test_a_budget_announces_the_race_that_it_has_room_for(capsys):
    evolve(CONFIG, "run", Limits(trainings=40), progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "generation 0 (1 of 4): 16 trainings; 40 in all, about"
    assert lines[1] == "at the end: a race of 3 finalists on fresh seeds, 6 of these trainings"


def test_a_budget_that_ends_in_a_generation_says_so_and_promises_no_race(capsys):
    evolve(CONFIG, "run", Limits(trainings=10), progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "generation 0 (1 of 4): 16 trainings; 10 in all, about",
        "the budget ends the search in this generation",
    ]
    assert not any("race" in line for line in lines)


def test_a_search_goes_on_when_nobody_reads_its_progress_any_more(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), open(writer, "w", buffering=1) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        assert evolve(small(**{"search.generations": 1}), "run", progress=True).stopped_by is None
        print("still here")
    assert capsys.readouterr().out == "still here\n"


@pytest.mark.parametrize("progress", [None, False])
def test_it_is_silent_elsewhere(progress, capfd):
    evolve(small(**{"search.generations": 1}), "run", progress=progress)
    assert capfd.readouterr() == ("", "")


def test_it_is_live_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as rich is told that what it writes to is a terminal
    evolve(small(**{"search.generations": 1}), "run")
    said = capsys.readouterr().err
    assert "generation 0 (1 of 1)" in said
    assert "━" in said


def test_the_judgements_show_their_progress_too(capsys):
    evolve(small(**{"search.generations": 1}), "run")
    package.compare("run", seeds=2, epochs=1, progress=True)
    assert capsys.readouterr().err.startswith("comparing: ")
    package.explain("run", seeds=2, progress=True)
    assert capsys.readouterr().err.startswith("explaining: ")
    package.tune(small(), "cosine", trainings=4, progress=True)
    assert capsys.readouterr().err.startswith("tuning cosine: 4 trainings at most")
    package.compare("run", seeds=2, epochs=1)
    assert capsys.readouterr().err == ""


def test_a_study_that_was_interrupted_shows_how_far_it_has_come():
    from evolr.views.shown import describe

    should_stop, on_trial = interrupted_after(20)
    evolve(CONFIG, "run", should_stop=should_stop, on_trial=on_trial)
    text = " ".join(" ".join(describe("run", None, None, None).lines()).split())
    assert "state stopped generations 2 of 4, then a race of 7 trainings" in text
    assert "expected trainings 9" in text
    assert "the best so far, not raced" in text
    evolve(CONFIG, "run", Limits(trainings=60))
    text = " ".join(" ".join(describe("run", None, None, None).lines()).split())
    assert "generations 2 of 2, and the race; a budget left no room for 2 more" in text
    assert "expected" not in text


def test_an_option_that_is_gone_is_named():
    with pytest.raises(EvolrError, match="on_trained"):
        evolve(CONFIG, "run", on_trained=print)
