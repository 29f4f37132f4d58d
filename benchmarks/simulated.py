"""A training that sleeps, for benchmarks/scaling.py: in a module of its own, as a user's function is."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

SHORTEST, LONGEST = 0.1, 10.0  # seconds
GATHERING = 1_000_000
"""From this seed on, a training ends when as many workers as the argument `workers` says train at once."""

_LOOK_SECONDS = 0.1


def seconds_of(seed: int) -> float:
    """How long the training of a seed takes: log-uniform from SHORTEST to LONGEST, 2.15 in the mean."""
    return SHORTEST * (LONGEST / SHORTEST) ** random.Random(seed).random()


def sleeping(folder, workers, schedule, seed, epochs):
    """Asks for a learning rate an epoch and sleeps in between; the score is when it began, by the machine's clock."""
    begun = time.monotonic()
    if seed >= GATHERING:
        (Path(folder) / str(os.getpid())).touch()
        while len(os.listdir(folder)) < workers:
            time.sleep(_LOOK_SECONDS)
        return begun
    seconds = seconds_of(seed)
    for epoch in range(epochs):
        schedule(progress=epoch / epochs, loss=1.0 / (1 + epoch), val_loss=1.0)
        time.sleep(max(0.0, begun + seconds * (epoch + 1) / epochs - time.monotonic()))
    return begun


def instant(folder, workers, schedule, seed, epochs):
    """No training at all; of the seeds from GATHERING on as above."""
    return sleeping(folder, workers, schedule, seed, epochs) if seed >= GATHERING else float(seed)
