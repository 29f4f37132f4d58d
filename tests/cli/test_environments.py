"""Every command in streams, disks, rights and terminals of another kind: the exit code, and that nothing is half done."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.cli.app import app
from evolr.contest.explanation import explain
from evolr.contest.prove import prove
from evolr.study.evolve import evolve
from tests.cli.environments import ENVIRONMENTS
from tests.study.small import small
from tests.trees import directory_open_to_others

ROOT = Path(__file__).parents[2]
TINY = ("--preset", "quadratic", "--set", "problem.dimension=3", "--set", "problem.steps_per_epoch=4")

TABLE = {
    # In the order of ENVIRONMENTS: ASCII, closed and full stdout; full disk, read-only directory; 20 columns, no HOME.
    # Results that nobody can be told are an error, but they are in their files.
    ("runs", "."): (0, 2, 2, 0, 0, 0, 0),
    ("show", "mine"): (0, 2, 2, 0, 0, 0, 0),
    ("show", "mine", "-o", "curve.png"): (0, 2, 2, 2, 2, 0, 0),
    ("export", "mine", "--to", "torch"): (0, 2, 2, 0, 0, 0, 0),
    ("export", "mine", "--to", "torch", "-o", "champion.py"): (0, 0, 0, 2, 2, 0, 0),
    ("gallery",): (0, 2, 2, 0, 0, 0, 0),
    ("report", "mine"): (0, 2, 2, 2, 2, 0, 0),
    ("evolve", "--run", "mine", "-q"): (0, 2, 2, 2, 2, 0, 0),
    ("run", "--run", "mine", "-q"): (0, 2, 2, 2, 2, 0, 0),
    ("compare", "--expression", "0.1", *TINY, "--epochs", "1", "--seeds", "2", "-q", "-o", "new"): (
        0,
        2,
        2,
        2,
        2,
        0,
        0,
    ),
    ("prove", "mine", "--budget", "4", "--seeds", "2", "--no-rivals", "-q"): (0, 2, 2, 2, 2, 0, 2),
    ("explain", "mine", "--seeds", "2", "-q"): (0, 2, 2, 2, 2, 0, 2),
}
WRITES = {"show": "curve.png", "export": "champion.py", "report": "mine/report.html", "compare": "new/comparison.json"}
"""What a command writes that is there afterwards, also if its results could not be printed."""


@pytest.fixture(scope="module")
def ended():
    """How each command ended in each environment. All of them run in one process, one after another."""
    with directory_open_to_others() as folder:
        study = folder / "study"
        evolve(small(**{"search.generations": 2, "comparison.epochs": 1, "comparison.seeds": 2}), study)
        prove(study, budget=4, seeds=2, rivals=False)
        explain(study, seeds=2)
        words = [sys.executable, "-W", "error", "-m", "tests.cli.environments", str(study), *map(json.dumps, TABLE)]
        search_path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": search_path},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    lines = map(json.loads, done.stdout.splitlines())
    return {(tuple(line.pop("arguments")), line.pop("environment")): line for line in lines}


CELLS = [
    (arguments, environment, code)
    for arguments, codes in TABLE.items()
    for environment, code in zip(ENVIRONMENTS, codes, strict=True)
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "environment", "code"), CELLS, ids=lambda v: " ".join(v) if isinstance(v, tuple) else str(v)
)
def test_a_command_ends_as_it_should_wherever_it_runs(ended, arguments, environment, code):
    cell = ended[arguments, environment]
    assert "Traceback" not in cell["err"], cell["err"]
    assert cell["code"] == code, cell["err"]
    assert cell["err"].count("error: ") == (code == 2)
    assert cell["left"] == []
    if environment in ("full disk", "read-only directory") and code == 2:
        assert (cell["changed"], cell["new"]) == ([], [])
    elif arguments[0] in WRITES and ("-o" in arguments or arguments[0] == "report"):
        assert WRITES[arguments[0]] in cell["new"]
    if environment == "20 columns" and arguments[0] in ("runs", "gallery"):
        assert max(map(len, cell["out"].splitlines())) <= 20


def test_every_command_is_in_the_table():
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {arguments[0] for arguments in TABLE} == named - {
        "serve"
    }  # which does not end by itself: tests/web/test_command.py
