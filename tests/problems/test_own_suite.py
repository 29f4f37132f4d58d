"""A suite of several problems: what its seeds draw, and the one scale of its scores."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import evolr
from evolr.config import config_of
from evolr.errors import ConfigError, ProblemError, StudyError
from evolr.problems import JaxProblem, Kind, Mixed, Mnist1dSuite, Quadratic, Suite
from evolr.problems.problem import WORST
from evolr.problems.suite import BEST
from evolr.randomness import seed_from
from evolr.study.evolve import stored_config
from evolr.training.task import Outcome

POOLS = ("monitor", "fitness", "selection", "test")
SEEDS = [seed_from(k, "test of suites") for k in range(3000)]
NUMBERS = np.linspace(-1, 1, 40, dtype=np.float32)


def line(name="line", slope=1.0, pools=("train", "monitor", "fitness", "selection", "test")):
    return JaxProblem(
        init=lambda seed: np.float32(seed % 7),
        loss=lambda weight, x: ((weight * x - slope * x) ** 2).mean(),
        data=dict.fromkeys(pools, NUMBERS),
        batch_size=10,
        name=name,
    )


def kinds(*names):
    return {name: Kind(line(name), floor=2.0, reference=0.5) for name in names or ("one", "two", "three")}


def drawn(suite, pool):
    return [suite.draw(seed, pool) for seed in SEEDS]


def test_each_kind_has_its_equal_share_and_a_seed_draws_the_same_for_ever():
    counts = Counter(kind for kind, _ in drawn(Suite(kinds()), "fitness"))
    assert counts.keys() == {"one", "two", "three"}
    assert all(abs(count - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for count in counts.values())
    assert drawn(Suite(kinds()), "fitness") == drawn(Suite(kinds()), "fitness")
    assert [Suite(kinds()).draw(seed, "fitness") for seed in (0, 1, 2)] == [
        ("two", 1169215237),
        ("one", 226253325),
        ("two", 1325269473),
    ]


def test_no_two_pools_draw_one_task_even_of_the_same_seeds():
    suite = Suite(kinds())
    tasks = {pool: {task for _, task in drawn(suite, pool)} for pool in POOLS}
    assert all(0 <= task < 2**31 for own in tasks.values() for task in own)
    assert all(len(own) > 2990 for own in tasks.values())
    assert not any(tasks[one] & tasks[other] for one in POOLS for other in POOLS if one != other)


@pytest.mark.parametrize(("test_on", "expected"), [("held out", {"two"}), ("all", {"one", "two", "three"})])
def test_a_kind_that_is_held_out_is_met_by_the_test_pool_alone(test_on, expected):
    suite = Suite(kinds(), held_out=["two"], test_on=test_on)
    for pool in POOLS[:3]:
        assert set(suite.kinds(pool)) == {kind for kind, _ in drawn(suite, pool)} == {"one", "three"}
    assert set(suite.kinds("test")) == {kind for kind, _ in drawn(suite, "test")} == expected
    assert "held out of search and selection: two" in suite.notes


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"kinds": {}}, "kinds must map names"),
        ({"kinds": {"one": line()}}, r"kinds\['one'\] must be evolr.Kind.*Suite.measured"),
        ({"kinds": {"": kinds()["one"]}}, "name of a kind"),
        ({"held_out": ["thre"]}, "did you mean 'three'"),
        ({"held_out": "one"}, r"a list of kinds, such as \('one',\)"),
        ({"held_out": ["one", "two", "three"]}, "leaves no kind to search on"),
        ({"test_on": "both"}, "'held out' or 'all', got 'both'"),
        ({"name": ""}, "name must be a text"),
        ({"held_out": None}, "a list of kinds, got None"),
        ({"held_out": {"one", "two"}}, "a list of kinds, got {"),
        ({"held_out": [["one"]]}, "unknown kind in held_out"),
    ],
)
def test_settings_that_make_no_suite_are_refused(settings, problem):
    with pytest.raises(ConfigError, match=problem):
        Suite(**{"kinds": kinds(), **settings})


@pytest.mark.parametrize(
    ("floor", "reference"),
    [(0.5, 2.0), (1.0, 1.0), (float("nan"), 0.1), (float("inf"), 0.1), (1e308, -1e308), ("2", 0.1)],
)
def test_constants_that_make_no_scale_are_refused(floor, reference):
    with pytest.raises(ConfigError, match="reference must be a better loss than floor, which is lower"):
        Kind(line(), floor=floor, reference=reference)
    with pytest.raises(ConfigError, match="the problem of a kind"):
        Kind(len, floor=floor, reference=reference)


def test_a_kind_is_neither_a_class_nor_a_suite_whose_scores_are_normalised_already():
    with pytest.raises(ConfigError, match="the problem of a kind is a JaxProblem"):
        Kind(Quadratic, floor=2.0, reference=0.5)
    for suite in (Suite({"one": kinds()["one"]}), Mixed(), Mixed(kinds_drawn=("cnn",))):
        with pytest.raises(
            ConfigError, match=f"the problem '{suite.name}' is a suite itself: give its kinds one by one"
        ):
            Kind(suite, floor=0.0, reference=1.0)
        with pytest.raises(ConfigError, match="is a suite itself"):
            Suite.measured({"one": suite}, epochs=1)


def test_constants_may_be_numpys_and_are_kept_as_pythons():
    kind = Kind(line(), floor=np.int64(2), reference=np.float32(0.5))
    assert (type(kind.floor), type(kind.reference)) == (float, float)
    assert Suite({"one": kind}).digest == Suite({"one": Kind(line(), floor=2.0, reference=0.5)}).digest
    for floor in (10**400, True):
        with pytest.raises(ConfigError, match="reference must be a better loss"):
            Kind(line(), floor=floor, reference=0.5)


@pytest.mark.parametrize(
    ("problems", "options", "problem"),
    [
        ([line()], {}, "problems must map names to problems"),
        ({}, {}, "problems must map names to problems"),
        ({"one": None}, {}, "the problem of a kind is a JaxProblem"),
        ({"one": kinds()["one"]}, {}, "the problem of a kind is a JaxProblem"),
        ({"one": line()}, {"epochs": 0}, "epochs must be at least 1 and at most 1,000,000, got 0"),
        ({"one": line()}, {"epochs": "3"}, "epochs must be a whole number"),
        ({"one": line()}, {"optimizer": "adan"}, "the kind 'one' trains by sgd, .*got the optimizer 'adan'"),
        ({"one": Quadratic()}, {"optimizer": "adam"}, "the kind 'one' trains by sgd, got the optimizer 'adam'"),
        ({"one": line()}, {"held_out": ["two"]}, "unknown kind in held_out, 'two'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_trains(problems, options, problem):
    with pytest.raises(ConfigError, match=problem):
        Suite.measured(problems, **{"epochs": 1, **options})


def outcome(score, diverged_at=None, failure=None):
    curve = np.array([1.5, np.nan if diverged_at == 1 else score], np.float32)
    return Outcome(score, diverged_at, curve, curve, curve, curve, failure=failure)


def test_a_score_is_its_way_from_the_floor_to_the_reference_within_bounds():
    suite = Suite(kinds())
    for score, expected in [(2.0, 0.0), (0.5, 1.0), (1.25, 0.5), (9.0, WORST), (-9.0, BEST), (float("nan"), WORST)]:
        assert suite.scored("one", outcome(score)).score == pytest.approx(expected)
    scored = suite.scored("one", outcome(float("nan"), diverged_at=1))
    assert scored.score == WORST
    assert scored.val_score.tolist() == pytest.approx([1 / 3, WORST])
    assert np.isnan(scored.val_loss[1])
    failed = outcome(float("nan"), failure="it raised")
    assert suite.scored("one", failed) is failed
    assert suite.metric.higher_is_better


def test_its_identity_is_that_of_its_kinds_scales_and_settings():
    base, other_slope = Suite(kinds()), kinds()
    other_slope["one"] = Kind(line("one"), floor=2.0, reference=0.4)
    others = [
        Suite(other_slope),
        Suite(kinds(), held_out=["one"]),
        Suite(kinds("one", "two")),
        Suite(kinds(), name="a"),
    ]
    assert Suite(kinds()).identity == base.identity
    assert len({base.identity, *(other.identity for other in others)}) == 5
    assert base.identity.startswith("Suite 'suite', SHA-256 ")


def test_signals_and_optimizers_are_those_of_all_kinds():
    suite = Suite({**kinds(), "hill": Kind(Quadratic(), floor=2.5, reference=0.1)})
    assert suite.optimizers == ("sgd",)
    assert suite.signals == line().signals


def test_a_kind_whose_tasks_cannot_be_made_is_named():
    suite = Suite({**kinds(), "poor": Kind(line(pools=("train", "monitor", "fitness")), floor=2.0, reference=0.5)})
    with pytest.raises(ProblemError, match=r"the kind 'poor': the problem 'line' has no examples.*'test'"):
        suite.kinds("test")["poor"].task("test")


def test_a_measured_suite_has_the_score_of_no_training_as_its_floor_and_a_tuned_decay_as_its_reference():
    suite = Suite.measured({"line": line(slope=3.0)}, epochs=2, optimizer="sgd", tasks=4)
    floor, reference = suite.scales["line"]
    assert 0.3 < floor < 4
    assert 0 <= reference < 0.01 * floor
    assert Suite({"line": Kind(line(slope=3.0), floor, reference)}).identity == suite.identity
    with pytest.raises(ConfigError, match="tasks must be at least 1"):
        Suite.measured({"line": line()}, epochs=2, tasks=0)
    with pytest.raises(ConfigError, match="a suite itself"):
        Suite.measured({"line": Suite(kinds())}, epochs=2)
    still = JaxProblem(
        init=lambda seed: np.float32(1), loss=lambda w, x: 0 * w + 1.0, data={"train": NUMBERS, "monitor": NUMBERS,
        "fitness": NUMBERS}, batch_size=10)  # fmt: skip
    with pytest.raises(ProblemError, match="the kind 'still' has no scale"):
        Suite.measured({"still": still}, epochs=1, tasks=1)


def test_a_suite_of_ones_own_is_searched_and_goes_on_with_the_same_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    unseen = line(slope=4.0, pools=("train", "monitor", "test"))  # a search that met it would be refused
    suite = Suite({"one": Kind(line(slope=2.0), 2.0, 0.1), "two": Kind(unseen, 4.0, 0.1)}, held_out=["two"])
    settings = {
        "training.epochs": 2,
        "training.optimizer.name": "sgd",
        "search.generations": 1,
        "search.population": 3,
        "search.children": 2,
        "search.seeds": 2,
        "search.finalists": 2,
        "search.race_seeds": 1,
        "search.max_lr": 1e30,
        "search.seed_families": False,
        "search.random_structures": 1,
        "search.samples": 4,
        "search.youth": 1,
        "search.terminals": ["progress", "grad_norm", "constant"],
    }
    result = evolr.evolve(suite, "run", settings=settings)
    config = stored_config(Path("run"))
    assert config.problem.draws_tasks
    assert (config.problem.metric, config.search.method) == (suite.metric, "memetic")
    again = evolr.evolve(suite, "run", settings=settings)
    assert again.schedule == result.schedule
    with pytest.raises(StudyError, match=r"problem.trainer is Suite 'suite'.*was asked to be Suite 'suite'"):
        evolr.evolve(Suite(kinds()), "run", settings=settings)
    with pytest.raises(ConfigError, match="the study was trained by Suite 'suite'"):
        evolr.compare(Suite(kinds()), "run")
    with pytest.raises(ConfigError, match="is what the Suite says"):
        config_of(suite, {"problem.draws_tasks": False})


def test_kinds_are_of_any_problem_that_one_program_trains():
    suite = Suite({"mlp": Kind(Mnist1dSuite(), floor=0.1, reference=0.5)})
    assert suite.kinds("fitness").keys() == {"mlp"}
    assert suite.key[1]["mlp"][1:] == [0.1, 0.5]


@pytest.mark.parametrize("length", [0, -0.5, 1.01, float("nan"), float("inf"), "half", None, True])
def test_a_length_that_is_no_part_of_a_training_is_refused(length):
    with pytest.raises(ConfigError, match="length must be above 0 and at most 1"):
        Kind(line(), 2.0, 0.5, length=length)


def test_a_length_is_part_of_what_decides_a_suite_and_one_epoch_is_the_least():
    whole, short = Suite({"one": Kind(line(), 2.0, 0.5)}), Suite({"one": Kind(line(), 2.0, 0.5, length=0.3)})
    assert whole.digest != short.digest
    assert [short.epochs_of("one", epochs) for epochs in (1, 2, 10, 12)] == [1, 1, 3, 4]
    assert whole.epochs_of("one", 12) == 12


@pytest.mark.parametrize(
    ("lengths", "problem"),
    [
        ({"tow": 0.5}, "did you mean 'two'"),
        ({"two": 2.0}, r"lengths\['two'\] must be above 0 and at most 1"),
        (0.5, "lengths must map names of kinds"),
    ],
)
def test_lengths_that_are_none_are_refused_before_anything_trains(lengths, problem):
    with pytest.raises(ConfigError, match=problem):
        Suite.measured({"one": line(), "two": line("two")}, epochs=2, lengths=lengths)


def test_the_worst_score_there_is_makes_no_champion_in_a_suite_alone():
    assert Suite(kinds()).metric.least_fitness == WORST
    assert line().metric.least_fitness == -np.inf


def test_a_search_on_a_suite_of_which_every_training_diverges_has_no_champion(tmp_path):
    def blown(name):
        return JaxProblem(
            init=lambda seed: np.float32(seed % 7 + 1),
            loss=lambda weight, x: (weight * np.float32(1e20) * x).sum() ** 2,  # beyond float32 from the first step on
            data=dict.fromkeys(("train", "monitor", "fitness", "selection"), NUMBERS + 2),
            batch_size=10,
            name=name,
        )

    suite = Suite({name: Kind(blown(name), floor=2.0, reference=0.5) for name in ("one", "two")})
    settings = {"training.epochs": 1, "search.generations": 1, "search.seeds": 2, "search.finalists": 2}
    settings |= {"search.last_generations": 0, "search.samples": 4, "search.race_seeds": 2}
    result = evolr.evolve(suite, tmp_path / "run", settings=settings)
    assert (result.schedule, result.champion) == (None, None)
    assert result.trainings > 0
    assert not (tmp_path / "run" / "champion.json").exists()
    summary = evolr.study.summary.summarise(tmp_path / "run")
    assert (summary.champion, summary.front) == (None, [])
    assert "diverged or ended with the worst score there is" in summary.why_no_champion


def test_a_told_score_that_is_the_worst_there_is_is_told_twice_and_makes_no_champion(tmp_path):
    settings = {
        "search.generations": 1,
        "search.last_generations": 0,
        "search.finalists": 0,
        "search.random_structures": 1,
    }
    with evolr.Study(tmp_path / "run", evolr.resolve("mixed", settings=settings)) as study:
        asked = study.ask()
        study.tell(asked[0], WORST)
        study.tell(asked[0], WORST)
        assert study.champion is None
        study.tell(asked[1], 0.5)
        assert study.champion is not None


def test_an_example_has_the_optimiser_of_a_suites_trainings(tmp_path):
    suite = Suite(kinds())
    settings = {"training.epochs": 1, "training.optimizer.name": "sgd"}
    tuned = evolr.tune(suite, "constant", trainings=2, settings=settings)
    assert tuned.optimizer.name == "sgd"
    tuned = evolr.tune(line(), "adam-mnist1d", trainings=2, settings=settings | {"training.optimizer.name": "momentum"})
    assert tuned.optimizer.name == "momentum"
