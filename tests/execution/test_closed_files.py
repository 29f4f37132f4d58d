"""Functions that close, or replace, the files by which their worker is heard: failed trials, and the others go on."""

import functools
import os

import pytest

from evolr.execution import worker_process
from tests.execution import closing_functions as functions
from tests.execution.in_workers import run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="closes file descriptors by their numbers")


@pytest.mark.usefixtures("importable")
def test_a_trial_that_closes_what_is_not_its_own_has_failed_and_the_others_go_on():
    outcomes = run(functions.closing_by_seed, trials=2 * len(functions.WAYS) + 1, count=1)
    failures = [outcome.failure and outcome.failure.partition(", as")[0] for outcome in outcomes]
    closed = "closed standard output, standard error or the pipe to evolr"
    assert failures == [None, closed] * len(functions.WAYS) + [None]


@pytest.mark.usefixtures("importable")
def test_what_a_function_writes_into_the_pipe_is_no_score_and_never_unpickled(tmp_path):
    train = functools.partial(functions.writing_into_the_pipe, str(tmp_path / "unpickled"))
    failures = [outcome.failure and outcome.failure.partition(", as")[0] for outcome in run(train, trials=12, count=1)]
    assert failures == [None, "wrote into the pipe to evolr"] * 6
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.usefixtures("importable")
def test_a_worker_that_is_killed_in_the_middle_of_a_message_was_killed():
    (outcome,) = run(functions.killed_in_a_message, trials=1, count=1)
    assert outcome.failure.startswith("was killed by signal SIGKILL")


@pytest.mark.usefixtures("importable")
def test_nobody_waits_for_the_rest_of_a_message(monkeypatch):
    monkeypatch.setattr(worker_process, "_READ_SECONDS", 1)
    outcomes = run(functions.silent_in_a_message, count=1)
    first, silent, last = [outcome.failure for outcome in outcomes]
    assert (first, last) == (None, None)
    assert silent.startswith("wrote into the pipe to evolr")


@pytest.mark.usefixtures("importable")
def test_what_a_worker_says_is_never_written_into_a_file_of_the_functions(tmp_path):
    outcomes = run(functools.partial(functions.other_files_in_their_place, str(tmp_path)), count=1)
    assert [outcome.failure is None for outcome in outcomes] == [True, False, True]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b""] * 20


@pytest.mark.usefixtures("importable")
def test_standard_output_may_be_sent_elsewhere(tmp_path):
    outcomes = run(functools.partial(functions.output_elsewhere, str(tmp_path)), count=1)
    assert [outcome.failure for outcome in outcomes] == [None] * 3
    assert {path.read_text() for path in tmp_path.iterdir()} == {"a line\n"}


@pytest.mark.usefixtures("importable")
def test_nobody_waits_for_a_process_that_closed_all_and_lives(monkeypatch):
    monkeypatch.setattr(worker_process, "_JOIN_SECONDS", 0.2)
    outcomes = run(functions.silent_and_alive, count=1)
    first, silent, last = [outcome.failure for outcome in outcomes]
    assert (first, last) == (None, None)
    assert silent.startswith(
        "closed "
    )  # its connection, as its parent saw it, or the pipe, if it saw that itself first
