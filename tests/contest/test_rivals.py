"""Optimisers that find their own step size, in a contest on a small quadratic: real trainings, every stage."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from evolr.contest.contest import contest_of
from evolr.contest.prove import prove_schedule
from evolr.contest.reading import read_contest
from evolr.contest.results import EVOLVED, NO_OPTIMIZERS, NOT_ASKED, Evolved, Settings
from evolr.contest.rivals import TUNED, rivals_of
from evolr.contest.tuning import Candidate
from evolr.contest.verdict import verdict
from evolr.errors import ConfigError
from evolr.expression import parse
from evolr.run_files import LEDGER
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.ledger import training_key
from evolr.study.remembered import Remembered
from evolr.study.trained_by import executor_for
from evolr.training.optimizers import OPTIMIZERS, Optimizer
from evolr.training.task import Trial
from evolr.views.contest import contest_table, page
from evolr.views.contest_picture import contest_picture
from tests.study.small import small

CONFIG = small()
NAMES = [rival.name for rival in rivals_of(CONFIG.training.optimizer)]
FEW = {
    name: FAMILIES[name] for name in ("constant", "cosine", "DoG")
}  # the others' contests are those of test_contest.py
NUMBERS = {"budget": 12, "seeds": 12, "epochs": 2}


def schedule(text):
    return Schedule(expression=parse(text), min_lr=0.0, max_lr=10.0)


@pytest.fixture(scope="module", autouse=True)
def _few_families():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.contest.FAMILIES", FEW)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("rivals")


@pytest.fixture(scope="module")
def contest(home):
    """A contest with rivals, and where its trainings are remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: home / "shared")
        totals = []
        result = prove_schedule(schedule("0.3"), CONFIG, home / "mine", **NUMBERS, on_total=totals.append)
        assert result.trained + result.remembered <= totals[0]
        return result


def entry(result, name):
    return next(e for e in result.entries if e.name == name)


# --- the whole ----------------------------------------------------------------------------------------------------------


def test_every_rival_enters_as_advised_and_tuned_at_the_families_budget(contest):
    assert contest.settings.has_rivals
    assert [e.name for e in contest.entries if e.optimizer is not None] == [*NAMES, *(name + TUNED for name in NAMES)]
    assert {"DoG averaged", "D-Adaptation", "Prodigy", "Mechanic", "MoMo", "schedule-free SGD"} == set(NAMES)
    for rival in rivals_of(CONFIG.training.optimizer):
        advised, tuned = entry(contest, rival.name), entry(contest, rival.name + TUNED)
        assert advised.result.schedule == rival.schedule
        assert advised.trained is None
        assert tuned.trained == entry(contest, "cosine").trained == 12
        assert tuned.candidates[0].schedule == rival.schedule  # what is advised is tried first
        assert tuned.source == advised.source
        assert {c.optimizer for c in tuned.candidates} == {tuned.optimizer} == {advised.optimizer}
        assert [f.selection for f in tuned.finalists] == sorted(f.selection for f in tuned.finalists)
        assert len(advised.result.scores) == 12
        assert np.isfinite(advised.result.scores).all()


def test_a_rivals_final_is_by_its_own_optimizer_from_the_seeds_of_all(contest):
    found = entry(contest, "Prodigy" + TUNED)
    executor = executor_for(CONFIG)
    trials = [Trial(found.result.schedule, seed, found.optimizer) for seed in contest.seeds]
    scores = [outcome.score for outcome in executor.run(trials, contest.settings.epochs, "test")]
    assert scores == found.result.scores.tolist()
    own = [outcome.score for outcome in executor.run([replace(t, optimizer=None) for t in trials], 2, "test")]
    assert scores != own


def test_the_verdict_counts_them_and_corrects_for_them(contest):
    total = len(contest.entries) - 1
    assert total == len(FEW) + 1 + 2 * len(NAMES) == 16
    assert f"{total} contenders" in verdict(contest)[0]
    few = replace(contest, seeds=contest.seeds[:5])
    assert f"{total} contenders need" in verdict(few)[0]
    assert not contest.no_rivals
    assert NOT_ASKED not in verdict(contest)


def test_page_table_picture_and_rows_name_them_with_their_optimizers(contest):
    text = page(contest)
    assert "## The rivals" in text
    assert "| Prodigy by prodigy_adam |" in text
    assert "| MoMo (tuned) | momo, momentum 0.9 | " in text
    assert (
        "| D-Adaptation | dadapt_adam, beta1 0.9, beta2 0.999, epsilon 1e-08 | `1 - progress` | factor 1 | Defazio"
        in text
    )
    assert "took no part" not in text
    assert len(contest_table(contest).rows) == len(contest.entries)
    assert contest_picture(contest).startswith(b"\x89PNG")
    assert {row["contender"] for row in contest.rows()} >= {name + TUNED for name in NAMES}


def test_it_is_read_as_it_was_written(contest, home):
    read = read_contest(home / "mine")
    assert read.document(verdict(read)) == contest.document(verdict(contest))
    assert page(read) == page(contest) == (home / "mine" / "contest.md").read_text()
    assert contest_picture(read) == (home / "mine" / "contest.png").read_bytes()
    assert entry(read, "Mechanic").optimizer == Optimizer(name="mechanic_sgd")
    assert entry(read, "Mechanic").finalists[0].candidate == entry(contest, "Mechanic" + TUNED).candidates[0].__class__(
        entry(contest, "Mechanic").result.schedule, pytest.approx(float("nan"), nan_ok=True), {"factor": 1.0},
        Optimizer(name="mechanic_sgd"),
    )  # fmt: skip


def test_a_record_of_before_there_were_rivals_is_read(contest, home, tmp_path):
    document = json.loads((home / "mine" / "contest.json").read_bytes())
    del document["settings"]["has_rivals"], document["no_rivals"]
    document["contenders"] = [c for c in document["contenders"] if "optimizer" not in c]
    (tmp_path / "contest.json").write_text(json.dumps(document))
    read = read_contest(tmp_path)
    assert (read.settings.has_rivals, read.no_rivals) == (False, "")
    assert "Prodigy" not in page(read)


def test_an_optimizer_that_is_none_is_refused_in_a_record(contest, home, tmp_path):
    from evolr.errors import StudyError

    document = json.loads((home / "mine" / "contest.json").read_bytes())
    next(c for c in document["contenders"] if "optimizer" in c)["optimizer"] = {"name": "adan"}
    (tmp_path / "contest.json").write_text(json.dumps(document))
    with pytest.raises(StudyError, match="adan"):
        read_contest(tmp_path)


def test_without_rivals_it_is_the_same_contest_but_for_them_and_says_so(contest, home, monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: home / "shared")
    result = prove_schedule(schedule("0.3"), CONFIG, tmp_path / "mine", **NUMBERS, rivals=False)
    assert not any(e.optimizer for e in result.entries)
    for e in result.entries:
        assert e.result.scores.tolist() == entry(contest, e.name).result.scores.tolist()
    assert NOT_ASKED in verdict(result)
    assert NOT_ASKED in page(result)
    assert "has_rivals" not in result.settings.told_apart  # as in contests of before there were rivals


def test_a_contest_with_rivals_that_was_killed_goes_on_and_ends_the_same(contest, tmp_path, monkeypatch):
    code = (
        "import evolr.contest.prove as p, evolr.contest.trainings as t, pathlib;"
        "from tests.contest.test_rivals import CONFIG, FEW, NUMBERS, schedule; import evolr.contest.contest as c; c.FAMILIES = FEW;"
        f"t.shared_directory = lambda: pathlib.Path({str(tmp_path / 'shared')!r});"
        f"p.prove_schedule(schedule('0.3'), CONFIG, {str(tmp_path / 'mine')!r}, **NUMBERS,"
        "on_done=lambda t, r: print(t, flush=True))"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        seen = 0
        assert process.stdout is not None
        for line in process.stdout:
            seen += int(line)
            if seen > 300:
                process.kill()
                break
    assert seen > 300
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    ended = prove_schedule(schedule("0.3"), CONFIG, tmp_path / "mine", **NUMBERS)
    assert ended.remembered > contest.remembered
    assert ended.document([]) == contest.document([])
    assert (tmp_path / "mine" / LEDGER).exists()


# --- the parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_a_study_has_its_rivals(name):
    optimizer = Optimizer(name=name, momentum=0.8, weight_decay=0.3)
    rivals = rivals_of(optimizer)
    assert len(rivals) == 6
    for rival in rivals:
        own = rival.optimizer(optimizer)
        assert own.decay == (0.3 if optimizer.design.base == "adamw" and own.design.method != "dog" else 0.0)
        assert len(rival.family.constants) == 1
        (constant,) = rival.family.constants
        assert constant.low < constant.default < constant.high
        assert not FAMILIES.keys() & {rival.name, rival.name + TUNED}
    by_name = {rival.name: rival.optimizer(optimizer) for rival in rivals}
    assert by_name["Mechanic"].design.base == optimizer.design.base
    assert by_name["Mechanic"].momentum == 0.8
    if "MoMo" in by_name:
        assert by_name["MoMo"].momentum == 0.9  # its authors', not the study's


def test_a_training_is_remembered_by_the_optimizer_that_it_names():
    context = {"problem": "p", "optimizer": msgspec.to_builtins(Optimizer(name="sgd"))}
    trial = Trial(schedule("0.1"), 3)
    named = [replace(trial, optimizer=Optimizer(name=name)) for name in ("sgd", "momo", "dog")]
    own, sgd, momo, dog = (training_key(context, t, 3, "test", keep_steps=False) for t in (trial, *named))
    assert own == sgd  # the same training
    assert len({sgd, momo, dog}) == 3
    of_momo = {**context, "optimizer": msgspec.to_builtins(Optimizer(name="momo"))}
    assert training_key(of_momo, trial, 3, "test", keep_steps=False) == momo


class OfOneOptimizer(Remembered):
    """Stands for what trains by an optimiser of its own, a function say."""

    @property
    def takes_optimizers(self):
        return False


def test_what_has_an_optimizer_of_its_own_has_no_rivals_and_the_page_says_so(tmp_path, monkeypatch):
    from evolr.study.ledger import Ledger

    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    executor = OfOneOptimizer(executor_for(CONFIG), Ledger(tmp_path / "ledger.db"))
    result = prove_schedule(schedule("0.3"), CONFIG, tmp_path / "mine", **{**NUMBERS, "epochs": 1}, executor=executor)
    assert not any(e.optimizer for e in result.entries)
    assert page(result).count(NO_OPTIMIZERS) == 1
    assert not any(NOT_ASKED in sentence for sentence in verdict(result))


def test_a_rival_that_always_diverges_is_a_contender_that_has_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    lost = replace(
        rivals_of(CONFIG.training.optimizer)[-1],
        family=replace(FAMILIES["constant"], constants=(replace(FAMILIES["constant"].constants[0], default=1e30, low=1e29, high=1e31),)),
    )  # fmt: skip
    monkeypatch.setattr("evolr.contest.contest.rivals_of", lambda _: [lost])
    evolved = Evolved([Candidate(schedule("0.3"), float("nan"))], "given")
    settings = Settings(epochs=1, budget=3, seeds=12, has_rivals=True, finalists=(2, 1), race_seeds=(1, 1))
    result = contest_of(evolved, CONFIG, settings, tmp_path, executor_for(CONFIG))
    for name in (lost.name, lost.name + TUNED):
        assert entry(result, name).result.diverged == 12
        assert entry(result, name).result.pairs.relation == "better than"
    assert result.ranked[0].name != lost.name
    assert any("12 of 12 trainings of schedule-free SGD" in sentence for sentence in verdict(result))
    assert page(result)
    assert result.champion.name == EVOLVED


def test_a_function_refuses_a_trial_that_names_an_optimizer():
    from evolr.execution.workers import Workers
    from tests.execution.training_functions import falling

    workers = Workers(falling, count=1)
    with pytest.raises(ConfigError, match="has an optimiser of its own, got a trial that names 'momo'"):
        workers.run([Trial(schedule("0.1"), 1, Optimizer(name="momo"))], 1, "fitness")
    assert not workers.takes_optimizers


def test_a_seed_that_is_another_one_in_its_kind_of_task_keeps_the_trials_optimizer():
    executor = executor_for(CONFIG)
    executor._problem = type("Drawing", (), {"draw": lambda _self, seed, _pool: ("kind", seed + 100)})()
    trial = Trial(schedule("0.1"), 3, Optimizer(name="momo"))
    assert executor._drawn([trial], "fitness")[1] == {"kind": [replace(trial, seed=103)]}
