"""The gallery: each entry is read, trains, is exported and told apart from everything else that has a name."""

import json
import math
import runpy
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

import evolr as package
from evolr.discovered import Figures, FoundOn, Gallery, GalleryEntry, ScaleRange, gallery
from evolr.errors import ConfigError, ExpressionError, ScheduleError, UnknownEntryError
from evolr.exports.targets import TARGETS
from evolr.formula import family_named
from evolr.loop import Loop
from evolr.problems import PROBLEMS
from evolr.signals import observed
from evolr.standard import FAMILIES
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer
from tests.study.small import small

ROOT = Path(__file__).parents[2]
ENTRIES = ROOT / "src" / "evolr" / "discovered" / "entries"
NAMES = sorted(path.stem for path in ENTRIES.glob("*.json"))
FIRST = NAMES[0]


def changed(place, **changes):
    """A gallery of one document in a folder, some of its fields changed; None takes one out."""
    document = json.loads((ENTRIES / f"{FIRST}.json").read_text()) | changes
    kept = {name: value for name, value in document.items() if value is not None}
    (place / f"{FIRST}.json").write_text(json.dumps(kept))
    return Gallery(place)


# --- the entries that ship ------------------------------------------------------------------------------------------------


def test_the_gallery_is_a_mapping_of_all_documents():
    assert list(gallery) == NAMES
    assert len(gallery) == len(NAMES) >= 3
    assert package.gallery is gallery
    assert all(gallery[name].name == name for name in gallery)
    assert gallery[FIRST] is gallery[FIRST]
    assert FIRST in gallery
    assert 5 not in gallery
    assert gallery.get("none") is None
    with pytest.raises(TypeError):
        gallery["mine"] = gallery[FIRST]


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_whole_and_says_the_same_when_it_is_written_and_read_again(name):
    entry = gallery[name]
    assert GalleryEntry.from_json(entry.to_json()) == entry
    assert (ENTRIES / f"{name}.json").read_bytes() == entry.to_json()
    assert entry.schedule() == package.load(name) == package.load(entry)
    assert entry.found_on.problem in PROBLEMS
    assert name in entry.command or entry.command.startswith("python benchmarks/")
    assert min(map(len, (entry.title, entry.words, entry.wins, entry.loses))) > 10
    assert entry.curve is None or len(entry.curve.median) == entry.found_on.epochs


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_no_family_s_name_and_no_formula(name):
    assert family_named(name) is None
    assert name not in FAMILIES
    with pytest.raises(ExpressionError):
        package.parse(name)


@pytest.fixture(scope="module")
def task():
    return small().problem.task("fitness")


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_trains_to_a_finite_score(name, task):
    outcome = Trainer(task, gallery[name].optimizer).train([Trial(gallery[name].schedule(scale=0.1), 0)], 2)[0]
    assert math.isfinite(outcome.score)
    assert np.isfinite(outcome.learning_rate).all()
    assert max(outcome.learning_rate) > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_exported_to_every_target_and_the_file_gives_its_rates(name, tmp_path):
    entry, schedule = gallery[name], gallery[name].schedule()
    for target in TARGETS.values():
        if target.lacks(schedule.signals):
            with pytest.raises(ScheduleError, match=f"'{target.name}' cannot supply"):
                package.export(name, target.name)
        else:
            text = package.export(entry, target.name)
            assert f"Example (the schedule was found with {entry.optimizer_text}: take that optimiser):" in text
            by_name = _BY_NAME if schedule.expression.is_open_loop else {}
            made_of = (_OPTIMIZERS[entry.optimizer_text] | by_name)[target.name]
            assert made_of in text.split('"""')[1]
            compile(text, name, "exec")
            assert f"gallery: {name}: {entry.title}"[:60] in text
    assert {target.name for target in TARGETS.values() if not target.lacks(schedule.signals)} >= {"torch", "optax"}
    package.export(name, "python", tmp_path / "mine.py")
    exported = runpy.run_path(str(tmp_path / "mine.py"))["learning_rate"]
    rng, told = np.random.default_rng(0), sorted(observed(schedule.signals))
    loop = Loop(_Both(schedule, exported), total_steps=40, steps_per_epoch=10, **dict.fromkeys(told, 1.5))
    rates = [loop.learning_rate]
    for _ in range(39):
        loop.step(**{signal: float(rng.lognormal()) for signal in told if signal != "val_loss"})
        if "val_loss" in told:
            loop.observe(val_loss=float(rng.lognormal()))
        rates.append(loop.learning_rate)
    assert len({*rates}) > 30


_OPTIMIZERS = {
    "SGD with momentum 0.9": {"python": "", "optax": "optax.trace(decay=0.9)", "keras": "SGD(0.001, momentum=0.9)"}
    | dict.fromkeys(("torch", "lightning"), "parameters(), lr=1e-3, momentum=0.9)"),
    "Adam": {"python": "", "optax": "scale_by_adam()", "keras": ""}
    | dict.fromkeys(("torch", "lightning"), "torch.optim.Adam("),
}
"""What an export's example makes its optimiser of."""

_BY_NAME = {"optax": "optax.adam(schedule(", "huggingface": "torch.optim.Adam("}
"""The same of Adam under a schedule that reads the clock alone."""


class _Both:
    """A schedule that is asked beside what was exported of it."""

    def __init__(self, schedule, exported):
        self.signals, self._schedule, self._exported = schedule.signals, schedule, exported

    def at(self, **signals):
        rate = self._schedule.at(**signals)
        assert rate == self._exported(**{name: signals[name] for name in self.signals})
        return rate


@pytest.mark.parametrize("name", NAMES)
def test_its_scale_is_a_factor_on_its_learning_rates(name):
    entry = gallery[name]
    signals = dict.fromkeys(entry.schedule().signals, 0.4)
    assert entry.schedule(scale=0.3).at(**signals) == pytest.approx(0.3 * entry.schedule().at(**signals), rel=1e-12)
    (scale,) = entry.constants
    assert (scale.name, scale.default, scale.scale, scale.is_scale) == ("scale", 1.0, "log", True)
    assert scale.low < 1 < scale.high
    assert entry.starts[0] == {"scale": 1.0}
    assert [round(start["scale"], 4) for start in entry.starts] == [1, 0.1, 10, 3.1623, 0.3162, 0.0316, 31.6228]
    narrow = msgspec.structs.replace(entry, scale=ScaleRange(low=0.5, high=20))
    assert [round(start["scale"], 4) for start in narrow.starts] == [1, 10, 3.1623]
    with pytest.raises(ScheduleError, match="positive factor"):
        entry.schedule(scale=0)


def test_what_adam_mnist1d_was_proven_with_is_in_the_repository():
    """The formula and the figures are those of the contest's page."""
    page = (ROOT / "benchmarks/results/contest-default-2.md").read_text(encoding="utf-8")
    entry = gallery["adam-mnist1d"]
    written = page.split("The evolved schedule: `")[1].split("`")[0]
    assert package.parse(written) == entry.schedule().expression
    assert f"{100 * entry.contest.score:.2f} %; the best of the others on this pool, {entry.contest.rival}" in page
    assert f"{100 * entry.contest.difference:+.3g} points" in page
    assert f"beats {entry.contest.beaten} of 23" in page


def test_the_figures_of_momentum_norm_are_those_of_the_benchmark():
    measured = json.loads((ROOT / "benchmarks/results/gradient_signals.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in measured["rows"]}
    own, shape, entry = rows["/grad_norm_rss"], rows["WSD: the shape alone"], gallery["momentum-norm"]
    difference = own["further"]["difference"]
    formula = package.parse(measured["formulas"][own["name"]], {"c": own["constants"][0]})
    assert entry.schedule().expression == formula
    assert entry.contest.score == pytest.approx(own["further"]["accuracy"] / 100, abs=1e-6)
    assert entry.contest.rival_score == pytest.approx(shape["further"]["accuracy"] / 100, abs=1e-6)
    assert entry.contest.difference == pytest.approx(difference["mean"] / 100, abs=1e-6)
    assert [entry.contest.low, entry.contest.high] == pytest.approx([x / 100 for x in difference["interval"]], abs=1e-6)
    assert entry.contest.p == pytest.approx(difference["p"], rel=1e-2)


@pytest.mark.parametrize(
    ("name", "results", "seed"),
    [("momentum-suite", "suite", 3), ("momentum-quadratics", "quadratics-large", 1)],
)
def test_the_figures_of_what_a_suite_found_are_those_of_its_contest(name, results, seed):
    """Formula and figures; and the command holds that contest, of the same settings, again."""
    document = json.loads((ROOT / f"benchmarks/results/suites-{results}.json").read_text(encoding="utf-8"))
    (study,) = [study for study in document["studies"] if study["seed"] == seed]
    own, *others = sorted(study["contenders"], key=lambda row: row["name"] != "evolved")
    rival = next(row for row in others if row["name"] != "evolved (frozen)")  # the best is the first
    entry, contest = gallery[name], gallery[name].contest
    assert entry.schedule() == package.Schedule.from_json(json.dumps(study["schedule"]).encode())
    assert (contest.score, contest.rival, contest.rival_score) == (own["score"], rival["name"], rival["score"])
    figures = [contest.difference, contest.low, contest.high, contest.p]
    assert figures == [rival["evolved_minus_it"], *rival["difference_interval"], rival["p_holm"]]
    assert (entry.found_on.seed, entry.found_on.trainings) == (seed, study["trainings"])
    assert (contest.seeds, contest.budget, contest.pool) == (document["tasks"], document["budget"], document["pool"])
    preset, said = preset_and_settings(entry.command)
    since = {"search.seed_powers": False} if preset == "mixed" else {}  # which the preset has, and the study had not
    assert said == document["settings"] | {"seed": seed} | since
    assert preset == document["preset"]


def test_the_figures_of_the_powers_are_those_of_their_contest():
    powers = json.loads((ROOT / "benchmarks/results/attempts.json").read_text(encoding="utf-8"))["attempts"]["powers"]
    entry, contest = gallery["momentum-mixed"], gallery["momentum-mixed"].contest
    assert entry.schedule() == package.Schedule.from_json(json.dumps(powers["schedule"]).encode())
    assert entry.found_on.trainings == powers["trainings"]
    page = (ROOT / "benchmarks/results/contest-momentum-mixed.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert rows[0].startswith(f"| evolved | {contest.score:.4g} ")
    assert rows[1].startswith(f"| {contest.rival} by prodigy_adam | {contest.rival_score:.4g}")
    assert f"| {contest.difference:+.4g}  {contest.low:+.4g} … {contest.high:+.4g} | {contest.p:.2g} |" in rows[1]
    assert f"| {contest.family.name} | {contest.family.score:.4g} " in page
    assert f"beats all {contest.beaten} contenders at p < 0.001" in page
    assert (contest.level, contest.worse) == (0, 0)
    preset, said = preset_and_settings(entry.command)
    assert (
        package.resolve(preset, settings=said).problem
        == package.resolve("mixed", settings=entry_settings(entry)).problem
    )


def preset_and_settings(command):
    """Of a command that holds a contest."""
    words = shlex.split(command)
    said = dict(words[k + 1].split("=", 1) for k, word in enumerate(words) if word == "--set")
    return words[words.index("--preset") + 1], {key: json.loads(value) for key, value in said.items()}


def entry_settings(entry):
    return {f"problem.{name}": value for name, value in entry.found_on.settings.items()}


# --- figures --------------------------------------------------------------------------------------------------------------


def test_who_has_won_is_told_by_the_sign_that_is_better_and_by_p():
    better = {"metric": "accuracy", "difference": 0.02, "p": 0.01}
    assert Figures(**better).has_won
    assert not Figures(**better).has_lost
    assert not Figures(**better | {"higher_is_better": False}).has_won
    assert Figures(**better | {"higher_is_better": False}).has_lost
    for level in ({"p": 0.05}, {"p": None}, {"difference": None}):
        assert not Figures(**better | level).has_won
        assert not Figures(**better | level).has_lost
    loss = Figures(metric="loss", higher_is_better=False, difference=-0.01, p=0.001, score=0.5)
    assert loss.has_won
    assert loss.text == "loss 0.5; -0.01, p 0.001"


# --- names ----------------------------------------------------------------------------------------------------------------


def test_a_name_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(
        UnknownEntryError, match="unknown gallery entry 'adam-mnist'; did you mean 'adam-mnist1d'"
    ) as caught:
        gallery["adam-mnist"]
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value)[0] != '"'
    with pytest.raises(UnknownEntryError):
        gallery[5]
    with pytest.raises(ExpressionError, match="did you mean 'adam-mnist1d' of the gallery"):
        package.load("adam-mnist")
    with pytest.raises(ConfigError, match="transform, min_lr, max_lr and plateau belong to a formula"):
        package.load(FIRST, max_lr=0.1)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        *(
            (name, "standard schedule or a formula")
            for name in ("one-cycle", "onecycle", "cosine", "dog", "wsd-linear")
        ),
        ("progress", "standard schedule or a formula"),
        ("loss-lr", "standard schedule or a formula"),
        *((name, "lower-case letters") for name in ("", "Mine", "a--b", "-a", "a b", "a/b", "1-a", "a.json", "a" * 31)),
    ],
)
def test_no_entry_can_have_the_name_of_something_else(name, problem):
    fields = {field: getattr(gallery[FIRST], field) for field in GalleryEntry.__struct_fields__}
    with pytest.raises(ScheduleError, match=problem):
        GalleryEntry(**fields | {"name": name})


# --- damaged documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "evolr.schedule"}, "expected a document of format 'evolr.gallery'"),
        ({"schema_version": 2}, "schema version 1 of the gallery, the document has 2"),
        ({"words": None}, "missing required field `words`"),
        ({"extra": 1}, "unknown field `extra`"),
        ({"title": ""}, "length >= 1 - at"),
        ({"found_on": {"problem": "mixed", "epochs": 10**9}}, "`int` <= 1000000"),
        ({"name": "another"}, "is that of 'another'; its name must be its file's"),
        ({"schedule": {"format": "evolr.schedule"}}, "not a schedule document"),
        ({"schedule": 5}, "not a schedule document"),
        ({"scale": {"low": 2.0, "high": 3.0}}, "0 < low ≤ 1 ≤ high"),
        ({"optimizer": {"name": "lion"}}, "Invalid enum value 'lion'"),
        ({"optimizer": {"name": "momentum", "momentum": 2.0}}, "momentum must be in"),
        ({"contest": {"metric": "accuracy", "p": 2.0}}, "`float` <= 1"),
        ({"curve": {"trainings": 2, "low": [], "median": [], "high": []}}, "as many epochs"),
    ],
)
def test_a_damaged_document_is_named_and_says_what_is_wrong(changes, problem, tmp_path):
    damaged = changed(tmp_path, **changes)
    assert FIRST in damaged
    with pytest.raises(ScheduleError, match=problem) as caught:
        damaged[FIRST]
    assert f"{FIRST}.json" in str(caught.value)


def test_what_is_no_json_is_a_damaged_document_and_the_others_are_read(tmp_path):
    for path in ENTRIES.glob("*.json"):
        shutil.copy(path, tmp_path)
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 300_000):
        (tmp_path / f"{FIRST}.json").write_bytes(content)
        with pytest.raises(ScheduleError, match=r"is damaged: "):
            Gallery(tmp_path)[FIRST]
        assert Gallery(tmp_path)[NAMES[1]] == gallery[NAMES[1]]
    assert list(Gallery(tmp_path)) == NAMES


def test_a_range_of_a_scale_is_around_1():
    for low, high in ((0, 1), (-1, 1), (2, 3), (0.1, 0.5), (0.1, math.inf), (math.nan, 2)):
        with pytest.raises(ScheduleError, match="low ≤ 1 ≤ high"):
            ScaleRange(low=low, high=high)


# --- the package ----------------------------------------------------------------------------------------------------------


def test_the_documents_are_data_of_the_package():
    """A wheel holds what lies in src/evolr and is not ignored by git."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert wheel == {"targets": {"wheel": {"packages": ["src/evolr"]}}}
    ignored = subprocess.run(
        ["git", "check-ignore", *ENTRIES.glob("*.json")], cwd=ROOT, capture_output=True, check=False
    )
    assert ignored.stdout == b""


# --- the command line -----------------------------------------------------------------------------------------------------


def test_the_command_shows_all_in_80_columns(evolr, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = evolr("gallery")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert [line for line in out.splitlines() if line.startswith("name: ")] == [f"name: {name}" for name in NAMES]
    document = json.loads(evolr("gallery", "--json")[1])
    assert [entry["name"] for entry in document["entries"]] == NAMES
    assert document["entries"][0]["formula"] == gallery[FIRST].formula


def test_the_command_shows_one_in_full(evolr):
    for name in NAMES:
        code, out, err = evolr("gallery", name)
        assert (code, err) == (0, "")
        assert " ".join(gallery[name].words.split()) in " ".join(out.split())
        assert gallery[name].command in out
        assert "curve" in out
        assert ("as in 32 trainings" in out) == (gallery[name].curve is not None)
        assert json.loads(evolr("gallery", name, "--json")[1])["schedule"]["format"] == "evolr.schedule"
    assert evolr("gallery", "adam-mnist")[::2] == (
        2,
        "error: unknown gallery entry 'adam-mnist'; did you mean 'adam-mnist1d'?\n",
    )


def test_other_commands_take_its_names(evolr):
    assert json.loads(evolr("show", FIRST, "--json")[1])["expression"] == gallery[FIRST].formula
    shown = evolr("show", "adam-mnist1d", "--json", "--epochs", "3")[1]
    assert json.loads(shown)["curve_assumes"].startswith("assuming losses")
    assert evolr("export", FIRST, "--to", "torch", "-o", "mine.py")[::2] == (0, "saved: mine.py\n")
    problem = ["--preset", "quadratic", "--set", "problem.dimension=3"]
    names = [name for name in NAMES if "grad_norm_rss" in gallery[name].schedule().signals]
    code, out, _ = evolr("compare", "--expression", names[0], *problem, "--epochs", "2", "--seeds", "6", "--json")
    assert code == 0
    assert json.loads(out)["contenders"][0]["expression"] == gallery[names[0]].formula
    for command in (["compare"], ["prove", "--budget", "4", "-o", "new"]):
        code, _, err = evolr(*command, "--expression", FIRST, "--max-lr", "0.1")
        assert (code, "belong to a formula" in err) == (2, True)
        code, _, err = evolr(*command, "--expression", FIRST[:-1])
        assert (code, f"did you mean {FIRST!r} of the gallery" in err) == (2, True)
    assert not Path("new").exists()


def test_an_optimizer_that_finds_its_own_step_size_is_named_with_what_it_reads():
    entry = msgspec.structs.replace(gallery[FIRST], optimizer=Optimizer(name="schedule_free_sgd"))
    assert entry.optimizer_text == "schedule_free_sgd, momentum 0.9"


def test_a_suite_is_known_by_the_problem_and_not_by_its_name():
    found = {name: FoundOn(problem=name, epochs=1).draws_tasks for name in (*PROBLEMS, "my-suite")}
    assert {name for name, is_suite in found.items() if is_suite} == {"mnist1d-suite", "mixed"}
