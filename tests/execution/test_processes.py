"""What processes hold, and how those are ended that others started."""

import functools
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from evolr.execution.processes import HeldMemory, end_descendants
from tests.execution import training_functions as functions
from tests.execution.in_workers import failures, gone

HOLDING = """
import os, subprocess, sys, time
held = bytearray(b"x") * 100_000_000
{below}
print("ready", flush=True)
sys.stdin.read()
"""
STARTED = """
code = "import sys; held = bytearray(b'x') * 100_000_000; print('ready', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
"""
FORKED = """
for _ in range(3):
    if not os.fork():
        time.sleep(600)
"""


@contextmanager
def holding(below=""):
    """A process that holds 100 MB, and what those hold that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING.format(below=below)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        end_descendants(process.pid)
        process.kill()
        process.communicate()


def test_what_a_process_holds_counts_and_of_one_that_is_gone_nothing():
    held = HeldMemory()
    with holding() as process:
        assert 100e6 < held.of(process) < 190e6
    assert held.of(process) == 0


def test_what_a_process_below_holds_counts():
    with holding(STARTED) as process:
        assert HeldMemory().of(process) > 200e6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS tells nobody what a process holds alone")
def test_what_forks_share_counts_once():
    with holding(FORKED) as process:
        assert 100e6 < HeldMemory().of(process) < 190e6


def test_the_memory_limit_counts_what_the_function_has_started(tmp_path):
    train = functools.partial(functions.with_a_hungry_child, str(tmp_path / "child"))
    assert failures(train, trials=1, memory_limit=0.25) == ["used more than 0.25 GB"]
    assert gone(int((tmp_path / "child").read_text()))


def test_where_there_are_no_groups_of_processes_what_a_worker_started_ends_with_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "killpg")  # as on Windows
    train = functools.partial(functions.with_grandchild, str(tmp_path / "child"))
    assert failures(train, trials=1, time_limit=2) == ["took longer than 2 s"]
    assert gone(int((tmp_path / "child").read_text()))
