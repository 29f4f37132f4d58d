"""`evolr compare`, `prove` and `explain`, against real trainings and real files."""

import csv
import json
from pathlib import Path

import pytest

from evolr.contest.rivals import rivals_of
from evolr.expression import parse
from evolr.training.optimizers import Optimizer
from tests.cli.searches import ORIGINAL, PUBLISHED, QUICK, names


def test_compare_reads_the_champion_from_its_file(evolr):
    evolr("evolve", *ORIGINAL, "--run", "mine", "-q")
    document = json.loads(Path("mine/champion.json").read_text())
    document["expression"] = "0.00123"
    Path("mine/champion.json").write_text(json.dumps(document))
    code, out, _ = evolr("compare", "mine", "--epochs", "1", "--seeds", "1", "--base-lr", "0.00123", "--json")
    compared = json.loads(out)["contenders"]
    assert code == 0
    assert compared[0]["scores"] == compared[1]["scores"]
    with Path("mine/comparison.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4


def test_compare_takes_a_formula(evolr):
    code, out, _ = evolr("compare", "--expression", PUBLISHED, "--epochs", "1", "--seeds", "2", "-o", "files")
    assert code == 0
    assert "evolved" in out
    assert names("files") == ["comparison.csv", "comparison.json", "comparison.png"]


def test_prove_writes_the_contest_and_says_the_verdict(evolr, monkeypatch, tmp_path):
    one = [
        rival for rival in rivals_of(Optimizer(name="sgd")) if rival.name == "Prodigy"
    ]  # test_rivals.py has all of them
    monkeypatch.setattr("evolr.contest.contest.rivals_of", lambda _: one)
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    evolr("evolve", "--preset", "quadratic", *QUICK, "--run", "mine", "-q")
    code, out, err = evolr("prove", "mine", "--quick", "--epochs", "1", "--budget", "16")
    assert code == 0
    assert "The evolved schedule beats" in out
    assert "proven: " in out
    assert "This is a rehearsal (--quick)" in out
    assert "Prodigy (tuned)" in out
    assert "of at most" in err
    assert {"contest.db", "proven.json", "rehearsal.csv", "rehearsal.json", "rehearsal.md", "rehearsal.png"} < set(
        names("mine")
    )
    code, out, err = evolr("prove", "mine", "--quick", "--epochs", "1", "--budget", "16", "--json", "-q")
    assert json.loads(out)["pool"] == "selection"
    assert err == ""


def test_any_formula_is_proven_in_a_directory_of_its_own(evolr, monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    command = ("prove", "--expression", "0.3*(1 - progress)", "--preset", "quadratic", "--epochs", "1", "--quick")
    command += ("--no-rivals",)
    assert evolr(*command, "--budget", "16", "-o", "mine")[0] == 0
    again = evolr(*command, "--budget", "16", "-o", "mine", "-q")[1]
    assert again.count("0 trainings") == 1
    assert "were left out, as asked" in again
    assert "page" not in evolr("runs", ".")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "not a run directory"),
        ((), "name either a run directory or --expression"),
        (("a", "--expression", "0.1"), "name either a run directory or --expression"),
        (("a", "--transform", "log"), "belong to --expression"),
        (("--expression", "0.1"), "needs a directory, --output DIR, and a budget"),
        (("--expression", "0.1", "-o", "x"), "needs a directory, --output DIR, and a budget"),
        (("--expression", "0.1 +", "-o", "x", "--budget", "3"), "expected a number"),
        (("a", "--preset", "quadratic"), "belong to --expression"),
        (("a", "--budget", "many"), "--budget expects `equal` or a number"),
        (("a", "--budget", "0"), "--budget must be at least 1 and at most 1,000,000,000, got 0"),
        (("a", "--seeds", "0"), "Invalid value for '--seeds'"),
    ],
)
def test_what_prove_refuses(evolr, arguments, message):
    code, out, err = evolr("prove", *arguments, "-q")
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("x").exists()


def test_explain_says_which_signals_matter(evolr, monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    terminals = ("--terminals", "progress,loss,constant", "--set", "search.initial_depth=[1, 3]")
    evolr("evolve", "--preset", "quadratic", *QUICK, *terminals, "--run", "mine", "-q")
    code, out, _ = evolr("explain", "mine", "--seeds", "6")
    assert code == 0
    assert out.startswith("champion: ")
    assert "frozen at" in out
    assert Path("mine/explanation.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(evolr("explain", "mine", "--seeds", "6", "--json", "-q")[1])
    signals = sorted(parse((Path("mine") / "champion.txt").read_text().strip()).signals)
    assert [frozen["signal"] for frozen in document["frozen"]] == signals
    saved = json.loads(Path("mine/explanation.json").read_bytes())
    assert {"record": "explanation", "version": 1, **document} == saved
    code, _, err = evolr("explain", "nothing")
    assert (code, "not a run directory" in err) == (2, True)


def test_a_rehearsal_does_not_touch_the_files_of_a_contest(evolr, monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    evolr("evolve", "--preset", "quadratic", *QUICK, "--run", "mine", "-q")
    assert evolr("prove", "mine", "--epochs", "1", "--budget", "16", "--seeds", "11", "--no-rivals", "-q")[0] == 0
    before = Path("mine/contest.json").read_bytes()
    evolr("prove", "mine", "--quick", "--epochs", "1", "--budget", "16", "--no-rivals", "-q")
    assert Path("mine/contest.json").read_bytes() == before
    assert json.loads(before)["verdict"][0].startswith("The evolved schedule")


def test_a_formula_is_the_learning_rate_itself_whatever_the_preset_makes_of_its_own(evolr):
    """Of the preset memetic, whose formulas are the logarithm of a learning rate."""
    options = ("--epochs", "1", "--seeds", "1", "--json", "-q")
    champion = json.loads(evolr("compare", "--expression", "0.01*0.5", *options)[1])["contenders"][0]
    assert champion["learning_rate"] == [[pytest.approx(0.005)]]
    given = json.loads(evolr("compare", "--expression", "1", "--transform", "log", *options)[1])["contenders"][0]
    assert given["learning_rate"] == [[pytest.approx(0.001 * 2.718281828)]]
