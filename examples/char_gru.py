"""Evolves a schedule for a recurrent network in PyTorch that writes sentences character by character, and proves it.

    pip install evolr torch
    python examples/char_gru.py            # some twenty minutes on two cores
    python examples/char_gru.py --quick    # a rehearsal of some seconds

A GRU learns small sentences, such as «my sister finds 3 lanterns under the bridge, 7 more makes 10.», that a generator below
makes, the same at each start. Three texts of different random numbers:

- The network trains on pieces of TRAINING.
- VALIDATION judges the search, the tuning of the rivals and the race: `train` returns the loss on it. A schedule is told that loss
  at the end of each epoch, as `val_loss`.
- TEST judges the final of the contest alone: `train` takes `pool`, and so knows when. Nothing else sees it.

The schedule steps as PyTorch's own do, as an `ExpressionLR`, which sees the gradients by itself. Once interrupted, the same
command goes on where it was.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import evolr
from evolr.contest.verdict import verdict
from evolr.torch import ExpressionLR

EPOCHS, STEPS, BATCH, LENGTH, HIDDEN = 6, 10, 16, 16, 48  # STEPS of an epoch, LENGTH in characters
SIGNALS = ("progress", "loss", "val_loss", "grad_norm")
SEARCH = {"search.generations": 2}  # 155 trainings with the race of the finalists
BUDGET, SEEDS = 155, 16  # trainings that each rival is tuned with, and trainings of each in the final

torch.set_num_threads(1)  # as many trainings at once as there are cores
WHO = ("the farmer", "a sailor", "my sister", "the old king", "our teacher", "a painter", "the baker")
DOES = ("finds", "sells", "paints", "carries", "counts", "hides")
WHAT = ("apple", "lantern", "horse", "letter", "basket", "window", "silver coin", "drum")
WHERE = ("", "", "", " by the river", " at the market", " in the garden", " under the bridge", " before dawn")


def sentence(luck: random.Random) -> str:
    count, more = luck.randint(1, 9), luck.randint(1, 9)
    what = luck.choice(WHAT) + "s" * (count > 1)
    text = f"{luck.choice(WHO)} {luck.choice(DOES)} {count} {what}{luck.choice(WHERE)}"
    return text + luck.choice([". ", f", {more} more makes {count + more}. "])


def text(seed: int, sentences: int) -> str:
    luck = random.Random(seed)
    return "".join(sentence(luck) for _ in range(sentences))


CHARACTERS = sorted({*"".join((*WHO, *DOES, *WHAT, *WHERE)), *" ,.0123456789mores"})


def encoded(text: str) -> torch.Tensor:
    return torch.tensor([CHARACTERS.index(character) for character in text])


TRAINING, VALIDATION, TEST = encoded(text(1, 1_200)), encoded(text(2, 80)), encoded(text(3, 800))


class Network(nn.Module):
    """(batch, length) characters → (batch, length, characters): what comes next at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(CHARACTERS), 24)
        self.gru = nn.GRU(24, HIDDEN, batch_first=True)
        self.last = nn.Linear(HIDDEN, len(CHARACTERS))

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        return self.last(self.gru(self.embedding(characters))[0])


def loss_of(model: nn.Module, pieces: torch.Tensor) -> torch.Tensor:
    """The mean loss of a character, in nats; pieces: (pieces, length + 1)."""
    return cross_entropy(model(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())


def loss_on(model: nn.Module, part: torch.Tensor, length: int = 64) -> float:
    with torch.no_grad():
        return loss_of(model, part.unfold(0, length + 1, length)).item()


def fit(schedule: evolr.TrialSchedule, seed: int, epochs: int) -> nn.Module:
    """A network trained under a schedule, by Adam with clipped gradients; all luck is the seed's."""
    torch.manual_seed(seed)
    model = Network()
    optimizer = torch.optim.Adam(model.parameters())
    val_loss = loss_on(model, VALIDATION)  # of the untrained network
    horizon = {"total_steps": epochs * STEPS, "steps_per_epoch": STEPS}
    scheduler = ExpressionLR(optimizer, schedule, **horizon, loss=val_loss, val_loss=val_loss)
    for _ in range(epochs):
        for _ in range(STEPS):
            starts = torch.randint(len(TRAINING) - LENGTH, (BATCH, 1))
            loss = loss_of(model, TRAINING[starts + torch.arange(LENGTH + 1)])
            optimizer.zero_grad()
            loss.backward()
            scheduler.see_gradients()  # before they are clipped
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step(loss=loss)
        scheduler.observe(val_loss=loss_on(model, VALIDATION))
    return model


def train(schedule: evolr.TrialSchedule, seed: int, epochs: int, pool: str) -> float:
    """What evolr calls, in workers: the loss after a training, on the part that judges this pool."""
    return loss_on(fit(schedule, seed, epochs), TEST if pool == "test" else VALIDATION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a rehearsal of some seconds, which proves nothing")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/char_gru"), help="the run directory")
    arguments = parser.parse_args()
    epochs, settings, budget, seeds = EPOCHS, SEARCH, BUDGET, SEEDS
    if arguments.quick:
        epochs, settings, budget, seeds = 1, {"search.generations": 1, "search.seed_families": False}, 1, 2

    told = {"metric": "loss", "higher_is_better": False, "signals": SIGNALS}
    found = evolr.evolve(train, arguments.output, epochs=epochs, settings=settings, **told)
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
