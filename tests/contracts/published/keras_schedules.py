"""keras.optimizers.schedules, asked in float64, and the callbacks of its documentation."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, Final

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras.optimizers import schedules

from tests.contracts.published.case import EPOCHS, STEPS_PER_EPOCH, TOTAL_STEPS, Published, Rates, by_epoch, values


def _rates(make: Callable[[], Any]) -> Callable[[], Rates]:
    def rates() -> Rates:
        before = keras.config.floatx()
        keras.config.set_floatx("float64")
        try:
            schedule = make()
            return values([float(schedule(step)) for step in range(TOTAL_STEPS)])
        finally:
            keras.config.set_floatx(before)

    return rates


def _by_callback(scheduler: Callable[[int, float], float], lr: float) -> Callable[[], Rates]:
    """keras.callbacks.LearningRateScheduler: a function of the epoch and of the learning rate so far."""

    def rates() -> Rates:
        found, now = [], lr
        for epoch in range(EPOCHS):
            now = scheduler(epoch, now)
            found += [now] * STEPS_PER_EPOCH
        return values(found)

    return rates


def _documented(epoch: int, lr: float) -> float:
    return lr if epoch < 10 else lr * math.exp(-0.1)


def _resnet(epoch: int) -> float:
    """`lr_schedule` of Keras' ResNet example for CIFAR-10, whose milestones are of 200 epochs; here of 100."""
    lr = 1e-3
    for milestone, factor in ((90, 0.5e-3), (80, 1e-3), (60, 1e-2), (40, 1e-1)):
        if epoch > milestone:
            return lr * factor
    return lr


CASES: Final = (
    Published(
        "ExponentialDecay", "keras, documentation", "initial_learning_rate * decay_rate ^ (step / decay_steps)",
        _rates(lambda: schedules.ExponentialDecay(0.1, 100, 0.96)),
        {"initial_learning_rate": 0.1, "decay_rate": 0.96, "decay_steps": 100},
    ),
    Published(
        "ExponentialDecay, staircase", "keras ExponentialDecay(staircase=True)", "0.1 * 0.96 ^ floor(step / 30)",
        _rates(lambda: schedules.ExponentialDecay(0.1, 30, 0.96, staircase=True)),
    ),
    Published(
        "InverseTimeDecay", "keras, documentation", "0.1 / (1 + 0.5 * step / 10)",
        _rates(lambda: schedules.InverseTimeDecay(0.1, 10, 0.5)),
    ),
    Published(
        "InverseTimeDecay, staircase", "keras, documentation", "0.1 / (1 + 0.5 * floor(step / 100))",
        _rates(lambda: schedules.InverseTimeDecay(0.1, 100, 0.5, staircase=True)),
    ),
    Published(
        "PolynomialDecay", "keras, documentation",
        "((0.1 - 0.01) * (1 - min(step, 700) / 700) ^ (0.5)) + 0.01",
        _rates(lambda: schedules.PolynomialDecay(0.1, 700, 0.01, power=0.5)),
    ),
    Published(
        "PolynomialDecay, cycle", "keras, documentation: cycle=True",
        "((0.1 - 0.01) * (1 - step / (300 * max(1, ceil(step / 300)))) ^ (1)) + 0.01",
        _rates(lambda: schedules.PolynomialDecay(0.1, 300, 0.01, cycle=True)),
    ),
    Published(
        "PiecewiseConstantDecay", "keras, documentation: the boundary itself is before it",
        "0.1 if step <= 300 else 0.05 if step <= 600 else 0.01",
        _rates(lambda: schedules.PiecewiseConstantDecay([300, 600], [0.1, 0.05, 0.01])),
    ),
    Published(
        "CosineDecay", "keras, documentation: alpha",
        "0.1 * ((1 - 0.2) * (0.5 * (1 + cos(pi * min(step, 800) / 800))) + 0.2)",
        _rates(lambda: schedules.CosineDecay(0.1, 800, alpha=0.2)),
    ),
    Published(
        "CosineDecay, warm-up", "keras, documentation: warmup_target, warmup_steps",
        "(0.1 - 0.001)*step/100 + 0.001 if step < 100 "
        "else 0.1*((1 - 0.01)*0.5*(1 + cos(pi*(min(step, 900) - 100)/800)) + 0.01)",
        _rates(lambda: schedules.CosineDecay(0.001, 800, alpha=0.01, warmup_target=0.1, warmup_steps=100)),
    ),
    Published(
        "CosineDecayRestarts, equal cycles", "keras CosineDecayRestarts(t_mul=1, m_mul=0.8)",
        "0.1*(0.5*0.8**floor(step/250)*(1 + cos(pi*(step/250 - floor(step/250)))))",
        _rates(lambda: schedules.CosineDecayRestarts(0.1, 250, t_mul=1.0, m_mul=0.8)),
    ),
    Published(
        "CosineDecayRestarts, longer cycles", "keras CosineDecayRestarts(t_mul=3, m_mul=0.5, alpha=0.1)",
        "0.1*(0.9*where(step < 60, 0.5*(1 + cos(pi*step/60)), where(step < 240, 0.25*(1 + cos(pi*(step - 60)/180)), "
        "where(step < 780, 0.125*(1 + cos(pi*(step - 240)/540)), 0.0625*(1 + cos(pi*(step - 780)/1620))))) + 0.1)",
        _rates(lambda: schedules.CosineDecayRestarts(0.1, 60, t_mul=3.0, m_mul=0.5, alpha=0.1)),
    ),
    Published(
        "LearningRateScheduler, documentation", "keras.callbacks.LearningRateScheduler",
        "0.01 if epoch < 10 else 0.01*math.exp(-0.1*(epoch - 9))",
        _by_callback(_documented, 0.01),
    ),
    Published(
        "LearningRateScheduler, documentation, by the rate before", "keras.callbacks.LearningRateScheduler",
        "0.01 if step == 0 else lr if epoch < 10 or epoch_progress != 0 else lr*math.exp(-0.1)",
        _by_callback(_documented, 0.01),
    ),
    Published(
        "lr_schedule of the ResNet example", "keras, examples/cifar10_resnet.py, its milestones halved",
        "1e-3*(0.5e-3 if epoch > 90 else 1e-3 if epoch > 80 else 1e-2 if epoch > 60 else 1e-1 if epoch > 40 else 1)",
        by_epoch(_resnet),
    ),
    Published(
        "SGD's decay of old Keras", "keras 1 and 2, optimizers.SGD(lr=0.01, decay=1e-2)",
        "0.01*(1. / (1. + 1e-2*step))",
        lambda: values([0.01 * (1.0 / (1.0 + 1e-2 * iterations)) for iterations in range(TOTAL_STEPS)]),
    ),
)  # fmt: skip
