import errno
from types import SimpleNamespace

import pytest

from evolr.expression import parse
from evolr.problems import Metric
from evolr.search.individual import Evaluation, Individual, Place
from evolr.study.results import GenerationReport
from evolr.views import progress

LOSS, ACCURACY = Metric("loss", higher_is_better=False), Metric("accuracy", higher_is_better=True)


def report(fitness, score, **changes):
    champion = Evaluation(Individual(Place(1, 0), parse("epoch*2"), "initial"), fitness, score)
    values = {
        "generation": 1,
        "generations": 10,
        "generations_done": 2,
        "best": fitness,
        "median": float("-inf"),
        "champion": champion,
        "trainings": 30,
        "training_seconds": 3.0,
        "seconds": 4.0,
        "seconds_left": 16.0,
    }
    return GenerationReport(**{**values, **changes})


def lines(metric, given, capsys):
    with progress.searching("plain", metric) as search:
        search.finished(given)
    return capsys.readouterr().err


def test_a_generation_is_one_plain_line(capsys):
    line = lines(ACCURACY, report(0.5, 0.5), capsys)
    assert line == (
        "generation 1 (2 of 10)  best 50.00 %  median diverged  10.0 trainings/s  about 16 s left  champion 50.00 %  epoch*2\n"
    )


def test_a_loss_is_shown_as_itself_and_not_as_its_fitness(capsys):
    assert "best 0.25  median diverged" in lines(LOSS, report(-0.25, 0.25), capsys)


def test_a_champion_that_diverged_is_named_so(capsys):
    line = lines(LOSS, report(float("-inf"), float("nan")), capsys)
    assert "best diverged" in line
    assert line.endswith("no champion yet: every training diverged or failed\n")


@pytest.mark.parametrize(
    ("seconds", "trainings", "rate"),
    [(3.0, 30, "10.0 trainings/s"), (900.0, 10, "1 min 30 s a training"), (30.0, 10, "0.3 trainings/s")],
)
def test_how_fast_it_trains_is_said_so_that_it_says_something(seconds, trainings, rate, capsys):
    assert f"  {rate}  " in lines(LOSS, report(-0.25, 0.25, training_seconds=seconds, trainings=trainings), capsys)


def test_a_generation_that_trains_nothing_has_no_speed(capsys):
    assert "training" not in lines(LOSS, report(-0.25, 0.25, training_seconds=0.0, trainings=0), capsys)


@pytest.mark.parametrize(
    ("left", "said"), [(None, ""), (0.0, ""), (0.3, "a few seconds left"), (7.2, "about 7 s left")]
)
def test_the_time_that_is_left_is_never_no_seconds(left, said, capsys):
    line = lines(LOSS, report(-0.25, 0.25, seconds_left=left), capsys)
    assert said in line
    assert ("left" in line) == bool(said)


class Full:
    """A file on a full disk, or one that nobody reads, or that is closed."""

    encoding = "utf-8"

    def __init__(self, error):
        self.error, self.tried = error, 0

    def isatty(self):
        return False

    def write(self, text):
        self.tried += 1
        raise self.error

    def flush(self):
        raise self.error


@pytest.mark.parametrize("how", ["plain", "live"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.EBADF, "Bad file descriptor"),
        ValueError("I/O operation on closed file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_be_shown_ends_nothing_and_is_tried_once(how, error, monkeypatch):
    monkeypatch.setattr("sys.stderr", full := Full(error))
    with progress.searching(how, LOSS) as search:
        for _ in range(3):
            search.finished(report(-0.25, 0.25))
    assert full.tried == 1
    with progress.comparing(how) as (on_total, on_trained):
        on_total(3)
        on_trained(3)
    with progress.proving(how, pace=2.0) as (on_total, on_done):
        on_total(3)
        on_done(2, 1)
    assert full.tried <= 3


def test_a_program_without_a_console_is_shown_nothing(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with progress.searching("plain", LOSS) as search:
        search.finished(report(-0.25, 0.25))


def test_quiet_is_quiet(capsys):
    with progress.searching("none", LOSS) as search:
        search.finished(report(-0.25, 0.25))
    with progress.comparing("none") as (on_total, on_trained):
        on_total(3)
        on_trained(3)
    with progress.proving("none", pace=2.0) as (on_total, on_done):
        on_total(3)
        on_done(2, 1)
    assert capsys.readouterr().err == ""


def test_what_a_contest_will_take_is_said_before_its_first_training(capsys):
    with progress.proving("plain", pace=2.5) as (on_total, _):
        on_total(1200)
        assert (
            capsys.readouterr().err == "proving: 1,200 trainings at most, about 50 min 00 s at the pace of the search\n"
        )
    with progress.proving("plain") as (on_total, _):
        on_total(1200)
    assert "proving: 1,200 trainings at most\n" in capsys.readouterr().err


def test_the_time_that_a_contest_needs_is_not_that_of_its_compilation(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with progress.proving("plain") as (on_total, on_done):
        on_total(101)
        for seconds, trained in ((60.0, 1), (61.0, 10)):  # a minute of compiling, a tenth of a second a training
            now[0] = seconds
            on_done(trained, 0)
    assert capsys.readouterr().err.splitlines()[1:3] == [
        "1 of at most 101 trainings",
        "11 of at most 101 trainings  about 9 s left",
    ]


def test_a_family_may_have_any_name(capsys):
    """What is tuned stands in the line, and rich would read [/b] as the end of something."""
    with progress.proving("plain", "tuning [/b]") as (on_total, _):
        on_total(12)
    assert capsys.readouterr().err.startswith("tuning [/b]: 12 trainings at most\n")
