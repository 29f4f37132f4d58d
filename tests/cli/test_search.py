"""`evolr evolve`, `run` and `runs`, against real trainings and real files."""

import json
import re
from pathlib import Path

import pytest

from evolr import __version__
from evolr.cli.app import app
from tests.cli.searches import ALL_FILES, ORIGINAL, QUICK, SEARCH_FILES, names

COMMANDS = ("evolve", "run", "compare", "prove", "explain", "show", "export", "gallery", "report", "runs", "serve")


def test_run_does_the_whole_experiment(evolr):
    code, out, err = evolr("run", *ORIGINAL, "--set", "comparison.seeds=2")
    assert code == 0
    assert names("runs/original-1") == ALL_FILES
    assert "champion:" in out
    assert "step decay" in out
    assert "monitor = fitness" in out
    lines = re.findall(r"^generation (\d) \((\d) of 2\)  best", err, flags=re.MULTILINE)
    assert lines == [("0", "1"), ("1", "2")]  # plain: one line a generation
    assert Path("runs/original-1/comparison.png").read_bytes().startswith(b"\x89PNG")
    assert evolr("evolve", *ORIGINAL, "-q")[2] == ""
    assert names("runs/original-2") == SEARCH_FILES


def test_json_is_all_there_is_on_stdout(evolr):
    code, out, _ = evolr("run", *ORIGINAL, "--run", "mine", "--json", "--set", "comparison.seeds=1")
    document = json.loads(out)
    assert code == 0
    assert document["run"] == "mine"
    assert len(document["comparison"]["contenders"]) == 4
    assert json.loads(evolr("compare", "mine", "--json", "--seeds", "1", "--epochs", "1")[1])["epochs"] == 1
    assert json.loads(evolr("show", "mine", "--json")[1])["expression"] == document["expression"]


def test_a_configuration_file_and_settings(evolr):
    Path("mine.toml").write_text("[search]\npopulation = 5\ngenerations = 1\n[training]\nepochs = 1\n")
    code, _, _ = evolr(
        "evolve", "--preset", "original", "--config", "mine.toml", "--run", "run", "-q", "--set", "search.elites=2"
    )
    assert code == 0
    config = Path("run/config.toml").read_text()
    assert "population = 5" in config
    assert "elites = 2" in config


def test_a_signal_that_the_problem_does_not_give_is_named(evolr, monkeypatch):
    from evolr.problems import Mnist1dMlp

    monkeypatch.setattr(Mnist1dMlp, "signals", ("epoch", "loss"))
    for arguments in (
        ("compare", "--preset", "original", "--expression", "val_loss"),
        ("evolve", "--terminals", "val_loss,constant"),
    ):
        code, _, err = evolr(*arguments)
        assert code == 2
        assert "does not give the signal 'val_loss'; it gives epoch, loss" in err


def test_the_command_that_began_a_study_finds_it_again_after_a_budget_has_shortened_it(evolr):
    """Without a preset, its settings are changes of what the study was asked for, not of what was left of it."""
    small = {
        "population": 4,
        "samples": 4,
        "children": 1,
        "youth": 1,
        "newcomers": 1,
        "seeds": 1,
        "random_structures": 2,
    }
    settings = [f"--set=search.{name}={value}" for name, value in small.items()]
    settings += ["--set=search.seed_families=false", "--set=search.finalists=3", "--set=search.race_seeds=2"]
    asked = ["--generations", "4", "--max-trainings", "20"]
    evolr("evolve", "--preset", "quadratic", "--epochs", "2", *settings, *asked, "--run", "mine", "-q")
    said = evolr("show", "mine")[1]
    assert "a budget left no room for" in said
    for again in (asked, ["--set", "search.finalists=3"], []):
        code, _, err = evolr("evolve", "--run", "mine", *again, "-q")
        assert (code, err) == (0, "")
    assert evolr("show", "mine")[1] == said
    code, _, err = evolr("evolve", "--run", "mine", "--generations", "9", "-q")
    assert code == 2
    assert "breeds no more" in err


def test_runs_lists_the_studies_of_a_folder_and_says_which_cannot_be_read(evolr):
    assert evolr("runs")[1] == "no studies in runs\n"
    evolr("evolve", *ORIGINAL, "-q")
    evolr("evolve", "--preset", "quadratic", *QUICK, "--max-trainings", "1", "-q")
    Path("runs/broken").mkdir()
    Path("runs/broken/study.db").write_text("precious notes")
    Path("runs/notes").mkdir()
    code, out, _ = evolr("runs")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert "mnist1d-mlp" in lines["original-1"]
    assert "finished" in lines["original-1"]
    assert "2 of 2" in lines["original-1"]
    assert "stopped" in lines["quadratic-1"]
    assert "unreadable" in lines["broken"]
    assert "notes" not in lines
    listed = json.loads(evolr("runs", "--json")[1])["runs"]
    assert [(run["run"], run["state"]) for run in listed] == [
        ("runs/broken", "unreadable"),
        ("runs/original-1", "done"),
        ("runs/quadratic-1", "stopped"),
    ]


def test_runs_counts_the_generations_that_breed_as_every_other_view(evolr):
    settings = ("--preset", "original", *QUICK[:-2], "--set", "search.finalists=2", "--set", "search.race_seeds=1")
    evolr("evolve", *settings, "--run", "runs/done", "-q")
    evolr("evolve", *settings, "--run", "runs/cut", "-q", "--max-trainings", "1")
    lines = {line.split()[0]: line for line in evolr("runs")[1].splitlines() if line.split()}
    assert " 2 of 2 " in lines["done"]
    assert " 1 of 2 " in lines["cut"]
    listed = {run["run"]: run for run in json.loads(evolr("runs", "--json")[1])["runs"]}
    assert [listed[f"runs/{name}"]["generations_done"] for name in ("done", "cut")] == [2, 1]
    assert {run["generations"] for run in listed.values()} == {2}
    assert "2 of 2, and the race" in evolr("show", "runs/done")[1]


def test_evolve_goes_on_with_a_study_and_refuses_another_search_in_it(evolr):
    evolr("evolve", *ORIGINAL, "--max-trainings", "1", "--run", "mine", "-q")
    code, _, err = evolr("evolve", "--run", "mine", "--population", "9")
    assert code == 2
    assert "search.population is 6, was asked to be 9" in err
    assert json.loads(evolr("evolve", "--run", "mine", "--json")[1])["stopped_by"] is None
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["generations_done"] == 2
    evolr("evolve", "--run", "mine", "--generations", "3", "-q")
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["generations_done"] == 3


def test_help_names_every_command_and_the_version_is_told(evolr):
    _, out, _ = evolr("--help")
    assert all(command in out for command in COMMANDS)
    assert evolr("--version")[1].strip() == __version__


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("evolr ex", "export explain"), ("evolr evolve --preset su", "suite"), ("evolr export 0.1 --to t", "torch")],
)
def test_a_shell_completes_commands_presets_and_targets(typed, completed, capsys, monkeypatch):
    words = typed.split(" ")
    monkeypatch.setenv("_EVOLR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as ended:
        app(prog_name="evolr")
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == completed.split()


def test_every_command_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert all(f"evolr {command}" in page for command in COMMANDS)


def test_the_preset_where_none_is_named_is_memetic(evolr):
    assert evolr("evolve", *QUICK, "--set", "comparison.epochs=4", "--max-trainings", "1", "-q")[0] == 0
    assert 'method = "memetic"' in Path("runs/memetic-1/config.toml").read_text()
    assert "memetic-1" in evolr("runs")[1]


def test_a_run_directory_named_after_the_old_preset_still_opens(evolr):
    evolr("evolve", *ORIGINAL, "--run", "runs/default-1", "-q")
    assert evolr("evolve", "--run", "runs/default-1", "-q")[0] == 0
    assert evolr("show", "runs/default-1")[0] == 0
    assert "default-1" in evolr("runs")[1]


def test_runs_names_the_folders_below_that_hold_studies(evolr):
    for place in ("runs/mine/one", "runs/with, comma/two", "runs/three", "runs/empty"):
        Path(place).mkdir(parents=True)
    for place in ("runs/mine/one", "runs/with, comma/two", "runs/three"):
        Path(place, "study.db").touch()
    Path("runs/linked").symlink_to("mine", target_is_directory=True)
    said = evolr("runs")[1]
    assert said.endswith(
        "more studies are in folders of runs; name one of these to see them: runs/linked, runs/mine, 'runs/with, comma'\n"
    )
    assert "more studies" not in evolr("runs", "runs/mine")[1]
    assert json.loads(evolr("runs", "--json")[1])["runs"][0]["run"] == "runs/three"
    for number in range(9):
        Path(f"runs/n{number}/own").mkdir(parents=True)
        Path(f"runs/n{number}/own/study.db").touch()
    assert evolr("runs")[1].endswith("runs/n0, runs/n1, runs/n2, …\n")
