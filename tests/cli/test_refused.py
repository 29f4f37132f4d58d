"""What the command line refuses: a message, exit code 2 and nothing written."""

import subprocess
import sys
from pathlib import Path

import pytest

from evolr.expression import parse
from evolr.schedule import Schedule
from tests.cli.searches import ORIGINAL
from tests.trees import tree

BAD = [
    (("evolve", "--preset", "orignal"), "did you mean 'original'"),
    (("evolve", "--preset", "default"), "the preset 'default' is called 'memetic' now"),
    (("compare", "--expression", "1", "--preset", "default"), "the preset 'default' is called 'memetic' now"),
    (("prove", "--expression", "1", "--preset", "default", "-o", "new", "--budget", "4"), "is called 'memetic' now"),
    (("evolve", "--functions", "add,sinn"), "did you mean 'sin'"),
    (("evolve", "--terminals", "epoch,los"), "did you mean 'loss'"),
    (("evolve", "--optimizer", "adan"), "adan"),
    (("evolve", "--problem", "mnist"), "unknown problem"),
    (("evolve", "--problem", "quadratic"), "got the optimizer 'adam'"),
    (("evolve", "--config", "none.toml"), "cannot read"),
    (("evolve", "--config", "bad.toml"), "not a TOML file"),
    (("evolve", "--config", "unknown.toml"), "did you mean 'search.population'"),
    (("evolve", "--set", "search.populaton=3"), "did you mean"),
    (("evolve", "--set", "nothing"), "NAME=VALUE"),
    (("evolve", "--set", "seed={}"), "seed: expected int, got object"),
    (("evolve", "--set", "search.seeds={}"), "search.seeds: expected int, got object"),
    (("evolve", "--set", "seed=1\nsearch.seeds=2"), "one NAME=VALUE"),
    (("evolve", "--set", "search.reference_lr=1e39"), "reference_lr must be positive, 1e-37 … 1e+38, got 1e+39"),
    (("evolve", "--population", "0"), "at least 1 and at most 100,000, got 0"),
    (
        ("evolve", "--preset", "original", "--population", "2"),
        "search.tournament must be at most the population, 2, got 3",
    ),
    (("evolve", "--epochs", "0"), "training.epochs must be at least 1"),
    (("evolve", "--generations", "0"), "at least 1"),
    (("evolve", "--preset", "original", "--tournament", "21"), "at most the population"),
    (
        ("evolve", "--tournament", "3"),
        "search.tournament is a setting of the generational method, and this search is memetic",
    ),
    (("evolve", "--set", "search.elites=2"), "search.elites is a setting of the generational method"),
    (
        ("evolve", "--preset", "original", "--set", "search.samples=4"),
        "search.samples is a setting of the memetic method, and this search is generational",
    ),
    (("evolve", "--config", "other.toml"), "search.elites is a setting of the generational method"),
    (("evolve", "--set", "search.method=genetic"), "search.method: unknown method 'genetic'"),
    (("evolve", "--transform", "square"), "square"),
    (("evolve", "--seed", "-1"), "seed must be"),
    (("evolve", "--devices", "99", *ORIGINAL), "devices must be from 1"),
    (("evolve", "--run", "taken"), "exists already"),
    (("evolve", "--run", "bad.toml/run"), "cannot create"),
    (("evolve", "--max-time", "soon"), "90s, 15m or 2h"),
    (("evolve", "--problem", "external"), "call evolr.evolve(train, …) in Python"),
    (("evolve", "--max-time", "-5m"), "90s, 15m or 2h"),
    (("compare",), "either a run directory or --expression"),
    (("compare", "taken", "--expression", "1"), "not both"),
    (("compare", "nowhere"), "not a run directory"),
    (("compare", "taken"), "not a run directory"),
    (("compare", "--expression", "epoch +"), "got the end"),
    (("compare", "--expression", "epoch + los"), "did you mean 'loss'"),
    (("compare", "--expression", "1", "--epochs", "0"), "at least 1"),
    (("compare", "--expression", "1", "--seeds", "0"), "at least 1"),
    (("compare", "--expression", "1", "--base-lr", "-1"), "must be a positive number"),
    (("show", "sinn(epoch)"), "did you mean 'sin'"),
    (("show", "none.json"), "cannot read"),
    (("show", "bad.json"), "not a schedule document"),
    (("show", "taken"), "not a study"),
    (("show", "1", "-o", "nowhere/curve.png"), "there is no directory nowhere"),
    (("show", "runs/original-9"), "no run directory"),
    (("show", "1", "--epochs", str(10**30)), "a horizon may have 9,007,199,254,740,992 steps at most"),
    (("show", "good.json", "--transform", "log"), "belong to a formula"),
    (("compare", "--expression", "1", "--transform", "square"), "transform"),
    (("compare", "--expression", "1", "-o", "taken"), "exists already"),
    (("compare", "--expression", "1", "-o", "new", "--devices", "99"), "devices must be from 1"),
    (("compare", "taken", "--config", "bad.toml"), "belong to --expression"),
]


@pytest.mark.parametrize(("arguments", "part"), BAD, ids=lambda v: " ".join(v) if isinstance(v, tuple) else None)
def test_bad_input_is_one_message_exit_code_2_and_nothing_written(evolr, arguments, part):
    Path("taken").mkdir()
    Path("taken/file").write_text("precious")
    Path("bad.toml").write_text("search = [")
    Path("unknown.toml").write_text("[search]\npopulatoin = 3\n")
    Path("other.toml").write_text("[search]\nelites = 1\n")
    Path("bad.json").write_text("{}")
    Path("good.json").write_bytes(Schedule(expression=parse("1")).to_json({"by": "me"}))
    before = tree()
    code, out, err = evolr(*arguments)
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ") or err.startswith("error: ")
    assert part in err
    assert "Traceback" not in err
    assert tree() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
def test_the_exit_code_says_what_a_full_disk_cannot():
    with open("/dev/full", "w") as full:
        assert subprocess.run([sys.executable, "-m", "evolr", "show", "nope"], stderr=full, check=False).returncode == 2
