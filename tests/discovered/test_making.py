"""An entry is made of a run directory by benchmarks/gallery.py: its figures are those of the contest, its words stay."""

import json
import shlex
from pathlib import Path

import msgspec
import pytest

from benchmarks import gallery as making
from evolr.config import resolve
from evolr.contest.prove import prove, prove_schedule
from evolr.contest.reading import read_contest
from evolr.contest.rivals import rivals_of
from evolr.discovered import Gallery, GalleryEntry, gallery
from evolr.errors import ConfigError
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.study import Study
from tests.study.small import small

SAID = {"title": "a test", "words": "Falls.", "wins": "Nowhere.", "loses": "Everywhere.", "command": "evolr …"}
OWN = small(**{"search.generations": 2, "search.seeds": 1})
FEW = {name: FAMILIES[name] for name in ("constant", "cosine", "linear")}
ONE = rivals_of(OWN.training.optimizer)[:1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory with a study and its contest."""
    path = tmp_path_factory.mktemp("making") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: path.parent / "shared")
        patch.setattr("evolr.contest.contest.FAMILIES", FEW)
        patch.setattr("evolr.contest.contest.rivals_of", lambda _: ONE)
        with Study(path, OWN) as study:
            study.run()
        prove(path, budget=4, seeds=12, epochs=3)
        yield path


def test_an_entry_of_a_run_says_what_its_study_and_its_contest_say(run):
    entry, contest = making.entry_of(run, "made-here", SAID), read_contest(run)
    champion = contest.champion.result
    assert entry.schedule() == Schedule.load(run / "proven.json") == champion.schedule
    assert (entry.origin, entry.title, entry.optimizer) == ("evolved", "a test", OWN.training.optimizer)
    assert (entry.found_on.problem, entry.found_on.epochs, entry.found_on.seed) == ("quadratic", 2, OWN.seed)
    assert entry.found_on.settings == {"dimension": 3, "steps_per_epoch": 4}
    assert entry.found_on.trainings == contest.evolved.trained
    assert entry.found_on.standing == ""
    figures = entry.contest
    assert (figures.metric, figures.higher_is_better) == ("loss", False)
    assert (figures.seeds, figures.pool, figures.budget) == (12, "test", 4)
    assert figures.score == champion.mean
    rival = next(e.result for e in contest.others if e.name == figures.rival)
    assert figures.rival_score == rival.mean == min(e.result.mean for e in contest.others if not e.result.diverged)
    assert (figures.difference, figures.p) == (rival.pairs.difference, rival.pairs.p_value)
    assert figures.beaten + figures.level + figures.worse == len(contest.others)
    assert GalleryEntry.from_json(entry.to_json()) == entry


def test_the_words_of_an_entry_that_is_there_stay(run):
    first = making.entry_of(run, "made-here", SAID)
    again = making.entry_of(run, "made-here", {"command": "evolr …", "wins": "Here."}, first)
    assert again == msgspec.structs.replace(first, wins="Here.")
    with pytest.raises(ConfigError, match="made-here is new: say its words, loses"):
        making.entry_of(run, "made-here", {"title": "a", "wins": "b"})


def test_the_words_of_another_formula_do_not_stay(run):
    with pytest.raises(
        ConfigError, match="the formula of adam-mnist1d is another one now: say its title, words, wins, loses"
    ):
        making.entry_of(run, "adam-mnist1d", {"command": "evolr …"}, gallery["adam-mnist1d"])
    entry = making.entry_of(run, "adam-mnist1d", SAID, gallery["adam-mnist1d"])
    assert (entry.words, entry.curve) == ("Falls.", None)


def test_a_contest_of_an_entry_s_own_formula_fills_in_its_figures_alone(run, tmp_path):
    entry = making.entry_of(run, "made-here", SAID)
    before = msgspec.structs.replace(entry, contest=None)
    prove_schedule(entry.schedule(), OWN, tmp_path / "mine", budget=4, seeds=12, epochs=3)
    filled = making.entry_of(tmp_path / "mine", "made-here", SAID, before)
    assert filled.contest.score == read_contest(tmp_path / "mine").champion.result.mean
    assert msgspec.structs.replace(filled, contest=None) == before
    with pytest.raises(ConfigError, match="of another schedule than"):
        making.entry_of(tmp_path / "mine", "adam-mnist1d", SAID, gallery["adam-mnist1d"])
    with pytest.raises(ConfigError, match="holds no study, and no contest of an entry that is there"):
        making.entry_of(tmp_path / "mine", "made-here", SAID)
    with pytest.raises(ConfigError, match="holds no study"):
        making.entry_of(tmp_path, "made-here", SAID, before)


def test_a_rehearsal_is_no_contest(run, tmp_path, monkeypatch):
    contest = read_contest(run)
    quick = msgspec.structs.replace(contest.settings, is_quick=True)
    object.__setattr__(contest, "settings", quick)
    with pytest.raises(ConfigError, match="rehearsal"):
        making.figures(contest)


def test_the_command_names_the_preset_and_what_differs_from_it(run):
    suite = resolve("suite", settings={"seed": 3, "problem.widths": [8, 16]})
    assert shlex.split(making.command("a-name", suite)) == shlex.split(
        "evolr prove --expression a-name --preset suite --set seed=3 --set 'problem.widths=[8, 16]' --budget 600 -o runs/a-name"
    )
    assert "--preset original" in making.command("a-name", resolve("original"))
    assert "--set" not in making.command("a-name", resolve("memetic"))
    of_contest = shlex.split(making.command("a-name", resolve("quadratic"), **making.of_contest(read_contest(run))))
    assert of_contest[of_contest.index("--epochs") + 1] == "3"
    assert of_contest[of_contest.index("--budget") + 1] == "4"
    assert of_contest[of_contest.index("--seeds") + 1] == "12"
    for config, problem in (
        (resolve("function"), "say how by --command"),
        (OWN, "no preset has the problem quadratic"),
    ):
        with pytest.raises(ConfigError, match=problem):
            making.command("a-name", config)


def test_the_script_writes_the_document_and_the_page(run, tmp_path, monkeypatch, capsys):
    for name, value in (("ENTRIES", tmp_path), ("ROOT", tmp_path), ("PAGE", tmp_path / "gallery.md")):
        monkeypatch.setattr(making, name, value)
    monkeypatch.setattr(making, "PICTURE", tmp_path / "gallery.png")
    said = [part for name, text in SAID.items() for part in (f"--{name}", text)]
    making.main([str(run), "made-here", *said, "--curve", "made-here"])
    entry = Gallery(tmp_path)["made-here"]
    assert len(entry.curve.median) == 2
    assert all(low <= mid <= high for low, mid, high in zip(*msgspec.structs.astuple(entry.curve)[1:], strict=True))
    assert capsys.readouterr().out == "written: made-here.json\n" * 2
    (tmp_path / "made-here.json").write_bytes(msgspec.structs.replace(entry, contest=None).to_json())
    making.main([str(run), "made-here", "--command", "evolr …"])
    assert Gallery(tmp_path)["made-here"] == entry
    assert "look at what --wins and --loses said before" in capsys.readouterr().out
    marks = "".join(f"<!-- {name}: -->\nold\n<!-- end of {name} -->\n" for name in ("answer", "entries"))
    (tmp_path / "gallery.md").write_text(marks.replace(": -->", ": here -->"), encoding="utf-8")
    making.main(["--page"])
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert "### made-here" in page
    assert "old" not in page
    assert (tmp_path / "gallery.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="unknown gallery entry 'none'"):
        making.main(["--curve", "none"])
    assert json.loads((tmp_path / "made-here.json").read_text())["name"] == "made-here"
    assert Path(tmp_path / "made-here.json").read_bytes() == entry.to_json()
