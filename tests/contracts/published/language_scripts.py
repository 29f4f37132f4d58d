"""Training scripts of language and speech.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from typing import Final

from tests.contracts.published.case import TOTAL_STEPS, Published, by_step

T: Final = TOTAL_STEPS


def _nanogpt(it: int) -> float:
    learning_rate, min_lr, warmup_iters, lr_decay_iters = 6e-4, 6e-5, 100, 900
    if it < warmup_iters:
        return learning_rate * (it + 1) / (warmup_iters + 1)
    if it > lr_decay_iters:
        return min_lr
    decay_ratio = (it - warmup_iters) / (lr_decay_iters - warmup_iters)
    coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))
    return min_lr + coeff * (learning_rate - min_lr)


def _llm_c(step: int, warmup: int = 70) -> float:
    if step < warmup:
        return 6e-4 * (step + 1) / warmup
    ratio = (step - warmup) / (T - warmup)
    coeff = 0.5 * (1.0 + math.cos(math.pi * ratio))
    return 6e-5 + coeff * (6e-4 - 6e-5)


def _modded_nanogpt(step: int, cooldown: float = 0.4) -> float:
    x = step / T
    if x < 1 - cooldown:
        return 1.0
    w = (1 - x) / cooldown
    return w * 1.0 + (1 - w) * 0.1


def _min_gpt(step: int) -> float:
    """minGPT's first trainer: progress by tokens, the cosine at 10 % at least."""
    if step < 30:
        return 3e-4 * step / max(1, 30)
    progress = (step - 30) / max(1, 900 - 30)
    return 3e-4 * max(0.1, 0.5 * (1.0 + math.cos(math.pi * progress)))


def _fairseq_inverse_sqrt(num_updates: int, warmup_updates: int = 100) -> float:
    warmup_init_lr, lr = 1e-7, 5e-4
    if num_updates < warmup_updates:
        return warmup_init_lr + num_updates * (lr - warmup_init_lr) / warmup_updates
    return lr * warmup_updates**0.5 * num_updates**-0.5


def _fairseq_polynomial(num_updates: int) -> float:
    """RoBERTa's: warm-up, power 1, the end rate from total_num_update on."""
    warmup, total, lr, end = 60, 900, 6e-4, 1e-6
    if num_updates <= warmup:
        return num_updates / warmup * lr
    if num_updates >= total:
        return end
    return (lr - end) * (1 - (num_updates - warmup) / (total - warmup)) ** 1.0 + end


def _fairseq_tri_stage(step: int) -> float:
    """wav2vec 2.0: phases of 10 %, 40 % and 50 %, an exponential end at 5 %."""
    lr, init, final = 3e-5, 0.01, 0.05
    if step < 100:
        return init * lr + (lr - init * lr) / 100 * step
    if step < 500:
        return lr
    return lr * math.exp(math.log(final) / 500 * (step - 500))


def _fairseq_triangular(step: int) -> float:
    lr_min, lr_max, stepsize, shrink = 1e-4, 1e-2, 100, 0.8
    cycle = math.floor(step / (2 * stepsize))
    top = lr_max * shrink**cycle
    bottom = lr_min
    x = abs(step / stepsize - 2 * (cycle + 1) + 1)
    return bottom + (top - bottom) * max(0, 1 - x)


def _slanted(t: int, cut_frac: float = 0.1, ratio: float = 32) -> float:
    """ULMFiT's slanted triangular rates, as the paper gives them."""
    cut = math.floor(T * cut_frac)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
    return 0.01 * (1 + p * (ratio - 1)) / ratio


def _bert(step: int, warmup: int = 100) -> float:
    """create_optimizer: the decay counts the warm-up in."""
    decayed = (5e-5 - 0.0) * (1 - step / T) ** 1.0 + 0.0
    return 5e-5 * step / warmup if step < warmup else decayed


def _whisper_like(step: int, warmup: int = 205) -> float:
    return 1e-3 * min(step / warmup, (T - step) / (T - warmup))


def _kaldi(step: int, jobs: int = 4) -> float:
    """nnet3's effective rates fall exponentially from 1.5e-3 to 1.5e-4, times the number of jobs."""
    return jobs * 1.5e-3 * math.exp(step * math.log(1.5e-4 / 1.5e-3) / T)


CASES: Final = (
    Published(
        "nanoGPT", "nanoGPT train.py, get_lr",
        "6e-4 * (step + 1) / (100 + 1) if step < 100 else 6e-5 if step > 900 "
        "else 6e-5 + 0.5 * (1.0 + math.cos(math.pi * ((step - 100) / (900 - 100)))) * (6e-4 - 6e-5)",
        by_step(_nanogpt),
    ),
    Published(
        "nanoGPT by names", "nanoGPT train.py, get_lr",
        "learning_rate*(step + 1)/(warmup_iters + 1) if step < warmup_iters else min_lr if step > lr_decay_iters else "
        "min_lr + 0.5*(1.0 + math.cos(math.pi*(step - warmup_iters)/(lr_decay_iters - warmup_iters)))"
        "*(learning_rate - min_lr)",
        by_step(_nanogpt),
        {"learning_rate": 6e-4, "min_lr": 6e-5, "warmup_iters": 100, "lr_decay_iters": 900},
    ),
    Published(
        "llm.c", "llm.c train_gpt2.py, get_lr",
        "6e-4*(step + 1)/70 if step < 70 else 6e-5 + 0.5*(1.0 + cos(pi*(step - 70)/(1000 - 70)))*(6e-4 - 6e-5)",
        by_step(_llm_c),
    ),
    Published(
        "modded-nanoGPT", "modded-nanogpt, get_lr: stable, then linear to a tenth",
        "1.0 if progress < 1 - 0.4 else (1 - progress)/0.4*1.0 + (1 - (1 - progress)/0.4)*0.1",
        by_step(_modded_nanogpt),
    ),
    Published(
        "minGPT", "minGPT, the first trainer",
        "3e-4*(step/max(1, 30) if step < 30 else max(0.1, 0.5*(1.0 + math.cos(math.pi*(step - 30)/max(1, 900 - 30)))))",
        by_step(_min_gpt),
    ),
    Published(
        "fairseq inverse_sqrt", "fairseq InverseSquareRootSchedule",
        "1e-7 + step*(5e-4 - 1e-7)/100 if step < 100 else 5e-4*100**0.5*step**-0.5", by_step(_fairseq_inverse_sqrt),
    ),
    Published(
        "fairseq polynomial_decay", "fairseq PolynomialDecayLRSchedule (RoBERTa)",
        "step/60*6e-4 if step <= 60 else 1e-6 if step >= 900 "
        "else (6e-4 - 1e-6)*(1 - (step - 60)/(900 - 60))**1.0 + 1e-6",
        by_step(_fairseq_polynomial),
    ),
    Published(
        "fairseq tri_stage", "fairseq TriStageLRSchedule (wav2vec 2.0)",
        "3e-5*(0.01 + (1 - 0.01)*step/100 if step < 100 else 1 if step < 500 else exp(log(0.05)*(step - 500)/500))",
        by_step(_fairseq_tri_stage),
    ),
    Published(
        "fairseq triangular", "fairseq TriangularLRSchedule(shrink=0.8)",
        "1e-4 + (1e-2*0.8**(step // 200) - 1e-4)*max(0, 1 - abs(step/100 - 2*(step // 200 + 1) + 1))",
        by_step(_fairseq_triangular),
    ),
    Published(
        "slanted triangular", "Howard and Ruder 2018 (ULMFiT), equation 3",
        "0.01*(1 + (step/100 if step < 100 else 1 - (step - 100)/(100*(1/0.1 - 1)))*(32 - 1))/32", by_step(_slanted),
    ),
    Published(
        "BERT", "google-research/bert optimization.py",
        "5e-5*step/100 if step < 100 else 5e-5*(1 - step/total_steps)", by_step(_bert),
    ),
    Published(
        "Whisper", "Radford et al. 2023: 2,048 steps of warm-up, linear to zero",
        "1e-3*min(step/205, (total_steps - step)/(total_steps - 205))", by_step(_whisper_like),
    ),
    Published(
        "Kaldi", "Kaldi nnet3, get_learning_rate", "4*1.5e-3*exp(progress*log(1.5e-4/1.5e-3))", by_step(_kaldi),
    ),
)  # fmt: skip
