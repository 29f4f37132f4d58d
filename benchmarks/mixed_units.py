"""Whether the unit of a normalised score should be the kind's or each task's own: which tells schedules apart better.

    python benchmarks/mixed_units.py --tasks 8     # some minutes on two cores

Six schedules train the same tasks of each kind of `mixed` by momentum. A score is normalised by the constant of its kind, and by what the
reference reaches on the very task: of the linear decays here, the best on its kind. Printed are, over all pairs of
schedules, the quartiles of |t|, the mean paired difference over its standard error; and of the tasks, how many have a unit of less
than a third of their kind's.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np

import evolr
from evolr.problems.mixed import KINDS, SCALES, Mixed
from evolr.problems.problem import WORST
from evolr.problems.suite import BEST
from evolr.randomness import seed_from
from evolr.training.devices import prepare
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

DECAYS = [f"{peak}*(1 - progress)" for peak in (0.003, 0.01, 0.03, 0.1)]
OTHERS = ["0.015*(1 + cos(pi*progress))", "0.5*(1 - progress)/grad_norm_rss"]


def main() -> None:
    prepare()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8)
    tasks, epochs = parser.parse_args().tasks, 12
    schedules = [evolr.load(text) for text in (*DECAYS, *OTHERS)]
    by_kind, by_task, tiny = [], [], 0
    for kind in KINDS:
        trainer = Trainer(Mixed().problem_of(kind).task("fitness"), Optimizer(name="momentum"))
        seeds = [seed_from(kind, k, "units") for k in range(tasks)]
        outcomes = trainer.train([Trial(schedule, seed) for seed in seeds for schedule in schedules], epochs)
        floor, reference = SCALES[kind]
        scores = np.array([outcome.score for outcome in outcomes]).reshape(tasks, len(schedules))
        gained = np.nan_to_num((scores - floor) / (reference - floor), nan=WORST)  # in the kind's unit
        gained = np.clip(gained, WORST, BEST)
        own = gained[:, gained[:, : len(DECAYS)].mean(axis=0).argmax()]  # what the reference reaches on each task
        tiny += int((own < 1 / 3).sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(gained == WORST, WORST, gained / np.abs(own)[:, None])
        by_kind.append(gained)
        by_task.append(np.clip(np.nan_to_num(relative), WORST, BEST))
        print(f"{kind:12} mean by schedule {np.round(gained.mean(axis=0), 2)}", flush=True)
    for name, found in (("the kind's unit", by_kind), ("each task's unit", by_task)):
        whole = np.concatenate(found)
        pairs = [whole[:, i] - whole[:, j] for i, j in combinations(range(len(schedules)), 2)]
        t = [abs(p.mean()) / (p.std(ddof=1) / len(p) ** 0.5) for p in pairs]
        print(f"{name:17} |t| over {len(t)} pairs: quartiles {np.round(np.percentile(t, (25, 50, 75)), 2)}", flush=True)
    print(f"tasks with a unit below a third of their kind's: {tiny} of {tasks * len(KINDS)}")


if __name__ == "__main__":
    main()
