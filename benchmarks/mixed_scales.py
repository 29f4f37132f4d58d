"""The scales of the problem `mixed`: of each kind, what an untrained network scores and what a tuned linear decay does.

    python benchmarks/mixed_scales.py                 # all kinds, some minutes on two cores
    python benchmarks/mixed_scales.py --kinds cnn gru --tasks 8

The reference is that of the better of momentum and Adam, at the epochs of the preset. What it prints stands in
`src/evolr/problems/mixed/__init__.py`; a change of a kind's distributions or functions is a reason to run it again.
"""

from __future__ import annotations

import argparse
import time

from evolr.config import resolve
from evolr.problems.mixed import KINDS, Mixed
from evolr.problems.reference import scale_of
from evolr.training.devices import prepare


def main() -> None:
    """Prints a row a kind: floor, reference by optimiser, seconds."""
    prepare()
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    arguments.add_argument("--tasks", type=int, default=24)
    arguments.add_argument("--epochs", type=int, default=resolve("suite").training.epochs)
    given = arguments.parse_args()
    print(f"{'kind':12} {'floor':>8} {'momentum':>9} {'adam':>8} {'seconds':>8}", flush=True)
    for kind in given.kinds:
        start, problem = time.perf_counter(), Mixed().problem_of(kind)
        found = [
            scale_of(kind, problem, epochs=given.epochs, optimizer=optimizer, tasks=given.tasks)
            for optimizer in ("momentum", "adam")
        ]
        (floor, momentum), (_, adam) = found
        print(f"{kind:12} {floor:8g} {momentum:9g} {adam:8g} {time.perf_counter() - start:8.0f}", flush=True)


if __name__ == "__main__":
    main()
