"""No worker outlives the program that started it, however that ends."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.execution import training_functions as functions
from tests.execution.in_workers import failures, gone, is_alive

ROOT = Path(__file__).parents[2]


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
