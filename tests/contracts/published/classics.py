"""Before deep networks and beside them: stochastic approximation, Caffe, scikit-learn, reinforcement learning.

Worked out here in plain Python. Where an author's own lengths are longer, they are scaled to the table's 1,000 steps
and 100 epochs.
"""

from __future__ import annotations

import math
from typing import Final

from tests.contracts.published.case import TOTAL_STEPS, Published, by_step

T: Final = TOTAL_STEPS


def _ppo(update: int) -> float:
    """CleanRL's anneal_lr: updates are counted from 1."""
    frac = 1.0 - (update + 1 - 1.0) / T
    return frac * 2.5e-4


def _dqn_like(step: int) -> float:
    """OpenAI Baselines' LinearSchedule: from 1.0 to 0.02 over 70 % of the steps."""
    fraction = min(float(step) / 700, 1.0)
    return 1.0 + fraction * (0.02 - 1.0)


def _word2vec(step: int, alpha: float = 0.025) -> float:
    return max(alpha * (1 - step / (T + 1)), alpha * 0.0001)


def _libsvm_like(step: int) -> float:
    """scikit-learn's SGD, learning_rate='invscaling': eta0/t^power_t, t from 1."""
    return 0.01 / (step + 1) ** 0.25


def _sklearn_optimal(step: int, alpha: float = 1e-2) -> float:
    """scikit-learn's SGD, learning_rate='optimal': 1/(alpha·(t0 + t − 1)), t from 1; t0 by the hinge loss."""
    typw = math.sqrt(1.0 / math.sqrt(alpha))
    eta0 = typw / max(1.0, 1.0)
    t0 = 1.0 / (eta0 * alpha)
    return 1.0 / (alpha * (t0 + step + 1 - 1))


def _lda_tau(step: int, tau: float = 64.0, kappa: float = 0.7) -> float:
    """Online variational Bayes: ρ = (τ₀ + t)^−κ."""
    return (tau + step) ** -kappa


CASES: Final = (
    Published(
        "1/t", "Robbins and Monro 1951: a/(b + t)", "0.5/(10 + step)", by_step(lambda step: 0.5 / (10 + step)),
    ),
    Published(
        "1/√t", "Zinkevich 2003: η/√t, t from 1", "0.1/sqrt(step + 1)", by_step(lambda step: 0.1 / math.sqrt(step + 1)),
    ),
    Published(
        "constant, then 1/t", "Bengio 2012, section 3.1.1: ε₀·τ/max(t, τ)", "0.1*200/max(step, 200)",
        by_step(lambda step: 0.1 * 200 / max(step, 200)),
    ),
    Published(
        "search, then converge", "Darken and Moody 1990: η₀/(1 + t/τ)", "0.1/(1 + step/150)",
        by_step(lambda step: 0.1 / (1 + step / 150)),
    ),
    Published(
        "Bottou's", "Bottou 2012: γ₀/(1 + γ₀·λ·t)", "gamma0*(1 + gamma0*lambda_*step)**-1",
        by_step(lambda step: 0.5 * (1 + 0.5 * 1e-2 * step) ** -1), {"gamma0": 0.5, "lambda_": 1e-2},
    ),
    Published(
        "Pegasos", "Shalev-Shwartz et al. 2007: 1/(λ·t), t from 1", "1/(0.02*(step + 1))",
        by_step(lambda step: 1 / (0.02 * (step + 1))),
    ),
    Published(
        "natural exponential decay", "as tf.train.natural_exp_decay", "0.1*exp(-0.004*step)",
        by_step(lambda step: 0.1 * math.exp(-0.004 * step)),
    ),
    Published(
        "Caffe's sigmoid", "Jia et al. 2014: base_lr·(1/(1 + e^(−γ·(t − stepsize)))), γ < 0",
        "0.01*(1/(1 + exp(-(-0.01)*(step - 500))))",
        by_step(lambda step: 0.01 * (1 / (1 + math.exp(-(step - 500) * -0.01)))),
    ),
    Published(
        "Caffe's sigmoid by its name", "Jia et al. 2014", "0.01*sigmoid(-0.01*(step - 500))",
        by_step(lambda step: 0.01 * (1 / (1 + math.exp(-(step - 500) * -0.01)))),
    ),
    Published(
        "Caffe's inv", "Jia et al. 2014 (LeNet): base_lr·(1 + γ·t)^−power", "0.01 * (1 + 0.0001 * step) ^ (-0.75)",
        by_step(lambda step: 0.01 * (1 + 0.0001 * step) ** -0.75),
    ),
    Published(
        "word2vec", "word2vec.c: alpha falls, a ten-thousandth at least",
        "max(0.025*(1 - step/(total_steps + 1)), 0.025*0.0001)", by_step(_word2vec),
    ),
    Published(
        "online LDA", "Hoffman et al. 2010: (τ₀ + t)^−κ", "(64 + step)**-0.7", by_step(_lda_tau),
    ),
    Published(
        "invscaling", "scikit-learn SGDRegressor", "0.01/pow(step + 1, 0.25)", by_step(_libsvm_like),
    ),
    Published(
        "optimal", "scikit-learn SGDClassifier; Bottou", "1.0/(1e-2*(1/(1e-2*sqrt(1/sqrt(1e-2))) + step))",
        by_step(_sklearn_optimal),
    ),
    Published(
        "PPO", "CleanRL ppo.py, anneal_lr", "(1.0 - step/total_steps)*2.5e-4", by_step(_ppo),
    ),
    Published(
        "LinearSchedule", "OpenAI Baselines", "1.0 + min(step/700, 1.0)*(0.02 - 1.0)", by_step(_dqn_like),
    ),
)  # fmt: skip
