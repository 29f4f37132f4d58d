"""Numbers that a person gives: each has a range, and nothing is computed, allocated or written for one outside."""

import math
from pathlib import Path

import msgspec
import pytest

from evolr.config import METHODS, Comparison, Training, changed, resolve
from evolr.contest.comparison import compare_schedule
from evolr.contest.tune import tune
from evolr.discovered import gallery
from evolr.errors import ConfigError, EvolrError, ScheduleError, shown
from evolr.execution import processes
from evolr.execution.processes import require_memory
from evolr.execution.ray import Ray
from evolr.execution.workers import Workers
from evolr.exports.targets import source
from evolr.expression import parse
from evolr.loop import Loop, checked_horizon, open_loop_rates
from evolr.named import load
from evolr.problems import PROBLEMS, Quadratic
from evolr.ranges import EPOCHS, Whole, require_ranges
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau
from evolr.standard import constant
from evolr.study.evolve import evolve
from evolr.study.results import Limits
from evolr.training.optimizers import Optimizer
from tests.execution import training_functions as functions

HUGE = 10**5_000  # Python refuses to write it
NO_COUNTS = (0, -1, 10**11, HUGE, -HUGE, 1.5, math.nan, math.inf, "3", True)
LINE = Schedule(expression=parse("0.1*(1 - progress)"))


def test_what_is_outside_is_told_with_the_range():
    assert Whole(1, 20_000).of("steps", 20_000) == 20_000
    with pytest.raises(ConfigError, match=r"^steps must be at least 1 and at most 20,000, got 20,001$"):
        Whole(1, 20_000).of("steps", 20_001)
    with pytest.raises(ConfigError, match=r"got a number of about 5,001 digits$"):
        EPOCHS.of("epochs", HUGE)
    with pytest.raises(ConfigError, match=r"^epochs must be a whole number, got 1\.5$"):
        EPOCHS.of("epochs", 1.5)


def test_any_value_can_be_shown_in_a_message():
    assert shown(HUGE) == "a number of about 5,001 digits"
    assert shown([HUGE]) == "a list"
    assert shown("x" * 999) == "'" + "x" * 199 + "…"
    assert (shown(True), shown(12_345), shown(math.nan)) == ("True", "12,345", "nan")


@pytest.mark.parametrize(
    "name",
    [
        lambda: resolve("memetic", settings={"search.method": HUGE}),
        lambda: resolve("memetic", settings={"problem.name": HUGE}),
        lambda: resolve("memetic", settings={"training.optimizer.name": HUGE}),
        lambda: resolve(HUGE),
        lambda: load(HUGE),
        lambda: gallery[HUGE],
        lambda: source(LINE, HUGE),
        lambda: tune(functions.descending, HUGE, trainings=3),
    ],
)
def test_a_number_in_the_place_of_a_name_is_quoted_whatever_its_size(name):
    with pytest.raises(EvolrError, match="a number of about 5,001 digits"):
        name()


def counts_of(struct):
    """The settings that are whole numbers."""
    return [
        f.name for f in msgspec.structs.fields(struct) if f.type is int or getattr(f.type, "__origin__", None) is int
    ]


@pytest.mark.parametrize("struct", [Training, Comparison, *METHODS.values(), *PROBLEMS.values()])
def test_every_setting_that_counts_has_a_range(struct):
    for name in counts_of(struct):
        for value in (-1, 10**11, HUGE):
            with pytest.raises(ConfigError, match=rf"{name} must be at least .* and at most .*, got"):
                struct(**{name: value})


def test_a_struct_without_ranges_has_none_that_are_left():
    require_ranges("", Optimizer())
    with pytest.raises(ConfigError, match=r"^training\.epochs must be at least 1 and at most 1,000,000, got 0$"):
        Training(epochs=0)


@pytest.mark.parametrize("value", [HUGE, -HUGE, math.nan, "3", None], ids=shown)
def test_numbers_that_are_no_counts_have_ranges_too(value):
    for make in (
        *(lambda name=name: Optimizer(**{name: value}) for name in ("beta1", "momentum", "epsilon", "weight_decay")),
        *(lambda name=name: Quadratic(**{name: value}) for name in ("noise", "condition_number")),
        *(lambda name=name: Plateau(**{name: value}) for name in ("patience", "cooldown", "threshold")),
        *(lambda name=name: Schedule(expression=LINE.expression, **{name: value}) for name in ("min_lr", "max_lr")),
        lambda: LINE.scaled(value),
        lambda: Comparison(base_lr=value),
    ):
        with pytest.raises(EvolrError):
            make()


@pytest.mark.parametrize("value", ["x", None, HUGE], ids=shown)
def test_a_signal_is_a_number_that_a_float_holds(value):
    with pytest.raises(ScheduleError, match="a signal is a number"):
        LINE.at(progress=value)


@pytest.mark.parametrize("value", NO_COUNTS, ids=shown)
def test_an_argument_that_counts_nothing_is_refused_before_anything_is_done(value):
    train = functions.first_rate
    for name in ("epochs", "workers", "threads", "trainings", "time_limit", "memory_limit"):
        if name in ("time_limit", "memory_limit") and isinstance(value, int | float) and value in (1.5, 10**11):
            continue
        with pytest.raises(EvolrError):
            evolve(train, "run", **{"epochs": 2, name: value})
    for options in ({"trainings": value}, {"trainings": 3, "seeds": value}):
        with pytest.raises(EvolrError):
            tune(train, "constant", epochs=1, **options)
    for call in (
        lambda: Limits(trainings=value),
        lambda: Ray(workers=value),
        lambda: Workers(train, count=value),
        lambda: LINE.curve(value, 10),
        lambda: LINE.curve(10, value),
        lambda: open_loop_rates(LINE, value),
    ):
        with pytest.raises(EvolrError):
            call()
    assert not Path("run").exists()


@pytest.mark.parametrize("value", [0, -1, 2**53 + 1, HUGE, 1.5, math.nan, "3", True], ids=shown)
def test_a_horizon_has_a_range_whatever_it_is_for(value):
    for horizon in ((value, 1), (10, value)):
        with pytest.raises(ScheduleError):
            checked_horizon(*horizon)
        with pytest.raises(ScheduleError):
            Loop(LINE, total_steps=horizon[0], steps_per_epoch=horizon[1])


def test_a_table_of_more_rates_than_memory_has_room_for_is_refused_with_the_estimate():
    with pytest.raises(ScheduleError, match=r"of 100,000,000,000 steps would take 3,200 GB of memory"):
        open_loop_rates(LINE, 10**11)
    with pytest.raises(ScheduleError, match="a curve of 100,000,001 steps does not fit into memory"):
        LINE.curve(100_000_001, 1)


def test_steps_are_counted_in_32_bits():
    with pytest.raises(ConfigError, match=r"training\.epochs of 30,000 steps each .* at most 2,147,483,647"):
        resolve("quadratic", settings={"problem.steps_per_epoch": 30_000, "training.epochs": 100_000})


def test_a_bayesian_search_has_as_many_points_as_its_matrix_has_room_for():
    settings = {"search.method": "bayesian", "search.population": 100, "search.generations": 1_000}
    with pytest.raises(ConfigError, match=r"at most 20,000 points, .* got 99,906: .* would take 319 GB"):
        resolve(settings=settings)


@pytest.fixture
def _little_memory(monkeypatch):
    """A machine of 100 MB."""
    import psutil

    class Memory:
        total = 100_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)


@pytest.mark.usefixtures("_little_memory")
def test_what_memory_has_no_room_for_is_refused_with_the_estimate_before_anything_is_written():
    require_memory(10_000, 100)
    settings = {"search.population": 90_000, "training.epochs": 1_000, "search.generations": 1}
    config = changed(resolve("original"), settings)
    with pytest.raises(ConfigError, match=r"curves of 90,000 trainings of 1,000 epochs, .* about 2 GB of memory"):
        evolve(config, "run")
    assert not Path("run").exists()
    with pytest.raises(ConfigError, match="curves of 400,000 trainings of 30 epochs"):
        compare_schedule(constant(0.1), changed(config, {"comparison.seeds": 100_000}))


def test_the_whole_of_what_is_held_at_once_is_estimated():
    for method, wanted in (("generational", 6), ("memetic", 80), ("bayesian", 8)):
        settings = {"search.method": method, "search.population": 6, "search.seeds": 1, "search.generations": 2}
        own = {
            "generational": {"search.tournament": 2},
            "memetic": {"search.samples": 8, "search.children": 8, "search.random_structures": 9},
            "bayesian": {"search.first": 8},
        }[method]
        search = resolve("original", settings={**settings, **own}).search
        assert search.most_at_once == wanted
    assert processes.require_memory(1, 1) is None


NESTED = ".".join(["a"] * 3_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{NESTED} = 1", "is not a TOML file of settings"),
        ("[" + NESTED + "]\nb = 1", "is not a TOML file of settings"),
        (".".join(["a"] * 30) + " = 1", "at most 20 deep"),
        (f"seed = {'9' * 5_000}", "is not a TOML file of settings"),
        (f"seed = {'[' * 5_000}", "is not a TOML file of settings"),
        (f"x = {'{a=' * 5_000}", "is not a TOML file of settings"),
        ("seed = 99999999999999999999999", "seed must be at least 0 and at most 4,294,967,295"),
    ],
    ids=["dotted keys", "a table", "30 tables", "digits", "lists", "inline tables", "64 bits"],
)
def test_a_file_of_settings_is_bounded(text, message):
    Path("bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        resolve(file="bad.toml")


def test_settings_of_an_argument_are_bounded_as_a_files_are():
    deep = {}
    for _ in range(3_000):
        deep = {"a": deep}
    with pytest.raises(ConfigError, match="at most 20 deep"):
        resolve(settings=deep)
    with pytest.raises(ConfigError, match="seed must be at least 0"):
        resolve(settings={"seed": HUGE})


@pytest.mark.parametrize(
    "arguments",
    [
        ("evolve", "--epochs", "9" * 5_000),
        ("evolve", "--epochs", 10**11),
        ("evolve", "--population", 10**11),
        ("evolve", "--trainings", 10**11),
        ("evolve", "--max-trainings", 10**11),
        ("evolve", "--seed", 10**30),
        ("evolve", "--target", "nan"),
        ("evolve", "--max-time", "nan"),
        ("evolve", "--set", f"seed={'9' * 5_000}"),
        ("evolve", "--set", f"search.initial={'[' * 5_000}"),
        ("evolve", "--set", f"search.generations={10**11}"),
        ("compare", "--expression", "1", "--seeds", 10**11),
        ("compare", "--expression", "1", "--epochs", 10**11),
        ("compare", "--expression", "1", "--base-lr", "1e300"),
        ("prove", "--expression", "1", "-o", "new", "--budget", "9" * 5_000),
        ("prove", "--expression", "1", "-o", "new", "--budget", 300, "--seeds", 10**11),
        ("prove", "--expression", "1", "-o", "new", "--budget", 300, "--epochs", 10**11),
        ("show", "1", "--epochs", "9" * 5_000),
        ("show", "epoch*" + "9" * 5_000),
        ("show", "1", "--max-lr", "1e300"),
    ],
    ids=lambda arguments: " ".join(str(a)[:20] for a in arguments),
)
def test_a_number_on_the_command_line_is_refused_in_words(evolr, arguments):
    code, out, error = evolr(*arguments)
    assert (code, out) == (2, "")
    assert error
    assert "Traceback" not in error
    assert [path.name for path in Path().iterdir() if path.name != "runs"] == []
    assert not list(Path("runs").glob("*")) if Path("runs").exists() else True
