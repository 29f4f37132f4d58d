"""Trials by functions that raise, crash, hang, eat memory or return nonsense."""

import functools
import math
import os
import sys
from contextlib import closing
from importlib import import_module

import numpy as np
import pytest

from evolr.execution.recording import PLACES
from evolr.execution.worker_process import WorkerProcess
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.contracts.executor import SIGNALS_TOLD, ExecutorContract
from tests.execution import training_functions as functions
from tests.execution.in_workers import failures, run


class TestTheContract(ExecutorContract):
    rates = rows = PLACES
    asks_meanwhile = True

    @classmethod
    def make(cls, folder, count=2):
        return Workers(functions.contracted, count=count, signals=SIGNALS_TOLD)

    @classmethod
    def hopeless(cls, folder):
        """Of a module that raises where it is imported again, in the worker."""
        (folder / "fleeting.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            workers = Workers(import_module("fleeting").train)
        sys.modules.pop("fleeting")
        return workers


def test_outcomes_are_in_the_order_of_the_trials():
    outcomes = run(functions.falling, trials=7)
    assert [o.score for o in outcomes] == pytest.approx([outcomes[0].score + seed * 1e-4 for seed in range(7)])
    assert not any(o.failure or o.diverged for o in outcomes)
    assert outcomes[0].train_loss.shape == (32,)


def test_the_schedule_of_the_trial_is_what_the_function_is_given():
    workers = Workers(functions.first_rate, count=1)
    rates = [0.1, 0.007]
    outcomes = workers.run([Trial(constant(rate), 0) for rate in rates], 3, "fitness")
    workers.close()
    assert [o.score for o in outcomes] == rates


def test_the_first_worker_trains_while_the_others_start(monkeypatch, tmp_path):
    started, given = [], []

    class Recorded(WorkerProcess):
        def __init__(self, *arguments):
            given.append(sum(worker.trials for worker in started))
            started.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr("evolr.execution.workers.WorkerProcess", Recorded)
    outcomes = run(functools.partial(functions.gathering, tmp_path, 4), trials=4, count=4)
    assert not any(outcome.failure for outcome in outcomes)
    assert len(given) == 4
    assert given[2] > 0


def test_a_worker_s_pipe_is_read_only_if_a_message_is_there(monkeypatch):
    received = []

    class Recorded(WorkerProcess):
        def receive(self):
            received.append(super().receive())
            return received[-1]

    monkeypatch.setattr("evolr.execution.workers.WorkerProcess", Recorded)
    run(functions.falling, trials=8, memory_limit=4.0)
    assert len(received) >= 9
    assert None not in received


def test_an_exception_is_the_outcome_of_its_trial():
    assert failures(functions.raising) == ["ValueError: not with seed 0", "ValueError: not with seed 1"]


def test_what_an_exception_says_of_itself_ends_no_worker():
    long, mute, no_number = failures(functions.hardly_describable, trials=3, count=1)
    assert long == f"ValueError: {'x' * 150_000_000}"[:2_000]
    assert mute == "MuteError: (it cannot be said)"
    assert no_number == "the function must return a real number, got one of type NoNumber: 6"


def test_a_complex_number_is_no_score():
    assert all("must return a real number" in failure for failure in failures(functions.complex_number))


def test_a_worker_that_an_earlier_trial_spoilt_is_replaced_and_the_trial_tried_again():
    assert [o.score for o in run(functions.spoiling, trials=3, count=1)] == [0.0, 1.0, 2.0]


def test_a_memory_error_is_a_failure_like_any():
    assert failures(functions.out_of_memory) == ["MemoryError"] * 2


def test_a_trial_that_calls_sys_exit_has_failed():
    assert failures(functions.leaving) == ["SystemExit: 3"] * 2


def test_a_trial_that_ends_its_process_has_failed():
    assert failures(functions.exiting) == ["ended its process with exit code 7"] * 2


def test_a_segmentation_fault_is_the_outcome_of_its_trial():
    assert failures(functions.segfaulting) == ["was killed by signal SIGSEGV"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_result_of_a_child_that_the_function_forks_is_not_its_worker_s():
    assert [o.score for o in run(functions.forking)] == [1.0, 4.0, 0.0]


def test_a_message_that_is_no_unicode_text_is_kept_as_one_that_is():
    assert failures(functions.surrogate, trials=1) == [r"ValueError: no file named \udcff"]


def test_a_hanging_trial_is_ended_by_the_time_limit():
    assert failures(functions.hanging, time_limit=0.2) == ["took longer than 0.2 s"] * 2


def test_a_trial_that_eats_memory_is_ended_by_the_memory_limit():
    assert failures(functions.eating, memory_limit=0.25) == ["used more than 0.25 GB"] * 2


def test_memory_that_earlier_trials_left_does_not_fail_a_trial():
    outcomes = run(functions.leaking, trials=6, count=1, memory_limit=0.25)
    assert [o.failure for o in outcomes] == [None] * 6


def test_a_trial_that_is_tried_again_is_given_to_a_worker_that_has_trained_nothing(monkeypatch):
    given = []
    start_trial = WorkerProcess.start_trial

    def noted(worker, trial, job):
        given.append((trial, worker.trials))
        start_trial(worker, trial, job)

    monkeypatch.setattr(WorkerProcess, "start_trial", noted)
    outcomes = run(functions.leaking, trials=9, memory_limit=0.25)
    assert [o.failure for o in outcomes] == [None] * 9
    trials = [trial for trial, _ in given]
    again = [trained for n, (trial, trained) in enumerate(given) if trial in trials[:n]]
    assert again
    assert not any(again)


def test_a_score_that_is_not_finite_is_a_diverged_training():
    outcomes = run(functions.diverging)
    assert all(math.isnan(o.score) and o.failure is None for o in outcomes)


def test_what_is_no_real_number_is_a_failure_that_says_so():
    outcomes = run(functions.returning, trials=len(functions.RETURNED))
    assert [o.score for o in outcomes[:3]] == [1.0, 1.0, 2.5]
    for outcome, returned in list(zip(outcomes, functions.RETURNED, strict=True))[3:]:
        kind = type(returned).__name__
        assert outcome.failure.startswith(f"the function must return a real number, got one of type {kind}")


def test_a_worker_that_failed_is_replaced_and_one_that_did_not_stays():
    assert len({o.score for o in run(functions.own_process, trials=6, count=2)}) <= 2
    workers = Workers(functions.exiting, count=1)
    for _ in range(2):
        assert workers.run([Trial(constant(0.1), 0)], 1, "fitness")[0].failure
    workers.close()
    assert workers.trainings == 2


def test_a_worker_imports_nothing_heavy_and_has_the_threads_that_were_asked_for(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # which it would inherit
    assert [o.score for o in run(functions.heavy_modules)] == [0.0] * 3
    assert [o.score for o in run(functions.environment)] == [1.0] * 3
    assert [o.score for o in run(functions.environment, threads=4)] == [4.0] * 3
    assert "EVOLR_WORKER_STARTING" not in os.environ


def test_what_on_outcomes_raises_ends_the_run_and_what_was_under_way():
    workers = Workers(functions.own_process, count=2)
    seen = []

    def stop(outcomes):
        seen.extend(outcome.score for outcome in outcomes.values())
        if seen:
            raise RuntimeError("enough")

    trials = [Trial(constant(0.1), 0)] * 5
    with pytest.raises(RuntimeError, match="enough"):
        workers.run(trials, 1, "fitness", on_outcomes=stop)
    assert workers.trainings == len(seen)
    assert len(workers.run(trials, 1, "fitness")) == 5
    workers.close()


def test_losses_beyond_float32_are_infinite_in_the_curves_and_no_failure():
    with closing(Workers(functions.enormous, count=1, signals=frozenset({"progress", "loss"}))) as workers:
        outcome = workers.run([Trial(constant(0.1), 0)], 2, "fitness", keep_steps=True)[0]
    assert (outcome.score, outcome.failure) == (1.0, None)
    assert np.isinf(outcome.train_loss).all()
    assert np.isinf(outcome.signals["loss"]).all()
