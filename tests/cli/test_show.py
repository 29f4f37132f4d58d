"""`evolr show`: formulas, files and runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.expression import parse
from evolr.schedule import Schedule
from tests.cli.searches import ORIGINAL, PUBLISHED, QUICK


def test_show_a_formula(evolr):
    code, out, _ = evolr("show", PUBLISHED, "-o", "curve.png")
    assert code == 0
    assert "learning rate  0.001537 + 0.0011615*epoch" in out
    assert r"\mathrm{epoch}" in out
    assert PUBLISHED in out
    assert "from 0.00154 to 0.0352" in out
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_show_says_the_learning_rate_itself_its_bounds_and_where_the_short_form_differs(evolr):
    arguments = ("show", "log(progress)", "--transform", "log")
    out = evolr(*arguments)[1]
    assert "learning rate  0.001*progress" in out
    assert "the formula gives 1e-15 (its log is cut at 1e-12), this 0" in " ".join(out.split())
    assert "at least" not in out
    assert "at least 1e-08, at most 0.1" in evolr(*arguments, "--min-lr", "1e-8", "--max-lr", "0.1")[1]
    document = json.loads(evolr(*arguments, "--json")[1])
    assert document["simplified"] == "0.001*progress"
    assert document["latex"] == r"0.001 \mathrm{progress}"
    assert document["expression"] == "log(progress)"
    assert [sentence.startswith("differs at 4 of 91") for sentence in document["differs"]] == [True]


def test_no_line_of_a_sentence_is_longer_than_a_terminal(evolr):
    out = evolr("show", "exp(0.5*log(loss))")[1]
    lines = [line for line in out.splitlines() if not line.startswith(("formula", "original", "LaTeX"))]
    assert any("if loss is negative" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_show_says_what_a_curve_of_a_live_signal_assumes(evolr):
    assert "assuming losses that fall from 2.3 to 0.5" in evolr("show", "loss/100")[1]
    assert "assuming" not in evolr("show", "progress/100")[1]


def test_show_a_file_and_a_run(evolr):
    schedule = Schedule(expression=parse("0.1*progress"))
    Path("mine.json").write_bytes(schedule.to_json({"author": "me"}))
    code, out, _ = evolr("show", "mine.json")
    assert code == 0
    assert "0.1*progress" in out
    assert "author" in out
    evolr("evolve", *ORIGINAL, "--run", "run", "-q")
    assert "best of each size" in evolr("show", "run")[1]


def test_show_of_a_study_without_a_champion_says_where_it_stands(evolr):
    evolr("evolve", *ORIGINAL, "--max-time", "0.000001s", "--run", "mine", "-q")
    code, _, err = evolr("show", "mine")
    assert code == 2
    assert "mine is stopped, 0 of 2 generations are done" in err


@pytest.mark.parametrize("formula", ["+".join(["epoch"] * 100), "exp(exp(exp(exp(5))))", "log(0)", "epoch/sin(log(0))"])
def test_any_formula_can_be_shown(evolr, formula):
    assert evolr("show", formula)[0] == 0


def test_a_run_is_shown_over_its_own_epochs(evolr):
    evolr("evolve", "--preset", "quadratic", *QUICK, "--set", "comparison.epochs=4", "--run", "run", "-q")
    assert len(json.loads(evolr("show", "run", "--json")[1])["curve"]) == 4 * 30


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m evolr show 'epoch*0.001' --json | head -c 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_run_is_drawn_with_its_front_and_its_knee_is_proposed(evolr):
    evolr("evolve", "--preset", "quadratic", *QUICK, "--run", "mine", "-q")
    code, out, _ = evolr("show", "mine", "-o", "mine.png")
    assert code == 0
    assert "best of each size" in out
    assert Path("mine.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(evolr("show", "mine", "--json")[1])
    front = document["front"]
    assert 0 <= front["knee"] < len(front["formulas"])
    assert front["formulas"][-1]["expression"] == document["expression"]
