"""The examples run, and the training script that evolr was added to is nearly what it was."""

import difflib
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import evolr

EXAMPLES = Path(__file__).parents[1] / "examples"
MOST_LINES = 15


def output_of(name, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(evolr.__file__).parents[1]), "MPLBACKEND": "agg"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_evolr_takes_few_lines_of_a_training_script():
    before, after = ((EXAMPLES / "own_script" / name).read_text().splitlines() for name in ("before.py", "after.py"))
    steps = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changed = sum(max(there - here, to - since) for kind, here, there, since, to in steps if kind != "equal")
    assert 0 < changed <= MOST_LINES


def test_the_training_script_and_what_became_of_it(tmp_path):
    assert output_of("own_script/before.py", "--quick").splitlines()[-1].startswith("cosine ")
    (tmp_path / "own_script.png").unlink()
    said = output_of("own_script/after.py", "--quick").splitlines()
    assert [line.split()[0] for line in said if line.startswith(("champion", "cosine", "evolved"))] == [
        "champion:",
        "cosine",
        "evolved",
    ]
    assert (tmp_path / "own_script.png").read_bytes().startswith(b"\x89PNG")


def test_a_search_that_stops_and_goes_on():
    said = output_of("resume.py").splitlines()
    assert said[0] == "stopped: that is enough for now"
    assert said[-1] == "the same champion"


def test_asking_and_telling():
    said = output_of("ask_and_tell.py").splitlines()
    assert said[0].endswith("formulas tried")
    assert "nodes, loss" in said[-1]


@pytest.mark.parametrize("name", ["equinox_cnn.py", "transformer.py"])
def test_a_jax_model_of_ones_own(name, tmp_path):
    said = output_of(name, "--quick", "--output", str(tmp_path / "run"))
    assert "cosine" in said
    assert "evolved minus" in said
    assert (tmp_path / "run" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert evolr.Schedule.load(tmp_path / "run" / "champion.json")


def test_a_suite_of_ones_own_is_searched_and_its_champion_meets_the_kind_held_out():
    said = output_of("own_suite.py", "--quick").splitlines()
    assert said[0].startswith("scales: {'degree 1': (")
    assert said[1].startswith("champion: ")
    reached = {line.split()[0]: float(line.split()[-1]) for line in said[2:]}
    assert reached.keys() == {"champion", "constant"}
    assert 0.3 < reached["constant"] < 1.5


@pytest.mark.parametrize("name", ["digits_cnn.py", "char_gru.py"])
def test_a_pytorch_function_is_searched_and_proven_on_a_part_of_the_data_of_its_own(name, tmp_path):
    said = output_of(name, "--quick", "--output", str(tmp_path / "run")).splitlines()
    verdict = said.index("verdict:")
    assert said[0].startswith("the champion after ")
    assert said[verdict + 1].startswith("Nothing can be said: with 2 seeds ")
    assert (tmp_path / "run" / "rehearsal.md").exists()


@pytest.mark.parametrize("name", ["digits_cnn", "char_gru"])
def test_its_final_alone_is_judged_on_the_test_part(name, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # not of this process
    example = importlib.import_module(name)
    judged = []
    monkeypatch.setattr(example, "fit", lambda *trial: None)
    monkeypatch.setattr(example, "loss_on", lambda model, part: judged.append(part) or 0.0)
    for pool in ("fitness", "selection", "monitor", "test"):
        example.train(None, 0, 1, pool)
    assert [part is example.TEST for part in judged] == [False, False, False, True]


def test_a_champion_in_keras(tmp_path):
    said = output_of("keras_champion.py", "--quick").splitlines()
    assert [line.split()[0] for line in said] == ["champion:", "cosine", "champion", "picture:"]
    assert (tmp_path / "keras_champion.png").read_bytes().startswith(b"\x89PNG")


def test_every_example_is_run_here():
    tested = Path(__file__).read_text()
    for path in EXAMPLES.rglob("*.py"):
        assert path.relative_to(EXAMPLES).as_posix() in tested
