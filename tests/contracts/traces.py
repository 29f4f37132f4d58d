"""The contract of every framework: the learning rates of a real training are the reference's, signal for signal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.signals.plateau import STALE_THRESHOLD
from evolr.signals.rules import EMA_DECAY

EPOCHS, STEPS = 6, 5  # steps of an epoch
BATCH, INPUTS, CLASSES = 16, 8, 3

OPEN_LOOP = Schedule(
    expression=parse("0.05*min(1, progress*4)*(1.1 + cos(pi*progress)) + 0.001*epoch_progress/(1 + epoch + step)")
)
FEEDBACK = Schedule(
    expression=parse("0.5*exp(-2*progress)/(1 + loss_ema) + 0.01*val_loss/(1 + stale_epochs + loss) + 0.1*lr - 2"),
    transform="log",
    reference_lr=0.05,
)


@dataclass
class Trained:
    """What a training did. rates, losses: one a step; the loss is that of the step's batch. val_losses: one an epoch.

    first_val_loss: of the untrained network.
    """

    first_val_loss: float
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)


def samples(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (EPOCH's batches · BATCH, INPUTS) and the classes that a hidden linear map gives them."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((STEPS * BATCH, INPUTS)).astype(np.float32)
    hidden = np.random.default_rng(99).standard_normal((INPUTS, CLASSES))
    return inputs, (inputs @ hidden).argmax(axis=1).astype(np.int64)


def reference(schedule: Schedule, trained: Trained) -> np.ndarray:
    """The learning rate of each step by the NumPy reference, from the losses alone; signals as DESIGN says them."""
    count = len(trained.losses)
    total = EPOCHS * STEPS
    loss = np.array([trained.losses[0], *trained.losses[:-1]])
    ema = [loss[0]]
    for each in trained.losses[:-1]:
        ema.append(EMA_DECAY * ema[-1] + (1 - EMA_DECAY) * each)
    best, stale, staleness = np.inf, 0, [0]
    for val_loss in trained.val_losses:
        stale = 0 if val_loss < best * (1 - STALE_THRESHOLD) else stale + 1
        best = val_loss if stale == 0 else best
        staleness.append(stale)
    validation = [trained.first_val_loss, *trained.val_losses]
    rates, lr = [], 0.0
    for step in range(count):
        lr = float(
            schedule(
                step=step,
                epoch=step // STEPS,
                progress=step / total,
                epoch_progress=step % STEPS / STEPS,
                loss=loss[step],
                loss_ema=ema[step],
                val_loss=validation[step // STEPS],
                stale_epochs=staleness[step // STEPS],
                lr=lr,
            )
        )
        rates.append(lr)
    return np.array(rates)


def check(schedule: Schedule, trained: Trained) -> None:
    """Holds a real training to the reference, and to having been one."""
    assert len(trained.rates) == len(trained.losses) == EPOCHS * STEPS
    assert np.mean(trained.losses[-STEPS:]) < 0.9 * np.mean(trained.losses[:STEPS])
    np.testing.assert_allclose(trained.rates, reference(schedule, trained), rtol=1e-6)
