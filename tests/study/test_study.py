import csv
import json

import numpy as np

from evolr.config import resolve
from evolr.expression import original_text, parse
from evolr.problems import Quadratic
from evolr.study.evolve import evolve, stored_config
from evolr.study.run_directory import RunDirectory

QUICK = {"search.population": 8, "search.generations": 3, "training.epochs": 1}


def files(path):
    """The derived files, which hold no times."""
    return {p.name: p.read_bytes() for p in path.iterdir() if p.suffix in (".json", ".csv", ".txt", ".toml")}


def test_one_seed_gives_the_same_files_on_one_device_or_two(tmp_path):
    config = resolve("original", settings={**QUICK, "seed": 3})
    for name, count in (("one", 1), ("two", 2), ("again", None)):
        evolve(config, tmp_path / name, device_count=count)
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "again")
    other = resolve("original", settings={**QUICK, "seed": 4})
    evolve(other, tmp_path / "other")
    assert files(tmp_path / "other")["history.csv"] != files(tmp_path / "one")["history.csv"]


def test_a_search_leaves_its_whole_history_and_its_champion(tmp_path):
    config = resolve("original", settings={**QUICK, "seed": 1})
    reports = []
    result = evolve(config, tmp_path / "run", on_generation=reports.append)
    directory = RunDirectory.open(tmp_path / "run")
    assert stored_config(tmp_path / "run") == config
    assert directory.champion() == result.schedule
    assert (tmp_path / "run" / "champion.txt").read_text() == original_text(result.schedule.expression) + "\n"
    with (tmp_path / "run" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(r["generation"]), int(r["slot"])) for r in rows] == [(g, s) for g in range(3) for s in range(8)]
    for row, evaluation in zip(rows, result.history, strict=True):
        assert parse(row["expression"]) == evaluation.individual.expression
        assert float(row["fitness"]) == evaluation.fitness
    best = max(float(r["fitness"]) for r in rows)
    assert result.champion.fitness == best
    assert json.loads((tmp_path / "run" / "champion.json").read_text())["provenance"]["accuracy"] == best
    assert result.trainings == sum(r["source"] == "trained" for r in rows) < 24
    assert [r.generation for r in reports] == [0, 1, 2]
    assert [r.champion.fitness for r in reports] == sorted(r.champion.fitness for r in reports)


def test_the_search_finds_a_good_schedule_for_a_problem_with_a_known_optimum(tmp_path):
    """A short form of benchmarks/quadratic.py, so a looser bound."""
    config = resolve(
        "quadratic",
        settings={"search.generations": 10, "search.seeds": 2, "search.finalists": 6, "search.race_seeds": 16},
    )
    result = evolve(config, tmp_path / "run")
    problem = config.problem
    assert isinstance(problem, Quadratic)
    reached = problem.expected_loss(result.schedule.curve(config.training.epochs, problem.steps_per_epoch))
    steps = config.training.epochs * problem.steps_per_epoch
    constant = min(problem.expected_loss(np.full(steps, rate)) for rate in np.geomspace(0.01, 1.0, 60))
    assert reached < constant / 2
    assert problem.optimum(steps)[0] <= reached
