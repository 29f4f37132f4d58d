"""Evolves, proves, explains or compares a small study of a function, once: what kill_sweep.py kills.

    .venv/bin/python benchmarks/judged.py prove DIRECTORY train

Prints, line by line, how many trainings have just been acknowledged.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import evolr
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
        evolr.compare(function, directory, seeds=100, base_lr=0.1, workers=2, on_trained=acknowledge)


if __name__ == "__main__":
    main()
