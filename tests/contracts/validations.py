"""Recorded validations, and what torch's ReduceLROnPlateau makes of them."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

EPOCHS = 60
BASE, FACTOR = 0.1, 0.5


def _float32(values: Any) -> list[float]:
    return np.asarray(values, np.float32).astype(float).tolist()


def _traces() -> dict[str, list[float]]:
    rng = np.random.default_rng(11)
    epoch = np.arange(EPOCHS)
    noise = rng.normal(0, 1, (6, EPOCHS))
    steps = np.where(epoch < 5, 1.0, np.where(epoch < 17, 0.9, np.where(epoch < 31, 0.85, 0.4)))
    return {
        "falling with noise": _float32(2.3 * 0.95**epoch * np.exp(0.1 * noise[0])),
        "level with noise": _float32(1 + 0.02 * noise[1]),
        "flat": [1.0] * EPOCHS,
        "rising": _float32(0.5 + 0.03 * epoch + 0.02 * noise[2]),
        "negative": _float32(-0.05 * epoch + 0.3 * noise[3]),
        "accuracy": _float32(1 - np.exp(-0.1 * epoch) + 0.02 * noise[4]),
        "better within the cooldown": _float32(steps),
        "once no number": _float32([math.nan if k == 7 else v for k, v in enumerate(1.5 * 0.97**epoch)]),
    }


TRACES = _traces()

SETTINGS: list[dict[str, Any]] = [
    {"patience": patience, "threshold": threshold, "threshold_mode": threshold_mode, "mode": mode, "cooldown": cooldown}
    for patience, (threshold, threshold_mode), mode, cooldown in product(
        (0, 1, 3), ((1e-4, "rel"), (0.05, "rel"), (0.013, "abs"), (0, "abs")), ("min", "max"), (0, 2, 5)
    )
]


def is_torchs(name: str, settings: dict[str, Any]) -> bool:
    """Whether torch means by these settings what evolr does: for values below 0 its relative threshold is no distance."""
    return settings["threshold_mode"] == "abs" or min(v for v in TRACES[name] if not math.isnan(v)) > 0


CASES = [(name, settings) for name in TRACES for settings in SETTINGS if is_torchs(name, settings)]


def torch_rates(values: list[float], **arguments: Any) -> list[float]:
    """The learning rate of each epoch under torch's scheduler, which is told these values at their ends."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    scheduler = ReduceLROnPlateau(optimizer, **{"factor": FACTOR, **arguments})
    rates = []
    for value in values:
        rates.append(float(optimizer.param_groups[0]["lr"]))
        scheduler.step(value)
    return rates


def torch_plateaus(values: list[float], **settings: Any) -> list[int]:
    """How many plateaus torch has counted before each epoch."""
    rates = torch_rates(values, eps=0.0, min_lr=0.0, **settings)
    return [round(math.log2(BASE / rate)) for rate in rates]
