"""What kills.py kills: evolves, proves, explains, compares or tunes by a function, once; or exports or draws a schedule, without end.

    .venv/bin/python benchmarks/attacks/judged.py prove DIRECTORY train

Prints, line by line, how many trainings have just been acknowledged; of `export` and `show`, a line for each file that is written.
"""

from __future__ import annotations

import io
import itertools
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import evolr
from evolr import cli
from evolr.writing import write
from tests.execution.training_functions import descending

SECONDS = 0.05  # a training, so that kills meet trainings under way
SEARCH = {"search.generations": 3, "search.population": 3, "search.youth": 2}
FORMULAS = "0.1*(1 - progress)", "0.1*(1 - progress)**2"
OPTIONS = {"export": ("--to", "torch"), "show": ("--epochs", "2")}


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


def write_once(command, formula, path):
    """The command line's own way to a file, over what is there."""
    sys.argv = ["evolr", command, formula, *OPTIONS[command], "-o", str(path), "--force"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
        cli.main()


def main() -> None:
    command, directory, function = sys.argv[1], Path(sys.argv[2]), globals()[sys.argv[3]]
    if command == "evolve":
        evolr.evolve(function, directory, epochs=3, workers=2, settings=SEARCH)
    elif command == "prove":
        evolr.prove(function, directory, budget=4, seeds=11, workers=2, on_done=acknowledge)
    elif command == "explain":
        evolr.explain(function, directory, seeds=100, workers=2, on_done=acknowledge)
    elif command == "compare":
        evolr.compare(function, directory, seeds=100, base_lr=0.1, workers=2, on_trained=acknowledge)
    elif command == "tune":
        tuned = evolr.tune(function, "cosine", directory, trainings=60, epochs=3, workers=2, on_done=acknowledge)
        write(directory / "tuned.json", tuned.schedule.to_json())
    else:
        for formula in itertools.cycle(FORMULAS):
            write_once(command, formula, directory / command)
            acknowledge(1)


if __name__ == "__main__":
    main()
