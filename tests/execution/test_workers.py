"""Trials by functions that raise, crash, hang, eat memory or return nonsense."""

import functools
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from evolr.errors import ConfigError, ProblemError
from evolr.execution.recording import PLACES
from evolr.execution.resident_memory import resident_memory
from evolr.execution.training_function import name_of, require_callable, takes_pool
from evolr.execution.worker_process import WorkerProcess
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.contracts.executor import SIGNALS_TOLD, ExecutorContract
from tests.execution import training_functions as functions

ROOT = Path(__file__).parents[2]


class TestTheContract(ExecutorContract):
    rates = rows = PLACES

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


@pytest.fixture(autouse=True, scope="module")
def _importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield


def run(train, trials=3, epochs=2, **options):
    workers = Workers(train, **{"count": 2, **options})
    try:
        return workers.run([Trial(constant(0.1), seed) for seed in range(trials)], epochs, "fitness")
    finally:
        workers.close()


def failures(train, trials=2, **options):
    outcomes = run(train, trials, **options)
    assert all(math.isnan(outcome.score) for outcome in outcomes)
    return [outcome.failure for outcome in outcomes]


def is_alive(process):
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(process):
    """Waits until a process that was killed is gone, which takes the system a moment."""
    for _ in range(500):
        if not is_alive(process):
            return True
        time.sleep(0.01)
    return False


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


def test_a_worker_is_asked_for_its_word_only_if_it_has_one(monkeypatch):
    said = []

    class Recorded(WorkerProcess):
        def message(self):
            said.append(super().message())
            return said[-1]

    monkeypatch.setattr("evolr.execution.workers.WorkerProcess", Recorded)
    run(functions.falling, trials=8, memory_limit=4.0)
    assert len(said) >= 9
    assert None not in said


def test_an_exception_is_the_outcome_of_its_trial():
    assert failures(functions.raising) == ["ValueError: not with seed 0", "ValueError: not with seed 1"]


def test_a_memory_error_is_a_failure_like_any():
    assert failures(functions.out_of_memory) == ["MemoryError"] * 2


def test_a_trial_that_calls_sys_exit_has_failed():
    assert failures(functions.leaving) == ["SystemExit: 3"] * 2


def test_a_trial_that_ends_its_process_has_failed():
    assert failures(functions.exiting) == ["ended its process with exit code 7"] * 2


def test_a_segmentation_fault_is_the_outcome_of_its_trial():
    assert failures(functions.segfaulting) == ["was killed by signal SIGSEGV"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_that_the_function_forks_does_not_speak_for_its_worker():
    assert [o.score for o in run(functions.forking)] == [1.0, 4.0, 0.0]


def test_a_message_that_is_no_unicode_text_is_kept_as_one_that_is():
    assert failures(functions.surrogate, trials=1) == [r"ValueError: no file named \udcff"]


def test_a_hanging_trial_is_ended_by_the_time_limit():
    assert failures(functions.hanging, time_limit=0.2) == ["took longer than 0.2 s"] * 2


def test_a_trial_that_eats_memory_is_ended_by_the_memory_limit():
    assert failures(functions.eating, memory_limit=0.25) == ["used more than 0.25 GB"] * 2


def test_a_trial_is_not_blamed_for_the_memory_that_others_left():
    outcomes = run(functions.leaking, trials=6, count=1, memory_limit=0.25)
    assert [o.failure for o in outcomes] == [None] * 6


def test_a_trial_that_is_tried_again_is_given_to_a_worker_that_has_trained_nothing(monkeypatch):
    given = []
    give = WorkerProcess.give

    def noted(worker, trial, job):
        given.append((trial, worker.trials))
        give(worker, trial, job)

    monkeypatch.setattr(WorkerProcess, "give", noted)
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


def test_a_worker_imports_nothing_heavy_and_has_the_threads_that_were_asked_for():
    assert [o.score for o in run(functions.heavy_modules)] == [0.0] * 3
    assert [o.score for o in run(functions.environment)] == [1.0] * 3
    assert [o.score for o in run(functions.environment, threads=4)] == [4.0] * 3
    assert "EVOLR_WORKER_STARTING" not in os.environ


def test_what_on_outcomes_raises_ends_the_run_and_what_was_under_way():
    workers = Workers(functions.own_process, count=2)
    seen = []

    def stop(outcomes):
        seen.extend(outcome.score for outcome in outcomes.values())
        raise RuntimeError("enough")

    trials = [Trial(constant(0.1), 0)] * 5
    with pytest.raises(RuntimeError, match="enough"):
        workers.run(trials, 1, "fitness", on_outcomes=stop)
    assert workers.trainings == len(seen)
    assert len(workers.run(trials, 1, "fitness")) == 5
    workers.close()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_no_process_is_left_behind(tmp_path):
    note = tmp_path / "grandchild"
    train = functools.partial(functions.with_grandchild, str(note))
    # The limit leaves the function the time to start its process, however busy the machine is.
    assert failures(train, trials=1, time_limit=2) == ["took longer than 2 s"]
    assert gone(int(note.read_text()))
    workers = Workers(functions.own_process, count=2)
    processes = {int(o.score) for o in workers.run([Trial(constant(0.1), 0)] * 4, 1, "fitness")}
    workers.close()
    workers.close()
    assert not any(map(is_alive, processes))


ABANDONED = """
import os, signal, sys
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.execution import training_functions as functions

if __name__ == "__main__":
    workers = Workers(functions.own_process, count=1)
    print(int(workers.run([Trial(constant(0.1), 0)], 1, "fitness")[0].score), flush=True)
    {end}
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize("end", ["pass", "sys.exit(1)", "1 / 0", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_workers_that_nobody_closed_end_with_their_program(tmp_path, end):
    script = tmp_path / "abandoned.py"
    script.write_text(ABANDONED.format(end=end))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, env=environment)
    assert gone(int(done.stdout))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize("end", ["the program is killed", "Ctrl-C"])
def test_a_worker_in_the_middle_of_a_trial_ends_with_its_program(tmp_path, end):
    note = tmp_path / "grandchild"
    script = tmp_path / "abandoned.py"
    code = ABANDONED.replace("functions.own_process", f"functools.partial(functions.with_grandchild, {str(note)!r})")
    script.write_text("import functools\n" + code.format(end="pass"))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [sys.executable, script], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (note.exists() and note.read_text()):
        time.sleep(0.01)
    if end == "Ctrl-C":  # the terminal sends it to all of its group
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert gone(int(note.read_text()))
    assert said.count("KeyboardInterrupt") == (end == "Ctrl-C")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_the_test_of_ctrl_c_passes_in_the_background_of_a_script_too():
    """There Ctrl-C is ignored, by every process that is started too; see conftest.py."""
    test = f"{__file__}::{test_a_worker_in_the_middle_of_a_trial_ends_with_its_program.__name__}[Ctrl-C]"
    command = f"trap '' INT; exec {sys.executable} -m pytest -p no:cacheprovider --timeout 60 {test}"
    done = subprocess.run(["bash", "-c", command], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_an_idle_worker_ends_with_its_program_whatever_the_function_left_running(tmp_path):
    note = tmp_path / "child"
    script = tmp_path / "abandoned.py"
    code = ABANDONED.replace("functions.own_process", f"functools.partial(functions.leaving_a_child, {str(note)!r})")
    script.write_text("import functools\n" + code.format(end="os.kill(os.getpid(), signal.SIGKILL)"))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, script], check=False, stdout=subprocess.PIPE, text=True, env=environment)
    assert gone(int(done.stdout))
    assert gone(int(note.read_text()))


def test_a_function_that_cannot_be_sent_is_refused_with_advice(monkeypatch):
    def inner(schedule, seed, epochs):
        return 1.0

    for train in (inner, lambda *arguments: float(len(arguments))):
        with pytest.raises(ConfigError, match=r"cannot be sent to a worker .*define it at the top level of a module"):
            Workers(train)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    inner.__module__ = "__main__"
    with pytest.raises(ConfigError, match=r"is in no file: .*in a notebook"):
        Workers(inner)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "<stdin>", raising=False)
    with pytest.raises(ConfigError, match="is in no file"):
        Workers(inner)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("mine.__main__", None))
    with pytest.raises(ConfigError, match=r"is in mine\.__main__, .*move it into another module"):
        Workers(inner)


def test_a_function_of_other_arguments_is_refused():
    with pytest.raises(ConfigError, match=r"called as train\(schedule, seed, epochs\), but .*gone\(process\)"):
        Workers(gone)
    with pytest.raises(
        ConfigError, match=r"called by position as train.*yours is .*misordered\(seed, schedule, epochs\)"
    ):
        Workers(functions.misordered)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_limit": 0}, "time_limit must be a positive number of seconds"),
        ({"time_limit": math.nan}, "time_limit"),
        ({"memory_limit": -1}, "memory_limit must be a positive number of GB"),
        ({"count": 0}, "workers must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_limits_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Workers(functions.falling, **options)


def test_a_module_that_a_worker_cannot_import_is_told_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "fleeting.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    workers = Workers(import_module("fleeting").train)
    (tmp_path / "fleeting.py").write_text("raise OSError('no data here')\n")
    with pytest.raises(ProblemError, match="could not import the training function fleeting:train: OSError: no data"):
        workers.prepare("fitness")
    (tmp_path / "fleeting.py").write_text("import os\nos._exit(4)\n")
    with pytest.raises(ProblemError, match="ended its process with exit code 4"):
        workers.prepare("fitness")
    workers.close()


DYING = """
import os, signal
from pathlib import Path

births = Path(__file__).with_suffix(".births")
births.write_text(births.read_text() + "." if births.exists() else ".")
if len(births.read_text()) in {births}:
    os.kill(os.getpid(), signal.SIGKILL)

def train(schedule, seed, epochs):
    if seed == 1:
        os._exit(7)
    return 1.0
"""


@pytest.mark.parametrize("births", [(3, 4), (3, 4, 5)])
def test_a_worker_that_dies_while_it_starts_is_replaced_and_three_in_a_row_are_the_end(tmp_path, monkeypatch, births):
    module = f"dying_{len(births)}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{module}.py").write_text(DYING.format(births=births))
    workers = Workers(import_module(module).train, count=1)
    trials, seen = [Trial(constant(0.1), seed) for seed in range(3)], {}
    if len(births) == 2:
        assert [o.failure for o in workers.run(trials, 1, "fitness")] == [
            None,
            "ended its process with exit code 7",
            None,
        ]
    else:
        with pytest.raises(ProblemError, match=rf"{module}:train: the worker was killed by signal SIGKILL"):
            workers.run(trials, 1, "fitness", on_outcomes=seen.update)
        assert sorted(seen) == [0, 1]
    workers.close()


def test_the_name_of_a_function():
    assert name_of(functions.falling) == "tests.execution.training_functions:falling"
    assert name_of(functools.partial(functions.falling)) == "tests.execution.training_functions:falling"
    bound = functools.partial(functions.with_grandchild, "note", epochs=object())
    assert name_of(bound) == "tests.execution.training_functions:with_grandchild('note', epochs=<object object>)"
    one, other = (name_of(functools.partial(functions.with_grandchild, "x" * 999 + end)) for end in "ab")
    assert one != other
    assert len(one) < 300


def test_the_memory_of_a_process():
    assert resident_memory(os.getpid()) > 1_000_000
    assert resident_memory(2**22 + 1) is None


def test_where_memory_cannot_be_known_a_limit_is_refused(monkeypatch):
    monkeypatch.setattr(os.path, "isdir", lambda _: False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ConfigError, match="pip install psutil"):
        Workers(functions.falling, memory_limit=1.0)


def test_a_function_that_takes_the_pool_is_told_it_and_another_is_not():
    trial = Trial(constant(0.1), 0)
    with closing(Workers(functions.pooled, count=1)) as told, closing(Workers(functions.first_rate, count=1)) as untold:
        scores = [told.run([trial], 2, pool)[0].score for pool in ("monitor", "fitness", "selection", "test")]
        assert scores == [1.0, 2.0, 3.0, 4.0]
        assert untold.run([trial], 2, "test")[0].failure is None
        assert (told.knows_pools, untold.knows_pools) == (True, False)


def test_losses_beyond_float32_are_infinite_in_the_curves_and_no_failure():
    with closing(Workers(functions.enormous, count=1, signals=frozenset({"progress", "loss"}))) as workers:
        outcome = workers.run([Trial(constant(0.1), 0)], 2, "fitness", keep_steps=True)[0]
    assert (outcome.score, outcome.failure) == (1.0, None)
    assert np.isinf(outcome.train_loss).all()
    assert np.isinf(outcome.signals["loss"]).all()


def test_a_pool_by_keyword_and_one_that_is_bound_and_any_keywords():
    def anything(schedule, seed, epochs, **options):
        return 0.0

    assert takes_pool(functions.judging)
    assert takes_pool(functools.partial(functions.pooled))
    assert not takes_pool(anything)
    assert not takes_pool(functools.partial(functions.pooled, pool="max"))  # a kind of pooling, say
    with closing(Workers(functools.partial(functions.pooled, pool="test"), count=1)) as bound:
        assert bound.run([Trial(constant(0.1), 0)], 2, "monitor")[0].score == 4.0
        assert not bound.knows_pools
    require_callable(functions.pooled)
    require_callable(functions.judging)
