"""The families that follow from the number of the step alone.

Each is checked against torch.optim.lr_scheduler or optax, where these have it, by tests/standard/test_families.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from evolr.standard.curves import part
from evolr.standard.family import Family, FreeConstant

_WARMED: Final = "min(1, progress/warmup)"
_AFTER_WARMUP: Final = "max(0, (progress - warmup)/(1 - warmup))"
_IN_CYCLE: Final = "(cycles*progress - floor(cycles*progress))"

# --- the constants ------------------------------------------------------------------------------------------------------

_BASE: Final = FreeConstant("base", 1e-4, 2.0, 1e-2, "log", is_scale=True)
_PEAK: Final = FreeConstant("peak", 1e-4, 2.0, 1e-2, "log", is_scale=True)
_WARMUP: Final = FreeConstant("warmup", 0.01, 0.8, 0.05, "log")
_COOLDOWN: Final = FreeConstant("cooldown", 0.05, 0.95, 0.2)

CONSTANT: Final = Family("constant", "base", (_BASE,), "torch ConstantLR")

COSINE: Final = Family(
    "cosine",
    "base/2*(1 + cos(pi*progress))",
    (_BASE,),
    "Loshchilov and Hutter 2017, without restarts; torch CosineAnnealingLR",
)

ONE_CYCLE: Final = Family(
    "one-cycle",
    "peak*where(rise - progress, "
    "1/div + (1 - 1/div)*(1 - cos(pi*progress/rise))/2, "
    "1/(div*final_div) + (1 - 1/(div*final_div))*(1 + cos(pi*(progress - rise)/(1 - rise)))/2)",
    (
        _PEAK,
        FreeConstant("rise", 0.05, 0.85, 0.3),
        FreeConstant("div", 1.0, 1e3, 25.0, "log"),
        FreeConstant("final_div", 1.0, 1e5, 1e4, "log"),
    ),
    "Smith and Topin 2018; optax cosine_onecycle_schedule, torch OneCycleLR",
)


def _two_points(values: Mapping[str, float]) -> tuple[list[float], list[float]]:
    """Where a two-point shape passes after its warm-up: the peak, two points that fall, and zero at the end."""
    first = values["warmup"] + (1 - values["warmup"]) * values["first"]
    second = first + (1 - first) * values["second"]
    height = values["first_height"]
    return [values["warmup"], first, second, 1.0], [1.0, height, height * values["second_height"], 0.0]


def _two_point_rises(values: Mapping[str, float]) -> dict[str, float]:
    places, heights = _two_points(values)
    names = {f"x{i}": place for i, place in enumerate(places)} | {
        f"w{i}": b - a for i, (a, b) in enumerate(pairwise(places))
    }
    return names | {f"r{i}": b - a for i, (a, b) in enumerate(pairwise(heights))}


def _two_point_cubics(values: Mapping[str, float]) -> dict[str, float]:
    """The cubic of each span in its part u, c·u + b·u² + a·u³ above the span's start."""
    from scipy.interpolate import PchipInterpolator

    places, heights = _two_points(values)
    cubics = PchipInterpolator(places, heights).c  # (4, spans), in the distance from the span's start
    named: dict[str, float] = _two_point_rises(values)
    for i, (start, end) in enumerate(pairwise(places)):
        named |= {f"{name}{i}": float(cubics[k, i]) * (end - start) ** (3 - k) for k, name in enumerate("abc")}
    return named


_TWO_POINTS: Final = (
    _PEAK,
    _WARMUP,
    FreeConstant("first", 0.05, 0.95, 0.33),
    FreeConstant("first_height", 0.02, 1.0, 0.67),
    FreeConstant("second", 0.05, 0.95, 0.5),
    FreeConstant("second_height", 0.02, 1.0, 0.5),
)
_LINES: Final = "".join(f" + r{i}*{part(f'x{i}', f'w{i}')}" for i in range(3))
_CUBICS: Final = "".join(f" + {u}*(c{i} + {u}*(b{i} + {u}*a{i}))" for i in range(3) for u in [part(f"x{i}", f"w{i}")])


OPEN_LOOP: Final = (
    CONSTANT,
    Family(
        "step decay",
        "base*pow(factor, floor(progress/every))",
        (_BASE, FreeConstant("factor", 0.01, 0.9, 0.1, "log"), FreeConstant("every", 0.1, 1.0, 1 / 3)),
        "torch StepLR",
    ),
    Family(
        "exponential",
        "base*pow(end, progress)",
        (_BASE, FreeConstant("end", 1e-5, 1.0, 1e-2, "log")),
        "torch ExponentialLR, optax exponential_decay",
    ),
    Family(
        "polynomial",
        "base*pow(1 - progress, power)",
        (_BASE, FreeConstant("power", 0.1, 5.0, 2.0, "log")),
        "torch PolynomialLR, optax polynomial_schedule",
    ),
    Family("linear", "base*(1 - progress)", (_BASE,), "torch LinearLR, optax linear_schedule"),
    COSINE,
    Family(
        "cosine with floor",
        "base*(least + (1 - least)/2*(1 + cos(pi*progress)))",
        (_BASE, FreeConstant("least", 1e-4, 0.9, 0.1, "log")),
        "torch CosineAnnealingLR with eta_min, optax cosine_decay_schedule with alpha",
    ),
    Family(
        "warm-up + linear",
        "peak*min(progress/warmup, (1 - progress)/(1 - warmup))",
        (_PEAK, _WARMUP),
        "optax join_schedules of two linear_schedules; Hugging Face's `linear`",
    ),
    Family(
        "warm-up + cosine",
        f"peak*{_WARMED}*(1 + cos(pi*{_AFTER_WARMUP}))/2",
        (_PEAK, _WARMUP),
        "optax warmup_cosine_decay_schedule",
    ),
    ONE_CYCLE,
    Family(
        "WSD (linear)",
        "peak*min(1, min(progress/warmup, (1 - progress)/cooldown))",
        (_PEAK, _WARMUP, _COOLDOWN),
        "Hu et al. 2024 (MiniCPM); Hägele et al. 2024; optax join_schedules",
    ),
    Family(
        "WSD (1 − sqrt)",
        f"peak*min({_WARMED}, 1 - sqrt(max(0, (progress - (1 - cooldown))/cooldown)))",
        (_PEAK, _WARMUP, _COOLDOWN),
        "Hägele et al. 2024",
    ),
    Family(
        "inverse square root",
        "peak*min(progress/warmup, sqrt(warmup/progress))",
        (_PEAK, _WARMUP),
        "Vaswani et al. 2017, with its warm-up",
    ),
    Family("REX", "base*(1 - progress)/(1 - progress/2)", (_BASE,), "Chen, Wolfe and Kyrillidis 2022"),
    Family(
        "cosine with restarts",
        f"base/2*(1 + cos(pi*{_IN_CYCLE}))",
        (_BASE, FreeConstant("cycles", 2, 8, 3, "integer")),
        "Loshchilov and Hutter 2017; torch CosineAnnealingWarmRestarts",
    ),
    Family(
        "triangular cyclic",
        f"base*(least + (1 - least)*min(2*{_IN_CYCLE}, 2 - 2*{_IN_CYCLE}))",
        (_BASE, FreeConstant("least", 1e-4, 0.9, 0.1, "log"), FreeConstant("cycles", 1, 8, 3, "integer")),
        "Smith 2017; torch CyclicLR",
    ),
    Family(
        "generalised cosine",
        f"peak*{_WARMED}*pow((1 + cos(pi*{_AFTER_WARMUP}))/2, power)",
        (_PEAK, _WARMUP, FreeConstant("power", 0.1, 5.0, 1.0, "log")),
        "Naganuma et al. 2026 (arXiv 2603.10301); optax cosine_decay_schedule with exponent",
    ),
    Family("two-point linear", f"peak*({_WARMED}{_LINES})", _TWO_POINTS,
        "after Naganuma et al. 2026 (arXiv 2603.10301)", _two_point_rises),
    Family("two-point spline", f"peak*({_WARMED}{_CUBICS})", _TWO_POINTS,
        "after Naganuma et al. 2026 (arXiv 2603.10301)", _two_point_cubics),
)  # fmt: skip
