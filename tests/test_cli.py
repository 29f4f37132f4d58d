"""The command line, against real trainings and real files."""

import csv
import json
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from evolr import __version__
from evolr.expression import parse
from evolr.schedule import Schedule

SHORT = (
    "--population",
    "6",
    "--generations",
    "2",
    "--epochs",
    "1",
    "--set",
    "comparison.epochs=2",
)
QUICK = (*SHORT, "--set", "search.youth=2")  # of the memetic method
ORIGINAL = ("--preset", "original", *SHORT)
PUBLISHED = "(((epoch mul -0.001537) mul -0.75568) sub -0.001537)"


def names(path):
    """What a directory holds, but for what SQLite keeps beside a database for its readers."""
    return sorted(p.name for p in Path(path).iterdir() if not p.name.endswith(("-shm", "-wal")))


SEARCH_FILES = [
    "champion.json",
    "champion.txt",
    "config.toml",
    "front.csv",
    "front.png",
    "history.csv",
    "study.db",
    "writer.lock",
]
ALL_FILES = sorted([*SEARCH_FILES, "comparison.csv", "comparison.json", "comparison.png"])


def test_run_does_the_whole_experiment(evolr):
    code, out, err = evolr("run", *ORIGINAL, "--set", "comparison.seeds=2")
    assert code == 0
    assert names("runs/original-1") == ALL_FILES
    assert "champion:" in out
    assert "step decay" in out
    assert "monitor = fitness" in out
    assert len(re.findall(r"^generation \d/2 ", err, flags=re.MULTILINE)) == 2  # plain: one line a generation
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


def test_a_configuration_file_and_settings(evolr):
    Path("mine.toml").write_text("[search]\npopulation = 5\ngenerations = 1\n[training]\nepochs = 1\n")
    code, _, _ = evolr(
        "evolve", "--preset", "original", "--config", "mine.toml", "--run", "run", "-q", "--set", "search.elites=2"
    )
    assert code == 0
    config = Path("run/config.toml").read_text()
    assert "population = 5" in config
    assert "elites = 2" in config


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
    (("evolve", "--population", "0"), "at least 1, got 0"),
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
    (("evolve", "--problem", "external"), "use Study.ask and Study.tell"),
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
    (("show", "1", "-o", "nowhere/curve.png"), "cannot write"),
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
    before = sorted(map(str, Path().rglob("*")))
    code, out, err = evolr(*arguments)
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ") or err.startswith("error: ")
    assert part in err
    assert "Traceback" not in err
    assert sorted(map(str, Path().rglob("*"))) == before


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
    assert "done" in lines["original-1"]
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


def test_evolve_goes_on_with_a_study_and_refuses_another_search_in_it(evolr):
    evolr("evolve", *ORIGINAL, "--max-trainings", "1", "--run", "mine", "-q")
    code, _, err = evolr("evolve", "--run", "mine", "--population", "9")
    assert code == 2
    assert "search.population is 6, was asked to be 9" in err
    assert json.loads(evolr("evolve", "--run", "mine", "--json")[1])["stopped_by"] is None
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["generations_done"] == 2
    evolr("evolve", "--run", "mine", "--generations", "3", "-q")
    assert json.loads(evolr("runs", ".", "--json")[1])["runs"][0]["generations_done"] == 3


def test_show_of_a_study_without_a_champion_says_where_it_stands(evolr):
    evolr("evolve", *ORIGINAL, "--max-time", "0.000001s", "--run", "mine", "-q")
    code, _, err = evolr("show", "mine")
    assert code == 2
    assert "mine is stopped, 0 of 2 generations are done" in err


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


def test_help_names_every_command_and_the_version_is_told(evolr):
    _, out, _ = evolr("--help")
    assert all(
        command in out
        for command in ("evolve", "run", "compare", "prove", "explain", "show", "export", "gallery", "runs")
    )
    assert evolr("--version")[1].strip() == __version__


def test_every_command_is_in_the_readme():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert all(
        f"evolr {command}" in readme
        for command in ("evolve", "run", "compare", "prove", "explain", "show", "export", "gallery", "runs")
    )


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
            if line.startswith("generation 2/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "stopping after the trainings under way" in rest
    assert "interrupted; what was finished is in mine; go on with: evolr evolve --run mine" in rest
    assert "Traceback" not in rest
    assert names("mine") == SEARCH_FILES
    assert Path("mine/history.csv").read_text().count("\n") >= 1 + 2 * 20


def test_prove_writes_the_contest_and_says_the_verdict(evolr, monkeypatch, tmp_path):
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
    assert again.count("0 training runs") == 1
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
        (("a", "--budget", "0"), "--budget expects `equal` or a number"),
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


def test_a_rehearsal_does_not_touch_the_files_of_a_contest(evolr, monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    evolr("evolve", "--preset", "quadratic", *QUICK, "--run", "mine", "-q")
    assert evolr("prove", "mine", "--epochs", "1", "--budget", "16", "--seeds", "11", "--no-rivals", "-q")[0] == 0
    before = Path("mine/contest.json").read_bytes()
    evolr("prove", "mine", "--quick", "--epochs", "1", "--budget", "16", "--no-rivals", "-q")
    assert Path("mine/contest.json").read_bytes() == before
    assert json.loads(before)["verdict"][0].startswith("The evolved schedule")


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


def test_the_preset_where_none_is_named_is_memetic(evolr):
    assert evolr("evolve", *QUICK, "--set", "comparison.epochs=4", "--max-trainings", "1", "-q")[0] == 0
    assert 'method = "memetic"' in Path("runs/memetic-1/config.toml").read_text()
    assert "memetic-1" in evolr("runs")[1]


def test_a_formula_is_the_learning_rate_itself_whatever_the_preset_makes_of_its_own(evolr):
    """Of the preset memetic, whose formulas are the logarithm of a learning rate."""
    options = ("--epochs", "1", "--seeds", "1", "--json", "-q")
    champion = json.loads(evolr("compare", "--expression", "0.01*0.5", *options)[1])["contenders"][0]
    assert champion["learning_rate"] == [[pytest.approx(0.005)]]
    given = json.loads(evolr("compare", "--expression", "1", "--transform", "log", *options)[1])["contenders"][0]
    assert given["learning_rate"] == [[pytest.approx(0.001 * 2.718281828)]]


def test_a_run_directory_named_after_the_old_preset_still_opens(evolr):
    evolr("evolve", *ORIGINAL, "--run", "runs/default-1", "-q")
    assert evolr("evolve", "--run", "runs/default-1", "-q")[0] == 0
    assert evolr("show", "runs/default-1")[0] == 0
    assert "default-1" in evolr("runs")[1]
