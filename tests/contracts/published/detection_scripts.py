"""Training scripts of object detection and segmentation.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final

import numpy as np

from tests.contracts.published.case import EPOCHS, STEPS_PER_EPOCH, TOTAL_STEPS, Published, by_epoch, by_step, times

T: Final = TOTAL_STEPS


def _detectron2(iteration: int) -> float:
    """The 3x schedule's shape: a linear warm-up from 1/1000, a tenth at two milestones."""
    warmup, factor = 100, 1.0 / 1000
    alpha = iteration / warmup
    warmed = 1.0 if iteration >= warmup else factor * (1 - alpha) + alpha
    return 0.02 * warmed * 0.1 ** bisect_right([700, 900], iteration)


def _detectron2_cosine(iteration: int) -> float:
    alpha = iteration / 100
    warmed = 1.0 if iteration >= 100 else 0.001 * (1 - alpha) + alpha
    return 0.02 * warmed * 0.5 * (1.0 + math.cos(math.pi * iteration / T))


def _mmdet(iteration: int) -> float:
    """policy='step', warmup='linear', warmup_iters=50, warmup_ratio=0.001, step=[66, 91]: epochs."""
    epoch = iteration // STEPS_PER_EPOCH
    regular = 0.02 * 0.1 ** bisect_right([66, 91], epoch)
    if iteration >= 50:
        return regular
    k = (1 - iteration / 50) * (1 - 0.001)
    return regular * (1 - k)


def _mm_poly(iteration: int) -> float:
    """mmsegmentation: policy='poly', power=0.9, min_lr=1e-4."""
    coeff = (1 - iteration / T) ** 0.9
    return (0.01 - 1e-4) * coeff + 1e-4


def _yolo_cosine(x: int, y1: float = 1.0, y2: float = 0.01, steps: int = EPOCHS) -> float:
    return ((1 - math.cos(x * math.pi / steps)) / 2) * (y2 - y1) + y1


def _yolo_linear(x: int, lrf: float = 0.01) -> float:
    return (1 - x / EPOCHS) * (1.0 - lrf) + lrf


def _yolo_v5(ni: int, nw: int = 30) -> float:
    """With the warm-up of train.py: np.interp per iteration from 0 to the epoch's own rate."""
    now = 0.01 * _yolo_linear(ni // STEPS_PER_EPOCH)
    return float(np.interp(ni, [0, nw], [0.0, now])) if ni <= nw else now


def _yolo_v3(batch: int, burn_in: int = 100, power: int = 4) -> float:
    if batch < burn_in:
        return 0.001 * (batch / burn_in) ** power
    return 0.001 * 0.1 ** bisect_right([800, 900], batch)


CASES: Final = (
    Published(
        "detectron2, multi-step", "detectron2 WarmupMultiStepLR",
        "0.02*(0.001*(1 - step/100) + step/100 if step < 100 else 1)*0.1**((step >= 700) + (step >= 900))",
        by_step(_detectron2),
    ),
    Published(
        "detectron2, cosine", "detectron2 WarmupCosineLR",
        "0.02*(0.001*(1 - step/100) + step/100 if step < 100 else 1)*0.5*(1.0 + math.cos(math.pi*step/1000))",
        by_step(_detectron2_cosine),
    ),
    Published(
        "mmdetection step", "mmcv StepLrUpdaterHook with a linear warm-up",
        "0.02*0.1**((epoch >= 66) + (epoch >= 91))*(1 if step >= 50 else 1 - (1 - step/50)*(1 - 0.001))",
        by_step(_mmdet),
    ),
    Published(
        "mmsegmentation poly", "mmcv PolyLrUpdaterHook(power=0.9, min_lr=1e-4)",
        "(0.01 - 1e-4)*(1 - step/total_steps)**0.9 + 1e-4", by_step(_mm_poly),
    ),
    Published(
        "YOLOv5 cosine", "YOLOv5 one_cycle(1, 0.01, 100)",
        "0.01*(((1 - math.cos(epoch * math.pi / 100)) / 2) * (0.01 - 1) + 1)", by_epoch(times(0.01, _yolo_cosine)),
    ),
    Published(
        "YOLOv5 linear", "YOLOv5 train.py, lf", "0.01*((1 - epoch / 100) * (1.0 - 0.01) + 0.01)",
        by_epoch(times(0.01, _yolo_linear)),
    ),
    Published(
        "YOLOv5 with warm-up", "YOLOv5 train.py, np.interp per iteration",
        "0.01*((1 - epoch/100)*(1.0 - 0.01) + 0.01)*min(1, step/30)", by_step(_yolo_v5),
    ),
    Published(
        "YOLOv3", "darknet: burn_in=100, power=4, steps=800,900",
        "0.001*(step/100)**4 if step < 100 else 0.001*0.1**((step >= 800) + (step >= 900))", by_step(_yolo_v3),
    ),
)  # fmt: skip
