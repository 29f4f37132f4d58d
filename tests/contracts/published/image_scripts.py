"""Training scripts of images: classifiers, pictures that are made, fields of radiance.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tests.contracts.published.case import EPOCHS, STEPS_PER_EPOCH, TOTAL_STEPS, Published, by_epoch, by_step

T: Final = TOTAL_STEPS


def _mae(step: int) -> float:
    """MAE's adjust_learning_rate, per iteration: epoch counts in parts."""
    epoch, warmup, epochs, lr, min_lr = step / STEPS_PER_EPOCH, 40 / 8, EPOCHS, 1.5e-4, 0.0
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def _dino() -> np.ndarray:
    """DINO's cosine_scheduler: a table over all iterations."""
    base, final, warmup = 0.0005, 1e-6, 10 * STEPS_PER_EPOCH
    iterations = np.arange(T - warmup)
    falling = final + 0.5 * (base - final) * (1 + np.cos(np.pi * iterations / len(iterations)))
    return np.concatenate((np.linspace(0, base, warmup), falling))


def _deit(epoch: int, warmup: int = 5) -> float:
    """DeiT through timm's cosine: warm-up from 1e-6; min_lr 1e-5; the cosine counts the warm-up in."""
    if epoch < warmup:
        return 1e-6 + epoch * (5e-4 - 1e-6) / warmup
    return 1e-5 + 0.5 * (5e-4 - 1e-5) * (1 + math.cos(math.pi * epoch / EPOCHS))


def _timm_cycles(epoch: int, length: int = 30, decay: float = 0.5, limit: int = 3) -> float:
    cycle = epoch // length
    if cycle >= limit:
        return 1e-5
    top = 0.1 * decay**cycle
    return 1e-5 + 0.5 * (top - 1e-5) * (1 + math.cos(math.pi * (epoch - length * cycle) / length))


def _timm_step(epoch: int) -> float:
    """timm's StepLRScheduler: decay_t 2.4 epochs, warm-up of three from 1e-6."""
    if epoch < 3:
        return 1e-6 + epoch * (0.016 - 1e-6) / 3
    return 0.016 * 0.97 ** (epoch // 2.4)


def _timm_tanh(epoch: int, low: float = -7.0, up: float = 3.0) -> float:
    return 1e-5 + 0.5 * (0.1 - 1e-5) * (1 - math.tanh(low * (1.0 - epoch / EPOCHS) + up * epoch / EPOCHS))


def _timm_poly(epoch: int) -> float:
    return 1e-5 + (0.1 - 1e-5) * (1 - epoch / EPOCHS) ** 0.5


def _david_net(step: int) -> float:
    """PiecewiseLinear([0, 5, 24], [0, 0.4, 0]) of 24 epochs, its knots scaled: 0, 20 and 100 epochs."""
    return float(np.interp([step / STEPS_PER_EPOCH], [0, 20, EPOCHS], [0, 0.4, 0])[0]) / 512


def _airbench(step: int) -> float:
    """A triangle from 0.2 by its peak at 23 % to 0.07."""
    schedule = np.interp(np.arange(1 + T), [0, int(0.23 * T), T], [0.2, 1, 0.07])
    return 9.0 * float(schedule[step])


def _fastai(step: int, pct: float = 0.25) -> float:
    """combined_cos(0.25, lr/25, lr, lr/1e5)."""
    lr, x = 1e-3, step / T

    def cos(start: float, end: float, pos: float) -> float:
        return start + (1 + math.cos(math.pi * (1 - pos))) * (end - start) / 2

    return cos(lr / 25, lr, x / pct) if x < pct else cos(lr, lr / 1e5, (x - pct) / (1 - pct))


def _fastai_flat(step: int, pct: float = 0.75) -> float:
    """fit_flat_cos: constant, then a cosine to lr/1e5."""
    x = step / T
    if x < pct:
        return 4e-3
    pos = (x - pct) / (1 - pct)
    return 4e-3 + (1 + math.cos(math.pi * (1 - pos))) * (4e-3 / 1e5 - 4e-3) / 2


def _adjust_learning_rate(epoch: int, lr: float = 0.1) -> float:
    return lr * (0.1 ** (epoch // 30))


def _moco(epoch: int) -> float:
    lr = 0.03
    for milestone in (60, 80):
        lr *= 0.1 if epoch >= milestone else 1.0
    return lr


def _stylegan(step: int) -> float:
    """The ramps of StyleGAN's projector: up over 5 %, a cosine down over the last 25 %."""
    t = step / T
    ramp = min(1.0, (1.0 - t) / 0.25)
    ramp = 0.5 - 0.5 * math.cos(ramp * math.pi)
    return 0.1 * ramp * min(1.0, t / 0.05)


def _cyclegan(epoch: int, n_epochs: int = 50, n_epochs_decay: int = 50) -> float:
    return 2e-4 * (1.0 - max(0, epoch + 1 - n_epochs) / float(n_epochs_decay + 1))


def _nerf(step: int, lrate: float = 5e-4, decay_rate: float = 0.1, lrate_decay: float = 0.25) -> float:
    return lrate * (decay_rate ** (step / (lrate_decay * 1000)))


def _mip_nerf(step: int) -> float:
    """Log-linear between two rates, with a delayed start: JaxNeRF and mip-NeRF."""
    init, final, delay_steps, delay_mult = 5e-4, 5e-6, 200, 0.01
    delay = delay_mult + (1 - delay_mult) * math.sin(0.5 * math.pi * min(max(step / delay_steps, 0), 1))
    t = min(max(step / T, 0), 1)
    return delay * math.exp(math.log(init) * (1 - t) + math.log(final) * t)


CASES: Final = (
    Published(
        "MAE", "MAE util/lr_sched.py",
        "1.5e-4*(epoch + epoch_progress)/5 if epoch < 5 "
        "else 1.5e-4*0.5*(1. + math.cos(math.pi*(epoch + epoch_progress - 5)/(total_epochs - 5)))",
        by_step(_mae),
    ),
    Published(
        "DINO", "DINO utils.py, cosine_scheduler",
        "0.0005*step/99 if step < 100 else 1e-6 + 0.5*(0.0005 - 1e-6)*(1 + np.cos(np.pi*(step - 100)/900))",
        _dino,
    ),
    Published(
        "DeiT", "DeiT main.py: timm's cosine with warm-up",
        "1e-6 + epoch*(5e-4 - 1e-6)/5 if epoch < 5 else 1e-5 + 0.5*(5e-4 - 1e-5)*(1 + cos(pi*epoch/100))",
        by_epoch(_deit),
    ),
    Published(
        "timm cosine with cycles", "timm CosineLRScheduler(cycle_decay=0.5, cycle_limit=3)",
        "1e-5 + 0.5*(0.1*0.5**(epoch // 30) - 1e-5)*(1 + cos(pi*(epoch % 30)/30)) if epoch // 30 < 3 else 1e-5",
        by_epoch(_timm_cycles),
    ),
    Published(
        "timm step", "timm StepLRScheduler(decay_t=2.4, decay_rate=0.97)",
        "1e-6 + epoch*(0.016 - 1e-6)/3 if epoch < 3 else 0.016*0.97**(epoch // 2.4)", by_epoch(_timm_step),
    ),
    Published(
        "timm tanh", "timm TanhLRScheduler(lb=-7, ub=3)",
        "1e-5 + 0.5*(0.1 - 1e-5)*(1 - math.tanh(-7*(1. - epoch/100) + 3*epoch/100))", by_epoch(_timm_tanh),
    ),
    Published(
        "timm poly", "timm PolyLRScheduler(power=0.5)", "1e-5 + (0.1 - 1e-5)*(1 - epoch/total_epochs)**0.5",
        by_epoch(_timm_poly),
    ),
    Published(
        "DavidNet", "Page 2019 (DAWNBench): PiecewiseLinear over epochs",
        "0.4*min((epoch + epoch_progress)/20, (100 - (epoch + epoch_progress))/80)/512", by_step(_david_net),
    ),
    Published(
        "airbench", "Jordan 2024 (airbench): np.interp(…, [0, 0.23, 1], [0.2, 1, 0.07])",
        "9*(0.2 + (1 - 0.2)*progress/0.23 if progress < 0.23 else 1 + (0.07 - 1)*(progress - 0.23)/(1 - 0.23))",
        by_step(_airbench),
    ),
    Published(
        "fast.ai one-cycle", "fastai combined_cos, fit_one_cycle",
        "1e-3/25 + (1 + cos(pi*(1 - progress/0.25)))*(1e-3 - 1e-3/25)/2 if progress < 0.25 "
        "else 1e-3 + (1 + cos(pi*(1 - (progress - 0.25)/0.75)))*(1e-3/1e5 - 1e-3)/2",
        by_step(_fastai),
    ),
    Published(
        "fast.ai flat and cosine", "fastai fit_flat_cos",
        "4e-3 if progress < 0.75 else 4e-3 + (1 + cos(pi*(1 - (progress - 0.75)/0.25)))*(4e-3/1e5 - 4e-3)/2",
        by_step(_fastai_flat),
    ),
    Published(
        "adjust_learning_rate", "PyTorch's ImageNet example", "0.1 * (0.1 ** (epoch // 30))",
        by_epoch(_adjust_learning_rate),
    ),
    Published(
        "MoCo", "MoCo main_moco.py, --schedule 60 80",
        "0.03*(0.1 if epoch >= 60 else 1.)*(0.1 if epoch >= 80 else 1.)", by_epoch(_moco),
    ),
    Published(
        "StyleGAN projector", "StyleGAN 2 projector.py",
        "0.1*(0.5 - 0.5*np.cos(np.minimum(1.0, (1.0 - progress)/0.25)*np.pi))*np.minimum(1.0, progress/0.05)",
        by_step(_stylegan),
    ),
    Published(
        "CycleGAN", "pytorch-CycleGAN, lambda_rule", "2e-4*(1.0 - max(0, epoch + 1 - 50)/(50 + 1))", by_epoch(_cyclegan),
    ),
    Published(
        "NeRF", "nerf-pytorch run_nerf.py", "5e-4 * (0.1 ** (step / (0.25 * 1000)))", by_step(_nerf),
    ),
    Published(
        "mip-NeRF", "JaxNeRF learning_rate_decay: log-linear, a delayed start",
        "(0.01 + (1 - 0.01)*np.sin(0.5*np.pi*np.clip(step/200, 0, 1)))"
        "*np.exp(np.log(5e-4)*(1 - step/1000) + np.log(5e-6)*step/1000)",
        by_step(_mip_nerf),
    ),
)  # fmt: skip
