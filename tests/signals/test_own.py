"""Signals of the user's own: written with a mark, told by their name, from `evolve` to an exported file."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import evolr
import evolr.optax
from evolr.cli.app import app
from evolr.config import load, resolve
from evolr.errors import ConfigError, ExpressionError, ScheduleError
from evolr.exports.targets import source
from evolr.expression import original_text, parse
from evolr.loop import Loop
from evolr.schedule import Schedule
from evolr.search.archive import fingerprint
from evolr.signal_bank import signal_bank
from evolr.simplification import simplified
from evolr.torch import ExpressionLR
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer
from tests.execution import training_functions
from tests.frameworks.exported import exported
from tests.training.tasks import SMALL as TASK

RULE = Schedule(expression=parse("0.1*@temperature/(1 + loss)"))
TEMPERATURES = (1.0, 3.0, 2.0, 5.0)
RATES = [0.05, 0.05, 0.15, 0.1]  # of a loss of 1: of the first value, and then of the step before


def test_a_formula_writes_it_with_a_mark_and_is_told_it_by_name():
    assert RULE.signals == {"temperature", "loss"}
    assert RULE.expression.live_signals == ["loss", "temperature"]
    assert not Schedule(expression=parse("@x")).expression.is_open_loop
    assert RULE.at(temperature=4.0, loss=1.0) == pytest.approx(0.2)
    np.testing.assert_allclose(RULE(temperature=[1.0, 4.0], loss=1.0), [0.05, 0.2])
    assert parse(str(RULE.expression)) == parse(original_text(RULE.expression)) == RULE.expression
    assert Schedule.from_json(RULE.to_json()) == RULE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0.1*@loss", "'loss' is a signal of evolr's: write it without @"),
        ("0.1*@if", "no word of Python's own"),
        ("0.1*@min", "no word of Python's own"),
        ("@optimizer", "no argument of those that are told"),
        ("@rule", "no argument of those that are told"),
        ("@part_1", "no part_1"),
        ("@_x", "begin with a letter"),
        ("@" + "x" * 65, "at most 64 letters"),
        ("@größe", "letters, digits and underscores"),
        ("0.1*@", "got '@'"),
        ("0.1 @ loss", "write \\* for a product"),
        ("0.1*temperature", "write one of your own as @name"),
    ],
)
def test_what_is_no_name_of_one_is_refused(text, problem):
    with pytest.raises(ExpressionError, match=problem):
        parse(text)


def test_loop_torch_optax_and_the_exported_files_are_told_it_alike(tmp_path):
    loop = Loop(RULE, total_steps=4, temperature=TEMPERATURES[0], loss=1.0)
    assert [loop.learning_rate] + [loop.step(temperature=t, loss=1.0) for t in TEMPERATURES[:3]] == pytest.approx(RATES)
    for make in (lambda o, **told: ExpressionLR(o, RULE, **told), exported(RULE, "torch", tmp_path).scheduler):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        scheduler = make(optimizer, total_steps=4, temperature=TEMPERATURES[0], loss=1.0)
        rates = []
        for temperature in TEMPERATURES:
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step(temperature=temperature, loss=1.0)
        assert rates == pytest.approx(RATES)
    optimizer, parameters = evolr.optax.optimizer(RULE, total_steps=4), jnp.ones(2)
    state, rates = optimizer.init(parameters), []
    for temperature in TEMPERATURES:
        _, state = optimizer.update(parameters, state, parameters, value=1.0, temperature=temperature)
        rates.append(float(state[1].learning_rate))
    assert "temperature: float" in source(RULE, "python")
    assert exported(RULE, "python", tmp_path).learning_rate(temperature=4.0, loss=1.0) == pytest.approx(0.2)
    assert rates == pytest.approx(RATES)


def test_the_command_line_shows_and_exports_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (
        ["show", "0.1*@x/(1 + loss)", "--json"],
        ["show", "0.1*@x", "-o", "x.png"],
        ["export", "0.1*@x", "--to", "torch"],
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("target", ["keras", "lightning", "huggingface"])
def test_a_target_that_nobody_can_tell_it_refuses_it_by_name(target):
    with pytest.raises(ScheduleError, match=r"temperature, which the schedule reads; python, torch, optax can"):
        source(RULE, target)


def test_the_trainer_refuses_it_by_name():
    with pytest.raises(ScheduleError, match="temperature is a signal of your own, which the trainer does not know"):
        Trainer(TASK, Optimizer(name="sgd")).train([Trial(RULE, 0)], 1)


def test_formulas_are_compared_where_it_lies():
    near, far = parse("min(@t, 50)"), parse("min(@t, 60)")
    assert fingerprint(near, (("t", 0.0, 1.0),)) == fingerprint(far, (("t", 0.0, 1.0),))
    assert fingerprint(near, (("t", 0.0, 100.0),)) != fingerprint(far, (("t", 0.0, 100.0),))
    bank = signal_bank((("s", -2.0, 5.0), ("t", -2.0, 5.0)))
    assert -2 <= bank["t"].min() < -1.5
    assert 4.5 < bank["t"].max() <= 5
    assert (bank["s"] != bank["t"]).mean() > 0.9


def test_its_sign_is_not_taken_for_known():
    assert simplified(Schedule(expression=parse("0.1*sqrt(@t*@t)"))).text != "0.1*@t"


# --- the search ---------------------------------------------------------------------------------------------------------


pytestmark = pytest.mark.usefixtures("importable")


def evolved(directory, signals, function=training_functions.tempered, seed=1):
    settings = {
        "search.method": "generational",
        "search.transform": "linear",
        "search.functions": ["add", "mul"],
        "search.population": 20,
        "search.generations": 3,
    }
    return evolr.evolve(function, directory, epochs=2, signals=signals, seed=seed, settings=settings, workers=2)


def test_a_search_finds_what_follows_it(tmp_path):
    """Good is the learning rate that is the temperature: `@temperature` alone, or a formula that comes to it."""
    result = evolved(tmp_path / "run", {"progress": None, "temperature": (0.0, 100.0)})
    assert "temperature" in result.schedule.signals
    saved = Schedule.load(tmp_path / "run" / "champion.json")
    assert saved == result.schedule
    config = load(tmp_path / "run" / "config.toml")
    assert config.search.own_signals == (("temperature", 0.0, 100.0),)
    assert "@temperature" in config.search.terminals


def test_a_function_that_does_not_tell_it_fails_by_name(tmp_path):
    with pytest.raises(evolr.EvolrError, match=r"reads temperature"):
        evolved(tmp_path / "run", ("progress", "temperature"), function=training_functions.first_rate)


@pytest.mark.parametrize(
    ("signals", "problem"),
    [
        (("progres",), r"did you mean 'progress'\? A signal of your own with that name is '@progres'"),
        (("grad_nrom",), "did you mean 'grad_norm'"),
        (("@loss",), "'loss' is a signal of evolr's"),
        (("x y",), "letters, digits and underscores"),
        (("t", "@t"), "once"),
        ({"t": (1.0, 1.0)}, "between two finite numbers"),
        ({"t": (0.0, float("inf"))}, "between two finite numbers"),
        ({"t": 3}, r"its least and its greatest value, such as \(0.0, 1.0\), got 3"),
        ({"loss": (0.0, 1.0)}, "needs no range"),
        ("t", "is a list of names"),
        ((3,), "given by its name, got 3"),
    ],
)
def test_a_name_or_a_range_that_is_none_is_refused_before_anything_is_written(tmp_path, signals, problem):
    with pytest.raises(ConfigError, match=problem):
        evolved(tmp_path / "run", signals)
    assert not (tmp_path / "run").exists()


def test_a_problem_that_evolr_trains_takes_none():
    with pytest.raises(ConfigError, match="which a training function tells"):
        resolve(
            "memetic",
            settings={"search.terminals": ["@t", "constant"], "search.own_signals": [["t", 0.0, 1.0]]},
        )
    with pytest.raises(ConfigError, match="unknown terminal '@t'"):
        resolve("memetic", settings={"search.terminals": ["@t", "constant"]})
