"""What belongs to the program that uses evolr is as it was, after evolr has used it."""

import logging
import os
import random
import signal
import sys
import warnings

import matplotlib as mpl
import numpy as np
import optuna
import pytest

from evolr.config import resolve
from evolr.contest.comparison import compare_schedule
from evolr.contest.tuning import FamilyTuner
from evolr.expression import parse
from evolr.interruption import Interruption
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.study import Study
from evolr.views.pictures import comparison_picture
from tests.study.small import small


@pytest.fixture
def verbosity():
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("level", [optuna.logging.DEBUG, optuna.logging.WARNING, optuna.logging.CRITICAL])
def test_optunas_verbosity_is_what_it_was_and_tuning_is_quiet(verbosity, level, capfd):
    optuna.logging.set_verbosity(level)
    optuna.logging.enable_default_handler()
    tuner = FamilyTuner(FAMILIES["cosine"])
    for _ in range(4):
        tuner.tell([0.5 for _ in tuner.ask(4)])
        assert optuna.logging.get_verbosity() == level
    assert capfd.readouterr() == ("", "")


def test_optunas_verbosity_is_put_back_after_an_error_too(verbosity):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    tuner = FamilyTuner(FAMILIES["cosine"])
    tuner.ask(1)
    with pytest.raises(ValueError, match="shorter"):
        tuner.tell([])
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


def state():
    """What a search, a comparison and a picture could have left changed."""
    return {
        "numpy": np.geterr(),
        "print options": {k: v for k, v in np.get_printoptions().items() if k != "formatter"},
        "numpy random": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python random": random.getstate(),
        "warnings": list(warnings.filters),
        "matplotlib": dict(mpl.rcParams),
        "logging": (logging.getLogger().level, list(logging.getLogger().handlers), logging.root.manager.disable),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "recursion": sys.getrecursionlimit(),
        "folder": os.getcwd(),
    }


def use(directory):
    config = resolve("quadratic")
    with Study(directory, small()) as study, Interruption(study.directory / "study.db"):
        study.run()
    schedule = Schedule(expression=parse("0.05"))
    settings = type(config.comparison)(epochs=2, seeds=2, base_lr=0.1)
    comparison_picture(compare_schedule(schedule, config, settings=settings))


def test_a_search_a_comparison_and_a_picture_leave_the_programs_state_as_it_was():
    use("first")  # imports what it needs: what a library's import changes is that library's own affair
    before = state()
    use("second")
    after = state()
    assert {name for name in before if before[name] != after[name]} == set()


def test_a_signal_handler_that_python_does_not_know_is_no_obstacle(monkeypatch, tmp_path):
    """One that a library in C has installed: Python can neither name it nor put it back."""
    installed = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: installed.append((number, handler)))
    with Interruption(tmp_path / "study.db"):
        assert len(installed) == 2
    assert len(installed) == 2
