"""The signals: the scalars that a training loop shows a schedule at each step.

The order of the table numbers the signals of packed programs; it only ever grows at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

STALE_THRESHOLD: Final = 1e-4  # relative; ReduceLROnPlateau's own
EMA_DECAY: Final = 0.95  # a step, of loss_ema


@dataclass(frozen=True, slots=True)
class Signal:
    """A scalar of the training loop.

    `live` says that its value depends on how the training goes; a schedule without a live signal is
    open-loop: its whole curve is known before the training starts.
    """

    name: str
    meaning: str
    live: bool


_TABLE = (
    Signal("epoch", "epochs finished so far: 0 in the first, constant within an epoch", live=False),
    Signal("loss", "training loss of the previous batch; at the first, of the untrained network on it", live=True),
    Signal(
        "val_loss", "validation loss at the end of the previous epoch; at first, of the untrained network", live=True
    ),
    Signal("progress", "step ÷ total steps, in [0, 1)", live=False),
    Signal("step", "steps finished so far", live=False),
    Signal("epoch_progress", "steps finished in this epoch ÷ steps of an epoch, in [0, 1)", live=False),
    Signal("lr", "learning rate of the previous step; 0 before the first", live=True),
    Signal(
        "stale_epochs",
        f"epochs since val_loss was last below its best by more than {STALE_THRESHOLD:g} of it; 0 in the first two",
        live=True,
    ),
    Signal(
        "loss_ema", f"exponential moving average of loss, decay {EMA_DECAY:g} a step; begins as loss does", live=True
    ),
    Signal("total_steps", "steps of the whole training", live=False),
    Signal("total_epochs", "epochs of the whole training; one that is begun counts", live=False),
)

SIGNALS: Final = MappingProxyType({s.name: s for s in _TABLE})

CORE_SIGNALS: Final = ("epoch", "loss", "val_loss")
"""The signals of the first experiment."""
