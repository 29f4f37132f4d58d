"""Curves as formulas: lines through points, a curve that was measured, and a curve of which every knot is free."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from evolr.expression import parse
from evolr.schedule import Schedule
from evolr.standard.family import Family, FreeConstant, folded


def part(start: str, width: str) -> str:
    """How much of a span of progress is over: 0 before it, 1 after it."""
    return f"min(1, max(0, (progress - {start})/{width}))"


def piecewise_linear(places: Sequence[float], values: Sequence[float]) -> str:
    """The formula of the line through points; places rise from 0 to 1, and before and after it is level.

    A sum of one rise a span, each of them bounded, so that no precision is lost in float32.
    """
    spans = zip(pairwise(places), pairwise(values), strict=True)
    rises = [f"{right - left!r}*{part(repr(start), repr(end - start))}" for (start, end), (left, right) in spans]
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
    return folded(parse(f"exp({formula})"))


def free_curve(knots: int = 7) -> Family:
    """Any open-loop shape: a line in log space through evenly spaced knots, each of them free."""
    names = [f"lr{k}" for k in range(knots)]
    width = repr(1 / (knots - 1))
    rises = [f"(log({b}) - log({a}))*{part(repr(k / (knots - 1)), width)}" for k, (a, b) in enumerate(pairwise(names))]
    constants = tuple(FreeConstant(name, 1e-6, 2.0, 1e-2, "log") for name in names)
    return Family("free curve", f"exp(log({names[0]}) + {' + '.join(rises)})", constants, "no one's: a reference")
