"""The schedules that everyone uses, as expressions with named free constants.

A family is a formula whose constants have names, ranges and scales; with values it is a Schedule. Time is `progress`, so
a family's constants carry over to any horizon. Each is checked against torch.optim.lr_scheduler or optax, where these
have it, by tests/test_standard.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
import numpy as np

from evolr.errors import ScheduleError, unknown_name
from evolr.expression import Expression, parse
from evolr.schedule import Schedule
from evolr.signals.plateau import Plateau

Scale = Literal["linear", "log", "integer"]


@dataclass(frozen=True, slots=True)
class FreeConstant:
    """A constant of a family: where a tuner looks for it, and what the family's users take by default.

    is_rate: whether it is a learning rate.
    """

    name: str
    low: float
    high: float
    default: float
    scale: Scale = "linear"
    is_rate: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of schedule.

    formula: in ordinary notation, with the constants by name. source: whose it is. derived: further constants that the
    formula uses, computed from the free ones and the fixed ones. fixed: constants that may be given and are not tuned,
    with their defaults. plateau: what it takes for a plateau, by the constants.
    """

    name: str
    formula: str
    constants: tuple[FreeConstant, ...]
    source: str
    derived: Callable[[Mapping[str, float]], Mapping[str, float]] | None = None
    fixed: tuple[tuple[str, float], ...] = ()
    plateau: Callable[[Mapping[str, float]], Plateau] | None = None

    def schedule(self, **values: float) -> Schedule:
        """The schedule with these values of the constants; the defaults for those that are not given.

        >>> COSINE.schedule(base=0.02).expression.tokens
        ('mul', 0.01, 'add', 1.0, 'cos', 'mul', 3.141592653589793, 'progress')

        Raises ScheduleError for a name that is none of the family's.
        """
        defaults = {constant.name: constant.default for constant in self.constants} | dict(self.fixed)
        for name in values:
            if name not in defaults:
                raise ScheduleError(unknown_name(f"constant of {self.name}", name, defaults))
        given = defaults | values
        derived = {} if self.derived is None else self.derived(given)
        plateau = None if self.plateau is None else self.plateau(given)
        return _schedule(parse(self.formula, {**given, **derived}), plateau)


def _schedule(expression: Expression, plateau: Plateau | None = None) -> Schedule:
    return Schedule(expression=expression.folded(), plateau=plateau)


# --- pieces of formulas -------------------------------------------------------------------------------------------------


def _part(start: str, width: str) -> str:
    """How much of a span of progress is over: 0 before it, 1 after it."""
    return f"min(1, max(0, (progress - {start})/{width}))"


def piecewise_linear(places: Sequence[float], values: Sequence[float]) -> str:
    """The formula of the line through points; places rise from 0 to 1, and before and after it is level.

    A sum of one rise a span, each of them bounded, so that no precision is lost in float32.
    """
    spans = zip(pairwise(places), pairwise(values), strict=True)
    rises = [f"{right - left!r}*{_part(repr(start), repr(end - start))}" for (start, end), (left, right) in spans]
    return " + ".join([repr(values[0]), *rises])


def frozen(learning_rates: Sequence[float], most_knots: int = 64) -> Schedule:
    """The open-loop schedule that follows a curve of learning rates, one a step.

    A line in log space through evenly spaced knots, fitted to the curve by least squares; a knot that stood on a single
    step would follow that step's noise.
    """
    heights = np.log(np.maximum(np.asarray(learning_rates, np.float64), 1e-12))
    count = len(heights)
    knots = np.linspace(0, max(count - 1, 1), min(most_knots, count))
    at = np.arange(count)
    weights = np.maximum(0.0, 1.0 - np.abs(at[:, None] - knots) / (knots[1] if len(knots) > 1 else 1.0))
    fitted = np.linalg.lstsq(weights, heights, rcond=None)[0]
    formula = piecewise_linear((knots / count).tolist(), fitted.tolist())
    return _schedule(parse(f"exp({formula})"))


_WARMED: Final = "min(1, progress/warmup)"
_AFTER_WARMUP: Final = "max(0, (progress - warmup)/(1 - warmup))"
_IN_CYCLE: Final = "(cycles*progress - floor(cycles*progress))"

# --- the constants ------------------------------------------------------------------------------------------------------

_BASE: Final = FreeConstant("base", 1e-4, 2.0, 1e-2, "log", is_rate=True)
_PEAK: Final = FreeConstant("peak", 1e-4, 2.0, 1e-2, "log", is_rate=True)
_WARMUP: Final = FreeConstant("warmup", 0.01, 0.8, 0.05, "log")
_COOLDOWN: Final = FreeConstant("cooldown", 0.05, 0.95, 0.2)

# --- the families -------------------------------------------------------------------------------------------------------

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


def _least_of_plateaus(values: Mapping[str, float]) -> dict[str, float]:
    """Where reductions end: at min_lr, or at the first learning rate of which a reduction would take no more than eps."""
    base, factor, min_lr, eps = (values[name] for name in ("base", "factor", "min_lr", "eps"))
    if not (base > 0 and 0 <= factor < 1 and min_lr >= 0 and eps >= 0):
        raise ScheduleError(
            f"reduce on plateau has base > 0, 0 ≤ factor < 1, min_lr ≥ 0 and eps ≥ 0, got {base}, {factor}, {min_lr}, {eps}"
        )

    def reduced(rate: float) -> float:
        lower = max(rate * factor, min_lr)
        return lower if rate - lower > eps else rate

    if eps == min_lr == 0:
        return {"least": 0.0}
    rate = base
    if min_lr < base and factor > 0:  # to some reductions before the last one
        ends = [min(end / base, 1.0) for end in (min_lr, eps / (1 - factor)) if end > 0]
        done = min(math.log(end) / math.log(factor) for end in ends)
        rate = base * factor ** max(math.floor(done) - 2, 0)
    while (lower := reduced(rate)) != rate:
        rate = lower
    return {"least": rate}


REDUCE_ON_PLATEAU: Final = Family(
    "reduce on plateau",
    "max(least, base*factor**plateaus)",
    (_BASE, FreeConstant("factor", 0.05, 0.9, 0.1, "log"), FreeConstant("patience", 0, 8, 3, "integer")),
    "torch ReduceLROnPlateau, by val_loss, with its defaults for the rest",
    _least_of_plateaus,
    (("threshold", 1e-4), ("cooldown", 0), ("min_lr", 0.0), ("eps", 1e-8)),
    lambda values: Plateau(
        patience=_whole(values["patience"]), threshold=values["threshold"], cooldown=_whole(values["cooldown"])
    ),
)


def _whole(value: float) -> Any:
    """A whole number as int; what is none is left for Plateau to refuse."""
    return int(value) if float(value).is_integer() else value


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
_LINES: Final = "".join(f" + r{i}*{_part(f'x{i}', f'w{i}')}" for i in range(3))
_CUBICS: Final = "".join(f" + {u}*(c{i} + {u}*(b{i} + {u}*a{i}))" for i in range(3) for u in [_part(f"x{i}", f"w{i}")])


def free_curve(knots: int = 7) -> Family:
    """Any open-loop shape: a line in log space through evenly spaced knots, each of them free."""
    names = [f"lr{k}" for k in range(knots)]
    width = repr(1 / (knots - 1))
    rises = [f"(log({b}) - log({a}))*{_part(repr(k / (knots - 1)), width)}" for k, (a, b) in enumerate(pairwise(names))]
    constants = tuple(FreeConstant(name, 1e-6, 2.0, 1e-2, "log", is_rate=True) for name in names)
    return Family("free curve", f"exp(log({names[0]}) + {' + '.join(rises)})", constants, "no one's: a reference")


_FAMILIES = (
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
    REDUCE_ON_PLATEAU,
    free_curve(),
)  # fmt: skip

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType({family.name: family for family in _FAMILIES})
"""Every standard family by name; the last one, the free curve, is the reference of what an open-loop shape can reach."""

# --- the baselines of the first experiment ------------------------------------------------------------------------------


def constant(base_lr: float) -> Schedule:
    """Lr = base_lr."""
    return CONSTANT.schedule(base=base_lr)


def step_decay(base_lr: float, factor: float = 0.1, every: int = 10) -> Schedule:
    """Lr = base_lr · factor^⌊epoch / every⌋ (StepLR, stepped once an epoch)."""
    given = {"base": base_lr, "slope": math.log(factor), "every": every}
    return _schedule(parse("base*exp(slope*floor(epoch/every))", given))


def cosine(base_lr: float) -> Schedule:
    """Lr = base_lr · (1 + cos(π · progress)) / 2: from base_lr to zero, step by step (CosineAnnealingLR)."""
    return COSINE.schedule(base=base_lr)


def reduce_on_plateau(
    base_lr: float,
    *,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> Schedule:
    """Torch's ReduceLROnPlateau with the same arguments: of the value that is told as val_loss, once an epoch.

    >>> reduce_on_plateau(0.1, factor=0.5, patience=3).at(plateaus=2)
    0.025

    base_lr: where the learning rate starts. Raises ScheduleError for arguments out of their ranges.
    """
    plateau = Plateau(
        patience=patience, threshold=threshold, threshold_mode=threshold_mode, mode=mode, cooldown=cooldown
    )
    reduced = REDUCE_ON_PLATEAU.schedule(base=base_lr, factor=factor, min_lr=min_lr, eps=eps)
    return msgspec.structs.replace(reduced, plateau=plateau)


PUBLISHED_BASELINES: Final = MappingProxyType({"constant": constant, "step decay": step_decay, "cosine": cosine})
"""What the first experiment compared its winner with, by name; each takes the base learning rate."""
