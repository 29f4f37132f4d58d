"""The signals: the scalars that a training loop shows a schedule at each step.

The order of the table numbers the signals of packed programs; it only ever grows at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

STALE_THRESHOLD: Final = 1e-4  # relative; ReduceLROnPlateau's own
EMA_DECAY: Final = 0.95  # a step, of loss_ema


CLOCK: Final = ("epoch", "progress", "step", "epoch_progress", "total_steps", "total_epochs")
"""The signals that follow from the number of the step; all others are told by the training."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A scalar of the training loop."""

    name: str
    meaning: str

    @property
    def live(self) -> bool:
        """Whether its value depends on how the training goes. A schedule without a live signal is open-loop: its whole
        curve is known before the training starts.
        """
        return self.name not in CLOCK


_TABLE = (
    Signal("epoch", "epochs finished so far: 0 in the first, constant within an epoch"),
    Signal("loss", "training loss of the previous batch; at the first, of the untrained network on it"),
    Signal("val_loss", "validation loss at the end of the previous epoch; at first, of the untrained network"),
    Signal("progress", "step ÷ total steps, in [0, 1)"),
    Signal("step", "steps finished so far"),
    Signal("epoch_progress", "steps finished in this epoch ÷ steps of an epoch, in [0, 1)"),
    Signal("lr", "learning rate of the previous step; 0 before the first"),
    Signal(
        "stale_epochs",
        f"epochs since val_loss was last below its best by more than {STALE_THRESHOLD:g} of it, or by the schedule's own "
        "threshold; 0 in the first two",
    ),
    Signal("loss_ema", f"exponential moving average of loss, decay {EMA_DECAY:g} a step; begins as loss does"),
    Signal("total_steps", "steps of the whole training"),
    Signal("total_epochs", "epochs of the whole training; one that is begun counts"),
    Signal(
        "plateaus",
        "how often stale_epochs has gone beyond the schedule's patience, 10 if it has none of its own, counted as torch's "
        "ReduceLROnPlateau counts",
    ),
)

SIGNALS: Final = MappingProxyType({s.name: s for s in _TABLE})


def clock(step: Any, total_steps: Any, steps_per_epoch: Any) -> dict[str, Any]:
    """The signals of CLOCK at a step: of whole numbers, or of arrays of them in NumPy or JAX.

    Each is one division at most of whole numbers, so that a quotient such as 3/10 is the nearest float to it.
    """
    return {
        "epoch": step // steps_per_epoch,
        "progress": step / total_steps,
        "step": step,
        "epoch_progress": step % steps_per_epoch / steps_per_epoch,
        "total_steps": total_steps,
        "total_epochs": -(-total_steps // steps_per_epoch),
    }


CORE_SIGNALS: Final = ("epoch", "loss", "val_loss")
"""The signals of the first experiment."""
