"""A study small enough to run many times: a quadratic of dimension 3, two short generations and a bit."""

import sqlite3

from evolr.config import resolve
from evolr.study import running
from evolr.study.evolve import evolve
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.watching import Watcher

SETTINGS = {
    "problem.name": "quadratic",
    "training.optimizer.name": "sgd",
    "search.terminals": ["progress", "constant"],
    "search.constant_range": [-5.0, 5.0],
    "search.transform": "log",
    "search.reference_lr": 0.1,
    "search.max_lr": 10.0,
    "comparison.epochs": 10,
    "comparison.seeds": 256,
    "comparison.base_lr": 0.1,
    "problem.dimension": 3,
    "problem.steps_per_epoch": 4,
    "training.epochs": 2,
    "search.population": 8,
    "search.generations": 4,
    "search.seeds": 3,
}


def small(**changes):
    return resolve("original", settings={**SETTINGS, **changes})


def remembered(path):
    """Everything that a study remembers, but for when and by whom it was written."""
    connection = sqlite3.connect(path / "study.db")
    tables = {
        "study": "id, config",
        "generation": "number, best, median, finished_at IS NULL",
        "individual": "*",
        "parent": "*",
        "trial": "individual, pool, seed, epochs, status, score, diverged_at, message, curves",
        "evaluation": "*",
        "hall_of_fame": "*",
    }
    try:
        return {t: sorted(connection.execute(f"SELECT {c} FROM {t}"), key=repr) for t, c in tables.items()}  # noqa: S608
    finally:
        connection.close()


def derived(path):
    """The derived files, which hold no times."""
    return {p.name: p.read_bytes() for p in path.iterdir() if p.suffix in (".json", ".csv", ".txt", ".toml")}


def interrupted_after(count):
    """A `should_stop` that stops after some trainings, and the callback that counts them."""
    trained = [0]

    def on_trial(_):
        trained[0] += 1

    return (lambda: "enough" if trained[0] >= count else None), on_trial


def evolved_with_stops(config, path, every, limits=None):
    """The result of a search that stops after so many trainings, and goes on, until it ends by itself; and how often it stopped."""
    stops = -1
    result = None
    while result is None or result.stopped_by == "enough":
        stops += 1
        should_stop, on_trial = interrupted_after(every)
        result = evolve(config, path, limits, should_stop=should_stop, on_trial=on_trial)
    return result, stops


def searched_by_clock(config, path, executor, seconds, clock, *, watcher=None):
    """The result of a search within so many seconds of a clock."""
    with Study(path, config) as study:
        return running.run(
            study._open,
            executor,
            Limits(seconds=seconds),
            should_stop=lambda: None,
            watcher=watcher or Watcher(),
            clock=clock,
        )
