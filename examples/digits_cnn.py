"""Evolves a schedule for a small convolutional network in PyTorch, and proves it against tuned standard ones.

    pip install evolr torch scikit-learn
    python examples/digits_cnn.py            # some twenty minutes on two cores
    python examples/digits_cnn.py --quick    # a rehearsal of some seconds

The images are the 1,797 handwritten digits of 8 × 8 pixels that come with scikit-learn, in three parts that share none:

- The network trains on TRAINING.
- VALIDATION judges the search, the tuning of the rivals and the race: `train` returns the loss on it. A schedule is told that loss
  at the end of each epoch, as `val_loss`.
- TEST judges the final of the contest alone: `train` takes `pool`, and so knows when. Nothing else sees it.

Once interrupted, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import evolr
from evolr.contest.verdict import verdict

EPOCHS, BATCH = 6, 32
SEARCH = {"search.generations": 2}  # 143 trainings with the race of the finalists
BUDGET, SEEDS = 143, 16  # trainings that each rival is tuned with, and trainings of each in the final

torch.set_num_threads(1)  # as many trainings at once as there are cores
_pixels, _digits = load_digits(return_X_y=True)
_order = np.random.default_rng(0).permutation(len(_pixels))
IMAGES = torch.tensor(_pixels[_order] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
LABELS = torch.tensor(_digits[_order])
TRAINING, VALIDATION, TEST = slice(0, 600), slice(600, 1_200), slice(1_200, None)


def loss_on(model: nn.Module, part: slice) -> float:
    with torch.no_grad():
        return cross_entropy(model(IMAGES[part]), LABELS[part]).item()


def fit(schedule: evolr.TrialSchedule, seed: int, epochs: int) -> nn.Module:
    """A network trained under a schedule, by SGD with momentum; all luck is the seed's."""
    torch.manual_seed(seed)
    convolutions = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    convolutions += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    images, labels = IMAGES[TRAINING], LABELS[TRAINING]
    val_loss = loss = loss_on(model, VALIDATION)  # of the untrained network
    for epoch in range(epochs):
        batches = torch.randperm(len(images)).split(BATCH)
        for number, batch in enumerate(batches):
            progress = (epoch + number / len(batches)) / epochs
            optimizer.param_groups[0]["lr"] = schedule(progress=progress, loss=loss, val_loss=val_loss)
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        val_loss = loss_on(model, VALIDATION)
    return model


def train(schedule: evolr.TrialSchedule, seed: int, epochs: int, pool: str) -> float:
    """What evolr calls, in workers: the loss after a training, on the part that judges this pool."""
    return loss_on(fit(schedule, seed, epochs), TEST if pool == "test" else VALIDATION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of some seconds, which proves nothing")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/digits_cnn"), help="the run directory")
    arguments = parser.parse_args()
    epochs, settings, budget, seeds = EPOCHS, SEARCH, BUDGET, SEEDS
    if arguments.quick:
        epochs, settings, budget, seeds = 1, {"search.generations": 1, "search.seed_families": False}, 1, 2

    found = evolr.evolve(
        train, arguments.output, epochs=epochs, metric="loss", higher_is_better=False, settings=settings
    )
    print(f"the champion after {found.trainings} trainings, {found.seconds:.0f} s: {found.schedule.expression}")

    proven = evolr.prove(
        train,
        arguments.output,
        budget=budget,
        seeds=seeds,
        is_quick=arguments.quick,
        on_total=lambda total: print(f"the contest: {total} trainings at most", flush=True),
    )
    print("\n".join(["verdict:", *verdict(proven)]))


if __name__ == "__main__":
    main()
