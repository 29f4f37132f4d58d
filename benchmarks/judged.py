"""Evolves, proves, explains or compares a small study of a function, once: what kill_sweep.py kills.

    .venv/bin/python benchmarks/judged.py prove DIRECTORY train

Prints, line by line, how many trainings have just been acknowledged.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

import evolr
from evolr.study.evolve import stored_config
from evolr.study.run_directory import RunDirectory
from tests.execution.training_functions import descending

SECONDS = 0.05  # a training, so that kills meet trainings under way
SEARCH = {"search.generations": 3, "search.population": 3, "search.youth": 2}


def train(schedule, seed, epochs):
    time.sleep(SECONDS)
    return descending(schedule, seed, epochs)


def train_or_fail(schedule, seed, epochs):
    """Fails with one seed in ten."""
    score = train(schedule, seed, epochs)
    if seed % 10 == 0:
        raise ValueError("an unlucky seed")
    return score


def acknowledge(trained, *_):
    print(trained, flush=True)


def main() -> None:
    command, directory, function = sys.argv[1], Path(sys.argv[2]), globals()[sys.argv[3]]
    if command == "evolve":
        evolr.evolve(function, directory, epochs=3, workers=2, settings=SEARCH)
    elif command == "prove":
        evolr.prove(function, directory, budget=4, seeds=11, workers=2, on_done=acknowledge)
    elif command == "explain":
        evolr.explain(function, directory, seeds=100, workers=2, on_done=acknowledge)
    else:
        config, champion = stored_config(directory), evolr.Schedule.load(directory / "champion.json")
        settings = msgspec.structs.replace(config.comparison, seeds=100, base_lr=0.1)
        compared = evolr.compare(champion, config, function, settings=settings, workers=2, on_trained=acknowledge)
        RunDirectory(directory).write("comparison.json", msgspec.json.encode(compared.document()))


if __name__ == "__main__":
    main()
