"""Ctrl-C and SIGTERM, sent to the command line in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.searches import QUICK, SEARCH_FILES, names


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_a_search_at_once_and_it_goes_on_later(evolr, number, code):
    command = [sys.executable, "-m", "evolr", "evolve", "--preset", "original", "--run", "mine", "--epochs", "3000"]
    with subprocess.Popen([*command, "--generations", "1"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not Path("mine/study.db").exists():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
        process.send_signal(number)
        for line in process.stderr:  # the training under way lasts for many seconds more
            if line.startswith("stopping after the trainings under way"):
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == code
    assert "go on with: evolr evolve --run mine" in rest
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["state"] == "stopped"


def test_ctrl_c_while_imports_run_is_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", "from evolr.__main__ import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == "\ninterrupted\n"


@pytest.mark.parametrize("delay", [0.6, 0.8, 1.0, 1.4])
def test_ctrl_c_is_never_lost(delay):
    """Sent at any moment, through imports, compilation and training, it ends the process."""
    command = [
        sys.executable,
        "-m",
        "evolr",
        "evolve",
        "--preset",
        "original",
        "-q",
        "--run",
        "mine",
        "--generations",
        "1000",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert "\ninterrupted" in process.stderr.read()


def test_ctrl_c_ends_with_a_message_exit_code_130_and_what_was_finished_on_disk():
    command = [sys.executable, "-m", "evolr", "run", "--preset", "original", "--run", "mine", "--generations", "1000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("generation 1 ("):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "stopping after the trainings under way" in rest
    assert "interrupted; what was finished is in mine; go on with: evolr evolve --run mine" in rest
    assert "Traceback" not in rest
    assert names("mine") == SEARCH_FILES
    assert Path("mine/history.csv").read_text().count("\n") >= 1 + 2 * 20


def test_a_contest_that_is_interrupted_says_how_it_goes_on(evolr):
    evolr("evolve", "--preset", "quadratic", *QUICK, "--run", "mine", "-q")
    command = [sys.executable, "-m", "evolr", "prove", "mine", "--budget", "160"]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "trainings" in line:
                    process.send_signal(number)
                    break
            assert process.wait(timeout=60) == code
            assert "the same command goes on" in process.stderr.read()
