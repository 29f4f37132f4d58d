"""Papers about schedules, and those of large models: the learning rate as a paper gives it.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from typing import Final

from tests.contracts.published.case import EPOCHS, TOTAL_STEPS, Published, by_epoch, by_step

T: Final = TOTAL_STEPS


def _noam(step: int, d_model: int = 512, warmup_steps: int = 400) -> float:
    step_num = step + 1
    return d_model**-0.5 * min(step_num**-0.5, step_num * warmup_steps**-1.5)


def _warmed_cosine(peak: float, least: float, warmup: int, end: int) -> object:
    """A linear warm-up and half a cosine, as language models take it."""

    def rate(step: int) -> float:
        if step < warmup:
            return peak * step / warmup
        if step > end:
            return least
        return least + 0.5 * (1 + math.cos(math.pi * (step - warmup) / (end - warmup))) * (peak - least)

    return by_step(rate)


def _deepseek(step: int) -> float:
    """A warm-up of 2000 steps of 100,000; 31.6 % at 80 % of the tokens and 10 % at 90 % of them."""
    peak = 4.2e-4
    if step < 20:
        return peak * step / 20
    if step < 0.8 * T:
        return peak
    return 0.316 * peak if step < 0.9 * T else 0.1 * peak


def _minicpm(step: int, warmup: int = 50, stable: int = 900, decay: float = 25.0) -> float:
    """Equation 1 of MiniCPM, with f(s − T) = 0.5^((s − T)/T')."""
    eta = 0.01
    if step < warmup:
        return step / warmup * eta
    return eta if step < stable else 0.5 ** ((step - stable) / decay) * eta


def _hagele(step: int, decay: int = 200, warmup: int = 30) -> float:
    if step < warmup:
        return 1e-3 * step / warmup
    if step < T - decay:
        return 1e-3
    return 1e-3 * (1 - math.sqrt((step - (T - decay)) / decay))


def _rex(step: int) -> float:
    z = step / T
    return 0.1 * (1 - z) / (1 / 2 + 1 / 2 * (1 - z))


def _trapezoid(step: int, warmup: int = 100, cooldown: int = 200) -> float:
    return 8e-4 * min(step / warmup, 1, (T - step) / cooldown)


def _power_scheduler(step: int) -> float:
    """min(lr_max, β·a·n^b) of n tokens, batches of 128 × 8,192; the last tenth falls exponentially."""
    a, b, beta, lr_max = 4.6, -0.51, 128, 0.02
    warmup, decay = 20, 900
    n = (step + 1) * beta * 8192
    stable = min(lr_max, beta * a * n**b)
    if step < warmup:
        return lr_max * step / warmup
    return stable if step < decay else stable * math.exp(-(step - decay) / 20)


def _t5(step: int) -> float:
    return 1 / math.sqrt(max(step, 100))


def _knee(step: int, warmup: int = 50, explore: int = 500) -> float:
    """Warm-up, explore at the peak, exploit linearly down to zero."""
    if step < warmup:
        return 0.1 * step / warmup
    if step < warmup + explore:
        return 0.1
    return 0.1 * (1 - (step - warmup - explore) / (T - warmup - explore))


def _tanh_decay(step: int, lower: float = -6.0, upper: float = 3.0) -> float:
    return 0.1 / 2 * (1 - math.tanh(lower + (upper - lower) * step / T))


def _cosine_power(epoch: int, p: float = 10.0, least: float = 1e-4, most: float = 0.025) -> float:
    exponent = 1 + 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))
    return least + (most - least) * (p**exponent - p) / (p**2 - p)


def _sgdr(epoch: int, most: float = 0.05, least: float = 1e-5) -> float:
    """T_0 = 10 epochs, T_mult = 2, by the table of the restarts: at 10, 30 and 70."""
    start, length = next((s, length) for s, length in ((70, 80), (30, 40), (10, 20), (0, 10)) if epoch >= s)
    return least + 0.5 * (most - least) * (1 + math.cos(math.pi * (epoch - start) / length))


def _snapshot(step: int, cycles: int = 5) -> float:
    """Equation 2 of Snapshot Ensembles, whose t counts from 1; ⌈T/M⌉ steps a cycle."""
    length = math.ceil(T / cycles)
    return 0.2 / 2 * (math.cos(math.pi * ((step + 1 - 1) % length) / length) + 1)


def _swa(epoch: int, most: float = 0.05, least: float = 0.01, budget: int = 100) -> float:
    t = epoch / budget
    ratio = least / most
    return most * (1.0 if t <= 0.5 else 1.0 - (1.0 - ratio) * (t - 0.5) / 0.4 if t <= 0.9 else ratio)


def _swa_cycle(step: int, length: int = 50, most: float = 0.05, least: float = 5e-4) -> float:
    """α(i) = (1 − t(i))·α1 + t(i)·α2 with t(i) = (mod(i − 1, c) + 1)/c, i from 1."""
    t = ((step + 1 - 1) % length + 1) / length
    return (1 - t) * most + t * least


def _k_decay(step: int, k: float = 3.0) -> float:
    return 1e-4 + (0.1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * step**k / T**k))


def _k_decay_poly(step: int, k: float = 1.5, n: int = 2) -> float:
    return (0.1 - 1e-4) * (1 - step**k / T**k) ** n + 1e-4


def _large_batch(step: int, warmup: int = 100, power: float = 1.0) -> float:
    """LAMB: a linear warm-up, then polynomial decay of the whole length."""
    return 1.76e-3 * (step / warmup if step < warmup else (1 - step / T) ** power)


CASES: Final = (
    Published(
        "Noam", "Vaswani et al. 2017, equation 3", "512**-0.5*min((step + 1)**-0.5, (step + 1)*400**-1.5)",
        by_step(_noam),
    ),
    Published(
        "Noam by names", "Vaswani et al. 2017, equation 3",
        "d_model^-0.5 * min(step_num^-0.5, step_num * warmup_steps^-1.5)".replace("step_num", "(step + 1)"),
        by_step(_noam), {"d_model": 512, "warmup_steps": 400},
    ),
    Published(
        "GPT-3", "Brown et al. 2020: warm-up, cosine to 10 %, constant after",
        "6e-4*step/20 if step < 20 else 6e-5 if step > 870 "
        "else 6e-5 + 0.5*(1 + cos(pi*(step - 20)/(870 - 20)))*(6e-4 - 6e-5)",
        _warmed_cosine(6e-4, 6e-5, 20, 870),
    ),
    Published(
        "Chinchilla", "Hoffmann et al. 2022: cosine to 10 % at the end",
        "2e-4*min(1, step/15)*1.0 if step < 15 else 2e-5 + (2e-4 - 2e-5)*0.5*(1 + cos(pi*(step - 15)/(total_steps - 15)))",
        _warmed_cosine(2e-4, 2e-5, 15, T),
    ),
    Published(
        "LLaMA", "Touvron et al. 2023: cosine to 10 %, 2,000 steps of warm-up",
        "max_lr*step/20 if step < 20 else 0.1*max_lr + 0.9*max_lr*(1 + cos(pi*(step - 20)/980))/2",
        _warmed_cosine(1.5e-4, 1.5e-5, 20, T), {"max_lr": 1.5e-4},
    ),
    Published(
        "MiniCPM WSD", "Hu et al. 2024, equation 1",
        "0.01*step/50 if step < 50 else 0.01 if step < 900 else 0.01*0.5**((step - 900)/25)", by_step(_minicpm),
    ),
    Published(
        "DeepSeek LLM", "DeepSeek-AI 2024, section 2.3: multi-step at 80 % and 90 %",
        "4.2e-4*min(step/20, 1)*(1 if progress < 0.8 else 0.316 if progress < 0.9 else 0.1)", by_step(_deepseek),
    ),
    Published(
        "1 − sqrt cooldown", "Hägele et al. 2024, equation 1",
        "1e-3*(step/30 if step < 30 else 1 if step < 800 else 1 - sqrt((step - 800)/200))", by_step(_hagele),
    ),
    Published(
        "trapezoid", "Zhai et al. 2022 (Scaling ViT): warm-up, constant, cool-down",
        "8e-4*min(step/100, 1, (total_steps - step)/200)", by_step(_trapezoid),
    ),
    Published(
        "REX", "Chen, Wolfe and Kyrillidis 2022", "0.1*(1 - progress)/(1/2 + 1/2*(1 - progress))", by_step(_rex),
    ),
    Published(
        "power scheduler", "Shen et al. 2024 (Granite): min(lr_max, β·a·n^b), exponential end",
        "0.02*step/20 if step < 20 else min(0.02, 128*4.6*((step + 1)*128*8_192)**-0.51)"
        "*(1 if step < 900 else exp(-(step - 900)/20))",
        by_step(_power_scheduler),
    ),
    Published(
        "T5", "Raffel et al. 2020: 1/sqrt(max(n, k))", "1/sqrt(max(step, 100))", by_step(_t5),
    ),
    Published(
        "knee", "Iyer et al. 2023 (wide-minima density): explore, exploit",
        "0.1*(step/50 if step < 50 else 1 if step < 550 else 1 - (step - 550)/450)", by_step(_knee),
    ),
    Published(
        "budgeted linear", "Li, Yumer and Ramanan 2020", "0.1*(1 - step/total_steps)",
        by_step(lambda step: 0.1 * (1 - step / T)),
    ),
    Published(
        "tanh decay", "Hsueh et al. 2019 (HTD), R(−6, 3)",
        "0.1/2*(1 - tanh(-6 + (3 - -6)*progress))", by_step(_tanh_decay),
    ),
    Published(
        "cosine power annealing", "Hundt et al. 2019 (sharpDARTS)",
        "1e-4 + (0.025 - 1e-4)*(math.pow(10, 1 + 0.5*(1 + math.cos(math.pi*epoch/100))) - 10)/(math.pow(10, 2) - 10)",
        by_epoch(_cosine_power),
    ),
    Published(
        "SGDR", "Loshchilov and Hutter 2017, equation 5, T_0 = 10, T_mult = 2",
        "1e-5 + 1/2*(0.05 - 1e-5)*(1 + cos(pi*where(epoch >= 70, (epoch - 70)/80, where(epoch >= 30, (epoch - 30)/40, "
        "where(epoch >= 10, (epoch - 10)/20, epoch/10)))))",
        by_epoch(_sgdr),
    ),
    Published(
        "snapshot ensembles", "Huang et al. 2017, equation 2",
        "0.2/2*(cos(pi*(step % ceil(total_steps/5))/ceil(total_steps/5)) + 1)", by_step(_snapshot),
    ),
    Published(
        "SWA", "Izmailov et al. 2018, their script",
        "0.05*(1.0 if epoch/100 <= 0.5 else 1.0 - (1.0 - 0.2)*(epoch/100 - 0.5)/0.4 if epoch/100 <= 0.9 else 0.2)",
        by_epoch(_swa),
    ),
    Published(
        "cyclic rate of SWA", "Izmailov et al. 2018, section 3.1",
        "(1 - (step % 50 + 1)/50)*0.05 + (step % 50 + 1)/50*5e-4", by_step(_swa_cycle),
    ),
    Published(
        "k-decay cosine", "Zhang and Li 2020, equation 6",
        "1e-4 + (0.1 - 1e-4)*0.5*(1 + cos(pi*step**3/total_steps**3))", by_step(_k_decay),
    ),
    Published(
        "k-decay polynomial", "Zhang and Li 2020, equation 5",
        "(0.1 - 1e-4)*(1 - step**1.5/1000**1.5)**2 + 1e-4", by_step(_k_decay_poly),
    ),
    Published(
        "LAMB", "You et al. 2020: warm-up and polynomial decay",
        "1.76e-3*(step/100 if step < 100 else (1 - step/total_steps)**1.0)", by_step(_large_batch),
    ),
    Published(
        "cosine, by a power and a phase", "Naganuma et al. 2026: generalised cosine",
        "0.1*((1 + cos(pi*progress))/2)**0.7", by_step(lambda step: 0.1 * ((1 + math.cos(math.pi * step / T)) / 2) ** 0.7),
    ),
)  # fmt: skip
