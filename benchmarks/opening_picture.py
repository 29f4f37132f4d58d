"""The picture that opens the README: an evolved schedule on six networks, and what it is worth on networks that nobody had seen.

    .venv/bin/python benchmarks/opening_picture.py

Left, the learning rates that `momentum-suite` of the gallery takes on six tasks of mnist1d-suite, trained now, beside the best tuned family's,
REX, which is the same for all. Right, benchmarks/results/suites-suite.json: the three studies' differences to the best contenders, on 128
tasks each. Writes docs/opening.png.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import evolr
from evolr.randomness import seed_from
from evolr.standard import FAMILIES
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial
from evolr.views.pictures import COLOURS, finish, png

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results" / "suites-suite.json"
PICTURE: Final = HERE.parent / "docs" / "opening.png"
TASKS: Final = 6
SHOWN: Final = {  # of the contenders: the best of each sort, and what people use
    "schedule-free SGD": "schedule-free SGD, untuned",
    "Prodigy (tuned)": "Prodigy, tuned",
    "AdaGrad-Norm": "AdaGrad-Norm, tuned",
    "REX": "REX, tuned: the best family",
    "WSD (linear)": "warm-up-stable-decay, tuned",
    "warm-up + cosine": "warm-up and cosine, tuned",
    "one-cycle": "one-cycle, tuned",
}


def rates(axes: Axes, rex: dict[str, float]) -> None:
    config = evolr.resolve("suite")
    schedule = evolr.load("momentum-suite")
    seeds = [seed_from(number, "opening picture") for number in range(TASKS)]
    with closing(executor_for(config)) as executor:
        trials = [Trial(schedule, seed) for seed in seeds]
        outcomes = executor.run(trials, config.training.epochs, "fitness", keep_steps=True)
    for number, outcome in enumerate(outcomes):
        assert outcome.learning_rates is not None
        curve = outcome.learning_rates
        progress = np.arange(len(curve)) / len(curve)
        label = "evolved, on six networks" if number == 0 else None
        axes.plot(progress, curve, color=COLOURS[1], linewidth=1.4, label=label)
    progress = np.linspace(0, 1, 200, endpoint=False)
    tuned = FAMILIES["REX"].schedule(**rex)
    values = [tuned(progress=p) for p in progress]
    axes.plot(progress, values, color=COLOURS[0], linewidth=2, linestyle="--", label="REX, tuned, on any network")
    axes.set_ylim(bottom=0)
    finish(axes, "What it does", "learning rate", xlabel="progress of the training")
    axes.legend(frameon=False, fontsize=9, loc="upper right")


def differences(axes: Axes, studies: list[dict]) -> None:
    names = list(SHOWN)[::-1]
    for place, name in enumerate(names):
        for number, study in enumerate(studies):
            row = next(row for row in study["contenders"] if row["name"] == name)
            at, (low, high) = place + 0.22 * (1 - number), row["difference_interval"]
            axes.plot([100 * low, 100 * high], [at, at], "-", color=COLOURS[1], linewidth=2)
            axes.plot(100 * row["evolved_minus_it"], at, "os^"[number], color=COLOURS[1], markersize=5)
    axes.axvline(0, color="0.4", linewidth=1)
    axes.set_yticks(range(len(names)), [SHOWN[name] for name in names])
    axes.set_xlim(left=min(-1, axes.get_xlim()[0]))
    finish(
        axes,
        "What it is worth: accuracy above each contender",
        "",
        xlabel="points; three studies, 128 unseen networks each",
    )


def main() -> None:
    studies = json.loads(RESULTS.read_text())["studies"]
    rex = next(row for row in studies[2]["contenders"] if row["name"] == "REX")["constants"]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    rates(left, rex)
    differences(right, studies)
    PICTURE.write_bytes(png(figure))


if __name__ == "__main__":
    main()
