"""The curves of an outcome as bytes: float32, little-endian, one row of epochs a curve."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolr.training.task import Outcome

CURVES: Final = ("train_loss", "val_loss", "val_score", "learning_rate")


def packed(outcome: Outcome) -> bytes:
    return np.stack([getattr(outcome, name) for name in CURVES]).astype("<f4").tobytes()


def unpacked(content: bytes) -> NDArray[np.float32]:
    """The curves, (4, epochs), in the order of CURVES and of Outcome's own fields. Raises ValueError for what is none."""
    if len(content) % (4 * len(CURVES)):
        raise ValueError(f"expected {len(CURVES)} curves of one length, of 4 bytes a number, got {len(content)} bytes")
    return np.frombuffer(content, "<f4").reshape(len(CURVES), -1).astype(np.float32)
