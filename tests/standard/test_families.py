"""The standard schedules agree with the libraries that people know them from, or with their papers' formulas."""

import math
import warnings
from itertools import pairwise

import numpy as np
import optax
import pytest
import torch
from scipy.interpolate import PchipInterpolator
from torch.optim import lr_scheduler

from evolr import standard
from evolr.errors import ScheduleError
from evolr.expression import parse
from evolr.problems import Quadratic
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, Family, FreeConstant
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer

EPOCHS, STEPS = 32, 40
T = EPOCHS * STEPS


def torch_curve(make, base_lr, count=T):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base_lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimiser never steps
        scheduler = make(optimizer)
        rates = []
        for _ in range(count):
            rates.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
    return np.array(rates)


def optax_curve(schedule):
    return np.array([float(schedule(step)) for step in range(T)])


def by_formula(function):
    """The curve of a formula over t = step ÷ T, as a paper gives it."""
    return np.array([function(step / T) for step in range(T)])


def linear_to(*points):
    """Optax's linear schedules, joined: points are (step, value)."""
    spans = list(pairwise(points))
    lines = [optax.linear_schedule(v0, v1, s1 - s0) for (s0, v0), (s1, v1) in spans]
    return optax.join_schedules(lines, [s1 for _, (s1, _) in spans[:-1]])


def cosine_restarts(optimizer):
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T // 4)


def triangular(optimizer):
    half = T // 8
    return lr_scheduler.CyclicLR(optimizer, 0.002, 0.02, step_size_up=half, cycle_momentum=False)


W, C = T // 8, T // 4  # warm-up and cool-down, in steps

CASES = [
    ("constant", {"base": 0.02}, lambda: torch_curve(lambda o: lr_scheduler.ConstantLR(o, 1.0, 1), 0.02)),
    (
        "step decay",
        {"base": 0.02, "factor": 0.3, "every": 0.25},
        lambda: torch_curve(lambda o: lr_scheduler.StepLR(o, T // 4, 0.3), 0.02),
    ),
    (
        "exponential",
        {"base": 0.02, "end": 0.01},
        lambda: torch_curve(lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1 / T)), 0.02),
    ),
    ("exponential", {"base": 0.02, "end": 0.01}, lambda: optax_curve(optax.exponential_decay(0.02, T, 0.01))),
    (
        "polynomial",
        {"base": 0.02, "power": 2.5},
        lambda: torch_curve(lambda o: lr_scheduler.PolynomialLR(o, T, 2.5), 0.02),
    ),
    ("polynomial", {"base": 0.02, "power": 0.5}, lambda: optax_curve(optax.polynomial_schedule(0.02, 0.0, 0.5, T))),
    ("linear", {"base": 0.02}, lambda: torch_curve(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, T), 0.02)),
    ("linear", {"base": 0.02}, lambda: optax_curve(optax.linear_schedule(0.02, 0.0, T))),
    ("cosine", {"base": 0.02}, lambda: torch_curve(lambda o: lr_scheduler.CosineAnnealingLR(o, T), 0.02)),
    (
        "cosine with floor",
        {"base": 0.02, "least": 0.1},
        lambda: torch_curve(lambda o: lr_scheduler.CosineAnnealingLR(o, T, eta_min=0.002), 0.02),
    ),
    ("cosine with floor", {"base": 0.02, "least": 0.1}, lambda: optax_curve(optax.cosine_decay_schedule(0.02, T, 0.1))),
    ("warm-up + linear", {"peak": 0.02, "warmup": W / T}, lambda: optax_curve(linear_to((0, 0), (W, 0.02), (T, 0)))),
    (
        "warm-up + cosine",
        {"peak": 0.02, "warmup": W / T},
        lambda: optax_curve(optax.warmup_cosine_decay_schedule(0.0, 0.02, W, T, 0.0)),
    ),
    (
        "one-cycle",
        {"peak": 0.02, "rise": 0.25, "div": 10.0, "final_div": 100.0},
        lambda: optax_curve(optax.cosine_onecycle_schedule(T, 0.02, 0.25, 10.0, 100.0)),
    ),
    (
        "WSD (linear)",
        {"peak": 0.02, "warmup": W / T, "cooldown": C / T},
        lambda: optax_curve(linear_to((0, 0), (W, 0.02), (T - C, 0.02), (T, 0))),
    ),
    (
        "WSD (1 − sqrt)",
        {"peak": 0.02, "warmup": W / T, "cooldown": 0.25},
        lambda: by_formula(lambda t: 0.02 * (min(1, 8 * t) if t < 0.75 else 1 - math.sqrt((t - 0.75) / 0.25))),
    ),
    (
        "inverse square root",
        {"peak": 0.02, "warmup": W / T},
        lambda: by_formula(lambda t: 0.02 * (8 * t if t < 0.125 else math.sqrt(0.125 / t))),
    ),
    ("REX", {"base": 0.02}, lambda: by_formula(lambda t: 0.02 * (1 - t) / (0.5 + 0.5 * (1 - t)))),
    ("cosine with restarts", {"base": 0.02, "cycles": 4}, lambda: torch_curve(cosine_restarts, 0.02)),
    ("triangular cyclic", {"base": 0.02, "least": 0.1, "cycles": 4}, lambda: torch_curve(triangular, 0.02)),
    (
        "generalised cosine",
        {"peak": 0.02, "warmup": W / T, "power": 1.5},
        lambda: optax_curve(
            optax.join_schedules(
                [optax.linear_schedule(0, 0.02, W), optax.cosine_decay_schedule(0.02, T - W, 0.0, exponent=1.5)], [W]
            )
        ),
    ),
    (
        "two-point linear",
        {"peak": 0.02, "warmup": 0.125, "first": 1 / 7, "first_height": 0.5, "second": 0.5, "second_height": 0.5},
        lambda: optax_curve(linear_to((0, 0), (W, 0.02), (T // 4, 0.01), (T * 5 // 8, 0.005), (T, 0))),
    ),
    (
        "two-point spline",
        {"peak": 0.02, "warmup": 0.125, "first": 1 / 7, "first_height": 0.5, "second": 0.5, "second_height": 0.5},
        lambda: by_formula(
            lambda t: (
                0.02
                * (
                    8 * t
                    if t < 0.125
                    else float(PchipInterpolator([0.125, 0.25, 0.625, 1.0], [1.0, 0.5, 0.25, 0.0])(t))
                )
            )
        ),
    ),
    (
        "free curve",
        {f"lr{k}": 10.0 ** -(1 + k % 3) for k in range(7)},
        lambda: by_formula(lambda t: 10 ** np.interp(t, np.arange(7) / 6, [-1.0 - k % 3 for k in range(7)])),
    ),
]


@pytest.mark.parametrize(
    ("name", "constants", "expected"), CASES, ids=lambda value: value if str(value) == value else ""
)
def test_a_family_agrees_with_the_library_that_people_know_it_from(name, constants, expected):
    curve = FAMILIES[name].schedule(**constants).curve(EPOCHS, STEPS)
    np.testing.assert_allclose(curve, expected(), rtol=1e-6, atol=0.02 * 1e-6)


def test_every_open_loop_family_is_checked():
    checked = {name for name, _, _ in CASES}
    assert {name for name, family in FAMILIES.items() if family.schedule().expression.is_open_loop} == checked


@pytest.mark.parametrize(("factor", "patience", "base"), [(0.1, 0, 0.5), (0.5, 1, 0.9), (0.3, 3, 1.5), (0.9, 2, 1.0)])
def test_reduce_on_plateau_is_reducelronplateau(factor, patience, base):
    """On a training that does reach plateaus: PyTorch's scheduler, fed its validation losses, gives its learning rates."""
    task = Quadratic(dimension=10, condition_number=3.0, noise=2.0, steps_per_epoch=5).task("fitness")
    schedule = FAMILIES["reduce on plateau"].schedule(base=base, factor=factor, patience=patience, eps=0.0)
    (outcome,) = Trainer(task, Optimizer(name="sgd")).train([Trial(schedule, 3)], 60, keep_steps=True)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, eps=0.0)
    expected = []
    for val_loss in outcome.val_loss.astype(float):
        expected += [optimizer.param_groups[0]["lr"]] * 5
        plateau.step(float(val_loss))
    assert len(set(expected)) > 3
    np.testing.assert_allclose(outcome.learning_rates, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_defaults_are_within_the_ranges_and_give_a_schedule_that_a_document_holds(family):
    for constant in family.constants:
        assert constant.low <= constant.default <= constant.high
        assert constant.scale != "log" or constant.low > 0
    for pick in ("low", "default", "high"):
        schedule = family.schedule(**{constant.name: getattr(constant, pick) for constant in family.constants})
        assert Schedule.from_json(schedule.to_json()) == schedule
        rates = schedule.curve(EPOCHS, STEPS, **dict.fromkeys(schedule.expression.live_signals, 0.01))
        assert np.isfinite(rates).all()
        assert (rates >= 0).all()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_is_its_formula_read_with_the_constants(family):
    rng = np.random.default_rng(1)
    for _ in range(5):
        constants = {
            c.name: int(rng.integers(c.low, c.high + 1)) if c.scale == "integer" else float(rng.uniform(c.low, c.high))
            for c in family.constants
        }
        values = dict(family.fixed) | constants
        values |= family.derived(values) if family.derived else {}
        assert family.schedule(**constants).expression == parse(family.formula, values).folded()


@pytest.mark.parametrize(
    "formula", ["a*(1 - progress)/(progress + 1e-9)", "a*exp(-b*progress)", "-a*progress + 2*a - -b"]
)
def test_a_family_of_ones_own_may_hold_small_numbers_and_negated_constants(formula):
    free = (FreeConstant("a", 1e-4, 1.0, 0.1, "log", is_scale=True), FreeConstant("b", 0.0, 5.0, 2.0))
    own = Family("mine", formula, free, "a test")
    assert own.schedule(a=1).expression == parse(formula, {"a": 1.0, "b": 2.0}).folded()
    assert own.schedule(b=0.0).expression == parse(formula, {"a": 0.1, "b": 0.0}).folded()


def test_an_unknown_constant_is_refused_with_the_nearest_name():
    with pytest.raises(ScheduleError, match="did you mean 'warmup'"):
        FAMILIES["warm-up + linear"].schedule(warm_up=0.1)


def test_a_frozen_curve_follows_its_curve():
    for name, off in (("one-cycle", 0.06), ("exponential", 1e-6), ("inverse square root", 0.06), ("step decay", 0.25)):
        curve = np.maximum(FAMILIES[name].schedule().curve(EPOCHS, STEPS), 1e-4)
        frozen = standard.frozen(curve).curve(EPOCHS, STEPS)
        assert np.sqrt(np.mean(np.log(frozen / curve) ** 2)) < off


def test_a_frozen_curve_is_smoother_than_what_it_follows():
    """It comes nearer to the truth than the noisy median that it is fitted to."""
    truth = 0.01 * np.exp(-3 * np.arange(1200) / 1200)
    noisy = truth * np.random.default_rng(0).lognormal(0.0, 0.1, 1200)
    error = np.log(standard.frozen(noisy).curve(30, 40) / truth)
    assert np.sqrt(np.mean(error**2)) < 0.04


def test_a_frozen_curve_of_one_step_is_that_step():
    assert standard.frozen([0.5]).curve(1, 1) == pytest.approx([0.5])


# --- the baselines of the first experiment -----------------------------------------------------------------------------


def test_the_published_step_decay_is_steplr_by_epoch():
    expected = torch_curve(lambda o: lr_scheduler.StepLR(o, 10), 0.001, 30)
    np.testing.assert_allclose(standard.step_decay(0.001).curve(30, 1), expected, rtol=1e-12)
    assert len(set(standard.step_decay(0.001).curve(30, STEPS))) == 3


@pytest.mark.parametrize("family", standard.PUBLISHED_BASELINES.values())
@pytest.mark.parametrize("base_lr", [1e-4, 5.0])
def test_the_published_baselines_start_at_the_base_learning_rate(family, base_lr):
    assert family(base_lr).curve(EPOCHS, STEPS)[0] == pytest.approx(base_lr, rel=1e-15)
